//! Operations of several requests. The first one without a response ends the operation.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::operations::{Answer, answer};
use super::plan::Operation;
use crate::support::client::Client;

const PART: usize = 5 * 1024 * 1024;

/// A successful response, or the outcome of the operation.
async fn success(request: RequestBuilder) -> Result<Response, Answer> {
    match request.send().await {
        Err(_) => Err(Answer::None),
        Ok(answer) if answer.status().is_success() => Ok(answer),
        Ok(answer) => Err(Answer::Unexpected(answer.status().to_string())),
    }
}

async fn json_of(request: RequestBuilder) -> Result<Value, Answer> {
    success(request).await?.json().await.map_err(|_| Answer::None)
}

/// Requests a signed URL, sends a PUT to it (to the bucket, or to this server), and completes the upload.
pub async fn signed_put(client: &Client, id: &str, operation: &Operation) -> Result<Answer, Answer> {
    let sign = client.post(&format!("/v1/files/{id}/signed-urls")).json(&json!({"operation": "put"}));
    let signed = json_of(sign).await?;
    let put = client.put(signed["url"].as_str().expect("a URL")).header("if-none-match", "*");
    success(put.body(operation.version.bytes())).await?;
    Ok(answer(client.post(&format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().expect("an id")))).await)
}

/// One to three appends, of which the first may be part of the creation.
pub async fn tus(client: &Client, name: &str, operation: &Operation) -> Result<Answer, Answer> {
    let bytes = operation.version.bytes();
    let length = bytes.len() / (1 + bytes.len() % 3) + 1;
    let tus = |method, path: &str| client.request(method, path).header("tus-resumable", "1.0.0");
    let with_bytes = |request: RequestBuilder, offset: usize| {
        let body = bytes[offset..(offset + length).min(bytes.len())].to_vec();
        request.header("content-type", "application/offset+octet-stream").body(body)
    };
    let create = tus(Method::POST, "/v1/tus")
        .header("upload-length", bytes.len().to_string())
        .header("upload-metadata", format!("filename {}", BASE64_STANDARD.encode(name)));
    let mut answer = success(if operation.is_announced { create } else { with_bytes(create, 0) }).await?;
    let header = |answer: &Response, name: &str| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let url: url::Url = header(&answer, "location").parse().expect("a URL");
    while !answer.headers().contains_key("strongroom-file-id") {
        let offset: usize = header(&answer, "upload-offset").parse().expect("a number");
        let append = tus(Method::PATCH, url.path()).header("upload-offset", offset.to_string());
        answer = success(with_bytes(append, offset)).await?;
    }
    Ok(Answer::Done(Some(header(&answer, "strongroom-file-id"))))
}

/// Sends parts, the last one first.
pub async fn direct(client: &Client, name: &str, operation: &Operation) -> Result<Answer, Answer> {
    let bytes = operation.version.bytes();
    let body = json!({"name": name, "size": bytes.len(), "mode": "direct", "part_size": PART});
    let upload = json_of(client.post("/v1/uploads").json(&body)).await?;
    if let Some(file) = upload["file_id"].as_str() {
        return Ok(Answer::Done(Some(file.to_owned())));
    }
    let path = format!("/v1/uploads/{}", upload["id"].as_str().expect("an id"));
    let signed = json_of(client.post(&format!("{path}/parts")).json(&json!({}))).await?;
    for part in signed["parts"].as_array().expect("parts").iter().rev() {
        let start = (part["number"].as_u64().expect("a number") as usize - 1) * PART;
        let body = bytes[start..(start + PART).min(bytes.len())].to_vec();
        success(client.put(part["url"].as_str().expect("a URL")).body(body)).await?;
    }
    Ok(answer(client.post(&format!("{path}/complete"))).await)
}
