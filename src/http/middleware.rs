//! Middleware around every request: request id, access log, problem bodies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use http_body::Body as _;
use tracing::Instrument;

use super::activity::OpenRequest;
use super::body;
use super::problem::Problem;
use super::request_memory::HoldsMemory;
use crate::budget::MemoryBudget;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Characters of the path in a problem, at most.
const INSTANCE_LENGTH: usize = 2048;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The state of the middleware.
#[derive(Debug)]
pub struct Context {
    /// The source of request ids.
    pub clock: Clock,
    /// The `type` of a problem without its code, as an absolute URL.
    pub problem_base: String,
    /// How long an HTTP/2 client may read nothing of a response.
    pub send_timeout: Duration,
    /// How long browsers must use only HTTPS, where clients reach this server by HTTPS (RFC 6797).
    pub hsts: Option<Duration>,
    /// The memory of requests.
    pub memory: Arc<MemoryBudget>,
}

tokio::task_local! {
    static VERSION: Version;
}

/// Whether the current request came over HTTP/2, where each of many streams may stall with its buffers.
pub fn is_http2() -> bool {
    VERSION.try_with(|version| *version == Version::HTTP_2).unwrap_or(false)
}

/// Gives the request an id, logs its outcome, and completes a problem with what only the request knows. The log has
/// the route, never the path or the query: these may have secrets.
pub async fn observe(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let id = context.clock.new_id().to_string();
    let method = request.method().clone();
    let path = request.uri().path().chars().take(INSTANCE_LENGTH).collect::<String>();
    let route = request.extensions().get::<MatchedPath>().map_or("-".to_owned(), |route| route.as_str().to_owned());
    let version = request.version();
    let open = request.extensions().get::<Arc<OpenRequest>>().cloned().unwrap_or_default();
    let started = Instant::now();
    let span = tracing::info_span!("request", id, %method, route);

    let response = VERSION.scope(version, next.run(request)).instrument(span.clone()).await;
    let mut response = complete_problem(response, &context.problem_base, &path, &id);
    if version == Version::HTTP_2 && !response.body().is_end_stream() {
        let (memory, holds) = (context.memory.clone(), response.extensions().get::<HoldsMemory>().is_some());
        let must_yield = move || holds && memory.is_contended();
        let release = move || open.release();
        response = response.map(|whole| body::with_send_timeout(whole, context.send_timeout, must_yield, release));
    }
    span.in_scope(|| {
        let milliseconds = started.elapsed().as_millis() as u64;
        tracing::info!(status = response.status().as_u16(), milliseconds, "request finished");
    });
    let headers = response.headers_mut();
    protect(headers, context.hsts);
    // Responses are not cached, unless the handler sets another policy.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// Security headers, unless the handler has set its own.
fn protect(headers: &mut HeaderMap, hsts: Option<Duration>) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    // A script of the page would apply a policy of its own to the worker that it becomes.
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_none_or(|content_type| content_type.starts_with(b"application/") && ends_in_json(content_type)) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NO_PAGE));
    }
    let age = hsts.and_then(|age| HeaderValue::try_from(format!("max-age={}", age.as_secs())).ok());
    age.into_iter().for_each(|age| drop(headers.insert(header::STRICT_TRANSPORT_SECURITY, age)));
}

/// The policy of responses that are not pages: they load nothing and cannot be framed.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

fn ends_in_json(content_type: &[u8]) -> bool {
    content_type.split(|byte| *byte == b';').next().is_some_and(|essence| essence.trim_ascii().ends_with(b"json"))
}

fn complete_problem(mut response: Response, base: &str, path: &str, id: &str) -> Response {
    // 405 comes from the router itself, with `Allow` and without a body.
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => {
            Some(Problem::new("method_not_allowed", "method not allowed for this resource"))
        }
        _ => None,
    });
    let Some(problem) = problem else { return response };
    let (content_type, body) = problem.complete(base, path, id);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Body::from(body);
    response
}

/// Refuses bodies with a content coding: content would be stored as it was sent, and its coding forgotten.
///
/// # Errors
/// [`Error::EncodedBody`].
pub async fn refuse_encoded_bodies(request: Request, next: Next) -> Result<Response> {
    check_coding(request.headers())?;
    Ok(next.run(request).await)
}

/// # Errors
/// [`Error::EncodedBody`] if the headers declare a content coding.
pub(super) fn check_coding(headers: &HeaderMap) -> Result<()> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = codings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_identity = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    match codings.map(<[u8]>::trim_ascii).find(|coding| !is_identity(coding)) {
        None => Ok(()),
        Some(coding) => Err(Error::EncodedBody { coding: coding.escape_ascii().take(32).map(char::from).collect() }),
    }
}

/// The response when a handler panicked: only this request fails.
pub fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(cause, "a handler panicked");
    Problem::new("internal", "internal server error").into_response()
}
