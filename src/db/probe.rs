//! Tries what the rows need: a database that answers, has the schema, keeps what it acknowledged.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use sqlx::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::{Db, POSTGRES, Pool, SQLITE, on, statements};
use crate::check::{Check, Depth, Probing};
use crate::clock::from_micros;
use crate::error::Result;
use crate::volume;

statements! {
    APPLIED = "SELECT version FROM _sqlx_migrations WHERE success";
}

// What only one of the two engines understands.
const MAKE_TABLE: &str = "CREATE TABLE strongroom_doctor (id INTEGER)";
const FILL_TABLE: &str = "INSERT INTO strongroom_doctor VALUES (1)";
const POSTGRES_SETTINGS: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', \
    'synchronous_commit', 'server_encoding', 'max_connections', 'superuser_reserved_connections')";
const POSTGRES_CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Tries the database at this URL, which need not be there yet if it is SQLite. Its schema stays as
/// it is: bringing it up to date is the server's.
pub async fn probe_database(url: &str, connections: u32, probing: &Probing) -> Vec<Check> {
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
    pub async fn probe(&self, probing: &Probing) -> Vec<Check> {
        let mut checks = vec![self.reach().await];
        if checks[0].has_failed() {
            return checks;
        }
        checks.extend([self.schema().await, self.writing().await]);
        match &self.write {
            Pool::Sqlite(pool) => checks.extend(sqlite(pool, probing).await),
            Pool::Postgres(pool) => checks.extend(postgres(pool, probing).await),
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
        let begun = Instant::now();
        // The second question, on a connection that is open.
        let answered = self.ping().await;
        let latency = begun.elapsed();
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

async fn sqlite(pool: &SqlitePool, probing: &Probing) -> Vec<Check> {
    let file = pool.connect_options().get_filename().to_owned();
    let mut checks = vec![sqlite_settings(pool).await, rights(&file)];
    if probing.depth >= Depth::Full {
        checks.push(sqlite_integrity(pool).await);
        checks.extend(volume::checks("database.space", "database.filesystem", &file));
    }
    checks
}

async fn sqlite_settings(pool: &SqlitePool) -> Check {
    let name = "database.durability";
    let tried = "ask for journal_mode and synchronous";
    let found: sqlx::Result<(String, i64)> = async {
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await?;
        Ok((journal, synchronous))
    }
    .await;
    match found {
        Ok((journal, 2)) if journal == "wal" => Check::ok(name, tried, "wal and FULL"),
        Ok((journal, synchronous)) => Check::failed(
            name,
            tried,
            format!("{journal} and {synchronous} instead of wal and 2"),
            "move the database to a filesystem on which WAL works, a local disk",
        ),
        Err(error) => Check::failed(name, tried, error.to_string(), "see what the error says"),
    }
}

/// The database's files hold rows, and those hold who has what.
fn rights(file: &Path) -> Check {
    let name = "database.rights";
    let tried = format!("look at the rights of {}", file.display());
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        // Those beside it are there only while it is open.
        if let Ok(metadata) = std::fs::metadata(&path)
            && metadata.mode() & 0o077 != 0
        {
            let path = Path::new(&path).display();
            let came_back =
                format!("{path} has the rights {:o}: others on this machine get at it", metadata.mode() & 0o777);
            return Check::failed(name, tried, came_back, format!("chmod 600 {path}"));
        }
    }
    Check::ok(name, tried, "it is for its owner alone")
}

async fn sqlite_integrity(pool: &SqlitePool) -> Check {
    let name = "database.integrity";
    let tried = "PRAGMA quick_check";
    match sqlx::query_scalar::<_, String>("PRAGMA quick_check").fetch_all(pool).await {
        Ok(lines) if lines == ["ok"] => Check::ok(name, tried, "no damage"),
        Ok(lines) => Check::failed(name, tried, lines.join("; "), "stop the server, and restore a backup"),
        Err(error) => Check::failed(name, tried, error.to_string(), "stop the server, and restore a backup"),
    }
}

async fn postgres(pool: &PgPool, probing: &Probing) -> Vec<Check> {
    let tried = "ask for its settings";
    let settings = sqlx::query_as::<_, (String, String)>(POSTGRES_SETTINGS).fetch_all(pool).await;
    let mut checks = match settings {
        Ok(settings) => {
            let setting = |name: &str| {
                settings.iter().find(|(found, _)| found == name).map_or("unknown", |(_, setting)| setting.as_str())
            };
            vec![
                postgres_durability(setting),
                postgres_encoding(setting("server_encoding")),
                postgres_room(pool.options().get_max_connections(), setting),
            ]
        }
        Err(error) => vec![Check::skipped("database.durability", tried, error.to_string())],
    };
    checks.push(postgres_clock(pool, probing).await);
    checks
}

fn postgres_durability<'a>(setting: impl Fn(&str) -> &'a str) -> Check {
    let name = "database.durability";
    let tried = "ask for fsync, full_page_writes and synchronous_commit";
    let off: Vec<_> =
        ["fsync", "full_page_writes", "synchronous_commit"].into_iter().filter(|name| setting(name) == "off").collect();
    match off.is_empty() {
        true => Check::ok(name, tried, "none of them is off"),
        false => Check::warning(
            name,
            tried,
            format!("off: {}", off.join(", ")),
            "switch them on: after a power cut, uploads that were acknowledged may be gone, or the database damaged",
        ),
    }
}

fn postgres_encoding(encoding: &str) -> Check {
    let name = "database.encoding";
    let tried = "ask for its encoding";
    match encoding {
        "UTF8" => Check::ok(name, tried, "UTF8"),
        other => Check::failed(name, tried, other, "make the database anew with ENCODING 'UTF8': names need it"),
    }
}

fn postgres_room<'a>(wanted: u32, setting: impl Fn(&str) -> &'a str) -> Check {
    let name = "database.connections";
    let tried = format!("compare max_connections with the {wanted} of STRONGROOM_DATABASE_CONNECTIONS");
    let number = |name: &str| setting(name).parse::<u32>().unwrap_or_default();
    let most = number("max_connections").saturating_sub(number("superuser_reserved_connections"));
    match wanted <= most {
        true => Check::ok(name, tried, format!("{most} are to be had, for all of its users and servers together")),
        false => Check::warning(
            name,
            tried,
            format!("only {most} are to be had"),
            "lower STRONGROOM_DATABASE_CONNECTIONS, or raise max_connections",
        ),
    }
}

async fn postgres_clock(pool: &PgPool, probing: &Probing) -> Check {
    let name = "database.clock";
    match sqlx::query_scalar(POSTGRES_CLOCK).fetch_one(pool).await {
        Ok(micros) => Check::clock(name, "the database's", from_micros(micros), probing.clock.now()),
        Err(error) => Check::skipped(name, "ask for its clock", error.to_string()),
    }
}
