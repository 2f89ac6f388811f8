//! A file that nobody sees until it is whole and durable.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Layout, no_follow, sync_folder};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::blocks::Block;
use crate::store::{Key, io_error};

/// The file of a key that is being written. It is the key's lock, too: there can be one only.
/// Dropped before it is published, it takes itself away. All its methods block.
pub(super) struct StagedFile {
    file: File,
    /// Where the file lies now.
    path: PathBuf,
    blob: PathBuf,
    published: bool,
}

impl StagedFile {
    /// # Errors
    /// `PreconditionFailed` if the key has bytes or somebody writes them; `StorageFull`.
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

    /// # Errors
    /// `StorageFull`.
    pub fn write(&mut self, block: &Block) -> Result<()> {
        faults::io("disk_write").map_err(io_error)?;
        block.chunks().iter().try_for_each(|chunk| self.file.write_all(chunk)).map_err(io_error)
    }

    /// Makes the bytes durable and visible under the key, in this order.
    ///
    /// # Errors
    /// `StorageFull`; `Internal` if the disk fails, or if the key was deleted meanwhile.
    pub fn publish(mut self) -> Result<()> {
        let published = publish(&self.file, &self.path, &self.blob);
        if published.is_err() && !self.path.exists() {
            self.path = self.blob.clone();
        }
        self.published = published.is_ok();
        published
    }
}

/// Makes a file's bytes durable, and then visible under another name that is durable, too.
///
/// # Errors
/// As [`StagedFile::publish`].
pub(super) fn publish(file: &File, staged: &Path, blob: &Path) -> Result<()> {
    faults::point("K6");
    // Not tried again when it fails: the kernel may have dropped the bytes with the error.
    faults::io("disk_sync").map_err(io_error)?;
    if !faults::skips("file_sync") {
        file.sync_data().map_err(io_error)?;
    }
    faults::point("K7");
    fs::rename(staged, blob).map_err(io_error)?;
    faults::point("K8");
    if !faults::skips("folder_sync") {
        blob.parent().map_or(Ok(()), sync_folder)?;
    }
    faults::point("K9");
    Ok(())
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a half-written file stays until the reaper comes");
        }
    }
}
