//! Giving bytes out.

use std::ops::Range;

use super::Content;
use crate::app::App;
use crate::error::Result;
use crate::store::ByteStream;

/// Opens bytes of a content that the caller was allowed to find. The range's end is exclusive; it
/// lies within the content. Nothing is asked of the store for an empty range.
///
/// # Errors
/// `Unavailable` if the store does not answer; `Internal` if the bytes are not there.
pub async fn read(app: &App, content: &Content, range: Range<u64>) -> Result<ByteStream> {
    if range.is_empty() {
        return Ok(Box::pin(futures_util::stream::empty()));
    }
    app.store.get(&content.key, range).await
}
