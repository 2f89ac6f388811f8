//! A file that grows from request to request, until it is whole. Its row tells how much of it counts.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::staged::publish;
use super::{Layout, no_follow, sync_folder};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::blocks::Block;
use crate::store::{Key, io_error};

/// The staged file of a key, open for whoever appends to it. The system's lock on it keeps out a
/// writer that slept past its lease and does not know it yet. All its methods block.
pub(super) struct AppendFile(File);

impl AppendFile {
    /// Makes the file, empty, and its name durable; one that is there, or was finished, stays as it is.
    ///
    /// # Errors
    /// `StorageFull`.
    pub fn create(layout: &Layout, key: &Key) -> Result<()> {
        let path = layout.staged(key);
        if path.exists() || layout.blob(key).exists() {
            return Ok(());
        }
        no_follow().write(true).create_new(true).mode(0o600).open(&path).map_err(io_error)?;
        path.parent().map_or(Ok(()), sync_folder)
    }

    /// Opens the file at the end of what counts; what lies behind it is cut off.
    ///
    /// # Errors
    /// `UploadBusy` if somebody else has it; `UploadGone` if it is not there; `Internal` if it is shorter.
    pub fn open(layout: &Layout, key: &Key, offset: u64) -> Result<Self> {
        let mut file = locked(&layout.staged(key))?.ok_or(Error::UploadGone)?;
        cut(&file, offset)?;
        file.seek(SeekFrom::Start(offset)).map_err(io_error)?;
        Ok(Self(file))
    }

    /// Opens the file at a place that is written beside others, by several at once; only
    /// [`finish`](Self::finish) wants it for itself.
    ///
    /// # Errors
    /// `UploadBusy` if it is being finished; `UploadGone` if it is not there.
    pub fn share(layout: &Layout, key: &Key, offset: u64) -> Result<Self> {
        let path = layout.staged(key);
        let mut file = opened(&path)?.ok_or(Error::UploadGone)?;
        kept(file.try_lock_shared())?;
        // Who finished it before the lock was had has published these very bytes.
        if !path.exists() {
            return Err(Error::UploadGone);
        }
        file.seek(SeekFrom::Start(offset)).map_err(io_error)?;
        Ok(Self(file))
    }

    /// # Errors
    /// `StorageFull`.
    pub fn write(&mut self, block: &Block) -> Result<()> {
        faults::io("disk_write").map_err(io_error)?;
        block.chunks().iter().try_for_each(|chunk| self.0.write_all(chunk)).map_err(io_error)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails. What was written since the last time has to be written again.
    pub fn sync(&self) -> Result<()> {
        faults::io("disk_sync").and_then(|()| self.0.sync_data()).map_err(io_error)
    }

    /// Makes the whole file visible under its key. Doing it twice is the same as once.
    ///
    /// # Errors
    /// `UploadBusy`; `StorageFull`; `Internal` if the file does not have this size.
    pub fn finish(layout: &Layout, key: &Key, size: u64) -> Result<()> {
        let (staged, blob) = (layout.staged(key), layout.blob(key));
        if let Some(file) = locked(&staged)? {
            cut(&file, size)?;
            return publish(&file, &staged, &blob);
        }
        confirm(layout, key, size)
    }
}

/// Makes a file durable that was published, if it has this size.
pub(super) fn confirm(layout: &Layout, key: &Key, size: u64) -> Result<()> {
    let published = fs::symlink_metadata(layout.blob(key)).map_err(io_error)?;
    match published.len() == size {
        true => sync_folder(&layout.shard(key)),
        false => Err(Error::internal("an upload has another size than its row says")),
    }
}

/// Keys and offsets at which somebody writes.
#[derive(Debug, Default)]
pub(super) struct ActiveWrites(Arc<Mutex<HashSet<(Key, u64)>>>);

impl ActiveWrites {
    /// The place for oneself until it is dropped; nothing if somebody has it.
    pub fn enter(&self, place: (Key, u64)) -> Option<WriteGuard> {
        let entered = lock(&self.0).insert(place.clone());
        entered.then(|| WriteGuard(self.0.clone(), place))
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

/// The file, if it is there and nobody else has it.
fn locked(path: &Path) -> Result<Option<File>> {
    let Some(file) = opened(path)? else { return Ok(None) };
    kept(file.try_lock())?;
    Ok(Some(file))
}

fn opened(path: &Path) -> Result<Option<File>> {
    match no_follow().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(io_error),
    }
}

fn kept(lock: std::result::Result<(), TryLockError>) -> Result<()> {
    lock.map_err(|refused| match refused {
        TryLockError::WouldBlock => Error::UploadBusy,
        TryLockError::Error(error) => io_error(error),
    })
}

fn cut(file: &File, size: u64) -> Result<()> {
    match file.metadata().map_err(io_error)?.len() {
        len if len < size => Err(Error::internal("an upload has fewer bytes than its row says")),
        len if len > size => file.set_len(size).map_err(io_error),
        _ => Ok(()),
    }
}
