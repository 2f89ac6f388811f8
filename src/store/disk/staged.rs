//! A file that is invisible until it is complete and durable.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::layout::{Layout, io_error, no_follow, remove, sync_directory};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::Key;
use crate::store::blocks::Block;

/// The staged file of a key. It also is the key's lock, since it can be created only once. Unless
/// it is published, dropping it deletes it. All methods block.
pub(super) struct StagedFile {
    file: File,
    /// The current path of the file.
    path: PathBuf,
    blob: PathBuf,
    published: bool,
}

impl StagedFile {
    /// Creates the file.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the key has an object or is being written;
    /// [`Error::StorageFull`]; [`Error::Unavailable`].
    pub fn create(layout: &Layout, key: &Key) -> Result<Self> {
        let path = layout.staged(key);
        let file = no_follow().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::PreconditionFailed,
            _ => io_error(error),
        })?;
        let staged = Self { file, path, blob: layout.blob(key), published: false };
        match fs::symlink_metadata(&staged.blob) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(staged),
            Err(error) => Err(io_error(error)),
            Ok(_) => Err(Error::PreconditionFailed),
        }
    }

    /// Appends a block.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::Unavailable`].
    pub fn write(&mut self, block: &Block) -> Result<()> {
        faults::io("disk_write").map_err(io_error)?;
        block.chunks().iter().try_for_each(|chunk| self.file.write_all(chunk)).map_err(io_error)
    }

    /// Makes the content durable and then visible under the key.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::Unavailable`] if the disk fails, or if the key was deleted meanwhile.
    pub fn publish(mut self) -> Result<()> {
        let published = publish(&self.file, &self.path, &self.blob);
        if published.is_err() && !self.path.exists() {
            self.path = self.blob.clone();
        }
        self.published = published.is_ok();
        published
    }
}

/// Makes the content of a file durable, renames it, and makes the new name durable.
///
/// # Errors
/// As [`StagedFile::publish`].
pub(super) fn publish(file: &File, staged: &Path, blob: &Path) -> Result<()> {
    faults::point("K6");
    // A failed sync is not retried: the kernel may have dropped the dirty pages with the error.
    faults::io("disk_sync").map_err(io_error)?;
    if !faults::skips("file_sync") {
        file.sync_data().map_err(io_error)?;
    }
    faults::point("K7");
    fs::rename(staged, blob).map_err(io_error)?;
    faults::point("K8");
    if !faults::skips("directory_sync") {
        blob.parent().map_or(Ok(()), sync_directory)?;
    }
    faults::point("K9");
    Ok(())
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not delete a staged file; the reaper will");
        }
    }
}
