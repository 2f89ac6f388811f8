//! Cursors of lists that are in the order of a time and an id. Callers treat their text as opaque.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The place of what has this time and id.
pub fn encode(time: i64, id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&time.to_be_bytes()[..], id.as_bytes()].concat())
}

/// # Errors
/// `BadCursor` if the text is none.
pub fn decode(cursor: &str) -> Result<(i64, Uuid)> {
    let decoded = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (time, id) = bytes.split_at_checked(8)?;
        Some((i64::from_be_bytes(time.try_into().ok()?), Uuid::from_slice(id).ok()?))
    };
    decoded().ok_or(Error::BadCursor)
}
