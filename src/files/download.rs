//! Reads content.

use std::ops::Range;

use super::Content;
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// Reads a range of bytes of content that the caller was allowed to find. The end of the range is exclusive and must
/// not exceed the size. An empty range does not reach the store. `block` is the size of the blocks in bytes, at most, as
/// far as the store decides it.
///
/// # Errors
/// [`Error::NotFound`] if the content was deleted in the meantime; [`Error::Unavailable`] if the store does not respond;
/// [`Error::Internal`] if the object of a ready blob is missing, which must never happen.
pub async fn read(app: &App, content: &Content, range: Range<u64>, block: usize) -> Result<ByteStream> {
    if range.is_empty() {
        return Ok(Box::pin(futures_util::stream::empty()));
    }
    match app.store.get_in_blocks(&content.key, range, block).await {
        Err(Error::NotFound) => match app.db.blob_state(content.key.as_str()).await?.as_deref() {
            Some("ready") => Err(Error::internal(format!("the object of the ready blob {} is missing", content.key))),
            _ => Err(Error::NotFound),
        },
        opened => opened,
    }
}
