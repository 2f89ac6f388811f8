//! Requests for signed URLs, the URLs, and what both signers share.

use std::time::Duration;

use hmac::{Hmac, KeyInit};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use super::Key;

/// The operation that a signed URL permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read the content.
    Get,
    /// Read the headers.
    Head,
    /// Write an object that does not exist, or a part.
    Put,
}

impl Operation {
    /// The HTTP method, as it is signed.
    pub fn method(self) -> &'static str {
        match self {
            Operation::Get => "GET",
            Operation::Head => "HEAD",
            Operation::Put => "PUT",
        }
    }

    /// The name in this server's own signed URLs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::Head => "head",
            Operation::Put => "put",
        }
    }

    /// The operation with this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Operation::Get, Operation::Head, Operation::Put].into_iter().find(|operation| operation.as_str() == name)
    }
}

/// The parameters of a URL to sign.
#[derive(Debug)]
pub struct SignRequest<'a> {
    /// The permitted operation.
    pub operation: Operation,
    /// The key of the object.
    pub key: &'a Key,
    /// The time of signing. Lists round it down, so that a file has the same URL for a while and can
    /// be cached.
    pub now: Timestamp,
    /// The lifetime of the URL: whole seconds, at least one second and at most seven days.
    pub expires_in: Duration,
    /// The `Content-Disposition` of the response (GET and HEAD).
    pub disposition: Option<&'a str>,
    /// The `Content-Type` of the response (GET and HEAD).
    pub content_type: Option<&'a str>,
    /// The part of a direct upload that may be written (PUT).
    pub part: Option<PartTarget<'a>>,
    /// This server's own URLs are revoked when the number changes; those of a bucket do not have it.
    pub generation: i64,
}

/// A part of a direct upload.
#[derive(Debug, Clone, Copy)]
pub struct PartTarget<'a> {
    /// From 1.
    pub number: u64,
    /// The store's id of the multipart upload, if it has one.
    pub multipart_id: Option<&'a str>,
}

impl SignRequest<'_> {
    const WEEK: u64 = 7 * 24 * 60 * 60;

    /// The lifetime of the URL in seconds.
    pub(super) fn lifetime(&self) -> u64 {
        self.expires_in.as_secs().clamp(1, Self::WEEK)
    }

    /// When the URL expires, on a whole second.
    pub(super) fn expiry(&self) -> Timestamp {
        let seconds = self.now.as_second().saturating_add_unsigned(self.lifetime());
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    }
}

/// A signed URL, and what must be sent with it.
#[derive(Debug, Clone)]
pub struct SignedUrl {
    /// The URL, with its signature.
    pub url: String,
    /// The HTTP method that it is valid for.
    pub method: &'static str,
    /// Headers that the request must carry with exactly these values.
    pub headers: Vec<(&'static str, String)>,
    /// When it expires, on a whole second.
    pub expires_at: Timestamp,
}

/// What is escaped in a query: everything but the unreserved characters of RFC 3986.
pub(super) const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends a parameter, which is not the first, to a URL.
pub(super) fn push_parameter(url: &mut String, name: &str, value: &str) {
    url.push('&');
    url.push_str(name);
    url.push('=');
    url.extend(utf8_percent_encode(value, QUERY));
}

/// HMAC-SHA256 with this key.
pub(super) fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC accepts keys of any length")
}
