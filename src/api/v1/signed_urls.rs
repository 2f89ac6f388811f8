//! Signed URLs: made for any store, served here when the store is this server's disk.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tower_http::cors::{Any, CorsLayer};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::files::signed_urls::{self, ReadMethod, SignOptions};
use crate::files::uploads::signed_put::{self, SignedPut};
use crate::files::{self, FileName, uploads};
use crate::http::body::Binary;
use crate::http::content::{self, Presentation};
use crate::http::extract::{Id, Json, Name};
use crate::http::incoming;
use crate::store::{Grant, SignedUrl};

/// Where the URLs that this server signs lead. They bring their own proof, so the check for
/// requests from other sites has no place there.
pub const SIGNED_PREFIX: &str = "/v1/signed/";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    let signed = OpenApiRouter::new().routes(routes!(get_signed, head_signed, put_signed)).layer(from_anywhere());
    OpenApiRouter::new().routes(routes!(sign)).routes(routes!(revoke)).merge(signed)
}

/// Pages of any origin may use a signed URL, as they may on a bucket that is set up for it: it works
/// without cookies and proves itself.
fn from_anywhere() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::PUT])
        .allow_headers([header::CONTENT_TYPE, header::IF_NONE_MATCH, header::RANGE])
        .expose_headers([header::ETAG, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::CONTENT_DISPOSITION])
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OperationName {
    Get,
    Head,
    Put,
}

/// A wish for a signed URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"operation": "get", "expires_in": 900, "download_name": "for-you.pdf"}))]
pub struct SignRequest {
    operation: OperationName,
    /// Seconds; 900 if absent, at most seven days.
    expires_in: Option<u64>,
    /// The name that the download gets instead of the file's own.
    download_name: Option<String>,
    /// Shown in the browser instead of downloaded, if the type is one that may be.
    #[serde(default)]
    inline: bool,
}

/// A URL by which anybody may do this one thing until it expires.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedUrl, example = json!({
    "url": "http://127.0.0.1:3000/v1/signed/0f3c?op=get&expires=1795340000&signature=...",
    "method": "GET", "headers": {}, "expires_at": "2026-11-22T09:45:00Z"
}))]
pub struct SignedUrlView {
    pub url: String,
    pub method: &'static str,
    /// Headers that the request must carry exactly so.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub expires_at: Timestamp,
    /// For a put: complete this upload once the bytes are sent; until then the file keeps the bytes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<Uuid>,
}

impl SignedUrlView {
    pub fn new(signed: SignedUrl, upload_id: Option<Uuid>) -> Self {
        Self {
            url: signed.url,
            method: signed.method,
            headers: signed.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect(),
            expires_at: signed.expires_at,
            upload_id,
        }
    }
}

/// Make a signed URL
///
/// `get` and `head` read the file's bytes as they are now. `put` admits new bytes for it once; they become the
/// file's content by `POST /v1/uploads/{upload_id}/complete`. A URL that the bucket signed cannot be taken back, so
/// keep its life short; one that this server signed can, by `revoke`.
#[utoipa::path(post, path = "/v1/files/{id}/signed-urls", tag = "files", operation_id = "signUrl", params(("id" = Uuid, Path)),
    request_body = SignRequest, responses((status = 201, body = SignedUrlView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "too_large", "unsupported_media_type", "invalid", "too_many_uploads", "quota_exceeded"]))))]
async fn sign(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(request): Json<SignRequest>,
) -> Result<(StatusCode, axum::Json<SignedUrlView>)> {
    let file = files::find(&app, &caller.user, id).await?;
    let expires_in = request.expires_in.map(Duration::from_secs);
    let download_name = request.download_name.map(|name| FileName::new(&name, "/download_name")).transpose()?;
    let method = match request.operation {
        OperationName::Get => ReadMethod::Get,
        OperationName::Head => ReadMethod::Head,
        OperationName::Put => {
            let SignedPut { url, upload_id } = signed_put::sign(&app, &caller.user, &file, expires_in).await?;
            return Ok((StatusCode::CREATED, axum::Json(SignedUrlView::new(url, Some(upload_id)))));
        }
    };
    let options = SignOptions { method, expires_in, download_name, inline: request.inline };
    let url = signed_urls::sign(&app, &caller.user, &file, &options).await?;
    Ok((StatusCode::CREATED, axum::Json(SignedUrlView::new(url, None))))
}

