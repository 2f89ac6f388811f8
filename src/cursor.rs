//! Pages of lists, and the cursors between them. CallerCache treat their text as opaque.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The page that so many rows at most are on, and the cursor of the next one. The rows are one more than
/// that if there are so many: that one tells whether there is a next page.
pub fn page<T>(mut rows: Vec<T>, limit: usize, place: impl FnOnce(&T) -> String) -> (Vec<T>, Option<String>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(place);
    (rows, next)
}

/// The place of what has this id, in a list in the order of ids.
pub fn encode_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// # Errors
/// `BadCursor` if the text is none.
pub fn decode_id(cursor: &str) -> Result<Uuid> {
    cursor.parse().map_err(|_| Error::BadCursor)
}

/// The place of what has this time and id, in a list in the order of times.
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
