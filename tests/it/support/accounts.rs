//! Accounts as users make them: register, sign in, sign in once more.

use serde_json::{Value, json};

use super::client::{Answer, Ask, Client};
use super::program::Program;
use super::{PASSWORD, TestApp, email};

/// Signs in as people do.
pub async fn log_in(client: &Client, email: &str, password: &str) -> Answer {
    client.post("/v1/auth/login").json(&json!({"email": email, "password": password})).answer().await
}

pub async fn register(client: &Client, email: &str, name: &str, password: &str) -> Answer {
    let body = json!({"email": email, "name": name, "password": password});
    client.post("/v1/auth/register").json(&body).answer().await
}

/// Another session of the same person.
pub async fn another_session(app: &TestApp, name: &str) -> Client {
    let answer = log_in(&app.stranger(), &email(name), PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    app.stranger().with_token(body["token"].as_str().unwrap(), &body["user"]["id"])
}

/// Registers at a server that runs, and signs in.
pub async fn sign_up(program: &Program, email: &str) -> Client {
    let answer = register(&program.stranger(), email, "A Person", PASSWORD).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    signed_in(program, &answer.json())
}

pub fn signed_in(program: &Program, accepted: &Value) -> Client {
    program.stranger().with_token(accepted["token"].as_str().expect("a token"), &accepted["user"]["id"])
}
