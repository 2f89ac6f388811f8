//! A content's bytes as a response: 200, 206, 304, 412 or 416 (RFC 9110, sections 13 and 14). Every
//! door that gives bytes out ends here.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use headers::{HeaderMapExt, LastModified};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use uuid::Uuid;

use super::conditions::{Judgement, Validators};
use super::{digest, ranges};
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::files::{self, Content};
use crate::store::ByteStream;

/// How a content is presented.
pub struct Presentation {
    pub disposition: String,
    /// Instead of the content's own type.
    pub content_type: Option<String>,
    pub cache_control: String,
    /// What tells the trail of a download; none where everybody may read.
    pub event: Option<Event>,
}

/// What user content may do in a browser when it is opened on our origin: nothing.
const SANDBOX: &str = "sandbox; default-src 'none'";

/// Answers a GET or HEAD for a content that the caller was allowed to find.
///
/// # Errors
/// `PreconditionFailed`; `RangeNotSatisfiable`; what [`files::read`] fails with.
pub async fn respond(
    app: &Arc<App>,
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
        &Method::GET if validators.admit_range(request) => match request.get(header::RANGE).map(HeaderValue::to_str) {
            Some(Ok(text)) => ranges::parse(text, content.size, app.config.limits.ranges)?,
            _ => None,
        },
        _ => None,
    };
    match ranges.as_deref() {
        None => whole(app, method, content, head, presentation.event).await,
        Some([range]) => one_range(app, content, head, range.clone(), presentation.event).await,
        Some(ranges) => many_ranges(app, content, head, ranges, presentation.event).await,
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

async fn whole(
    app: &Arc<App>,
    method: &Method,
    content: &Content,
    mut headers: HeaderMap,
    event: Option<Event>,
) -> Result<Response> {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.size));
    // The digest of the whole representation (RFC 9530, section 3).
    headers.insert("repr-digest", HeaderValue::from_str(&digest::of(&content.sha256)).map_err(Error::internal)?);
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => body_of(app, files::read(app, content, 0..content.size).await?, event, content.size),
    };
    Ok((StatusCode::OK, headers, body).into_response())
}

async fn one_range(
    app: &Arc<App>,
    content: &Content,
    mut headers: HeaderMap,
    range: Range<u64>,
    event: Option<Event>,
) -> Result<Response> {
    let length = range.end - range.start;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_RANGE, content_range(&range, content.size)?);
    let event = event.map(|event| event.with("from", range.start));
    let body = body_of(app, files::read(app, content, range).await?, event, length);
    Ok((StatusCode::PARTIAL_CONTENT, headers, body).into_response())
}

/// Several ranges as `multipart/byteranges` (RFC 9110, section 14.6). The first part is opened before the
/// answer begins, so that a store that is away is still an honest 503; the others one deadline another.
async fn many_ranges(
    app: &Arc<App>,
    content: &Content,
    mut headers: HeaderMap,
    ranges: &[Range<u64>],
    event: Option<Event>,
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

    let mut parts = parts.into_iter();
    let first = match parts.next() {
        Some((head, range)) => with_head(head, files::read(app, content, range).await?),
        None => return Err(Error::RangeNotSatisfiable { size: content.size }),
    };
    let (owned, content) = (app.clone(), content.clone());
    let others = stream::iter(parts).then(move |(head, range)| {
        let (app, content) = (owned.clone(), content.clone());
        async move { Ok::<_, Error>(with_head(head, files::read(&app, &content, range).await?)) }
    });
    let bodies = first.chain(others.try_flatten()).chain(stream::once(async { Ok(end.into()) }));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&content_type).map_err(Error::internal)?);
    let event = event.map(|event| event.with("ranges", ranges.len()));
    Ok((StatusCode::PARTIAL_CONTENT, headers, body_of(app, Box::pin(bodies), event, length)).into_response())
}

fn with_head(head: String, bytes: ByteStream) -> ByteStream {
    Box::pin(stream::once(async { Ok(head.into()) }).chain(bytes))
}

/// An error in the middle cuts the connection, as the length was promised: never a short success.
fn body_of(app: &Arc<App>, stream: ByteStream, event: Option<Event>, length: u64) -> Body {
    let stream = stream.inspect_err(super::problem::log);
    match event {
        None => Body::from_stream(stream),
        Some(event) => {
            let mut download = Download { app: app.clone(), event, sent: 0, length };
            Body::from_stream(stream.inspect_ok(move |chunk| download.count(chunk.len())))
        }
    }
}

/// A download under way. However it ends, it is told to the trail: by whoever drops it.
struct Download {
    app: Arc<App>,
    event: Event,
    /// Bytes that were handed to the connection.
    sent: u64,
    length: u64,
}

impl Download {
    fn count(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let event = self.event.clone().with("bytes", self.sent);
        self.app.events.record(&event.with("complete", self.sent == self.length));
    }
}

fn content_range(range: &Range<u64>, size: u64) -> Result<HeaderValue> {
    let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    HeaderValue::from_str(&text).map_err(Error::internal)
}
