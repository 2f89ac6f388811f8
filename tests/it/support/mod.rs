//! A server for one test, with a database, a store, a port and a movable clock of its own, and clients that talk to it
//! over HTTP. Dropping the value stops the server.

pub mod abandoned;
pub mod accounts;
pub mod bucket_proxy;
pub mod bytes;
pub mod client;
pub mod database_proxy;
pub mod fault_proxy;
pub mod fsck;
pub mod http2;
pub mod links;
pub mod mount;
pub mod operations;
pub mod program;
pub mod raw;
pub mod stores;
pub mod tcp_proxy;
pub mod third_party;
pub mod tus;

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use strongroom::api;
use strongroom::app::App;
use strongroom::clock::Clock;
use strongroom::config::{Config, Registration, S3Config, S3Credentials, StoreConfig};
use strongroom::http::server::Server;
use strongroom::jobs::reaper;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use client::Client;

/// The two setups that every behavior is tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    SqliteAndDisk,
    PostgresAndS3,
}

/// Defines each test twice: on SQLite and disk, and on PostgreSQL and S3.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($app:ident: TestApp) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports, reason = "a test may need none of them")]
            use super::*;

            async fn check($app: TestApp) $body

            $(#[$meta])*
            #[tokio::test]
            async fn on_sqlite_and_disk() {
                $crate::support::in_time(async { check(TestApp::start(Setup::SqliteAndDisk).await).await }).await;
            }

            $(#[$meta])*
            #[tokio::test]
            async fn on_postgres_and_s3() {
                $crate::support::in_time(async { check(TestApp::start(Setup::PostgresAndS3).await).await }).await;
            }
        })*
    };
}
pub(crate) use both;

/// The time of a test on a busy machine, at most.
const TEST_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Fails a test that waits for something that never comes, which otherwise keeps the whole run from ending.
pub async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(TEST_TIMEOUT, test).await.expect("the test does not end");
}

/// A running server.
pub struct TestApp {
    pub app: Arc<App>,
    pub setup: Setup,
    pub folder: TempDir,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl TestApp {
    pub async fn start(setup: Setup) -> Self {
        Self::start_with(setup, |_| {}).await
    }

    /// Starts a server with changed settings.
    pub async fn start_with(setup: Setup, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = config(setup, &folder).await;
        change(&mut config);
        Self::serve(setup, folder, config, Clock::movable()).await
    }

    async fn serve(setup: Setup, folder: TempDir, mut config: Config, clock: Clock) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        config.listen = listener.local_addr().expect("an address");
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", config.listen);
        // A test may have set a public URL.
        if config.public_url.host_str() == Some("127.0.0.1") {
            config.public_url = url.parse().expect("a URL");
        }
        let app = App::open(config, clock).await.expect("the app opens");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn({
            let app = app.clone();
            async move {
                let shutdown = async { drop(stopped.await) };
                let server = Server::new(&app.config, api::router(&app), listener).await.expect("a server");
                server.run(shutdown).await.expect("the server runs");
            }
        });
        Self { app, setup, folder, url, stop: Some(stop), server: Some(server) }
    }

