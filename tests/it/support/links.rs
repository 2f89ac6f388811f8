//! Share links and signed URLs, as their owners create them and others use them.

use serde_json::Value;

use super::client::{Answer, Ask, Client, path};

/// Makes a link and gives it as it is shown this once.
pub async fn create_link(owner: &Client, file: &Value, bounds: Value) -> Value {
    let answer = owner.post(&format!("{}/links", path(file))).json(&bounds).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// Does what a signed URL is for, with the headers that came with it.
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
