//! Digests in headers (RFC 9530).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;

use crate::error::{Error, Result};

/// A SHA-256 as the value of a digest field.
pub fn of(sha256: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256))
}

/// The SHA-256 in `Repr-Digest` or `Content-Digest`, if there is one. Other algorithms are ignored, as the RFC
/// allows.
///
/// # Errors
/// [`Error::Invalid`] if a SHA-256 is malformed, or there are two that differ.
pub fn announced(headers: &HeaderMap) -> Result<Option<Vec<u8>>> {
    let mut found: Option<Vec<u8>> = None;
    for name in ["repr-digest", "content-digest"] {
        for value in headers.get_all(name) {
            let bad = |detail| Error::invalid_header(name, "malformed", detail);
            let text = value.to_str().map_err(|_| bad("expected a dictionary of digests (RFC 9530)"))?;
            for member in text.split(',').map(str::trim) {
                let Some(encoded) = member.strip_prefix("sha-256=") else { continue };
                let bytes = encoded
                    .strip_prefix(':')
                    .and_then(|encoded| encoded.strip_suffix(':'))
                    .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
                    .filter(|bytes| bytes.len() == 32)
                    .ok_or_else(|| bad("expected sha-256=:<base64 of 32 bytes>:"))?;
                if found.replace(bytes.clone()).is_some_and(|before| before != bytes) {
                    return Err(bad("the two digest headers differ"));
                }
            }
        }
    }
    Ok(found)
}
