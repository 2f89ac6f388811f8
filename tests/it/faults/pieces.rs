//! Operations that take several requests. One that is not answered ends the whole.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::operations::{Answer, answer};
use super::plan::Operation;
use crate::support::client::Client;

const PART: usize = 5 * 1024 * 1024;

/// An answer that is a success, or how the operation ended.
async fn success(request: RequestBuilder) -> Result<Response, Answer> {
    match request.send().await {
        Err(_) => Err(Answer::None),
        Ok(answer) if answer.status().is_success() => Ok(answer),
        Ok(answer) => Err(Answer::Odd(answer.status().to_string())),
    }
}

async fn told(request: RequestBuilder) -> Result<Value, Answer> {
    success(request).await?.json().await.map_err(|_| Answer::None)
}

/// Signed, put and completed. To the bucket, or to this server again.
pub async fn signed_put(client: &Client, id: &str, operation: &Operation) -> Result<Answer, Answer> {
    let sign = client.post(&format!("/v1/files/{id}/signed-urls")).json(&json!({"operation": "put"}));
    let signed = told(sign).await?;
    let put = client.put(signed["url"].as_str().expect("a URL")).header("if-none-match", "*");
    success(put.body(operation.version.bytes())).await?;
    Ok(answer(client.post(&format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().expect("an id")))).await)
}

/// In one to three pieces, of which the first may come with the creation.
pub async fn tus(client: &Client, name: &str, operation: &Operation) -> Result<Answer, Answer> {
    let bytes = operation.version.bytes();
    let piece = bytes.len() / (1 + bytes.len() % 3) + 1;
    let tus = |method, path: &str| client.request(method, path).header("tus-resumable", "1.0.0");
    let of = |request: RequestBuilder, offset: usize| {
        let body = bytes[offset..(offset + piece).min(bytes.len())].to_vec();
        request.header("content-type", "application/offset+octet-stream").body(body)
    };
    let create = tus(Method::POST, "/v1/tus")
        .header("upload-length", bytes.len().to_string())
        .header("upload-metadata", format!("filename {}", BASE64_STANDARD.encode(name)));
    let mut told = success(if operation.is_announced { create } else { of(create, 0) }).await?;
    let header = |answer: &Response, name: &str| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let url: url::Url = header(&told, "location").parse().expect("a URL");
    while !told.headers().contains_key("strongroom-file-id") {
        let offset: usize = header(&told, "upload-offset").parse().expect("a number");
        let append = tus(Method::PATCH, url.path()).header("upload-offset", offset.to_string());
        told = success(of(append, offset)).await?;
    }
    Ok(Answer::Done(Some(header(&told, "strongroom-file-id"))))
}

/// As parts, the last one first.
pub async fn direct(client: &Client, name: &str, operation: &Operation) -> Result<Answer, Answer> {
    let bytes = operation.version.bytes();
    let wish = json!({"name": name, "size": bytes.len(), "mode": "direct", "part_size": PART});
    let upload = told(client.post("/v1/uploads").json(&wish)).await?;
    if let Some(file) = upload["file_id"].as_str() {
        return Ok(Answer::Done(Some(file.to_owned())));
    }
    let path = format!("/v1/uploads/{}", upload["id"].as_str().expect("an id"));
    let signed = told(client.post(&format!("{path}/parts")).json(&json!({}))).await?;
    for part in signed["parts"].as_array().expect("parts").iter().rev() {
        let start = (part["number"].as_u64().expect("a number") as usize - 1) * PART;
        let body = bytes[start..(start + PART).min(bytes.len())].to_vec();
        success(client.put(part["url"].as_str().expect("a URL")).body(body)).await?;
    }
    Ok(answer(client.post(&format!("{path}/complete"))).await)
}
