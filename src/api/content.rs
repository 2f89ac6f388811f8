//! A content's bytes as a response: 200, 206, 304, 412 or 416 (RFC 9110, sections 13 and 14). Every
//! door that gives bytes out ends here.

use std::ops::{Bound, Range};
use std::time::SystemTime;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream};
use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, Result};
use crate::files::{self, Content};
use crate::store::ByteStream;

/// How a content is presented.
pub struct Presentation {
    pub disposition: String,
    /// Instead of the content's own type.
    pub content_type: Option<String>,
    pub cache_control: String,
}

/// What user content may do in a browser when it is opened on our origin: nothing.
const SANDBOX: &str = "sandbox; default-src 'none'";

/// Answers a GET or HEAD for a content that the caller was allowed to find.
///
/// # Errors
/// `PreconditionFailed`; `RangeNotSatisfiable`; what [`files::read`] fails with.
pub async fn respond(
    app: &std::sync::Arc<App>,
    method: &Method,
    request: &HeaderMap,
    content: &Content,
    presentation: Presentation,
) -> Result<Response> {
    let head = response_headers(content, &presentation)?;
    let validators = Validators::of(content);
    match validators.judge(request) {
        Judgement::Go => {}
        Judgement::NotModified => return Ok((StatusCode::NOT_MODIFIED, not_modified(head)).into_response()),
        Judgement::Failed => return Err(Error::PreconditionFailed),
    }
    let ranges = match method {
        // Range has a meaning for GET alone (RFC 9110, section 14.2).
        &Method::GET => validators.ranges(request, content.size, app.config.limits.ranges)?,
        _ => None,
    };
    match ranges.as_deref() {
        None => whole(app, method, content, head).await,
        Some([range]) => one_range(app, content, head, range.clone()).await,
        Some(ranges) => many_ranges(app, content, head, ranges),
    }
}

fn response_headers(content: &Content, presentation: &Presentation) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let content_type = presentation.content_type.as_ref().unwrap_or(&content.content_type);
    let texts = [
        (header::CONTENT_TYPE, content_type.as_str()),
        (header::CONTENT_DISPOSITION, presentation.disposition.as_str()),
        (header::CACHE_CONTROL, presentation.cache_control.as_str()),
        (header::ETAG, &content.etag()),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
    ];
    for (name, text) in texts {
        headers.insert(name, HeaderValue::from_str(text).map_err(Error::internal)?);
    }
    headers.typed_insert(LastModified::from(SystemTime::from(content.modified_at)));
    Ok(headers)
}

/// A 304 repeats the validators and nothing that describes a body (RFC 9110, section 15.4.5).
fn not_modified(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_DISPOSITION);
    headers
}

async fn whole(app: &App, method: &Method, content: &Content, mut headers: HeaderMap) -> Result<Response> {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.size));
    // The digest of the whole representation (RFC 9530, section 3).
    let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(&content.sha256));
    headers.insert("repr-digest", HeaderValue::from_str(&digest).map_err(Error::internal)?);
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => body_of(files::read(app, content, 0..content.size).await?),
    };
    Ok((StatusCode::OK, headers, body).into_response())
}

async fn one_range(app: &App, content: &Content, mut headers: HeaderMap, range: Range<u64>) -> Result<Response> {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.insert(header::CONTENT_RANGE, content_range(&range, content.size)?);
    let body = body_of(files::read(app, content, range).await?);
    Ok((StatusCode::PARTIAL_CONTENT, headers, body).into_response())
}

/// Several ranges as `multipart/byteranges` (RFC 9110, section 14.6). The parts are opened one after another.
fn many_ranges(
    app: &std::sync::Arc<App>,
    content: &Content,
    mut headers: HeaderMap,
    ranges: &[Range<u64>],
) -> Result<Response> {
    let boundary = Uuid::new_v4().simple().to_string();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut length = 0;
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
            range.start,
            range.end - 1,
            content.size
        );
        length += head.len() as u64 + range.end - range.start;
        parts.push((head, range.clone()));
    }
    let end = format!("\r\n--{boundary}--\r\n");
    length += end.len() as u64;

    let (app, content) = (app.clone(), content.clone());
    let bodies = stream::iter(parts).then(move |(head, range)| {
        let (app, content) = (app.clone(), content.clone());
        async move {
            let bytes = files::read(&app, &content, range).await?;
            Ok::<ByteStream, Error>(Box::pin(stream::once(async { Ok(head.into()) }).chain(bytes)))
        }
    });
    let bodies = bodies.try_flatten().chain(stream::once(async { Ok(end.into()) }));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&content_type).map_err(Error::internal)?);
    Ok((StatusCode::PARTIAL_CONTENT, headers, body_of(Box::pin(bodies))).into_response())
}

/// An error in the middle cuts the connection, as the length was promised: never a short success.
fn body_of(stream: ByteStream) -> Body {
    Body::from_stream(stream.inspect_err(super::error::log))
}

