//! Lists of what is in a store.

use std::pin::Pin;

use futures_util::Stream;
use jiff::Timestamp;

use super::Key;
use crate::error::Result;

/// A list in transit. An error ends it; a caller that requires the whole list must start again.
pub type ListStream<T> = Pin<Box<dyn Stream<Item = Result<Listed<T>>> + Send>>;

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<T> {
    /// An entry whose name is a key.
    Ours(T),
    /// A name in the store that is not a key. Nothing in Strongroom creates, reads or deletes it.
    Foreign(String),
}

impl<T> Listed<T> {
    /// The entry, unless it is foreign.
    pub fn known(self) -> Option<T> {
        match self {
            Listed::Ours(found) => Some(found),
            Listed::Foreign(_) => None,
        }
    }
}

/// A complete object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: Key,
    /// In bytes.
    pub size: u64,
    /// When it was written, by the clock of the store.
    pub modified_at: Timestamp,
}

/// An incomplete upload: a multipart upload or a staged file. Its content is not visible yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// The key.
    pub key: Key,
    /// The store's id of a multipart upload; `None` for a staged file.
    pub id: Option<String>,
    /// When it was started, by the clock of the store.
    pub started_at: Timestamp,
}

/// A part of an upload that is not assembled yet. Some stores list both versions of a part that was
/// sent twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// From 1.
    pub number: u64,
    /// In bytes.
    pub size: u64,
    /// What assembling the parts requires: the part's ETag on S3.
    pub receipt: String,
    /// When it arrived, if the store reports it.
    pub modified_at: Option<Timestamp>,
}
