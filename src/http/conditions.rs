//! The conditions of a request (RFC 9110, section 13).

use std::time::SystemTime;

use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince, LastModified};
use http::{HeaderMap, header};

use super::content::ContentInfo;
use crate::error::{Error, Result};

/// The result of the preconditions of a request.
pub enum Judgement {
    /// The request is carried out.
    Proceed,
    /// 304: what the client has is still valid.
    NotModified,
    /// 412: a precondition does not hold.
    Failed,
}

/// The validators of a content, with which preconditions are compared.
pub struct Validators {
    etag: Option<ETag>,
    modified: SystemTime,
}

impl Validators {
    /// Without an entity tag if the content has none that is valid.
    pub fn of(content: &ContentInfo) -> Self {
        Self { etag: content.etag.parse().ok(), modified: content.modified }
    }

    /// The order of evaluation is that of RFC 9110, section 13.2.2.
    pub fn judge(&self, request: &HeaderMap) -> Judgement {
        let Some(etag) = &self.etag else { return Judgement::Proceed };
        if let Some(condition) = request.typed_get::<IfMatch>() {
            if !condition.precondition_passes(etag) {
                return Judgement::Failed;
            }
        } else if let Some(condition) = request.typed_get::<IfUnmodifiedSince>()
            && !condition.precondition_passes(self.modified)
        {
            return Judgement::Failed;
        }
        if let Some(condition) = request.typed_get::<IfNoneMatch>() {
            if !condition.precondition_passes(etag) {
                return Judgement::NotModified;
            }
        } else if let Some(condition) = request.typed_get::<IfModifiedSince>()
            && !condition.is_modified(self.modified)
        {
            return Judgement::NotModified;
        }
        Judgement::Proceed
    }

    /// Whether `If-Range` lets a range be answered: its ETag or date is exactly ours. A weak ETag
    /// or another date never is (RFC 9110, section 13.1.5).
    pub fn admit_range(&self, request: &HeaderMap) -> bool {
        let Some(condition) = request.get(header::IF_RANGE) else { return true };
        let mut own = HeaderMap::new();
        own.typed_insert(LastModified::from(self.modified));
        if let Some(etag) = &self.etag {
            own.typed_insert(etag.clone());
        }
        [header::ETAG, header::LAST_MODIFIED].iter().any(|name| own.get(name) == Some(condition))
    }
}

/// The value of `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any content.
    Any,
    /// ETags as they were sent, with their double quotes.
    OneOf(Vec<String>),
}

/// The ETags in `If-Match`, if it is there. A weak one never matches (RFC 9110, section 13.1.1).
///
/// # Errors
/// [`Error::Invalid`] if the header is malformed.
pub fn if_match(headers: &HeaderMap) -> Result<Option<EntityTags>> {
    let mut etags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let bad = || Error::invalid_header("if-match", "malformed", "expected `*`, or ETags in double quotes");
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            return Ok(Some(EntityTags::Any));
        }
        for etag in text.split(',').map(str::trim) {
            let opaque = etag.strip_prefix("W/").unwrap_or(etag);
            if opaque.len() < 2 || !opaque.starts_with('"') || !opaque.ends_with('"') {
                return Err(bad());
            }
            etags.push(etag.to_owned());
        }
    }
    Ok((!etags.is_empty()).then_some(EntityTags::OneOf(etags)))
}
