//! The protocol between a store and the row of a resumable or direct upload.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Key, MultipartObserver};
use crate::error::{Error, Result};

/// The state of a resumable upload according to its row, and the next request.
#[derive(Debug)]
pub struct AppendRequest<'a> {
    /// The key of the upload.
    pub key: &'a Key,
    /// The store's id of the multipart upload, once there is one.
    pub multipart_id: Option<&'a str>,
    /// The key of the object with the bytes after the last full part, if there is one.
    pub tail: Option<&'a Key>,
    /// The number of durable bytes. What the store has beyond them does not count.
    pub offset: u64,
    /// The size of the whole upload in bytes, if it is known.
    pub size: Option<u64>,
    /// What [`Store::part_size`](super::Store::part_size) returned when the upload was created, in bytes.
    pub part_size: u64,
    /// The declared length of the request in bytes, if any.
    pub announced: Option<u64>,
    /// Whether an interrupted body is discarded completely.
    pub all_or_nothing: bool,
}

impl AppendRequest<'_> {
    /// The size of the tail in bytes. All parts before it are full.
    pub(super) fn tail_length(&self) -> u64 {
        match (self.tail, self.multipart_id) {
            (None, _) => 0,
            (Some(_), None) => self.offset,
            (Some(_), Some(_)) => self.offset % self.part_size,
        }
    }

    /// Returns the error that interrupted the body, if the bytes before it are kept: the client's
    /// connection failed, and the client will resume there.
    ///
    /// # Errors
    /// Any other error of the body, and every error if the request is all or nothing.
    pub(super) fn interruption(&self, read: Result<()>) -> Result<Option<Error>> {
        match read {
            Ok(()) => Ok(None),
            Err(error @ (Error::BodyBroken(_) | Error::BodyStalled)) if !self.all_or_nothing => Ok(Some(error)),
            Err(error) => {
                tracing::debug!(%error, "appended bytes not persisted");
                Err(error)
            }
        }
    }
}

/// The form in which appended bytes were persisted.
#[derive(Debug)]
pub enum Persisted {
    /// In the file that will be published.
    InPlace,
    /// Together with the tail before them, as a part.
    Part {
        /// From 1.
        number: u64,
        /// What assembling the parts requires: the part's ETag on S3.
        receipt: String,
    },
    /// Together with the tail before them, as a new tail under the key that was requested last.
    Tail,
}

/// The row of a resumable upload: the store asks it before it writes, and reports what is durable.
#[async_trait]
pub trait AppendObserver: MultipartObserver {
    /// A key for bytes that do not fill a part. It is recorded before they exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it could not be recorded.
    async fn tail_key(&mut self) -> Result<Key>;

    /// These bytes have been written next, and are not durable yet.
    async fn written(&mut self, bytes: &[Bytes]);

    /// All bytes written so far are durable.
    ///
    /// # Errors
    /// [`Error::UploadGone`] if another writer has taken over, or the upload has ended;
    /// [`Error::Unavailable`].
    async fn persisted(&mut self, how: Persisted) -> Result<()>;
}

/// The row of a part of a direct upload that comes through this server.
#[async_trait]
pub trait PartObserver: Send {
    /// The part is about to be overwritten, and no longer counts.
    ///
    /// # Errors
    /// [`Error::UploadGone`]; [`Error::Unavailable`].
    async fn part_started(&mut self) -> Result<()>;

    /// The part is complete and durable, with this number of bytes.
    ///
    /// # Errors
    /// [`Error::UploadGone`]; [`Error::Unavailable`].
    async fn part_persisted(&mut self, length: u64) -> Result<()>;
}
