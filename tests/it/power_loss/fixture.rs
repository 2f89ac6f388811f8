//! A server on disks whose power can be cut, and the check of what is left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::SqlitePool;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::disk::Disk;
use super::ledger::Counts;
use super::work::{Shared, any_below, lock, work};
use crate::support::accounts::register;
use crate::support::client::{Ask, Client, content};
use crate::support::program::{Program, Start};
use crate::support::{PASSWORD, files_below};

/// The number of concurrent clients.
const CLIENTS: usize = 4;

pub struct Fixture {
    // Dropped in this order: the server that uses the disks, the disks, the folder that they are in.
    server: Option<Program>,
    disks: Vec<Disk>,
    folder: TempDir,
    control: Option<&'static str>,
    user: Client,
    ledger: Shared,
}

impl Fixture {
    /// A server with database and store on one disk, or on two.
    ///
    /// # Errors
    /// The reason why the disks cannot be created here.
    pub async fn new(control: Option<&'static str>, disks: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disks =
            (0..disks).map(|number| block_in_place(|| Disk::new(&folder.path().join(format!("disk-{number}")))));
        let disks = disks.collect::<Result<Vec<_>, _>>()?;
        let server = block_in_place(|| start(&disks, control));
        let stranger = server.anonymous();
        let answer = register(&stranger, "ann@example.org", "Ann", PASSWORD).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let body = answer.json();
        let user = stranger.with_token(body["token"].as_str().expect("a token"), &body["user"]["id"]);
        if control.is_some() {
            // Otherwise the account would be lost, and everything with it.
            for disk in &disks {
                let synced = Command::new("sync").arg("-f").arg(disk.folder()).status();
                assert!(synced.expect("sync runs").success());
            }
        }
        Ok(Self { server: Some(server), disks, folder, control, user, ledger: Shared::default() })
    }

    pub fn counts(&self) -> Counts {
        lock(&self.ledger).counts
    }

    /// Lets clients work for a while, cuts the power, restores it, and returns the violations.
    pub async fn work_and_cut(&mut self) -> Vec<String> {
        let clients = (0..CLIENTS).map(|number| work(self.user.clone(), self.ledger.clone(), format!("{number}-")));
        let clients: Vec<_> = clients.map(tokio::spawn).collect();
        tokio::time::sleep(Duration::from_millis(100 + any_below(1400) as u64)).await;
        let server = self.server.take().expect("a server");
        block_in_place(|| server.freeze());
        let known = lock(&self.ledger).clone();
        for client in clients {
            // A client that got an unexpected response has panicked.
            client.abort();
            assert!(client.await.is_err_and(|error| error.is_cancelled()), "a client failed");
        }
        self.ledger = Shared::new(known.into());
        let cut = block_in_place(|| {
            self.disks.iter().for_each(Disk::copy);
            drop(server);
            self.disks.iter_mut().try_for_each(Disk::switch_to_copy)
        });
        if let Err(reason) = cut {
            return vec![format!("the disk cannot be mounted after the cut: {reason}")];
        }
        self.server = Some(block_in_place(|| start(&self.disks, self.control)));
        let token = self.user.token.clone().expect("a token");
        let stranger = self.server.as_ref().expect("a server").anonymous();
        self.user = stranger.with_token(&token, &json!(self.user.id));
        self.reap().await;
        self.audit().await
    }

    async fn database(&self) -> SqlitePool {
        let url = format!("sqlite:{}", self.disks[0].folder().join("rows.db").display());
        SqlitePool::connect(&url).await.expect("SQLite")
    }

    /// Expires the leases of the killed server and runs the reaper.
    async fn reap(&self) {
        let database = self.database().await;
        for sql in ["UPDATE blobs SET lease_until = 1 WHERE state <> 'ready'", "DELETE FROM job_leases"] {
            sqlx::query(sql).execute(&database).await.expect(sql);
        }
        database.close().await;
        // The server's own reaper may be running.
        let run = || {
            let outcome = block_in_place(|| on(Start::with(&["reap"]), &self.disks).run(self.folder.path(), ""));
            assert_eq!(outcome.status, 0, "{outcome:?}");
            outcome.stdout
        };
        while run().contains("another server") {}
    }

