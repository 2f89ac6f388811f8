//! Giving bytes out.

use std::ops::Range;

use super::Content;
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// Opens bytes of a content that the caller was allowed to find. The range's end is exclusive; it
/// lies within the content. Nothing is asked of the store for an empty range.
///
/// # Errors
/// `NotFound` if the content was deleted meanwhile; `Unavailable` if the store does not answer;
/// `Internal` if a ready blob has no bytes, which must never be.
pub async fn read(app: &App, content: &Content, range: Range<u64>) -> Result<ByteStream> {
    if range.is_empty() {
        return Ok(Box::pin(futures_util::stream::empty()));
    }
    match app.store.get(&content.key, range).await {
        Err(Error::NotFound) => match app.db.blob_state(content.key.as_str()).await?.as_deref() {
            Some("ready") => Err(Error::internal(format!("the bytes of the ready blob {} are missing", content.key))),
            _ => Err(Error::NotFound),
        },
        opened => opened,
    }
}
