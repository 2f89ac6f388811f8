//! Tries what the rows need: a database that answers, has the schema, keeps what it acknowledged.

mod postgres;
mod sqlite;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use sqlx::sqlite::SqliteConnectOptions;

use super::{Db, POSTGRES, Pool, SQLITE, on, statements};
use crate::error::Result;
use crate::health::check::{Check, ProbeOptions};
use crate::health::volume;

statements! {
    APPLIED = "SELECT version FROM _sqlx_migrations WHERE success";
}

// Both engines know these, but they make what a test that prepares statements must not find.
const MAKE_TABLE: &str = "CREATE TABLE strongroom_doctor (id INTEGER)";
const FILL_TABLE: &str = "INSERT INTO strongroom_doctor VALUES (1)";

/// Tries the database at this URL, which need not be there yet if it is SQLite. Its schema stays as
/// it is: bringing it up to date is the server's.
pub async fn probe_database(url: &str, connections: u32, probing: &ProbeOptions) -> Vec<Check> {
    let name = "database.reach";
    if let Some(file) = missing_file(url) {
        let folder = file.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        let tried = format!("look for {}", file.display());
        let mut checks = vec![Check::ok(name, tried, "it is not there yet: the first start makes it")];
        checks.extend(volume::checks("database.space", "database.filesystem", folder));
        return checks;
    }
    match Db::connect(url, connections).await {
        Err(error) => {
            vec![Check::failed(name, "connect", error.cause(), "correct DATABASE_URL, or start the database")]
        }
        Ok(db) => {
            let checks = db.probe(probing).await;
            db.close().await;
            checks
        }
    }
}

impl Db {
    /// Tries what the database is needed for; what it writes is rolled back.
    pub async fn probe(&self, probing: &ProbeOptions) -> Vec<Check> {
        let mut checks = vec![self.reach().await];
        if checks[0].has_failed() {
            return checks;
        }
        checks.extend([self.schema().await, self.writing().await]);
        match &self.write {
            Pool::Sqlite(pool) => checks.extend(sqlite::checks(pool, probing).await),
            Pool::Postgres(pool) => checks.extend(postgres::checks(pool, probing).await),
        }
        checks
    }

    async fn reach(&self) -> Check {
        let version = match &self.read {
            Pool::Sqlite(pool) => {
                sqlx::query_scalar::<_, String>("SELECT 'SQLite ' || sqlite_version()").fetch_one(pool).await
            }
            Pool::Postgres(pool) => {
                sqlx::query_scalar("SELECT 'PostgreSQL ' || current_setting('server_version')").fetch_one(pool).await
            }
        };
        let accepted = Instant::now();
        // The second question, on a connection that is open.
        let answered = self.ping().await;
        let latency = accepted.elapsed();
        match version.map_err(Into::into).and_then(|version| answered.map(|()| version)) {
            Ok(version) => {
                Check::ok("database.reach", "ask for its version", format!("{version}, within {latency:.1?}"))
            }
            Err(error) => {
                let what_to_do = "correct DATABASE_URL, or start the database";
                Check::failed("database.reach", "ask for its version", error.cause(), what_to_do)
            }
        }
    }

    async fn schema(&self) -> Check {
        let name = "database.schema";
        let tried = "compare its migrations with this program's";
        // Without that table nothing was applied, and everything will be.
        let applied: Vec<i64> = on!(self.read, |p| sqlx::query_scalar(APPLIED).fetch_all(p).await).unwrap_or_default();
        let known = match &self.read {
            Pool::Sqlite(_) => &SQLITE,
            Pool::Postgres(_) => &POSTGRES,
        };
        let known: BTreeSet<i64> = known.iter().map(|migration| migration.version).collect();
        let missing = known.iter().filter(|version| !applied.contains(version)).count();
        let unknown = applied.iter().filter(|version| !known.contains(version)).count();
        match (missing, unknown) {
            (0, 0) => Check::ok(name, tried, format!("all {} are applied", known.len())),
            (_, 1..) => Check::failed(
                name,
                tried,
                format!("{unknown} of those applied are not known here"),
                "run the newer version of this program that applied them",
            ),
            (missing, 0) => Check::ok(name, tried, format!("{missing} of {} are left to the next start", known.len())),
        }
    }

    /// Makes a table and rolls that back: the right that migrations need, without a trace.
    async fn writing(&self) -> Check {
        let name = "database.write";
        let tried = "make a table, write into it, and roll that back";
        let outcome: Result<()> = on!(self.write, |p| async {
            let mut transaction = p.begin().await?;
            sqlx::query(MAKE_TABLE).execute(&mut *transaction).await?;
            sqlx::query(FILL_TABLE).execute(&mut *transaction).await?;
            Ok(transaction.rollback().await?)
        }
        .await);
        match outcome {
            Ok(()) => Check::ok(name, tried, "it works"),
            Err(error) => {
                let what_to_do = "give the server's user the right to write, and to make tables for new versions";
                Check::failed(name, tried, error.cause(), what_to_do)
            }
        }
    }
}

/// The file of an SQLite database that was not made yet.
fn missing_file(url: &str) -> Option<PathBuf> {
    let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok())??;
    let file = std::path::absolute(options.get_filename()).ok()?;
    (!file.exists()).then_some(file)
}