    /// Compares the files that exist with those that were acknowledged.
    async fn audit(&self) -> Vec<String> {
        let shown = self.list().await;
        let mut wrong = Vec::new();
        for (name, file) in &shown {
            let answer = self.user.get(&content(file)).answer().await;
            // Unreadable content counts as an unexpected hash.
            let hash = Sha256::digest(if answer.status == 200 { &answer.bytes[..] } else { b"unreadable" });
            let id = file["id"].as_str().map(str::to_owned);
            wrong.extend(lock(&self.ledger).find(name, id, Some(hash.into())));
        }
        let mut ledger = lock(&self.ledger).clone();
        let absent: Vec<String> = ledger.entries.keys().filter(|name| !shown.contains_key(*name)).cloned().collect();
        wrong.extend(absent.iter().filter_map(|name| ledger.find(name, None, None)));
        let partial = partial(&self.database().await, &store(&self.disks), shown.len()).await;
        ledger.counts.half += partial.len();
        wrong.extend(partial);
        *lock(&self.ledger) = ledger;
        wrong
    }

    /// Every file, by its name.
    async fn list(&self) -> BTreeMap<String, Value> {
        let (mut found, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let page = self.user.get(&format!("/v1/files?limit=1000{cursor}")).answer().await;
            assert_eq!(page.status, 200, "{}", page.text());
            let page = page.json();
            let items = page["items"].as_array().expect("files").clone();
            found.extend(items.into_iter().map(|file| (file["name"].as_str().expect("a name").to_owned(), file)));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

/// Starts a server whose reaper runs every second.
fn start(disks: &[Disk], control: Option<&str>) -> Program {
    let mut start = on(Start::default(), disks).variable("STRONGROOM_REAP_INTERVAL", "1s");
    if let Some(control) = control {
        start = start.variable("FAILPOINTS", format!("{control}=return"));
    }
    start.serve(disks[0].folder())
}

/// The database is on the first disk, the store on the last.
fn on(start: Start, disks: &[Disk]) -> Start {
    start
        .variable("STRONGROOM_DATA_DIR", disks[0].folder().display().to_string())
        .variable("DATABASE_URL", format!("sqlite:{}", disks[0].folder().join("rows.db").display()))
        .variable("STORE_URL", format!("file://{}", store(disks).display()))
}

fn store(disks: &[Disk]) -> PathBuf {
    disks.last().expect("a disk").folder().join("files")
}

/// Rows without an object, objects without a row, and partial objects.
async fn partial(database: &SqlitePool, store: &Path, files: usize) -> Vec<String> {
    let blobs: Vec<(String, String, Option<i64>)> =
        sqlx::query_as("SELECT key, state, size FROM blobs").fetch_all(database).await.expect("rows");
    database.close().await;
    let mut wrong = Vec::new();
    if blobs.len() != files {
        wrong.push(format!("{} blobs for {files} files", blobs.len()));
    }
    let (whole, staged) = (files_below(&store.join("blobs")), files_below(&store.join("tmp")));
    if (whole, staged) != (blobs.len(), 0) {
        wrong.push(format!("{whole} objects and {staged} partial ones on the disk for {} blobs", blobs.len()));
    }
    for (key, state, size) in blobs {
        let found = fs::metadata(store.join("blobs").join(&key[..2]).join(&key)).ok();
        let found = found.map(|metadata| metadata.len() as i64);
        if state != "ready" || found.is_none() || found != size {
            wrong.push(format!("blob {key} is {state} with {size:?} bytes, its object has {found:?}"));
        }
    }
    wrong
}
