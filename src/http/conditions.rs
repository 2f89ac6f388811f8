//! The conditions of a request (RFC 9110, section 13).

use std::borrow::Cow;
use std::time::SystemTime;

use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince, LastModified};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::content::ContentInfo;
use crate::error::{Error, Result};

/// The result of the preconditions of a request.
pub enum Precondition {
    /// The request is carried out.
    Proceed,
    /// 304: what the client has is still valid.
    NotModified,
    /// 412: a precondition does not hold.
    Failed,
}

/// The validators of the content that preconditions are compared with.
pub struct Validators {
    etag: Option<ETag>,
    modified: Option<SystemTime>,
}

impl Validators {
    /// Without an entity tag if the content has none that is valid.
    pub fn of(content: &ContentInfo) -> Self {
        Self { etag: content.etag.parse().ok(), modified: content.modified }
    }

    /// The order of evaluation is that of RFC 9110, section 13.2.2.
    pub fn evaluate(&self, request: &HeaderMap) -> Precondition {
        let Some(etag) = &self.etag else { return Precondition::Proceed };
        if let Some(condition) = own_etags(request, header::IF_MATCH).typed_get::<IfMatch>() {
            if !condition.precondition_passes(etag) {
                return Precondition::Failed;
            }
        } else if let Some(condition) = request.typed_get::<IfUnmodifiedSince>()
            && self.modified.is_some_and(|modified| !condition.precondition_passes(modified))
        {
            return Precondition::Failed;
        }
        if let Some(condition) = own_etags(request, header::IF_NONE_MATCH).typed_get::<IfNoneMatch>() {
            if !condition.precondition_passes(etag) {
                return Precondition::NotModified;
            }
        } else if let Some(condition) = request.typed_get::<IfModifiedSince>()
            && self.modified.is_some_and(|modified| !condition.is_modified(modified))
        {
            return Precondition::NotModified;
        }
        Precondition::Proceed
    }

    /// Whether `If-Range` allows a range: it has exactly the current ETag or date. A weak ETag never
    /// matches (RFC 9110, section 13.1.5).
    pub fn admit_range(&self, request: &HeaderMap) -> bool {
        let Some(condition) = request.get(header::IF_RANGE) else { return true };
        let mut own = HeaderMap::new();
        self.modified.into_iter().for_each(|modified| own.typed_insert(LastModified::from(modified)));
        if let Some(etag) = &self.etag {
            own.typed_insert(etag.clone());
        }
        [header::ETAG, header::LAST_MODIFIED].iter().any(|name| own.get(name) == Some(condition))
    }
}

/// This header of a request with the ETags in the form in which this server issues them.
fn own_etags(request: &HeaderMap, name: HeaderName) -> HeaderMap {
    let mut own = HeaderMap::new();
    for value in request.get_all(&name) {
        let rewritten = value.to_str().ok().map(|text| {
            let etags: Vec<_> = text.split(',').map(|etag| own_etag(etag.trim())).collect();
            HeaderValue::from_str(&etags.join(", "))
        });
        own.append(&name, rewritten.and_then(Result::ok).unwrap_or_else(|| value.clone()));
    }
    own
}

/// What proxies append to an ETag when they compress: Apache, Jetty and others.
const CODING_SUFFIXES: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

/// The ETag as this server issues it, if a proxy that compresses responses weakened or extended it. Ours is the digest of
/// the content: with whatever coding it was read, it is the same content, so that it counts as strong
/// (unlike RFC 9110, section 13.1.1).
fn own_etag(etag: &str) -> Cow<'_, str> {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let opaque = etag.strip_prefix("W/").unwrap_or(etag);
    // Apache once put the suffix behind the quotes.
    let Some((digest, suffix)) = opaque.strip_prefix('"').and_then(|rest| rest.split_at_checked(64)) else {
        return etag.into();
    };
    let suffix = suffix.replace('"', "");
    let coding = suffix.trim_start_matches(['-', ';', ':', '+']);
    match is_digest(digest) && (suffix.is_empty() || CODING_SUFFIXES.contains(&coding)) {
        true => format!("\"{digest}\"").into(),
        false => etag.into(),
    }
}

/// The value of `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any content.
    Any,
    /// ETags with their double quotes.
    OneOf(Vec<String>),
}

/// The ETags in `If-Match`, if it is there, in the form in which this server issues them.
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
            etags.push(own_etag(etag).into_owned());
        }
    }
    Ok((!etags.is_empty()).then_some(EntityTags::OneOf(etags)))
}

#[cfg(test)]
mod tests {
    use super::own_etag;

    #[test]
    fn an_etag_that_went_through_a_proxy_is_the_one_that_was_issued() {
        let digest = "0a".repeat(32);
        let own = format!("\"{digest}\"");
        for form in ["W/\"D\"", "\"D-gzip\"", "\"D;gzip\"", "\"D--gzip\"", "W/\"D-br\"", "\"D\"-gzip", "\"D\""] {
            assert_eq!(own_etag(&form.replace('D', &digest)), own, "{form}");
        }
        for other in ["\"D-other\"", "\"x\"", "W/\"x\"", "*", "D", "\"Dx\""] {
            assert_ne!(own_etag(&other.replace('D', &digest)), own, "{other}");
        }
    }
}
