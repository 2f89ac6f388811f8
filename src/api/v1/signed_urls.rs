//! Signed URLs: created for any store, and served here if the store is this server's disk.

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

use crate::api::delivery;
use crate::api::extract::{PermittedFile, need};
use crate::api::openapi::headers::{ConditionHeaders, DigestHeaders, IfNoneMatchAny, RangeHeaders};
use crate::api::upload_body;
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::files::signed_urls::{self, ReadMethod, SignOptions};
use crate::files::uploads::signed_put::{self, SignedPut};
use crate::files::{FileName, TransferRight, uploads};
use crate::http::body::Binary;
use crate::http::content::Presentation;
use crate::http::extract::{Json, Name};
use crate::store::{Grant, SignedUrl};

/// The path of URLs signed by this server. The signature is the credential, so that the cross-site check does not
/// apply.
pub const SIGNED_PREFIX: &str = "/v1/signed/";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    let signed = OpenApiRouter::new().routes(routes!(get_signed, head_signed, put_signed)).layer(from_anywhere());
    OpenApiRouter::new().routes(routes!(sign)).routes(routes!(revoke)).merge(signed)
}

/// Pages of any origin may use a signed URL, as on a bucket with CORS rules: it requires no cookie and carries its own
/// credential.
fn from_anywhere() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::PUT])
        .allow_headers([header::CONTENT_TYPE, header::IF_NONE_MATCH, header::RANGE])
        .expose_headers([header::ETAG, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::CONTENT_DISPOSITION])
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SignedUrlOperation {
    Get,
    Head,
    Put,
}

/// The options of a signed URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"operation": "get", "expires_in": 900, "download_name": "for-you.pdf"}))]
pub struct CreateSignedUrlRequest {
    operation: SignedUrlOperation,
    /// Lifetime in seconds. The default is the server's setting.
    #[schema(minimum = 1, maximum = 604800)]
    expires_in: Option<u64>,
    /// For reads: the file name for downloads, at most 255 characters; by default the name of the file.
    #[schema(min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    download_name: Option<String>,
    /// For reads: show the file in the browser instead of downloading it, if its type is safe to show.
    #[serde(default)]
    inline: bool,
}

/// A URL that permits one operation to anyone who has it, until it expires.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedUrl, example = json!({
    "url": "http://127.0.0.1:3000/v1/signed/0f3c?op=get&expires=1795340000&signature=...",
    "method": "GET", "headers": {}, "expires_at": "2026-11-22T09:45:00Z"
}))]
pub struct SignedUrlView {
    pub url: String,
    /// The method of the request.
    #[schema(example = "GET")]
    pub method: &'static str,
    /// Headers that the request must have, unchanged.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub expires_at: Timestamp,
    /// For `put`: the upload to complete after the content is sent; until then the file keeps its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
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

/// Create a signed URL
///
/// `get` and `head` read the current content of the file. `put` accepts new content for it once, which becomes the
/// content of the file by `POST /v1/uploads/{upload_id}/complete`. A URL signed by the bucket cannot be revoked, so keep
/// its lifetime short; one signed by this server can.
#[utoipa::path(post, path = "/v1/files/{id}/signed-urls", tag = "files", operation_id = "createSignedUrl",
    params(("id" = Uuid, Path)), request_body = CreateSignedUrlRequest,
    responses((status = 201, description = "The URL was created", body = SignedUrlView)),
    extensions(("x-problem-codes" = json!(["too_many_uploads", "quota_exceeded"]))))]
async fn sign(
    State(app): State<Arc<App>>,
    PermittedFile { caller, file, .. }: PermittedFile<need::Share>,
    Json(request): Json<CreateSignedUrlRequest>,
) -> Result<(StatusCode, axum::Json<SignedUrlView>)> {
    let expires_in = request.expires_in.map(Duration::from_secs);
    let download_name = request.download_name.map(|name| FileName::new(&name, "/download_name")).transpose()?;
    let method = match request.operation {
        SignedUrlOperation::Get => ReadMethod::Get,
        SignedUrlOperation::Head => ReadMethod::Head,
        SignedUrlOperation::Put => {
            if download_name.is_some() || request.inline {
                let name = if request.inline { "/inline" } else { "/download_name" };
                return Err(Error::invalid(name, "unsupported", "not allowed with `put`"));
            }
            let SignedPut { url, upload_id } = signed_put::sign(&app, &caller.subject(), &file, expires_in).await?;
            return Ok((StatusCode::CREATED, axum::Json(SignedUrlView::new(url, Some(upload_id)))));
        }
    };
    let options = SignOptions { method, expires_in, download_name, inline: request.inline };
    let url = signed_urls::sign(&app, &file, &options).await?;
    Ok((StatusCode::CREATED, axum::Json(SignedUrlView::new(url, None))))
}

