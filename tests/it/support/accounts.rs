//! Registration and sign-in over the API.

use serde_json::{Value, json};

use super::client::{Answer, Ask, Client};
use super::program::Program;
use super::{PASSWORD, TestApp, email};

pub async fn log_in(client: &Client, email: &str, password: &str) -> Answer {
    client.post("/v1/auth/login").json(&json!({"email": email, "password": password})).answer().await
}

pub async fn register(client: &Client, email: &str, name: &str, password: &str) -> Answer {
    let body = json!({"email": email, "name": name, "password": password});
    client.post("/v1/auth/register").json(&body).answer().await
}

/// Another session of the same user.
pub async fn another_session(app: &TestApp, name: &str) -> Client {
    let answer = log_in(&app.anonymous(), &email(name), PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    app.anonymous().with_token(body["token"].as_str().unwrap(), &body["user"]["id"])
}

/// Registers at a running program and signs in.
pub async fn sign_up(program: &Program, email: &str) -> Client {
    let answer = register(&program.anonymous(), email, "A User", PASSWORD).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    signed_in(program, &answer.json())
}

/// The client of the session that a response to a registration or a sign-in describes.
pub fn signed_in(program: &Program, body: &Value) -> Client {
    program.anonymous().with_token(body["token"].as_str().expect("a token"), &body["user"]["id"])
}

/// The same user and session, at another server.
pub fn same_session(user: &Client, program: &Program) -> Client {
    program.anonymous().with_token(user.token.as_deref().expect("a token"), &json!(user.id))
}
