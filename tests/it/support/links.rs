//! Creating and using share links and signed URLs.

use serde_json::Value;

use super::client::{Answer, Ask, Client, path};

/// Creates a link and returns it with its URL.
pub async fn create_link(owner: &Client, file: &Value, options: Value) -> Value {
    let answer = owner.post(&format!("{}/links", path(file))).json(&options).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// Sends the request that a signed URL describes, with its method and headers.
pub async fn follow(client: &Client, signed: &Value, body: impl Into<reqwest::Body>) -> Answer {
    let method = signed["method"].as_str().unwrap().parse().unwrap();
    let mut request = client.request(method, signed["url"].as_str().unwrap()).body(body);
    for (name, value) in signed["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.answer().await
}

pub async fn complete(client: &Client, signed: &Value) -> Answer {
    client.post(&format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().unwrap())).answer().await
}
