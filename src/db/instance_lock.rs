//! One server alone on an SQLite database: a lock that ends with its process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

use crate::error::{Error, Result};

/// Locks `<database>.lock` for as long as this process lives; `false` if the database is one that
/// several servers may share.
///
/// The system lets go of the lock after the last thread's last call is over. Whoever gets it
/// knows that nothing of the process before is still on its way to this machine's disks.
///
/// # Errors
/// [`Error::Setup`] if another server has the lock, with its process id, or if there can be no lock.
pub fn acquire_instance_lock(url: &str) -> Result<bool> {
    if !url.starts_with("sqlite:") {
        return Ok(false);
    }
    let options = SqliteConnectOptions::from_str(url)?;
    let database = options.get_filename();
    // It has to be there: where a link leads to can be told only then.
    super::create_private_file(database)?;
    let path = lock_of(database);
    let unusable = |error: std::io::Error| Error::Setup(format!("DATABASE_URL: {}: {error}", path.display()));
    // Not emptied here: it holds the id of whoever has the lock.
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path);
    let mut file = opened.map_err(unusable)?;
    if !file.metadata().map_err(unusable)?.is_file() {
        return Err(unusable(std::io::Error::other("not a file")));
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(database, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
    // Never closed: not even the last request of a server that ends may meet the next server's first.
    std::mem::forget(file);
    Ok(true)
}

/// Beside the database itself, whichever links lead to it.
fn lock_of(database: &Path) -> PathBuf {
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

fn taken(database: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // Who it is only helps; that it is somebody is certain.
    let _ = file.read_to_string(&mut holder);
    let holder = match holder.trim() {
        "" => String::new(),
        id => format!(" (process {id})"),
    };
    let database = database.display();
    Error::Setup(format!("DATABASE_URL: another server{holder} runs on {database}; on SQLite one runs alone"))
}
