//! What is SQLite's alone: how it writes, whose its files are, whether they are whole.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sqlx::sqlite::SqlitePool;

use crate::health::check::{Check, ProbeLevel, ProbeOptions};
use crate::health::volume;

pub(super) async fn checks(pool: &SqlitePool, probing: &ProbeOptions) -> Vec<Check> {
    let file = pool.connect_options().get_filename().to_owned();
    let mut checks = vec![settings(pool).await, rights(&file)];
    if probing.level >= ProbeLevel::Full {
        checks.push(integrity(pool).await);
        checks.extend(volume::checks("database.space", "database.filesystem", &file));
    }
    checks
}

async fn settings(pool: &SqlitePool) -> Check {
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

async fn integrity(pool: &SqlitePool) -> Check {
    let name = "database.integrity";
    let tried = "PRAGMA quick_check";
    match sqlx::query_scalar::<_, String>("PRAGMA quick_check").fetch_all(pool).await {
        Ok(lines) if lines == ["ok"] => Check::ok(name, tried, "no damage"),
        Ok(lines) => Check::failed(name, tried, lines.join("; "), "stop the server, and restore a backup"),
        Err(error) => Check::failed(name, tried, error.to_string(), "stop the server, and restore a backup"),
    }
}
