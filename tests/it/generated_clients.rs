//! Validators accept the OpenAPI document, and clients that generators make of it work. Their scripts are in
//! tests/clients/openapi.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{PASSWORD, Setup, TestApp, email, third_party};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

fn installed() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| third_party::install("openapi")).as_deref()
}

/// The same folder, with the clients generated and compiled.
fn generated() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let generate = || {
        let folder = installed()?;
        run(folder, &["node", "generate.mjs", DOCUMENT]);
        run(folder, &["node_modules/.bin/tsc"]);
        let python =
            ["--config", "python-client.yaml", "--meta", "none", "--output-path", "strongroom_client", "--overwrite"];
        let generator = ["venv/bin/openapi-python-client", "generate", "--fail-on-warning", "--path", DOCUMENT];
        run(folder, &[&generator[..], &python].concat());
        Some(folder.to_owned())
    };
    FOLDER.get_or_init(generate).as_deref()
}

fn run(folder: &Path, command: &[&str]) {
    // openapi-python-client formats what it generates with ruff, which it looks up.
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.join("venv/bin").display());
    let output = Command::new(command[0]).args(&command[1..]).env("PATH", path).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&told));
}

/// Signs in, lists all pages, uploads, downloads, signs, renames, shares, deletes, restores, and reads a problem.
async fn makes_the_usual_calls(client: &'static [&'static str]) {
    let Some(folder) = tokio::task::spawn_blocking(generated).await.expect("clients") else { return };
    for setup in [Setup::SqliteAndDisk, Setup::PostgresAndS3] {
        let app = TestApp::start(setup).await;
        app.sign_up("ann").await;
        let arguments = [app.url(""), email("ann"), PASSWORD.to_owned()];
        let call = move || run(folder, &[client, &arguments.each_ref().map(String::as_str)].concat());
        tokio::task::spawn_blocking(call).await.expect("the usual calls");
    }
}

#[test]
fn the_documented_clients_are_the_tested_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let scripts = ["generate.mjs", "openapi-fetch.ts", "hey-api.ts", "python_client.py", "python-client.yaml"]
        .map(|name| read(&format!("tests/clients/openapi/{name}")));
    let tested: BTreeSet<_> = scripts.iter().flat_map(|script| script.lines()).map(str::trim).collect();
    let page = read("docs/clients.md");
    // Blocks of code are between two fences, the language first.
    for block in page.split("```").skip(1).step_by(2).filter(|block| !block.starts_with("sh")) {
        for line in block.lines().skip(1).map(str::trim) {
            assert!(tested.contains(line), "not tested: {line}");
        }
    }
    let packages: Value = serde_json::from_str(&read("tests/clients/openapi/package.json")).expect("JSON");
    for name in ["openapi-fetch", "openapi-typescript", "typescript", "@hey-api/openapi-ts"] {
        let version = packages["dependencies"][name].as_str().expect(name);
        assert!(page.contains(&format!("{name}@{version}")), "{name} {version}");
    }
    let pinned = read("tests/clients/openapi/requirements.txt");
    let python = pinned.lines().find(|line| line.starts_with("openapi-python-client==")).expect("a version");
    assert!(page.contains(python), "{python}");
}

#[test]
fn validators_accept_the_document() {
    let Some(folder) = installed() else { return };
    run(folder, &["venv/bin/openapi-spec-validator", DOCUMENT]);
    run(folder, &["node_modules/.bin/redocly", "lint", "--config", "redocly.yaml", DOCUMENT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi_fetch_makes_the_usual_calls() {
    makes_the_usual_calls(&["node", "built/openapi-fetch.js"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hey_api_makes_the_usual_calls() {
    makes_the_usual_calls(&["node", "built/hey-api.js"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi_python_client_makes_the_usual_calls() {
    makes_the_usual_calls(&["venv/bin/python", "python_client.py"]).await;
}
