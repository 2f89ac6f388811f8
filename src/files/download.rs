//! Reads content.

use std::ops::Range;

use super::Content;
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::{ByteStream, Key};

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
    read_key(app, &content.key, range, block).await
}

/// The same, of the content with this key.
///
/// # Errors
/// Those of [`read`].
pub(super) async fn read_key(app: &App, key: &Key, range: Range<u64>, block: usize) -> Result<ByteStream> {
    match app.store.get_in_blocks(key, range, block).await {
        Err(Error::NotFound) => match app.db.blob_state(key.as_str()).await?.as_deref() {
            Some("ready") => Err(Error::internal(format!("the object of the ready blob {key} is missing"))),
            _ => Err(Error::NotFound),
        },
        opened => opened,
    }
}
