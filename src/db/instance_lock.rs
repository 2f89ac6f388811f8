//! Single-instance lock for SQLite, released by the operating system when the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

use super::open::create_private_file;
use crate::error::{Error, Result};

/// Locks `<database>.lock` until this process ends; `false` if the database is one that several servers may share.
///
/// The operating system releases the lock after the last system call of the last thread. A process that acquires it
/// knows that the previous one has no write to this machine's disks in progress.
///
/// # Errors
/// [`Error::Setup`] if another server holds the lock, with its process id, or if the file cannot be locked.
pub fn acquire_instance_lock(url: &str) -> Result<bool> {
    if !url.starts_with("sqlite:") {
        return Ok(false);
    }
    let options = SqliteConnectOptions::from_str(url)?;
    let database = options.get_filename();
    // The file must exist before a symbolic link to it can be resolved.
    create_private_file(database)?;
    let path = lock_path(database);
    let unusable = |error: std::io::Error| Error::Setup(format!("DATABASE_URL: {}: {error}", path.display()));
    let mut file = open_lock(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(database, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    // The process id is only helpful, and a full disk has no space for it.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    // Never closed: the last request of this server must not overlap with the first one of the next.
    std::mem::forget(file);
    Ok(true)
}

/// Next to the database itself, not to a symbolic link.
fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

/// Opens the file without truncating it: it contains the id of the process that holds the lock.
fn open_lock(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    Ok(file)
}

fn locked(database: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // The process id is only helpful; that the lock is held is certain.
    let _ = file.read_to_string(&mut holder);
    let holder = match holder.trim() {
        "" => String::new(),
        id => format!(" (process {id})"),
    };
    let database = database.display();
    Error::Setup(format!("DATABASE_URL: another server{holder} uses {database}; SQLite allows only one"))
}
