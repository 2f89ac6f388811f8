//! Operations while the server may be killed: each one is recorded in the ledger before it starts, and again when the
//! response arrives.

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use serde_json::json;

use super::ledger::{Ledger, Version};
use super::plan::{ANSWERED, ANYWHEN, Crash, Kind, Operation};
use super::resumable;
use crate::support::client::Client;
use crate::support::program::Program;

/// The outcome of an operation, as far as its client knows.
#[derive(Debug)]
pub enum Answer {
    /// It succeeded; an upload has this id.
    Done(Option<String>),
    /// There was no response: it was executed or not.
    None,
    /// An unexpected response.
    Unexpected(String),
}

/// The result of the operations of a round.
#[derive(Debug, Default)]
pub struct Done {
    /// Operations without a response.
    pub unanswered: usize,
    /// Whether the driver killed the server meanwhile.
    pub is_killed: bool,
    /// Unexpected responses.
    pub unexpected: Vec<String>,
}

/// Runs all operations concurrently until each has a response or the server is dead.
pub async fn run_all(
    operations: &[Operation],
    crash: &Crash,
    client: &Client,
    server: &mut Program,
    ledger: &mut Ledger,
) -> Done {
    let mut running = FuturesUnordered::new();
    for operation in operations {
        let entry = &mut ledger.entries[operation.entry];
        match operation.kind {
            Kind::Trash => entry.in_trash = None,
            _ => entry.may_be.push(outcome(operation)),
        }
        let (id, name) = (entry.id.clone().unwrap_or_default(), entry.name.clone());
        running.push(async move { (operation, perform(operation, client, &id, &name).await) });
    }
    let when = tokio::time::sleep(crash.after);
    tokio::pin!(when);
    let mut done = Done::default();
    loop {
        tokio::select! {
            () = &mut when, if crash.point.name == ANYWHEN && !done.is_killed => {
                server.kill();
                done.is_killed = true;
            }
            next = running.next() => match next {
                None => return done,
                Some((operation, Answer::Done(id))) => {
                    if crash.point.name == ANSWERED && !done.is_killed {
                        server.kill();
                        done.is_killed = true;
                    }
                    let entry = &mut ledger.entries[operation.entry];
                    match operation.kind {
                        Kind::Trash => entry.in_trash = Some(true),
                        _ => entry.may_be = vec![outcome(operation)],
                    }
                    entry.id = id.or(entry.id.take());
                }
                Some((_, Answer::None)) => done.unanswered += 1,
                Some((operation, Answer::Unexpected(answer))) => {
                    done.unexpected.push(format!("{:?} was answered {answer}", operation.kind));
                }
            }
        }
    }
}

/// The content after the operation.
fn outcome(operation: &Operation) -> Option<Version> {
    (operation.kind != Kind::Delete).then_some(operation.version)
}

async fn perform(operation: &Operation, client: &Client, id: &str, name: &str) -> Answer {
    let body = || body(operation);
    let content = format!("/v1/files/{id}/content");
    match operation.kind {
        Kind::Upload => {
            let request = client.post("/v1/files").query(&[("name", name)]).header("if-none-match", "*");
            answer(request.body(body())).await
        }
        Kind::Replace => answer(client.put(&content).header("if-match", "*").body(body())).await,
        Kind::Delete => answer(client.delete_permanently(&json!({"id": id}))).await,
        Kind::Trash => answer(client.delete(&format!("/v1/files/{id}"))).await,
        Kind::Avatar => answer(client.put("/v1/me/avatar").body(body())).await,
        Kind::SignedPut => resumable::signed_put(client, id, operation).await.unwrap_or_else(|ended| ended),
        Kind::Tus => resumable::tus(client, name, operation).await.unwrap_or_else(|ended| ended),
        Kind::Direct => resumable::direct(client, name, operation).await.unwrap_or_else(|ended| ended),
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    outcome_of(request.send().await)
}

/// The status decides; a crash may truncate the rest of the response.
fn outcome_of(answer: reqwest::Result<reqwest::Response>) -> Answer {
    match answer {
        Err(_) => Answer::None,
        Ok(answer) if answer.status().is_success() => {
            let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
            let id = location.and_then(|location| location.split_once("/v1/files/"));
            Answer::Done(id.map(|(_, id)| id.to_owned()))
        }
        Ok(answer) => Answer::Unexpected(answer.status().to_string()),
    }
}

fn body(operation: &Operation) -> reqwest::Body {
    let bytes = operation.version.bytes();
    if operation.is_announced {
        return bytes.into();
    }
    let chunks: Vec<_> = bytes.chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    reqwest::Body::wrap_stream(stream::iter(chunks))
}