    /// Stops the server and starts another one on the same database and store. The clock keeps its time.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same, with changed settings.
    pub async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            server.await.expect("the server stops");
        }
        self.app.db.close().await;
        self.start_another(change).await
    }

    /// Starts another server on the database and the store of one whose runtime has ended.
    pub async fn start_again(self) -> Self {
        self.start_another(|_| {}).await
    }

    async fn start_another(mut self, change: impl FnOnce(&mut Config)) -> Self {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        let mut config = self.app.config.clone();
        change(&mut config);
        Self::serve(self.setup, folder, config, self.app.clock.clone()).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A client that has not signed in.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url)
    }

    /// Registers a user with this name and signs in.
    pub async fn sign_up(&self, name: &str) -> Client {
        let stranger = self.anonymous();
        let answer = stranger
            .post("/v1/auth/register")
            .json(&serde_json::json!({"email": email(name), "name": name, "password": PASSWORD}))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 201, "registering {name}");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        stranger.with_token(body["token"].as_str().expect("a token"), &body["user"]["id"])
    }

    /// Runs the reaper once.
    pub async fn reap(&self) -> reaper::ReaperReport {
        reaper::run_once(&self.app).await.expect("the reaper runs")
    }

    pub fn advance(&self, time: Duration) {
        self.app.clock.advance(time);
    }

    /// The number that a query returns, read from the database directly.
    pub async fn count(&self, sql: &'static str) -> i64 {
        self.database().await.count(sql).await
    }

    /// The single text that a query returns, read from the database directly.
    pub async fn text(&self, sql: &'static str) -> String {
        match &self.database().await {
            Database::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Database::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .expect(sql)
    }

    /// Changes rows directly in the database, past the server.
    pub async fn execute(&self, sql: &'static str) {
        self.database().await.execute(sql).await;
    }

    /// Expires the leases of all unfinished blobs, as if their writers had crashed.
    pub async fn expire_leases(&self) {
        self.execute("UPDATE blobs SET lease_until = 1 WHERE state <> 'ready'").await;
    }

    /// Asserts that no row about users or events contains a secret, neither as text nor as bytes.
    pub async fn assert_in_no_row(&self, secrets: &[&str]) {
        let mut rows = String::new();
        for table in
            ["users", "sessions", "api_tokens", "throttles", "links", "link_downloads", "archive_urls", "audit_events"]
        {
            rows += &self.dump(table).await;
        }
        let rows = rows.to_lowercase();
        assert!(rows.contains("argon2id"), "{rows}");
        for secret in secrets {
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            let found = [secret.to_lowercase(), hex].iter().any(|form| rows.contains(form));
            assert!(!found, "{secret} is in the rows: {rows}");
        }
    }

    /// Every row of a table as text, with bytes in hex.
    async fn dump(&self, table: &str) -> String {
        let rows: Vec<String> = match &self.database().await {
            Database::Sqlite(pool) => {
                let columns =
                    format!("SELECT group_concat('quote(\"' || name || '\")') FROM pragma_table_info('{table}')");
                let columns: String = scalars(pool, columns).await.concat();
                scalars(pool, format!("SELECT concat_ws(' ', {columns}) FROM {table}")).await
            }
            Database::Postgres(pool) => {
                let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {table}::text FROM {table}")));
                rows.fetch_all(pool).await.expect("rows")
            }
        };
        rows.join("\n")
    }

    /// Every row of every table as text.
    pub async fn every_row(&self) -> String {
        let tables: Vec<String> = match &self.database().await {
            Database::Sqlite(pool) => scalars(pool, "SELECT name FROM sqlite_master WHERE type = 'table'".into()).await,
            Database::Postgres(pool) => {
                let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
                sqlx::query_scalar(sql).fetch_all(pool).await.expect("tables")
            }
        };
        let mut rows = String::new();
        for table in tables.iter().filter(|table| !table.starts_with("sqlite_") && !table.starts_with("_sqlx")) {
            rows += &format!("{table}\n{}\n", self.dump(table).await);
        }
        rows.to_lowercase()
    }

    /// SQLite's query plan for a statement.
    pub async fn plan(&self, sql: &str) -> String {
        let Database::Sqlite(pool) = self.database().await else { panic!("only SQLite has EXPLAIN QUERY PLAN") };
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&pool).await.expect(sql);
        steps.into_iter().map(|step| step.3).collect::<Vec<_>>().join("; ")
    }

    async fn database(&self) -> Database {
        Database::of(&self.app.config).await
    }

    /// The number of blobs in any state, and the number of objects in the store.
    pub async fn blobs_and_objects(&self) -> (i64, usize) {
        let blobs = self.count("SELECT COUNT(*) FROM blobs").await;
        let objects = match &self.app.config.store {
            StoreConfig::Disk { root } => files_below(&root.join("blobs")) + files_below(&root.join("tmp")),
            StoreConfig::S3(s3) => client::objects(s3).await.len(),
        };
        (blobs, objects)
    }

    /// Asserts that the recorded usage of every account equals the sum over its blobs and files.
    pub async fn assert_usage_is_exact(&self) {
        let wrong = self.count(MISCOUNTED).await;
        if wrong != 0 {
            let (users, blobs) = (self.dump("users").await, self.dump("blobs").await);
            panic!("{wrong} accounts are miscounted\n{users}\n\n{blobs}\n\n{}", self.dump("files").await);
        }
    }

    /// Asserts that after one run of the reaper there are `files` files and nothing else: no blob without a file, no
    /// object without a blob, no open multipart upload.
    pub async fn assert_nothing_but(&self, files: usize) {
        self.reap().await;
        self.assert_usage_is_exact().await;
        assert_eq!(self.blobs_and_objects().await, (files as i64, files), "blobs and objects");
        if let StoreConfig::S3(s3) = &self.app.config.store {
            assert_eq!(client::open_multipart_uploads(s3).await, [], "open multipart uploads");
        }
    }
}