fn content_range(range: &Range<u64>, size: u64) -> Result<HeaderValue> {
    let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    HeaderValue::from_str(&text).map_err(Error::internal)
}

/// What the preconditions of a request come to.
enum Judgement {
    Go,
    NotModified,
    Failed,
}

/// What the caller may compare with.
struct Validators {
    etag: Option<ETag>,
    modified: SystemTime,
}

impl Validators {
    fn of(content: &Content) -> Self {
        Self { etag: content.etag().parse().ok(), modified: SystemTime::from(content.modified_at) }
    }

    /// The order of evaluation is that of RFC 9110, section 13.2.2.
    fn judge(&self, request: &HeaderMap) -> Judgement {
        let Some(etag) = &self.etag else { return Judgement::Go };
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
        Judgement::Go
    }

    /// The ranges to answer with, or `None` for the whole.
    fn ranges(&self, request: &HeaderMap, size: u64, most: usize) -> Result<Option<Vec<Range<u64>>>> {
        if let Some(condition) = request.typed_get::<IfRange>() {
            let last_modified = LastModified::from(self.modified);
            if condition.is_modified(self.etag.as_ref(), Some(&last_modified)) {
                return Ok(None);
            }
        }
        match request.get(header::RANGE).map(HeaderValue::to_str) {
            Some(Ok(text)) => parse_ranges(text, size, most),
            _ => Ok(None),
        }
    }
}

/// Reads a Range header. A unit that is not `bytes` is ignored, as RFC 9110 section 14.2 demands;
/// a malformed set, or one that would cost more than it serves, is refused.
fn parse_ranges(text: &str, size: u64, most: usize) -> Result<Option<Vec<Range<u64>>>> {
    let refused = Error::RangeNotSatisfiable { size };
    if !text.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case("bytes=")) {
        return Ok(None);
    }
    let Some(specs) = text[6..].split(',').map(|spec| parse_spec(spec.trim())).collect::<Option<Vec<_>>>() else {
        return Err(refused);
    };
    if specs.len() > most {
        return Err(refused);
    }
    let ranges: Vec<Range<u64>> = specs.into_iter().filter_map(|spec| resolve(spec, size)).collect();
    let total = ranges.iter().map(|range| range.end - range.start).fold(0, u64::saturating_add);
    if ranges.is_empty() || total > size.saturating_mul(2) {
        return Err(refused);
    }
    Ok(Some(ranges))
}

/// `first-last`, `first-` or `-suffix`, as bounds; a suffix is an excluded start without an end.
fn parse_spec(spec: &str) -> Option<(Bound<u64>, Bound<u64>)> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a number beyond every content.
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first, last) {
        ("", "") => None,
        ("", suffix) => Some((Bound::Excluded(number(suffix)?), Bound::Unbounded)),
        (first, "") => Some((Bound::Included(number(first)?), Bound::Unbounded)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((Bound::Included(first), Bound::Included(last)))
        }
    }
}

/// The bytes of a content that a spec means, if there are any.
fn resolve(spec: (Bound<u64>, Bound<u64>), size: u64) -> Option<Range<u64>> {
    let range = match spec {
        (Bound::Excluded(suffix), _) => size.saturating_sub(suffix)..size,
        (Bound::Included(first), Bound::Included(last)) => first..last.saturating_add(1).min(size),
        (Bound::Included(first), _) => first..size,
        (Bound::Unbounded, _) => 0..size,
    };
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let ranges = |text| {
            let found = parse_ranges(text, 1000, 10).ok().flatten()?;
            Some(found.into_iter().map(|range| (range.start, range.end)).collect::<Vec<_>>())
        };
        assert_eq!(ranges("bytes=0-99"), Some(vec![(0, 100)]));
        assert_eq!(ranges("BYTES=900-"), Some(vec![(900, 1000)]));
        assert_eq!(ranges("bytes=-100"), Some(vec![(900, 1000)]));
        assert_eq!(ranges("bytes=-2000"), Some(vec![(0, 1000)]));
        assert_eq!(ranges("bytes=0-0, 500-1999"), Some(vec![(0, 1), (500, 1000)]));
        assert_eq!(ranges("bytes=0-0,2000-"), Some(vec![(0, 1)]));
        assert!(parse_ranges("lines=1-2", 1000, 10).unwrap().is_none());
        for refused in ["bytes=", "bytes=a-b", "bytes=9-1", "bytes=1000-", "bytes=-0", "bytes=--1", "bytes=0-,0-,0-"] {
            assert!(parse_ranges(refused, 1000, 10).is_err(), "{refused}");
        }
        assert!(parse_ranges("bytes=0-", 0, 10).is_err());
    }

    proptest! {
        #[test]
        fn no_range_reaches_out_of_the_content(text in "bytes=[-0-9, ]{0,40}|.*", size in 0u64..5000) {
            if let Ok(Some(ranges)) = parse_ranges(&text, size, 10) {
                prop_assert!(!ranges.is_empty());
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
            }
        }
    }
}
