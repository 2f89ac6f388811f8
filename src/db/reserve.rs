//! Space that is reserved next to an SQLite database: a database that was closed needs some before it can be opened, and
//! a deletion needs some before it frees any.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

/// Bytes of the reserve: enough for the index of the write-ahead log and for some thousand deletions in it.
const SIZE: usize = 4 * 1024 * 1024;

/// The reserve, a file next to the database.
pub(super) struct Reserve(PathBuf);

impl Reserve {
    /// The reserve of the database at this URL; `None` on PostgreSQL.
    ///
    /// # Errors
    /// The URL is not valid.
    pub fn of(url: &str) -> sqlx::Result<Option<Self>> {
        if !url.starts_with("sqlite:") {
            return Ok(None);
        }
        let mut path = SqliteConnectOptions::from_str(url)?.get_filename().as_os_str().to_owned();
        path.push(".reserve");
        Ok(Some(Self(path.into())))
    }

    /// Reserves the space unless it is reserved already. A failure is ignored: the reserve matters only on a full disk.
    pub fn fill(&self) {
        let mut options = OpenOptions::new();
        let Ok(mut file) = options.write(true).create_new(true).mode(0o600).open(&self.0) else { return };
        if file.write_all(&vec![0; SIZE]).and_then(|()| file.sync_data()).is_err() {
            drop(file);
            self.release();
        }
    }

    /// Releases the space; `false` if none was reserved.
    pub fn release(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}
