//! Compresses responses where that pays and is safe: long lists. Content of files is never compressed, which would cost
//! its length, its ranges and its ETag; nor are responses that contain a secret next to what a stranger may have chosen,
//! so that its length tells nothing about it (BREACH).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};

use crate::error::Error;
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
    "/v1/changes",
    "/v1/files",
    "/v1/files/{id}/events",
    "/v1/folders",
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

/// In the extensions of a response that is always the same: its compressed forms, by content coding.
#[derive(Debug, Clone, Default)]
pub(super) struct CompressedForms(Arc<Mutex<HashMap<HeaderValue, Bytes>>>);

/// Compresses a response completely before it is sent. An encoder that waits for its client holds much more memory than
/// what it compresses, and none of it is reserved.
pub(super) async fn complete(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let Some(coding) = response.headers().get(header::CONTENT_ENCODING).cloned() else { return response };
    if response.extensions().get::<Compressible>().is_none() {
        return response;
    }
    let forms = response.extensions().get::<CompressedForms>().cloned();
    let (mut head, body) = response.into_parts();
    let bytes = match compressed(body, coding, forms).await {
        Ok(bytes) => bytes,
        Err(error) => return Error::internal(error).into_response(),
    };
    head.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    Response::from_parts(head, Body::from(bytes))
}

async fn compressed(body: Body, coding: HeaderValue, forms: Option<CompressedForms>) -> Result<Bytes, axum::Error> {
    let Some(CompressedForms(forms)) = forms else { return to_bytes(body, usize::MAX).await };
    let known = forms.lock().unwrap_or_else(PoisonError::into_inner).get(&coding).cloned();
    if let Some(bytes) = known {
        return Ok(bytes);
    }
    let bytes = to_bytes(body, usize::MAX).await?;
    forms.lock().unwrap_or_else(PoisonError::into_inner).insert(coding, bytes.clone());
    Ok(bytes)
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
