//! Requests that Schemathesis generates from the OpenAPI document are answered as the document says. The findings that
//! are as intended are in tests/clients/openapi/accepted.toml, each with its reason.

use std::process::Command;

use crate::support::{PASSWORD, Setup, TestApp, email, third_party};

async fn check(setup: Setup) {
    let install = || third_party::install("openapi");
    let Some(folder) = tokio::task::spawn_blocking(install).await.expect("an installation") else { return };
    let app = TestApp::start(setup).await;
    app.sign_up("ann").await;
    app.execute("UPDATE users SET is_admin = TRUE").await;
    let arguments = ["fuzz.py".to_owned(), app.url("/openapi.json"), app.url(""), email("ann"), PASSWORD.to_owned()];
    let run = move || Command::new("venv/bin/python").args(arguments).current_dir(folder).output();
    let output = tokio::task::spawn_blocking(run).await.expect("a run").expect("Python starts");
    let told = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_are_answered_as_documented_on_sqlite_and_disk() {
    check(Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_are_answered_as_documented_on_postgres_and_s3() {
    check(Setup::PostgresAndS3).await;
}
