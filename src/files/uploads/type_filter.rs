//! Detects the content type of a body by its first bytes, and rejects types that are not allowed before the store
//! receives anything.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::config::Limits;
use crate::error::{Error, Result};
use crate::files::sniff::{MOST_SNIFFED_BYTES, content_type, is_picture, sniffed_bytes};
use crate::store::ByteStream;

/// The purpose of an upload, which determines its allowed types and its maximum size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::files) enum Purpose {
    NewFile,
    NewContent,
    Avatar,
}

impl Purpose {
    /// The largest size in bytes.
    pub fn limit(self, limits: &Limits) -> u64 {
        match self {
            Purpose::NewFile | Purpose::NewContent => limits.file_size,
            Purpose::Avatar => limits.avatar_size,
        }
    }

    /// # Errors
    /// [`Error::TypeRefused`] if the type is not allowed for this purpose.
    pub fn check_type(self, limits: &Limits, content_type: &str) -> Result<()> {
        let allowed = match self {
            Purpose::NewFile | Purpose::NewContent => limits.allowed_types.admit(content_type),
            Purpose::Avatar => is_picture(content_type),
        };
        if allowed { Ok(()) } else { Err(Error::TypeRefused) }
    }
}

/// A stream whose first bytes were read to detect the content type.
pub(super) struct Detected {
    pub content_type: String,
    /// Whether more bytes could not change the type.
    pub is_final: bool,
    /// All bytes, including the first ones.
    pub stream: ByteStream,
}

/// Reads as much of the stream as its content type depends on. `hint` is the type that the client declared.
///
/// # Errors
/// The error of the stream.
pub(super) async fn detect(stream: ByteStream, hint: Option<&str>) -> Result<Detected> {
    // A short stream has ended by then, and is polled again by its reader.
    let mut stream = stream.fuse();
    let (mut head, mut chunks) = (Vec::new(), Vec::<Bytes>::new());
    let mut wanted = sniffed_bytes(&head);
    while head.len() < wanted
        && let Some(chunk) = stream.try_next().await?
    {
        head.extend_from_slice(&chunk[..chunk.len().min(MOST_SNIFFED_BYTES - head.len())]);
        chunks.push(chunk);
        if head.len() >= wanted {
            wanted = sniffed_bytes(&head);
        }
    }
    let content_type = content_type(&head, hint);
    let stream = Box::pin(stream::iter(chunks.into_iter().map(Ok)).chain(stream));
    Ok(Detected { content_type, is_final: head.len() >= wanted, stream })
}

/// The first append of a resumable upload. If its bytes are too few to detect the type they pass: the type of the whole
/// is checked when the upload is complete.
///
/// # Errors
/// [`Error::TypeRefused`]; the error of the stream.
pub(super) async fn filter_first_append(limits: &Limits, stream: ByteStream, hint: Option<&str>) -> Result<ByteStream> {
    if limits.allowed_types.is_any() {
        return Ok(stream);
    }
    let Detected { content_type, is_final, stream } = detect(stream, hint).await?;
    if is_final {
        Purpose::NewFile.check_type(limits, &content_type)?;
    }
    Ok(stream)
}
