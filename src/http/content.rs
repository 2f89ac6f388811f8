//! Content as a response: 200, 206, 304, 412 or 416 (RFC 9110, sections 13 and 14). A response is planned from the
//! metadata of the content and then sent: every endpoint that delivers content does both here.

mod send;

use std::ops::Range;
use std::time::SystemTime;

use headers::{HeaderMapExt, LastModified};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use uuid::Uuid;

use super::conditions::{Precondition, Validators};
use super::{digest, ranges};
use crate::error::{Error, Result};

pub use send::{DeliveryObserver, Progress, send};

/// The metadata of content before it is opened.
#[derive(Debug, Clone)]
pub struct ContentInfo {
    /// Bytes.
    pub size: u64,
    /// The strong validator, in its double quotes.
    pub etag: String,
    /// When these bytes became the content, if that is known.
    pub modified: Option<SystemTime>,
    /// The media type.
    pub content_type: String,
    /// The digest of all bytes, if it is known.
    pub sha256: Option<Vec<u8>>,
}

/// The presentation of content.
#[derive(Debug, Clone)]
pub struct Presentation {
    /// The value of `Content-Disposition`.
    pub disposition: String,
    /// Instead of the content's own type.
    pub content_type: Option<String>,
    /// The value of `Cache-Control`.
    pub cache_control: String,
}

/// The content security policy of user content: nothing may run when it is opened on our origin.
const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// A response before its content is opened.
#[derive(Debug)]
pub struct Plan {
    status: StatusCode,
    headers: HeaderMap,
    /// What the body consists of; nothing after HEAD, and in a 304.
    segments: Vec<Segment>,
    /// The bytes after the last segment.
    end: String,
}

/// A range of the content, and what precedes it in a body of several.
#[derive(Debug)]
struct Segment {
    head: String,
    range: Range<u64>,
}

impl Plan {
    /// Whether the status is 200 or 206, not 304.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Whether the body delivers ranges that the client asked for.
    pub fn is_partial(&self) -> bool {
        self.status == StatusCode::PARTIAL_CONTENT
    }

    /// The ranges of the content that the body delivers, in their order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.segments.iter().map(|segment| segment.range.clone())
    }

    /// Bytes of the body.
    pub fn length(&self) -> u64 {
        let bytes = |segment: &Segment| segment.head.len() as u64 + segment.range.end - segment.range.start;
        self.segments.iter().map(bytes).sum::<u64>() + self.end.len() as u64
    }

    fn without_body(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers, segments: Vec::new(), end: String::new() }
    }

    fn of_one(status: StatusCode, headers: HeaderMap, range: Range<u64>) -> Self {
        let segments = vec![Segment { head: String::new(), range }];
        Self { status, headers, segments, end: String::new() }
    }
}

/// Plans the response to a GET or HEAD for content that the caller was allowed to find. A request for more than
/// `max_ranges` ranges is refused.
///
/// # Errors
/// [`Error::PreconditionFailed`]; [`Error::RangeNotSatisfiable`].
pub fn plan(
    method: &Method,
    request: &HeaderMap,
    content: &ContentInfo,
    presentation: &Presentation,
    max_ranges: usize,
) -> Result<Plan> {
    let headers = response_headers(content, presentation)?;
    let validators = Validators::of(content);
    match validators.evaluate(request) {
        Precondition::Proceed => {}
        Precondition::NotModified => return Ok(Plan::without_body(StatusCode::NOT_MODIFIED, not_modified(headers))),
        Precondition::Failed => return Err(Error::PreconditionFailed),
    }
    let ranges = match method {
        // Range has a meaning for GET only (RFC 9110, section 14.2).
        &Method::GET if validators.admit_range(request) => match request.get(header::RANGE).map(HeaderValue::to_str) {
            Some(Ok(text)) => ranges::parse(text, content.size, max_ranges)?,
            _ => None,
        },
        _ => None,
    };
    match ranges.as_deref() {
        None => whole(method, content, headers),
        Some([range]) => one_range(content, headers, range.clone()),
        Some(ranges) => many_ranges(content, headers, ranges),
    }
}

fn response_headers(content: &ContentInfo, presentation: &Presentation) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let content_type = presentation.content_type.as_ref().unwrap_or(&content.content_type);
    let texts = [
        (header::CONTENT_TYPE, content_type.as_str()),
        (header::CONTENT_DISPOSITION, presentation.disposition.as_str()),
        (header::CACHE_CONTROL, presentation.cache_control.as_str()),
        (header::ETAG, content.etag.as_str()),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
    ];
    for (name, text) in texts {
        headers.insert(name, value(text)?);
    }
    content.modified.into_iter().for_each(|modified| headers.typed_insert(LastModified::from(modified)));
    Ok(headers)
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(Error::internal)
}

/// A 304 repeats the validators and nothing that describes a body (RFC 9110, section 15.4.5).
fn not_modified(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_DISPOSITION);
    headers
}

fn whole(method: &Method, content: &ContentInfo, mut headers: HeaderMap) -> Result<Plan> {
    headers.insert(header::CONTENT_LENGTH, content.size.into());
    // The digest of the whole representation (RFC 9530, section 3).
    if let Some(sha256) = &content.sha256 {
        headers.insert("repr-digest", value(&digest::of(sha256))?);
    }
    Ok(match *method {
        Method::HEAD => Plan::without_body(StatusCode::OK, headers),
        _ => Plan::of_one(StatusCode::OK, headers, 0..content.size),
    })
}

fn one_range(content: &ContentInfo, mut headers: HeaderMap, range: Range<u64>) -> Result<Plan> {
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    headers.insert(header::CONTENT_RANGE, value(&content_range(&range, content.size))?);
    Ok(Plan::of_one(StatusCode::PARTIAL_CONTENT, headers, range))
}

/// Several ranges as `multipart/byteranges` (RFC 9110, section 14.6).
fn many_ranges(content: &ContentInfo, mut headers: HeaderMap, ranges: &[Range<u64>]) -> Result<Plan> {
    let boundary = Uuid::new_v4().simple().to_string();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let segment = |range: &Range<u64>| {
        let content_range = content_range(range, content.size);
        let head =
            format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range}\r\n\r\n");
        Segment { head, range: range.clone() }
    };
    let (segments, end) = (ranges.iter().map(segment).collect(), format!("\r\n--{boundary}--\r\n"));
    headers.insert(header::CONTENT_TYPE, value(&format!("multipart/byteranges; boundary={boundary}"))?);
    let mut plan = Plan { status: StatusCode::PARTIAL_CONTENT, headers, segments, end };
    plan.headers.insert(header::CONTENT_LENGTH, plan.length().into());
    Ok(plan)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}
