//! Pages of other origins: which of them may call the API (CORS), and which of their requests are refused because a
//! browser may have added a cookie to them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowHeaders, CorsLayer};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use super::v1::SIGNED_PREFIX;
use crate::config::Config;
use crate::error::Error;

/// How long browsers cache the answer to a preflight request; none caches it for longer.
const PREFLIGHT_AGE: Duration = Duration::from_secs(2 * 60 * 60);

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Response headers that pages of the allowed origins may read, in addition to those that browsers always expose.
const EXPOSED: [HeaderName; 26] = [
    header::ACCEPT_RANGES,
    header::ALLOW,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::DATE,
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("strongroom-conflict"),
    HeaderName::from_static("strongroom-file-id"),
    HeaderName::from_static("tus-checksum-algorithm"),
    HeaderName::from_static("tus-extension"),
    HeaderName::from_static("tus-max-size"),
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("tus-version"),
    HeaderName::from_static("upload-defer-length"),
    HeaderName::from_static("upload-expires"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-concat"),
    HeaderName::from_static("x-request-id"),
];

/// Refuses what the check for requests from other sites refuses.
type CrossSiteCheck = CsrfLayer<fn(ProtectionError) -> Response>;

/// What decides about a request from a page of another origin.
#[derive(Clone)]
struct Rules {
    check: CrossSiteCheck,
    cors: CorsLayer,
    allowed: Arc<[String]>,
}

/// The router with the rules for pages of other origins around it.
pub fn guarded<S: Clone + Send + Sync + 'static>(router: Router<S>, config: &Config) -> Router<S> {
    let rules = Rules { check: check(config), cors: cors(config), allowed: config.allowed_origins.as_slice().into() };
    let router = router.layer(from_fn_with_state(rules.clone(), refuse_cross_site));
    match rules.allowed.is_empty() {
        true => router,
        false => router.layer(from_fn_with_state(rules, answer_origins)),
    }
}

/// Adds what browsers ask for to the responses of the API, and answers preflight requests.
async fn answer_origins(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    // Without this header, OPTIONS is a request of a tus client.
    let is_other = request.method() == Method::OPTIONS && !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    match is_api(request.uri().path()) && !is_other {
        true => through(&rules.cors, request, next).await,
        false => next.run(request).await,
    }
}

/// Refuses requests that change something, come from the page of another site (Sec-Fetch-Site and Origin), and may be
/// accepted for the sake of a cookie.
async fn refuse_cross_site(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    match needs_check(&request, &rules.allowed) {
        true => through(&rules.check, request, next).await,
        false => next.run(request).await,
    }
}

/// No page of another site can add a token without a preflight request. Without a cookie there is nothing to misuse,
/// except that a response can set one: when it signs in or unlocks a link. Signed URLs prove themselves.
fn needs_check(request: &Request, allowed: &[String]) -> bool {
    let (headers, path) = (request.headers(), request.uri().path());
    if path.starts_with(SIGNED_PREFIX) || has_token(headers) {
        return false;
    }
    let sets_cookie = path.starts_with("/v1/auth/") || !is_api(path);
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let is_allowed = is_api(path) && origin.is_some_and(|origin| allowed.iter().any(|allowed| allowed == origin));
    headers.contains_key(header::COOKIE) || (sets_cookie && !is_allowed)
}

fn has_token(headers: &HeaderMap) -> bool {
    let value = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    value.and_then(|value| value.get(..7)).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

/// Whether a path belongs to the API. Share links and pages are for people; signed URLs may be used from anywhere.
fn is_api(path: &str) -> bool {
    (path.starts_with("/v1/") && !path.starts_with(SIGNED_PREFIX))
        || ["/openapi.json", "/healthz", "/readyz"].contains(&path)
}

async fn through<L>(layer: &L, request: Request, next: Next) -> Response
where
    L: Layer<Next>,
    L::Service: Service<Request, Response = Response, Error = Infallible>,
{
    layer.layer(next).oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn check(config: &Config) -> CrossSiteCheck {
    let layer = CsrfLayer::new();
    let origin = config.public_url.origin().ascii_serialization();
    let layer = layer.clone().add_trusted_origin(origin).unwrap_or(layer);
    let refuse: fn(ProtectionError) -> Response = |_| Error::CrossSite.into_response();
    layer.with_rejection_response(refuse)
}

/// Never with credentials: a page of another origin has to bring a token.
fn cors(config: &Config) -> CorsLayer {
    let allowed = config.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(allowed.collect::<Vec<_>>())
        .allow_methods(METHODS)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(PREFLIGHT_AGE)
}
