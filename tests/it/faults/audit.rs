//! The check after a crash and one run of the reaper: everything acknowledged exists, and nothing else.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fixture::Fixture;
use super::ledger::{Entry, Ledger, Version};
use crate::support::client::{Answer, Ask, Client};

/// Compares the fixture with the ledger and records which of the possible outcomes happened. Returns the violations.
pub async fn audit(fixture: &Fixture, client: &Client, ledger: &mut Ledger) -> Vec<String> {
    let mut wrong = restore(client, ledger).await;
    let mut listed = list(client).await;
    for entry in &mut ledger.entries {
        let found = match entry.is_avatar() {
            true => client.get(&format!("/v1/users/{}/avatar", client.id)).answer().await,
            false => {
                let shown = listed.remove(&entry.name);
                if let Err(violation) = is_as_recorded(entry, shown.as_ref()) {
                    wrong.push(violation);
                    continue;
                }
                let Some(shown) = shown else {
                    entry.may_be = vec![None];
                    continue;
                };
                entry.id = shown["id"].as_str().map(str::to_owned);
                client.get(&format!("/v1/files/{}/content", entry.id.as_deref().unwrap_or_default())).answer().await
            }
        };
        match version(entry, &found) {
            Ok(version) => entry.may_be = vec![version],
            Err(violation) => wrong.push(violation),
        }
    }
    wrong.extend(listed.into_keys().map(|name| format!("{name}: this file is unexpected, or was deleted")));
    let there = ledger.entries.iter().filter(|entry| entry.is_there()).count();
    wrong.extend(database_and_store(fixture, there).await);
    wrong
}

/// Restores the files that are expected in the trash. Returns the violations.
async fn restore(client: &Client, ledger: &mut Ledger) -> Vec<String> {
    let mut wrong = Vec::new();
    let page = client.get("/v1/trash").answer().await.json();
    let mut trash: HashSet<_> =
        page["items"].as_array().expect("files").iter().map(|file| file["id"].clone()).collect();
    for entry in &mut ledger.entries {
        let id = serde_json::json!(entry.id);
        let found = trash.remove(&id);
        if entry.in_trash.is_some_and(|expected| expected != found) {
            wrong.push(format!("{}: it is {}in the trash", entry.name, if found { "" } else { "not " }));
        }
        if found {
            let path = format!("/v1/trash/{}/restore", entry.id.as_deref().unwrap_or_default());
            assert_eq!(client.post(&path).answer().await.status, 200, "{path}");
        }
        entry.in_trash = Some(false);
    }
    wrong.extend(trash.into_iter().map(|id| format!("{id}: this file is unexpected in the trash")));
    wrong
}

/// Every file of the user, by its name.
async fn list(client: &Client) -> BTreeMap<String, Value> {
    let page = client.get("/v1/files?limit=1000").answer().await.json();
    assert!(page["next_cursor"].is_null(), "a round keeps few files");
    let items = page["items"].as_array().expect("files").iter();
    items.map(|file| (file["name"].as_str().expect("a name").to_owned(), file.clone())).collect()
}

/// Checks that the file that the server lists, or its absence, is possible according to the ledger.
fn is_as_recorded(entry: &Entry, shown: Option<&Value>) -> Result<(), String> {
    let Some(shown) = shown else {
        let may_be_gone = entry.may_be.contains(&None);
        return may_be_gone.then_some(()).ok_or(format!("{}: it is lost; it was {:?}", entry.name, entry.may_be));
    };
    if entry.id.as_deref().is_some_and(|id| shown["id"] != id) {
        return Err(format!("{}: it is another file now: {shown}", entry.name));
    }
    let is_possible = entry.may_be.iter().flatten().any(|version| {
        let sha256: String = version.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        shown["sha256"] == sha256 && shown["size"] == version.size
    });
    is_possible.then_some(()).ok_or(format!("{}: {shown} is none of {:?}", entry.name, entry.may_be))
}

/// The possible version that was read, identified by its content.
fn version(entry: &Entry, read: &Answer) -> Result<Option<Version>, String> {
    let sha256: [u8; 32] = Sha256::digest(&read.bytes).into();
    let found = match read.status {
        200 => entry.may_be.iter().flatten().find(|version| version.sha256 == sha256).map(|version| Some(*version)),
        404 if entry.is_avatar() && entry.may_be.contains(&None) => Some(None),
        _ => None,
    };
    let about = format!("{} with {} bytes", read.status, read.bytes.len());
    found.ok_or(format!("{:?}: reading it gave {about}, which is none of {:?}", entry.name, entry.may_be))
}

/// Checks that database and store agree, that nothing is partial, and that the usage of the account is exact.
async fn database_and_store(fixture: &Fixture, there: usize) -> Vec<String> {
    let (blobs, (mut whole, half)) = (fixture.blobs().await, fixture.bytes().await);
    let mut wrong: Vec<String> = half.into_iter().map(|what| format!("{what} is a partial leftover")).collect();
    if blobs.len() != there {
        wrong.push(format!("{} blobs for {there} contents", blobs.len()));
    }
    for blob in blobs {
        let size = whole.remove(&blob.key).map(|size| size as i64);
        if blob.state != "ready" || size.is_none() || blob.size != size {
            wrong.push(format!("{blob:?} has an object of {size:?} bytes"));
        }
    }
    wrong.extend(whole.into_iter().map(|(key, size)| format!("the object {key} of {size} bytes has no row")));
    let unrecorded = fixture.unrecorded().await;
    if unrecorded > 0 {
        wrong
            .push(format!("the audit log or the change log is wrong about {unrecorded} uploads, changes or deletions"));
    }
    if fixture.miscounted().await {
        wrong.push("the usage of the account is wrong".to_owned());
    }
    wrong
}
