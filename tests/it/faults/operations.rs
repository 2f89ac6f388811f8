//! People at work while the server may die: each operation is entered in the ledger before it is
//! accepted, and again when it is answered.

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use serde_json::json;

use super::ledger::{Ledger, Version};
use super::pieces;
use super::plan::{ANSWERED, ANYWHEN, Crash, Kind, Operation};
use crate::support::client::Client;
use crate::support::program::Program;

/// How an operation went, as far as its caller knows.
#[derive(Debug)]
pub enum Answer {
    /// It is done; an upload has this id.
    Done(Option<String>),
    /// No answer came: it is done or it is not.
    None,
    /// An answer that nothing explains.
    Odd(String),
}

/// How the work of a round ended.
#[derive(Debug, Default)]
pub struct Done {
    /// Operations whose answer never came.
    pub unanswered: usize,
    /// The driver killed the server in the middle of it.
    pub is_killed: bool,
    /// Answers that nothing explains.
    pub odd: Vec<String>,
}

/// Does everything at once, until each operation is answered or the server is dead.
pub async fn carry_out(
    operations: &[Operation],
    fate: &Crash,
    client: &Client,
    server: &mut Program,
    ledger: &mut Ledger,
) -> Done {
    let mut doing = FuturesUnordered::new();
    for operation in operations {
        let entry = &mut ledger.entries[operation.entry];
        match operation.kind {
            Kind::Trash => entry.in_trash = None,
            _ => entry.may_be.push(outcome(operation)),
        }
        let (id, name) = (entry.id.clone().unwrap_or_default(), entry.name.clone());
        doing.push(async move { (operation, perform(operation, client, &id, &name).await) });
    }
    let when = tokio::time::sleep(fate.after);
    tokio::pin!(when);
    let mut done = Done::default();
    loop {
        tokio::select! {
            () = &mut when, if fate.point.name == ANYWHEN && !done.is_killed => {
                server.kill();
                done.is_killed = true;
            }
            next = doing.next() => match next {
                None => return done,
                Some((operation, Answer::Done(id))) => {
                    if fate.point.name == ANSWERED && !done.is_killed {
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
                Some((operation, Answer::Odd(answer))) => {
                    done.odd.push(format!("{:?} was answered {answer}", operation.kind));
                }
            }
        }
    }
}

/// What there is once the operation is done.
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
        Kind::SignedPut => pieces::signed_put(client, id, operation).await.unwrap_or_else(|ended| ended),
        Kind::Tus => pieces::tus(client, name, operation).await.unwrap_or_else(|ended| ended),
        Kind::Direct => pieces::direct(client, name, operation).await.unwrap_or_else(|ended| ended),
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    judged(request.send().await)
}

/// The status is the answer: what a crash may cut is only the rest.
fn judged(answer: reqwest::Result<reqwest::Response>) -> Answer {
    match answer {
        Err(_) => Answer::None,
        Ok(answer) if answer.status().is_success() => {
            let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
            let id = location.and_then(|location| location.split_once("/v1/files/"));
            Answer::Done(id.map(|(_, id)| id.to_owned()))
        }
        Ok(answer) => Answer::Odd(answer.status().to_string()),
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
