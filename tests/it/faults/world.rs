//! A database and a store that outlive the server processes which work on them, and a look at both
//! behind the servers' backs.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom::config::{Config, StoreConfig};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::support::accounts::register;
use crate::support::client::{Client, objects, open_multipart_uploads};
use crate::support::program::{Outcome, Program, Start};
use crate::support::{Database, MISCOUNTED, PASSWORD, Setup, config};

pub struct World {
    pub setup: Setup,
    folder: TempDir,
    config: Config,
    /// Connections that live as long as the world. None to SQLite: what a dead server leaves must
    /// be mended by the next one, not by us.
    postgres: Option<Database>,
    token: String,
    person: String,
}

const UNTOLD: &str = "SELECT
    (SELECT COUNT(*) FROM files f
        WHERE (SELECT COUNT(*) FROM audit_events e WHERE e.file_id = f.id AND e.kind = 'file_uploaded') <> 1)
    + (SELECT COUNT(*) FROM audit_events e WHERE e.kind = 'file_uploaded'
        AND (SELECT COUNT(*) FROM files f WHERE f.id = e.file_id)
            + (SELECT COUNT(*) FROM audit_events d WHERE d.file_id = e.file_id AND d.kind = 'file_deleted') <> 1)";

/// A blob's row.
#[derive(Debug, sqlx::FromRow)]
pub struct Blob {
    pub key: String,
    pub state: String,
    pub size: Option<i64>,
}

impl World {
    pub async fn new(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = config(setup, &folder).await;
        let postgres = match setup {
            Setup::SqliteAndDisk => None,
            Setup::PostgresAndS3 => Some(Database::of(&config).await),
        };
        let mut world = Self { setup, folder, config, postgres, token: String::new(), person: String::new() };
        let server = world.start(None);
        let answer = register(&server.stranger(), "ann@example.org", "Ann", PASSWORD).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let accepted = answer.json();
        world.token = accepted["token"].as_str().expect("a token").to_owned();
        world.person = accepted["user"]["id"].as_str().expect("an id").to_owned();
        world
    }

    fn variables(&self, start: Start, failpoints: Option<String>) -> Start {
        let start = start
            .on(&self.config)
            .variable("STRONGROOM_DATA_DIR", self.folder.path().to_str().expect("a path"))
            .variable("STRONGROOM_PART_SIZE", "5MiB")
            // But for the one with which it starts, passes are the driver's.
            .variable("STRONGROOM_REAP_INTERVAL", "1d");
        failpoints.into_iter().fold(start, |start, points| start.variable("FAILPOINTS", points))
    }

    /// Starts the server, armed or not.
    pub fn start(&self, failpoints: Option<String>) -> Program {
        block_in_place(|| self.variables(Start::default(), failpoints).serve(self.folder.path()))
    }

    /// One pass of `strongroom reap`, after the one with which a server may be busy.
    pub fn reap(&self, failpoints: Option<String>) -> Outcome {
        let start = self.variables(Start::with(&["reap"]), failpoints);
        loop {
            let outcome = block_in_place(|| start.run(self.folder.path(), ""));
            if !outcome.stdout.contains("another server is reaping") {
                return outcome;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn client(&self, server: &Program) -> Client {
        server.stranger().with_token(&self.token, &serde_json::json!(self.person))
    }

    /// Lets the time go by after which nobody can write any more. On SQLite and disk the next
    /// server has seen to that, but for the URLs that are still good, the keys that are kept
    /// because of them, and the uploads that can be resumed. What died in the middle of a request to the bucket has had the time of a
    /// start for it to be over.
    pub async fn let_leases_end(&self) {
        self.execute(match self.setup {
            Setup::SqliteAndDisk => {
                "UPDATE blobs SET lease_until = 1
                 WHERE state = 'deleting' OR state = 'pending' AND (id IN (SELECT blob_id FROM signed_puts)
                     OR id IN (SELECT blob_id FROM resumable_uploads) OR id IN (SELECT tail_blob_id FROM resumable_uploads))"
            }
            Setup::PostgresAndS3 => "UPDATE blobs SET lease_until = 1 WHERE state <> 'ready'",
        })
        .await;
        if self.setup == Setup::PostgresAndS3 {
            self.execute("UPDATE job_leases SET lease_until = 1").await;
        }
    }

    async fn execute(&self, sql: &'static str) {
        let rows = self.database().await;
        rows.execute(sql).await;
        self.leave(rows).await;
    }

    async fn database(&self) -> Database {
        match &self.postgres {
            Some(rows) => rows.clone(),
            None => Database::of(&self.config).await,
        }
    }

    async fn leave(&self, rows: Database) {
        if self.postgres.is_none() {
            rows.close().await;
        }
    }

    pub async fn blobs(&self) -> Vec<Blob> {
        let sql = "SELECT key, state, size FROM blobs";
        let rows = self.database().await;
        let blobs = match &rows {
            Database::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Database::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        };
        self.leave(rows).await;
        blobs.expect("rows")
    }

    pub async fn miscounted(&self) -> bool {
        let rows = self.database().await;
        let accounts = rows.count(MISCOUNTED).await;
        self.leave(rows).await;
        accounts > 0
    }

    /// How many files the trail does not tell of as it should: every file was uploaded, and every
    /// upload is a file or was deleted.
    pub async fn untold(&self) -> i64 {
        let rows = self.database().await;
        let files = rows.count(UNTOLD).await;
        self.leave(rows).await;
        files
    }

    /// The size of everything in the store that is whole, by its key, and what is not whole.
    pub async fn bytes(&self) -> (BTreeMap<String, u64>, Vec<String>) {
        match &self.config.store {
            StoreConfig::Disk { root } => {
                let whole = files(&root.join("blobs"));
                (whole, files(&root.join("tmp")).into_keys().collect())
            }
            StoreConfig::S3(s3) => {
                let whole = objects(s3).await.into_iter();
                let whole = whole.map(|object| (object.location.filename().unwrap_or_default().into(), object.size));
                let open =
                    open_multipart_uploads(s3).await.into_iter().map(|(key, id)| format!("upload {id} of {key}"));
                (whole.collect(), open.collect())
            }
        }
    }
}

/// The size of every file in a folder and in those in it, by its name.
fn files(folder: &std::path::Path) -> BTreeMap<String, u64> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let each = entries.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            BTreeMap::from([(name, path.metadata().expect("metadata").len())])
        }
    });
    each.collect()
}
