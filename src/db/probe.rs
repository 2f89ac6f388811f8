//! Diagnostic checks of the database: it responds, has the schema, accepts writes, and keeps what it acknowledges.

mod postgres;
mod sqlite;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;

use super::open::{POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS};
use super::pool::Pool;
use super::{Db, statements};
use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};
use crate::health::volume;

statements! {
    LIST_MIGRATIONS = "SELECT version FROM _sqlx_migrations WHERE success";
}

// Not registered: the test that prepares statements would not find the table.
const CREATE_TABLE: &str = "CREATE TABLE strongroom_doctor (id INTEGER)";
const FILL_TABLE: &str = "INSERT INTO strongroom_doctor VALUES (1)";

const SQLITE_VERSION: &str = "SELECT 'SQLite ' || sqlite_version()";
const POSTGRES_VERSION: &str = "SELECT 'PostgreSQL ' || current_setting('server_version')";

/// Checks the database at this URL without changing its schema. A file of SQLite need not exist yet.
pub async fn probe_database(url: &str, connections: u32, options: &ProbeOptions) -> Vec<Check> {
    if let Some(file) = missing_file(url) {
        return check_missing(&file);
    }
    match Db::connect(url, connections).await {
        Err(error) => {
            let remedy = match error {
                Error::StorageFull => "free space on the disk of the database, at least a megabyte",
                _ => "correct DATABASE_URL, or start the database",
            };
            vec![Check::failed("database.reach", "connect", error.cause(), remedy)]
        }
        Ok(db) => {
            let checks = db.probe(options).await;
            db.close().await;
            checks
        }
    }
}

/// Checks of a file that the first start is going to create.
fn check_missing(file: &Path) -> Vec<Check> {
    let directory = file.ancestors().skip(1).find(|directory| directory.is_dir()).unwrap_or(Path::new("/"));
    let action = format!("look for {}", file.display());
    let mut checks = vec![Check::ok("database.reach", action, "does not exist; the first start creates it")];
    checks.extend(volume::checks("database.space", "database.filesystem", directory));
    checks
}

/// The file of an SQLite database, if it does not exist yet.
fn missing_file(url: &str) -> Option<PathBuf> {
    let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok())??;
    let file = std::path::absolute(options.get_filename()).ok()?;
    (!file.exists()).then_some(file)
}

impl Db {
    /// Checks everything that the server requires of the database. Writes are rolled back.
    pub async fn probe(&self, options: &ProbeOptions) -> Vec<Check> {
        let mut checks = vec![self.check_reach().await];
        if checks[0].has_failed() {
            return checks;
        }
        checks.extend([self.check_schema().await, self.check_write().await]);
        match &self.write.pool {
            Pool::Sqlite(pool) => checks.extend(sqlite::checks(pool, options).await),
            Pool::Postgres(pool) => checks.extend(postgres::checks(pool, options).await),
        }
        checks
    }

    async fn check_reach(&self) -> Check {
        let (name, action) = ("database.reach", "query its version");
        match self.version_and_latency().await {
            Ok(observed) => Check::ok(name, action, observed),
            Err(error) => Check::failed(name, action, error.cause(), "correct DATABASE_URL, or start the database"),
        }
    }

    async fn version_and_latency(&self) -> Result<String> {
        let version = match &self.write.pool {
            Pool::Sqlite(_) => SQLITE_VERSION,
            Pool::Postgres(_) => POSTGRES_VERSION,
        };
        let (version,): (String,) = self.read.fetch_one(version, ()).await?;
        // The latency of the second query, on an open connection.
        let started = Instant::now();
        self.ping().await?;
        Ok(format!("{version}, within {:.1?}", started.elapsed()))
    }

    async fn check_schema(&self) -> Check {
        let (name, action) = ("database.schema", "compare its migrations with those of this program");
        // Without the table of migrations, none was applied.
        let applied: Vec<(i64,)> = self.read.fetch_all(LIST_MIGRATIONS, ()).await.unwrap_or_default();
        let known = match &self.write.pool {
            Pool::Sqlite(_) => &SQLITE_MIGRATIONS,
            Pool::Postgres(_) => &POSTGRES_MIGRATIONS,
        };
        let known: BTreeSet<i64> = known.iter().map(|migration| migration.version).collect();
        let missing = known.iter().filter(|version| !applied.contains(&(**version,))).count();
        let unknown = applied.iter().filter(|(version,)| !known.contains(version)).count();
        match (missing, unknown) {
            (0, 0) => Check::ok(name, action, format!("all {} are applied", known.len())),
            (_, 1..) => Check::failed(
                name,
                action,
                format!("{unknown} applied migrations are unknown to this version"),
                "run the newer version of this program that applied them",
            ),
            (missing, 0) => Check::ok(
                name,
                action,
                format!("{missing} of {} are pending; the next start applies them", known.len()),
            ),
        }
    }

    /// Creates a table and rolls back: checks the permission that migrations need, without a trace.
    async fn check_write(&self) -> Check {
        let (name, action) = ("database.write", "create a table, write to it, and roll back");
        match self.create_and_roll_back().await {
            Ok(()) => Check::ok(name, action, "it works"),
            Err(error) => {
                let remedy = "grant the server's user permission to write, and to create tables for new versions";
                Check::failed(name, action, error.cause(), remedy)
            }
        }
    }

    async fn create_and_roll_back(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(CREATE_TABLE, ()).await?;
        tx.execute(FILL_TABLE, ()).await?;
        tx.roll_back().await
    }
}
