//! Compresses responses where that pays and is safe: long lists. Content of files is never compressed, which would cost
//! its length, its ranges and its ETag; nor are responses that contain a secret next to what a stranger may have chosen,
//! so that its length tells nothing about it (BREACH).

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};

use crate::http::query;

/// Bytes that fit into a single packet.
const SMALL: u64 = 1024;

/// The routes whose responses are long and contain neither secrets nor an ETag that clients send back.
const ROUTES: &[&str] = &[
    "/openapi.json",
    "/v1/admin/doctor",
    "/v1/admin/events",
    "/v1/admin/fsck",
    "/v1/admin/users",
    "/v1/files",
    "/v1/files/{id}/access",
    "/v1/files/{id}/events",
    "/v1/folders",
    "/v1/links",
    "/v1/me/events",
    "/v1/trash",
    "/v1/uploads",
];

/// In the extensions of a response: it may be compressed.
#[derive(Debug, Clone, Copy)]
struct Compressible;

/// Compresses what [`mark`] has marked.
pub(super) fn layer() -> CompressionLayer<And<SizeAbove, Marked>> {
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest);
    layer.compress_when(SizeAbove::new(SMALL).and(Marked))
}

/// Marks the responses that may be compressed.
pub(super) async fn mark(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // Signed URLs are secrets.
    let has_urls = query::pairs(request.uri().query().unwrap_or_default()).any(|(name, _)| name == "urls");
    let is_compressible = request.method() == Method::GET && ROUTES.contains(&route) && !has_urls;
    let mut response = next.run(request).await;
    if is_compressible {
        response.extensions_mut().insert(Compressible);
    }
    response
}

/// Accepts the responses that [`mark`] has marked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked;

impl Predicate for Marked {
    fn should_compress<B: http_body::Body>(&self, response: &http::Response<B>) -> bool {
        response.extensions().get::<Compressible>().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::description;

    #[test]
    fn every_route_exists() {
        let document: serde_json::Value = serde_json::from_str(description()).expect("JSON");
        for route in ROUTES {
            assert!(document["paths"][route]["get"].is_object(), "{route}");
        }
    }
}
