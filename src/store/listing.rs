//! What a store holds, as the store itself tells.

use std::pin::Pin;

use futures_util::Stream;
use jiff::Timestamp;

use super::Key;
use crate::error::Result;

/// A list on its way. An error ends it; whoever needs the whole of it begins anew.
pub type ListStream<T> = Pin<Box<dyn Stream<Item = Result<Listed<T>>> + Send>>;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<T> {
    Ours(T),
    /// A name that cannot be one of ours, told as the store calls it: somebody else put it there,
    /// and nothing here ever touches it.
    Foreign(String),
}

impl<T> Listed<T> {
    /// What was found, if it is ours.
    pub fn ours(self) -> Option<T> {
        match self {
            Listed::Ours(found) => Some(found),
            Listed::Foreign(_) => None,
        }
    }
}

/// Bytes that are visible under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: Key,
    /// Bytes.
    pub size: u64,
    pub modified_at: Timestamp,
}

/// Bytes on their way to a key, which nobody sees yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    pub key: Key,
    /// The store's id of a multipart upload; a staged file has none.
    pub id: Option<String>,
    pub started_at: Timestamp,
}

/// A part of an upload that is not put together yet. Some stores keep one that was sent again beside
/// its successor, and list both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// From 1.
    pub number: u64,
    /// Bytes.
    pub size: u64,
    /// What the store gave for it and wants back when the parts are put together.
    pub receipt: String,
    /// When it arrived, where the store tells.
    pub modified_at: Option<Timestamp>,
}
