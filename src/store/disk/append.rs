//! Files of resumable and direct uploads, which grow over several requests. Their rows say how many
//! of their bytes count.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::layout::{Layout, io_error, no_follow, sync_directory};
use super::staged::publish;
use crate::error::{Error, Result};
use crate::faults;
use crate::store::blocks::Block;
use crate::store::{Key, wrong_size};

/// The staged file of a key, open for appending. A lock of the operating system keeps out a stale
/// writer, whose lease has expired without it knowing. All methods block.
pub(super) struct AppendFile(File);

impl AppendFile {
    /// Creates the file, empty, and makes its name durable. An existing or a finished file is kept.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::Unavailable`].
    pub fn create(layout: &Layout, key: &Key) -> Result<()> {
        let path = layout.staged(key);
        if path.exists() || layout.blob(key).exists() {
            return Ok(());
        }
        no_follow().write(true).create_new(true).mode(0o600).open(&path).map_err(io_error)?;
        path.parent().map_or(Ok(()), sync_directory)
    }

    /// Opens the file exclusively at `offset` and truncates it there: later bytes do not count.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] if it is open elsewhere; [`Error::UploadGone`] if it does not exist;
    /// [`Error::Internal`] if it is shorter.
    pub fn open(layout: &Layout, key: &Key, offset: u64) -> Result<Self> {
        let mut file = open_exclusive(&layout.staged(key))?.ok_or(Error::UploadGone)?;
        truncate(&file, offset)?;
        file.seek(SeekFrom::Start(offset)).map_err(io_error)?;
        Ok(Self(file))
    }

    /// Opens the file at `offset` together with other writers. Only [`finish`](Self::finish)
    /// excludes them.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] if it is being finished; [`Error::UploadGone`] if it does not exist.
    pub fn open_shared(layout: &Layout, key: &Key, offset: u64) -> Result<Self> {
        let path = layout.staged(key);
        let mut file = open_existing(&path)?.ok_or(Error::UploadGone)?;
        locked(file.try_lock_shared())?;
        // If the upload was finished before the lock was acquired, this file is the published one.
        if !path.exists() {
            return Err(Error::UploadGone);
        }
        file.seek(SeekFrom::Start(offset)).map_err(io_error)?;
        Ok(Self(file))
    }

    /// Writes a block and, if `sync` is set, makes durable everything written so far.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::Unavailable`] if the disk fails, and then what was written
    /// since the last sync must be written again.
    pub fn write_and_sync(&mut self, block: &Block, sync: bool) -> Result<()> {
        faults::io("disk_write").map_err(io_error)?;
        block.chunks().iter().try_for_each(|chunk| self.0.write_all(chunk)).map_err(io_error)?;
        match sync {
            true => faults::io("disk_sync").and_then(|()| self.0.sync_data()).map_err(io_error),
            false => Ok(()),
        }
    }

    /// Publishes the file under its key. Repeating it has no effect.
    ///
    /// # Errors
    /// [`Error::UploadBusy`]; [`Error::StorageFull`]; [`Error::Internal`] if the file does not have
    /// `size` bytes.
    pub fn finish(layout: &Layout, key: &Key, size: u64) -> Result<()> {
        let (staged, blob) = (layout.staged(key), layout.blob(key));
        if let Some(file) = open_exclusive(&staged)? {
            truncate(&file, size)?;
            return publish(&file, &staged, &blob);
        }
        confirm(layout, key, size)
    }
}

/// Makes the name of a published file durable.
///
/// # Errors
/// [`Error::Internal`] if it does not have `size` bytes; [`Error::Unavailable`] if it does not exist.
pub(super) fn confirm(layout: &Layout, key: &Key, size: u64) -> Result<()> {
    let published = fs::symlink_metadata(layout.blob(key)).map_err(io_error)?;
    match published.len() == size {
        true => sync_directory(&layout.shard(key)),
        false => Err(wrong_size()),
    }
}

/// The parts, by key and offset, that this process is writing.
#[derive(Debug, Default)]
pub(super) struct ActiveWrites(Arc<Mutex<HashSet<(Key, u64)>>>);

impl ActiveWrites {
    /// Reserves a part until the guard is dropped; `None` if it is being written.
    pub fn enter(&self, part: (Key, u64)) -> Option<WriteGuard> {
        let entered = lock(&self.0).insert(part.clone());
        entered.then(|| WriteGuard(self.0.clone(), part))
    }
}

pub(super) struct WriteGuard(Arc<Mutex<HashSet<(Key, u64)>>>, (Key, u64));

impl Drop for WriteGuard {
    fn drop(&mut self) {
        lock(&self.0).remove(&self.1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens and locks a file; `None` if it does not exist.
fn open_exclusive(path: &Path) -> Result<Option<File>> {
    let Some(file) = open_existing(path)? else { return Ok(None) };
    locked(file.try_lock())?;
    Ok(Some(file))
}

fn open_existing(path: &Path) -> Result<Option<File>> {
    match no_follow().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(io_error),
    }
}

fn locked(lock: std::result::Result<(), TryLockError>) -> Result<()> {
    lock.map_err(|refused| match refused {
        TryLockError::WouldBlock => Error::UploadBusy,
        TryLockError::Error(error) => io_error(error),
    })
}

/// Shortens a file to `size` bytes; one that has fewer is an error.
fn truncate(file: &File, size: u64) -> Result<()> {
    match file.metadata().map_err(io_error)?.len() {
        len if len < size => Err(Error::internal("an upload has fewer bytes than its row says")),
        len if len > size => file.set_len(size).map_err(io_error),
        _ => Ok(()),
    }
}
