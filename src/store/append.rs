//! What a store and the row of an upload in pieces say to each other.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Key, MultipartObserver};
use crate::error::{Error, Result};

/// Where an upload in pieces stands, as its row says, and what comes next.
#[derive(Debug)]
pub struct AppendRequest<'a> {
    pub key: &'a Key,
    /// The store's id of the multipart upload, once one was opened.
    pub multipart_id: Option<&'a str>,
    /// Where the bytes deadline the last whole part are.
    pub tail: Option<&'a Key>,
    /// Bytes that are durable. What lies behind them counts for nothing.
    pub offset: u64,
    /// Bytes in the whole, once they are known.
    pub size: Option<u64>,
    /// As [`Store::part_size`](super::Store::part_size) gave it when the upload began.
    pub part_size: u64,
    /// Bytes that are to come now, if they are announced.
    pub coming: Option<u64>,
    /// They count all together or not at all: nothing is kept of a body that breaks off.
    pub all_or_nothing: bool,
}

impl AppendRequest<'_> {
    /// Bytes in the tail. All parts before it are whole.
    pub(super) fn tail_length(&self) -> u64 {
        match (self.tail, self.multipart_id) {
            (None, _) => 0,
            (Some(_), None) => self.offset,
            (Some(_), Some(_)) => self.offset % self.part_size,
        }
    }

    /// Whether bytes that came before this error are kept: the client's line broke, and the client
    /// will want to go on from there.
    pub(super) fn survives(&self, error: &Error) -> bool {
        !self.all_or_nothing && matches!(error, Error::BodyBroken(_) | Error::BodyStalled)
    }
}

/// How bytes were kept.
#[derive(Debug)]
pub enum Persisted {
    /// Where they will stay.
    InPlace,
    /// They, and a tail before them, are the part with this number (from 1). The receipt is wanted
    /// back when the parts are put together.
    Part { number: u64, receipt: String },
    /// They, and a tail before them, lie under the key that was last asked for.
    Tail,
}

/// The row of an upload in pieces: where a store asks before it writes, and tells what is durable deadline.
#[async_trait]
pub trait AppendObserver: MultipartObserver {
    /// A key for bytes that do not fill a part. It is written down before they exist.
    async fn tail_key(&mut self) -> Result<Key>;

    /// These bytes are the next ones.
    async fn written(&mut self, bytes: &[Bytes]);

    /// All that was written is durable.
    ///
    /// # Errors
    /// `UploadGone` if somebody else writes by now, or the upload is over.
    async fn kept(&mut self, how: Persisted) -> Result<()>;
}

/// The row of a part that comes through this server.
#[async_trait]
pub trait PartObserver: Send {
    /// What was there counts no more: its bytes are about to be written over.
    async fn begins(&mut self) -> Result<()>;

    /// This many bytes are durable, and they are all.
    async fn written(&mut self, length: u64) -> Result<()>;
}