async fn scalars(pool: &sqlx::SqlitePool, sql: String) -> Vec<String> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.expect("rows")
}

/// Counts the accounts whose recorded usage differs from the sum over their blobs and files.
pub const MISCOUNTED: &str = "SELECT COUNT(*) FROM spaces u WHERE
    u.used_bytes <> (SELECT COALESCE(SUM(CASE state WHEN 'ready' THEN size ELSE reserved_bytes END), 0)
    FROM blobs WHERE space_id = u.id AND state IN ('pending', 'ready'))
    + (SELECT COALESCE(SUM(octet_length(metadata) - 2), 0) FROM files WHERE space_id = u.id)
    OR u.used_files <> (SELECT COUNT(*) FROM files WHERE space_id = u.id)
    + (SELECT COALESCE(SUM(reserved_files), 0) FROM blobs WHERE space_id = u.id AND state = 'pending')
    OR u.open_uploads <> (SELECT COALESCE(SUM(reserved_uploads), 0) FROM blobs WHERE space_id = u.id AND state = 'pending')";

/// A connection to the server's database, past the server.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
}

impl Database {
    pub async fn of(config: &Config) -> Self {
        let url = config.database_url.expose_secret();
        match url.starts_with("sqlite:") {
            true => Database::Sqlite(sqlx::SqlitePool::connect(url).await.expect("SQLite")),
            false => Database::Postgres(sqlx::PgPool::connect(url).await.expect("PostgreSQL")),
        }
    }

    pub async fn close(&self) {
        match self {
            Database::Sqlite(pool) => pool.close().await,
            Database::Postgres(pool) => pool.close().await,
        }
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        match self {
            Database::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Database::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .expect(sql)
    }

    pub async fn execute(&self, sql: &'static str) {
        match self {
            Database::Sqlite(pool) => sqlx::query(sql).execute(pool).await.map(drop),
            Database::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(drop),
        }
        .expect(sql);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}

pub const PASSWORD: &str = "correct horse battery staple";

/// Prints that something is not tested here. The test harness would capture what a macro prints.
pub fn print_skipped(what: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped {what}: {reason}");
}

pub fn email(name: &str) -> String {
    format!("{name}@example.org")
}

/// The settings of a server on one setup, with a database and a store of its own.
pub async fn config(setup: Setup, folder: &TempDir) -> Config {
    let mut config = Config {
        data_dir: folder.path().to_owned(),
        registration: Registration::Open,
        database_connections: 4,
        ..Config::default()
    };
    config.auth.registrations_per_address = 1000;
    match setup {
        Setup::SqliteAndDisk => {
            config.database_url = SecretString::from(format!("sqlite:{}/rows.db", folder.path().display()));
            config.store = StoreConfig::Disk { root: folder.path().join("files") };
        }
        Setup::PostgresAndS3 => {
            config.database_url = SecretString::from(new_database().await);
            config.store = StoreConfig::S3(Box::new(s3_config()));
            config.uploads.part_size = 5 * 1024 * 1024;
        }
    }
    config
}

fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run scripts/test, which starts the servers that the tests need"))
}

/// An empty database on the test server.
async fn new_database() -> String {
    let base = environment("STRONGROOM_TEST_DATABASE_URL");
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let pool = sqlx::PgPool::connect(&base).await.expect("PostgreSQL");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.expect("a database");
    pool.close().await;
    let mut url: url::Url = base.parse().expect("a URL");
    url.set_path(&name);
    url.into()
}

/// A new prefix in the test bucket.
pub fn s3_config() -> S3Config {
    S3Config {
        bucket: environment("STRONGROOM_TEST_S3_BUCKET"),
        prefix: format!("test-{}", uuid::Uuid::now_v7().simple()),
        region: environment("STRONGROOM_TEST_S3_REGION"),
        credentials: Some(S3Credentials {
            access_key_id: environment("STRONGROOM_TEST_S3_ACCESS_KEY"),
            secret_access_key: SecretString::from(environment("STRONGROOM_TEST_S3_SECRET_KEY")),
            session_token: None,
        }),
        endpoint: Some(environment("STRONGROOM_TEST_S3_ENDPOINT").parse().expect("a URL")),
        public_endpoint: None,
        path_style: true,
        encryption: None,
    }
}

/// Polls a condition until it holds.
///
/// # Panics
/// After a minute.
pub async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), holds).await.expect("the condition holds within a minute");
}

/// The number of files in a folder, at any depth.
pub fn files_below(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}
