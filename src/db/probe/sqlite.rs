//! Checks of SQLite: its settings, and the permissions and integrity of its files.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sqlx::sqlite::SqlitePool;

use crate::health::check::{Check, ProbeLevel, ProbeOptions};
use crate::health::volume;

pub(super) async fn checks(pool: &SqlitePool, options: &ProbeOptions) -> Vec<Check> {
    let file = pool.connect_options().get_filename().to_owned();
    let mut checks = vec![settings(pool).await, permissions(&file)];
    if options.level >= ProbeLevel::Full {
        checks.push(integrity(pool).await);
        checks.extend(volume::checks("database.space", "database.filesystem", &file));
    }
    checks
}

async fn settings(pool: &SqlitePool) -> Check {
    let name = "database.durability";
    let action = "query journal_mode and synchronous";
    let found: sqlx::Result<(String, i64)> = async {
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await?;
        Ok((journal, synchronous))
    }
    .await;
    match found {
        Ok((journal, 2)) if journal == "wal" => Check::ok(name, action, "wal and FULL"),
        Ok((journal, synchronous)) => Check::failed(
            name,
            action,
            format!("{journal} and {synchronous} instead of wal and 2"),
            "move the database to a filesystem on which WAL works, a local disk",
        ),
        Err(error) => Check::failed(name, action, error.to_string(), "see the error"),
    }
}

/// The files of the database contain private data.
fn permissions(file: &Path) -> Check {
    let name = "database.rights";
    let action = format!("check the permissions of {}", file.display());
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        // The others exist only while the database is open.
        if let Ok(metadata) = std::fs::metadata(&path)
            && metadata.mode() & 0o077 != 0
        {
            let path = Path::new(&path).display();
            let mode = metadata.mode() & 0o777;
            let observed = format!("{path} has mode {mode:o}: other users of this machine can access it");
            return Check::failed(name, action, observed, format!("chmod 600 {path}"));
        }
    }
    Check::ok(name, action, "only the server's user has access")
}

async fn integrity(pool: &SqlitePool) -> Check {
    let name = "database.integrity";
    let action = "PRAGMA quick_check";
    match sqlx::query_scalar::<_, String>("PRAGMA quick_check").fetch_all(pool).await {
        Ok(lines) if lines == ["ok"] => Check::ok(name, action, "no damage"),
        Ok(lines) => Check::failed(name, action, lines.join("; "), "stop the server, and restore a backup"),
        Err(error) => Check::failed(name, action, error.to_string(), "stop the server, and restore a backup"),
    }
}