/// Revoke every signed URL that reads a file
///
/// They are dead at once. URLs that the bucket signed cannot be revoked: the answer is 409 then.
#[utoipa::path(post, path = "/v1/files/{id}/signed-urls/revoke", tag = "files", operation_id = "revokeSignedUrls",
    params(("id" = Uuid, Path)), responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "not_revocable"]))))]
async fn revoke(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    let file = files::find(&app, &caller.user, id).await?;
    signed_urls::revoke(&app, &caller.user, &file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read through a signed URL
///
/// Only where this server signs: for its own disk, and for S3 if the settings say so. The parameters
/// are those of the URL as it was given out.
#[utoipa::path(get, path = "/v1/signed/{key}", tag = "files", operation_id = "readSigned", params(("key" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Binary), (status = 206), (status = 304)),
    extensions(("x-problem-codes" = json!(["bad_signature", "url_expired", "not_found", "precondition_failed", "range_not_satisfiable"]))))]
async fn get_signed(
    State(app): State<Arc<App>>,
    Name(key): Name,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let grant = verify(&app, &method, &key, query.as_deref())?;
    events::set_channel(Channel::SignedUrl);
    let (content, event) = signed_urls::open(&app, &grant).await?;
    let left = grant.expires_at.as_second() - app.clock.now().as_second();
    let presentation = Presentation {
        disposition: grant.disposition.unwrap_or_else(|| "attachment".into()),
        content_type: grant.content_type,
        cache_control: format!("private, max-age={}", left.max(0)),
        event: Some(event),
    };
    content::respond(&app, &method, &headers, &content, presentation).await
}

/// Read headers through a signed URL
#[utoipa::path(head, path = "/v1/signed/{key}", tag = "files", operation_id = "headSigned", params(("key" = String, Path)),
    responses((status = 200), (status = 304)),
    extensions(("x-problem-codes" = json!(["bad_signature", "url_expired", "not_found", "precondition_failed"]))))]
async fn head_signed(
    state: State<Arc<App>>,
    key: Name,
    query: RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    get_signed(state, key, query, method, headers).await
}

/// Write through a signed URL
///
/// Once: when bytes have arrived, the URL is used up. Send `If-None-Match: *`, as the answer that gave out the URL
/// says. The URL of a part wants no such header and may be used again; its answer has the part's ETag.
#[utoipa::path(put, path = "/v1/signed/{key}", tag = "files", operation_id = "putSigned", params(("key" = String, Path)),
    request_body(content = Binary, content_type = "application/octet-stream"), responses((status = 200)),
    extensions(("x-problem-codes" = json!(["bad_signature", "url_expired", "upload_gone", "upload_busy", "precondition_failed", "too_large", "unsupported_media_type", "quota_exceeded"]))))]
async fn put_signed(
    State(app): State<Arc<App>>,
    Name(key): Name,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response> {
    let grant = verify(&app, request.method(), &key, query.as_deref())?;
    if let Some(number) = grant.part {
        let body = incoming::open_raw(&app, request)?;
        let etag = uploads::receive_part(&app, grant, number, body).await?;
        return Ok([(header::ETAG, format!("\"{etag}\""))].into_response());
    }
    // The same rule as on S3, where this header is signed.
    if request.headers().get(header::IF_NONE_MATCH).is_none_or(|value| value != "*") {
        return Err(Error::BadSignature);
    }
    let body = incoming::open_raw(&app, request)?;
    signed_put::receive(&app, grant, body).await?;
    Ok(StatusCode::OK.into_response())
}

fn verify(app: &App, method: &Method, key: &str, query: Option<&str>) -> Result<Grant> {
    let signer = app.url_signer().ok_or(Error::NotFound)?;
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    signer.verify(method.as_str(), key, &query)
}
