//! A database and a store that outlive the server processes, and direct access to both.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom::config::{Config, StoreConfig};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::support::accounts::register;
use crate::support::client::{Client, objects, open_multipart_uploads};
use crate::support::program::{Outcome, Program, Start};
use crate::support::{Database, MISCOUNTED, PASSWORD, Setup, config};

pub struct Fixture {
    pub setup: Setup,
    folder: TempDir,
    config: Config,
    /// A connection to PostgreSQL. There is none to SQLite: the next server must recover the database, not the test.
    postgres: Option<Database>,
    token: String,
    user: String,
}

const UNRECORDED: &str = "SELECT
    (SELECT COUNT(*) FROM files f
        WHERE (SELECT COUNT(*) FROM audit_events e WHERE e.file_id = f.id AND e.kind = 'file_uploaded') <> 1)
    + (SELECT COUNT(*) FROM audit_events e WHERE e.kind = 'file_uploaded'
        AND (SELECT COUNT(*) FROM files f WHERE f.id = e.file_id)
            + (SELECT COUNT(*) FROM audit_events d WHERE d.file_id = e.file_id AND d.kind = 'file_deleted') <> 1)";

/// Files whose events and changes differ.
const UNCHANGED: &str = "WITH recorded AS
        (SELECT file_id, CASE kind WHEN 'file_uploaded' THEN 'file_created' ELSE kind END AS kind, COUNT(*) AS n
        FROM audit_events WHERE kind IN ('file_uploaded', 'file_replaced', 'file_trashed', 'file_restored') GROUP BY 1, 2),
    logged AS (SELECT file_id, kind, COUNT(*) AS n FROM changes
        WHERE kind IN ('file_created', 'file_replaced', 'file_trashed', 'file_restored') GROUP BY 1, 2)
    SELECT (SELECT COUNT(*) FROM (SELECT * FROM recorded EXCEPT SELECT * FROM logged) AS missing)
        + (SELECT COUNT(*) FROM (SELECT * FROM logged EXCEPT SELECT * FROM recorded) AS excess)";

/// A blob's row.
#[derive(Debug, sqlx::FromRow)]
pub struct Blob {
    pub key: String,
    pub state: String,
    pub size: Option<i64>,
}

impl Fixture {
    pub async fn new(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = config(setup, &folder).await;
        let postgres = match setup {
            Setup::SqliteAndDisk => None,
            Setup::PostgresAndS3 => Some(Database::of(&config).await),
        };
        let mut fixture = Self { setup, folder, config, postgres, token: String::new(), user: String::new() };
        let server = fixture.start(None);
        let answer = register(&server.anonymous(), "ann@example.org", "Ann", PASSWORD).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let body = answer.json();
        fixture.token = body["token"].as_str().expect("a token").to_owned();
        fixture.user = body["user"]["id"].as_str().expect("an id").to_owned();
        fixture
    }

    fn variables(&self, start: Start, failpoints: Option<String>) -> Start {
        let start = start
            .on(&self.config)
            .variable("STRONGROOM_DATA_DIR", self.folder.path().to_str().expect("a path"))
            .variable("STRONGROOM_PART_SIZE", "5MiB")
            // Except for the run at its start, the driver runs the reaper.
            .variable("STRONGROOM_REAP_INTERVAL", "1d");
        failpoints.into_iter().fold(start, |start, points| start.variable("FAILPOINTS", points))
    }

    /// Starts the server, with failpoints or without.
    pub fn start(&self, failpoints: Option<String>) -> Program {
        block_in_place(|| self.variables(Start::default(), failpoints).serve(self.folder.path()))
    }

    /// Runs `strongroom reap`, once a run of the server has finished.
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
        server.anonymous().with_token(&self.token, &serde_json::json!(self.user))
    }

    /// Expires all leases, so that no writer can commit any more. On SQLite and disk the next server has done so, except
    /// for signed PUTs, pending deletions and resumable uploads. Requests to the bucket that were interrupted have had the
    /// time of a server start to finish.
    pub async fn expire_leases(&self) {
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
        let database = self.database().await;
        database.execute(sql).await;
        self.release(database).await;
    }

    async fn database(&self) -> Database {
        match &self.postgres {
            Some(database) => database.clone(),
            None => Database::of(&self.config).await,
        }
    }

    async fn release(&self, database: Database) {
        if self.postgres.is_none() {
            database.close().await;
        }
    }

    pub async fn blobs(&self) -> Vec<Blob> {
        let sql = "SELECT key, state, size FROM blobs";
        let database = self.database().await;
        let blobs = match &database {
            Database::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Database::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        };
        self.release(database).await;
        blobs.expect("rows")
    }

    pub async fn miscounted(&self) -> bool {
        let database = self.database().await;
        let accounts = database.count(MISCOUNTED).await;
        self.release(database).await;
        accounts > 0
    }

    /// The number of files about which the audit log is wrong: every file must have been uploaded, and every upload must be
    /// a file or have been deleted.
    pub async fn unrecorded(&self) -> i64 {
        let database = self.database().await;
        let files = database.count(UNRECORDED).await + database.count(UNCHANGED).await;
        self.release(database).await;
        files
    }

    /// The sizes of the complete objects in the store, by key, and the partial ones.
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

/// The sizes of the files in a folder, at any depth, by name.
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
