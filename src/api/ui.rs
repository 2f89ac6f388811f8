//! The web page, as the crate `web/` embeds it: public assets only, which are not part of the description of the API.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use strongroom_web::{Asset, asset};

use super::html::escaped;
use crate::app::App;
use crate::error::Error;
use crate::files::uploads;
use crate::hex::hex;

/// The paths that the page routes itself.
const SCREENS: &[&str] = &[
    "/",
    "/files",
    "/files/{*path}",
    "/search",
    "/trash",
    "/links",
    "/account",
    "/activity",
    "/admin",
    "/admin/{screen}",
];

/// The content security policy of the page: its own scripts, requests to this server, and no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    media-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; connect-src 'self'";
/// The policy of the API reference, a third-party page with inline styles.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// For files whose name changes with their content.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// For files that are revalidated.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// The routes of this file.
pub fn routes(app: &App) -> Router<Arc<App>> {
    let base = app.config.public_url.path().trim_end_matches('/');
    let mut router = Router::new()
        .route("/docs", page("docs.html", base, HeaderValue::from_static(DOCS_POLICY)))
        .route("/assets/{*file}", get(file))
        .route("/icon.svg", get(file));
    let policy = policy(app);
    for screen in SCREENS {
        router = router.route(screen, page("index.html", base, policy.clone()));
    }
    router
}

/// [`POLICY`], with the bucket if large files are uploaded to it directly.
fn policy(app: &App) -> HeaderValue {
    let bucket = uploads::public_bucket(app).map(|bucket| {
        // A path that ends with a slash matches all below it. These two characters would end the source.
        let bucket = bucket.as_str().trim_end_matches('/').replace(';', "%3B").replace(',', "%2C");
        format!(" {bucket}/")
    });
    let policy = format!("{POLICY}{}", bucket.unwrap_or_default());
    HeaderValue::try_from(policy).expect("a URL is ASCII")
}

fn page(path: &str, base: &str, policy: HeaderValue) -> MethodRouter<Arc<App>> {
    let found = asset(path).map(|found| if base.is_empty() { found } else { below(found, base) });
    get(async move |request: Request| {
        let Some(found) = found else { return Error::NotFound.into_response() };
        let mut response = respond(found, REVALIDATE, request.headers());
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        for (name, value) in [
            // The path may have the name of a folder, which other sites must not learn.
            (REFERRER_POLICY, "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    })
}

/// The page of a server that is served below a path: its own paths, which begin at the root, begin with that path, and
/// its scripts know it. It lives as long as the process.
fn below(page: &'static Asset, base: &str) -> &'static Asset {
    let (base, html) = (escaped(base), String::from_utf8_lossy(page.plain));
    let html = html.replace("=\"/", &format!("=\"{base}/")).replace("<html ", &format!("<html data-base=\"{base}\" "));
    let etag = format!("\"{}\"", hex(&Sha256::digest(&html)[..16]));
    Box::leak(Box::new(Asset {
        path: page.path,
        content_type: page.content_type,
        etag: etag.leak(),
        plain: html.into_bytes().leak(),
        brotli: None,
        gzip: None,
    }))
}

async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let Some(found) = asset(path) else { return Error::NotFound.into_response() };
    let cache = if path.starts_with("assets/") { IMMUTABLE } else { REVALIDATE };
    respond(found, cache, request.headers())
}

fn respond(asset: &'static Asset, cache: HeaderValue, request: &HeaderMap) -> Response {
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (ETAG, HeaderValue::from_static(asset.etag)),
        (CACHE_CONTROL, cache),
        (VARY, HeaderValue::from_name(ACCEPT_ENCODING)),
    ];
    let known = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|value| value.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == asset.etag) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    for (coding, bytes) in [("br", asset.brotli), ("gzip", asset.gzip)] {
        if let Some(bytes) = bytes.filter(|_| accepts(request, coding)) {
            return (head, [(CONTENT_ENCODING, coding)], bytes).into_response();
        }
    }
    (head, asset.plain).into_response()
}

/// Whether this content coding is accepted: named, with a weight above 0 (RFC 9110, section 12.5.3).
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let named = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|entry| {
        let (name, weight) = entry.split_once(';').unwrap_or((entry, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse().unwrap_or(1.0);
        name.trim().eq_ignore_ascii_case(coding) && weight > 0.0
    })
}
