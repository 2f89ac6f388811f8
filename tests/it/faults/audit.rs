//! After a crash and one pass of the reaper: is everything there that was promised, and nothing else?

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ledger::{Entry, Ledger, Version};
use super::world::World;
use crate::support::client::{Answer, Ask, Client};

/// Compares the world with the ledger, and enters which of the possible things came true. Gives
/// what is wrong.
pub async fn audit(world: &World, client: &Client, ledger: &mut Ledger) -> Vec<String> {
    let mut wrong = restore(client, ledger).await;
    let mut listed = list(client).await;
    for entry in &mut ledger.entries {
        let found = match entry.is_avatar() {
            true => client.get(&format!("/v1/users/{}/avatar", client.id)).answer().await,
            false => {
                let shown = listed.remove(&entry.name);
                if let Err(why) = is_as_entered(entry, shown.as_ref()) {
                    wrong.push(why);
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
            Err(why) => wrong.push(why),
        }
    }
    wrong.extend(listed.into_keys().map(|name| format!("{name}: nobody expects this file, or it was deleted")));
    let there = ledger.entries.iter().filter(|entry| entry.is_there()).count();
    wrong.extend(rows_and_bytes(world, there).await);
    wrong
}

/// Takes out of the trash what is expected there. Gives what is not.
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
    wrong.extend(trash.into_iter().map(|id| format!("{id}: nobody expects this file in the trash")));
    wrong
}

/// Every file of the person, by its name.
async fn list(client: &Client) -> BTreeMap<String, Value> {
    let page = client.get("/v1/files?limit=1000").answer().await.json();
    assert!(page["next_cursor"].is_null(), "a round keeps few files");
    let items = page["items"].as_array().expect("files").iter();
    items.map(|file| (file["name"].as_str().expect("a name").to_owned(), file.clone())).collect()
}

/// Whether the file that the server shows, or its absence, is what the ledger has.
fn is_as_entered(entry: &Entry, shown: Option<&Value>) -> Result<(), String> {
    let Some(shown) = shown else {
        let may_be_gone = entry.may_be.contains(&None);
        return may_be_gone.then_some(()).ok_or(format!("{}: it is lost; it was {:?}", entry.name, entry.may_be));
    };
    if entry.id.as_deref().is_some_and(|id| shown["id"] != id) {
        return Err(format!("{}: it is another file now: {shown}", entry.name));
    }
    let told = entry.may_be.iter().flatten().any(|version| {
        let sha256: String = version.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        shown["sha256"] == sha256 && shown["size"] == version.size
    });
    told.then_some(()).ok_or(format!("{}: {shown} is none of {:?}", entry.name, entry.may_be))
}

/// Which of the possible versions was read, from the bytes themselves.
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

/// No row without bytes, no bytes without a row, nothing half done, and the account uses what is there.
async fn rows_and_bytes(world: &World, there: usize) -> Vec<String> {
    let (blobs, (mut whole, half)) = (world.blobs().await, world.bytes().await);
    let mut wrong: Vec<String> = half.into_iter().map(|what| format!("{what} is left half done")).collect();
    if blobs.len() != there {
        wrong.push(format!("{} blobs for {there} contents", blobs.len()));
    }
    for blob in blobs {
        let size = whole.remove(&blob.key).map(|size| size as i64);
        if blob.state != "ready" || size.is_none() || blob.size != size {
            wrong.push(format!("{blob:?} has {size:?} bytes"));
        }
    }
    wrong.extend(whole.into_iter().map(|(key, size)| format!("{size} bytes under {key} have no row")));
    let untold = world.untold().await;
    if untold > 0 {
        wrong.push(format!("the trail does not tell of {untold} uploads or deletions as they were"));
    }
    if world.miscounted().await {
        wrong.push("the account is not said to use what is there".to_owned());
    }
    wrong
}
