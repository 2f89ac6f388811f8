//! The directories of a store on disk, and the system calls that all of its files share.
//!
//! All directories exist from the start, so that no file ever depends on a directory entry that is
//! not durable yet.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::Key;

/// The paths of a store: `blobs/<2 digits>/<key>`, and `tmp/<key>` until a file is published.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of a key while it is written.
    pub fn staged(&self, key: &Key) -> PathBuf {
        self.root.join("tmp").join(key.as_str())
    }

    /// The directory of a published file.
    pub fn shard(&self, key: &Key) -> PathBuf {
        self.root.join("blobs").join(key.shard())
    }

    /// The published file of a key.
    pub fn blob(&self, key: &Key) -> PathBuf {
        self.shard(key).join(key.as_str())
    }

    /// An empty file that exists for as long as the store is mounted and intact.
    pub fn sentinel(&self) -> PathBuf {
        self.root.join("writable")
    }

    /// Whether the store is there at all.
    ///
    /// # Errors
    /// [`Error::Internal`] if the check panics.
    pub async fn exists(&self) -> Result<bool> {
        let sentinel = self.sentinel();
        blocking(move || Ok(sentinel.exists())).await
    }

    /// Creates all directories that do not exist, and makes them durable. Blocks.
    ///
    /// # Errors
    /// [`Error::Setup`] if one of them is not a directory or is on another filesystem;
    /// [`Error::StorageFull`]; [`Error::Unavailable`].
    pub fn prepare(&self) -> Result<()> {
        let (tmp, blobs) = (self.root.join("tmp"), self.root.join("blobs"));
        let device = private_directory(&self.root)?;
        if let Some(parent) = self.root.canonicalize().map_err(io_error)?.parent() {
            // Without permission to read the parent, making it durable is up to its owner.
            let _ = sync_directory(parent);
        }
        let shards = (0..=255).map(|shard| blobs.join(format!("{shard:02x}")));
        for folder in [tmp.clone(), blobs.clone()].into_iter().chain(shards) {
            if private_directory(&folder)? != device {
                let text = format!("{} is on another filesystem than the store", folder.display());
                return Err(Error::Setup(text));
            }
        }
        no_follow().write(true).create(true).truncate(false).mode(0o600).open(self.sentinel()).map_err(io_error)?;
        [&tmp, &blobs, &self.root].into_iter().try_for_each(|folder| sync_directory(folder))
    }
}

/// Creates a directory with mode 0700 unless it exists; returns its device number.
fn private_directory(path: &Path) -> Result<u64> {
    match DirBuilder::new().recursive(false).mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error)?;
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io_error(error)),
        _ => {}
    }
    let metadata = fs::symlink_metadata(path).map_err(io_error)?;
    if !metadata.is_dir() {
        return Err(Error::Setup(format!("{} must be a directory and not a symbolic link", path.display())));
    }
    Ok(metadata.dev())
}

/// Options to open a file that must not be a symbolic link.
pub(super) fn no_follow() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW);
    options
}

/// Makes the entries of a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error)
}

/// Deletes a file; one that does not exist is a success.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs blocking work on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// Maps an I/O error to an error of the domain.
pub(super) fn io_error(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::StorageFull,
        // The disk is missing, read-only or failing: the same request may succeed later.
        _ => Error::store_unavailable(error),
    }
}