/// Revoke the signed URLs of a file
///
/// All of them stop working immediately, and uploads through them end. URLs that the bucket has signed to read the file
/// cannot be revoked: while there are any, the response is 409, and only those that write are revoked.
#[utoipa::path(post, path = "/v1/files/{id}/signed-urls/revoke", tag = "files", operation_id = "revokeSignedUrls",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The URLs were revoked")),
    extensions(("x-problem-codes" = json!(["not_revocable"]))))]
async fn revoke(
    State(app): State<Arc<App>>,
    PermittedFile { file, .. }: PermittedFile<need::Share>,
) -> Result<StatusCode> {
    signed_urls::revoke(&app, &file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Download through a signed URL
///
/// Only where this server signs: for its own disk, and for S3 if configured. The query parameters are those of the
/// issued URL.
#[utoipa::path(get, path = "/v1/signed/{key}", tag = "files", operation_id = "getSignedContent", security(()),
    params(("key" = String, Path), RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The content", content_type = "*/*", body = Binary),
        (status = 206, description = "The requested ranges of it", content_type = "*/*", body = Binary),
        (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["bad_signature", "url_expired"]))))]
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
    let right = TransferRight::SignedUrl(grant.clone());
    let left = grant.expires_at.as_second() - app.clock.now().as_second();
    let cache_control = match app.config.browser_cache {
        true => format!("private, max-age={}", left.max(0)),
        false => delivery::cache_control(&app).to_owned(),
    };
    let presentation = Presentation {
        disposition: grant.disposition.unwrap_or_else(|| "attachment".into()),
        content_type: grant.content_type,
        cache_control,
    };
    delivery::respond(&app, &method, &headers, &content, &presentation, Some(right), Some(event)).await
}

/// Get the headers of content through a signed URL
#[utoipa::path(head, path = "/v1/signed/{key}", tag = "files", operation_id = "headSignedContent", security(()),
    params(("key" = String, Path), ConditionHeaders),
    responses((status = 200, description = "The headers of the content"), (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["bad_signature", "url_expired"]))))]
async fn head_signed(
    state: State<Arc<App>>,
    key: Name,
    query: RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    get_signed(state, key, query, method, headers).await
}

/// Upload through a signed URL
///
/// Once: the URL is used up when the content has arrived. Requires `If-None-Match: *`, as the response that issued the
/// URL says. The URL of a part needs no such header and may be used again; the response has the ETag of the part.
#[utoipa::path(put, path = "/v1/signed/{key}", tag = "files", operation_id = "putSignedContent", security(()),
    params(("key" = String, Path), IfNoneMatchAny, DigestHeaders),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses((status = 200, description = "The content was stored",
        headers(("ETag" = String, description = "Of a part")))),
    extensions(("x-problem-codes" = json!(["bad_signature", "url_expired", "upload_busy", "unsupported_media_type",
        "part_size_mismatch", "quota_exceeded"]))))]
async fn put_signed(
    State(app): State<Arc<App>>,
    Name(key): Name,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response> {
    let grant = verify(&app, request.method(), &key, query.as_deref())?;
    if let Some(number) = grant.part {
        let body = upload_body::open_raw(&app, TransferRight::SignedUrl(grant.clone()), request)?;
        let etag = uploads::receive_part(&app, grant, number, body).await?;
        return Ok([(header::ETAG, format!("\"{etag}\""))].into_response());
    }
    // The same rule as on S3, where this header is signed.
    if request.headers().get(header::IF_NONE_MATCH).is_none_or(|value| value != "*") {
        return Err(Error::BadSignature);
    }
    let body = upload_body::open_raw(&app, TransferRight::SignedUrl(grant.clone()), request)?;
    signed_put::receive(&app, grant, body).await?;
    Ok(StatusCode::OK.into_response())
}

fn verify(app: &App, method: &Method, key: &str, query: Option<&str>) -> Result<Grant> {
    let signer = app.url_signer().ok_or(Error::NotFound)?;
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    signer.verify(method.as_str(), key, &query)
}
