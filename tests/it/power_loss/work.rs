//! Clients that record each request in the ledger before they send it, and each response.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ledger::{Hash, Ledger};
use crate::support::Client;
use crate::support::bytes::noise;
use crate::support::client::{Ask, content};

pub type Shared = Arc<Mutex<Ledger>>;

pub fn lock(ledger: &Shared) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no client panics")
}

/// A random number from 0 to `end`, exclusive. It has no seed, since the time of a cut cannot be reproduced either.
pub fn any_below(end: usize) -> usize {
    (Uuid::new_v4().as_u128() % end as u128) as usize
}

/// Works on its own files, whose names begin with `prefix`, until it is stopped.
pub async fn work(client: Client, ledger: Shared, prefix: String) {
    let known = lock(&ledger).entries.clone();
    let mine = known.into_iter().filter(|(name, _)| name.starts_with(&prefix));
    let mut mine: Vec<_> = mine.filter_map(|(name, entry)| Some((name, entry.id?))).collect();
    loop {
        match any_below(10) {
            7..9 if !mine.is_empty() => {
                let (name, id) = &mine[any_below(mine.len())];
                replace(&client, &ledger, name, id).await;
            }
            9 if !mine.is_empty() => {
                let (name, id) = mine.swap_remove(any_below(mine.len()));
                delete(&client, &ledger, &name, &id).await;
            }
            _ => {
                let name = format!("{prefix}{}", Uuid::new_v4());
                let id = upload(&client, &ledger, &name).await;
                mine.push((name, id));
            }
        }
    }
}

async fn upload(client: &Client, ledger: &Shared, name: &str) -> String {
    let (bytes, hash) = any_bytes();
    lock(ledger).begin(name, Some(hash));
    let file = client.upload(name, bytes).await;
    let id = file["id"].as_str().expect("an id").to_owned();
    lock(ledger).acknowledge(name, Some(id.clone()), Some(hash));
    id
}

async fn replace(client: &Client, ledger: &Shared, name: &str, id: &str) {
    let (bytes, hash) = any_bytes();
    lock(ledger).begin(name, Some(hash));
    let request = client.put(&content(&json!({"id": id}))).header("if-match", "*");
    let answer = request.body(bytes).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    lock(ledger).acknowledge(name, Some(id.to_owned()), Some(hash));
}

async fn delete(client: &Client, ledger: &Shared, name: &str, id: &str) {
    lock(ledger).begin(name, None);
    let answer = client.delete_permanently(&json!({"id": id})).answer().await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    lock(ledger).acknowledge(name, None, None);
}

/// Unique content, usually small, sometimes large.
fn any_bytes() -> (Vec<u8>, Hash) {
    let most = [1, 4 << 10, 16 << 10, 16 << 10, 256 << 10, 256 << 10, 2 << 20][any_below(7)];
    let mut bytes = noise(16 + any_below(most));
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    let hash = Sha256::digest(&bytes).into();
    (bytes, hash)
}
