//! What bytes are to become decides what is asked of them. Types that are not accepted are refused
//! by their first bytes, before the store has seen any.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::config::Limits;
use crate::error::Error;
use crate::files::is_picture;
use crate::files::sniff::{SNIFFED_BYTES, content_type};
use crate::store::ByteStream;

/// What bytes are to become, and so what is asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::files) enum Purpose {
    NewFile,
    NewContent,
    Avatar,
}

impl Purpose {
    /// The most bytes that there may be.
    pub fn limit(self, limits: &Limits) -> u64 {
        match self {
            Purpose::NewFile | Purpose::NewContent => limits.file_size,
            Purpose::Avatar => limits.avatar_size,
        }
    }

    /// Refuses what has not a type that these bytes may be of.
    pub fn filter_by_type(self, limits: &Limits, stream: ByteStream, hint: Option<String>) -> ByteStream {
        let allowed = limits.allowed_types.clone();
        match self {
            Purpose::Avatar => gated(stream, move |head| is_picture(&content_type(head, hint.as_deref()))),
            Purpose::NewFile | Purpose::NewContent if allowed.is_any() => stream,
            Purpose::NewFile | Purpose::NewContent => {
                gated(stream, move |head| allowed.admit(&content_type(head, hint.as_deref())))
            }
        }
    }
}

/// The beginning of a file's bytes, more of which may follow in other streams. If these are too few
/// to tell the type they pass; the whole is judged when all has come.
pub(in crate::files) fn filter_first_bytes(limits: &Limits, stream: ByteStream, hint: Option<String>) -> ByteStream {
    let allowed = limits.allowed_types.clone();
    if allowed.is_any() {
        return stream;
    }
    gated(stream, move |head| head.len() < SNIFFED_BYTES || allowed.admit(&content_type(head, hint.as_deref())))
}

/// The stream, if `admits` accepts its first bytes: as many as the type that is kept is told from.
fn gated(stream: ByteStream, admits: impl FnOnce(&[u8]) -> bool + Send + 'static) -> ByteStream {
    // A short body has come to its end here, and is asked once more by whoever reads on.
    let mut stream = stream.fuse();
    let opened = async move {
        let mut head = Vec::new();
        while head.len() < SNIFFED_BYTES
            && let Some(chunk) = stream.try_next().await?
        {
            head.extend_from_slice(&chunk);
        }
        if !admits(&head[..head.len().min(SNIFFED_BYTES)]) {
            return Err(Error::TypeRefused);
        }
        let head = (!head.is_empty()).then(|| Ok(head.into()));
        Ok(stream::iter(head).chain(stream))
    };
    Box::pin(stream::once(opened).try_flatten())
}
