//! A file's bytes: read and replaced by its owner.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{FileView, shown};
use crate::api::auth::SignedIn;
use crate::app::App;
use crate::config::Via;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::files;
use crate::files::signed_urls::{self, ReadMethod, SignOptions};
use crate::http::body::Binary;
use crate::http::conditions::if_match;
use crate::http::content::{self, Presentation};
use crate::http::extract::{Id, Query};
use crate::http::incoming::{self, UploadForm};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, head, replace))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ContentParams {
    /// `1`: as a download, whatever the type.
    download: Option<u8>,
    /// `proxy`: through this server; `redirect`: 302 to a signed URL of the store. The server's setting if absent.
    via: Option<String>,
}

/// Read a file's bytes
///
/// Ranges (also several at once), `If-Range` and all the conditional headers of RFC 9110.
#[utoipa::path(get, path = "/v1/files/{id}/content", tag = "files", operation_id = "readContent",
    params(("id" = Uuid, Path), ContentParams),
    responses((status = 200, content_type = "application/octet-stream", body = Binary,
            headers(("ETag" = String), ("Repr-Digest" = String), ("Content-Disposition" = String))),
        (status = 206, description = "A part of the bytes, or several as multipart/byteranges"),
        (status = 302, description = "The bytes are at `Location`"), (status = 304, description = "Not modified")),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "precondition_failed", "range_not_satisfiable", "invalid"]))))]
async fn read(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Query(params): Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let file = files::find(&app, &caller.user, id).await?;
    let via = match params.via.as_deref() {
        None => app.config.download_via,
        Some("proxy") => Via::Proxy,
        Some("redirect") => Via::Redirect,
        Some(_) => return Err(Error::invalid("/via", "invalid", "`proxy` or `redirect`")),
    };
    let inline = params.download.unwrap_or(0) == 0;
    if via == Via::Redirect {
        let method = if method == Method::HEAD { ReadMethod::Head } else { ReadMethod::Get };
        let options = SignOptions { method, expires_in: None, download_name: None, inline };
        let signed = signed_urls::sign(&app, &caller.user, &file, &options).await?;
        let headers = [(header::LOCATION, signed.url), (header::CACHE_CONTROL, "no-store".into())];
        return Ok((StatusCode::FOUND, headers, Body::empty()).into_response());
    }
    let inline = inline && files::is_inline(&file.content.content_type);
    let presentation = Presentation {
        disposition: files::content_disposition(&file.name, inline),
        content_type: None,
        cache_control: "private, no-cache".into(),
        event: Some(file.event(EventKind::FileDownloaded)),
    };
    content::respond(&app, &method, &headers, &file.content, presentation).await
}

/// Read a content's headers
///
/// What a GET would answer, without the bytes.
#[utoipa::path(head, path = "/v1/files/{id}/content", tag = "files", operation_id = "headContent",
    params(("id" = Uuid, Path), ContentParams),
    responses((status = 200, headers(("ETag" = String), ("Content-Length" = u64))), (status = 304)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "precondition_failed", "invalid"]))))]
async fn head(
    state: State<Arc<App>>,
    caller: SignedIn,
    id: Id,
    params: Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    read(state, caller, id, params, method, headers).await
}

/// Replace a file's bytes
///
/// Only with `If-Match`: the ETag of the bytes to replace, or `*` for whatever is there.
#[utoipa::path(put, path = "/v1/files/{id}/content", tag = "files", operation_id = "replaceContent",
    params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body(content((Binary = "application/octet-stream"), (UploadForm = "multipart/form-data"))),
    responses((status = 200, body = FileView, headers(("ETag" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "precondition_failed", "too_large", "invalid", "precondition_required", "too_many_uploads", "quota_exceeded", "unsupported_media_type"]))))]
async fn replace(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    request: Request,
) -> Result<Response> {
    // Not yours is not there, whatever else may be wrong with the request.
    let file = files::find(&app, &caller.user, id).await?;
    let expected = if_match(request.headers())?.ok_or(Error::PreconditionRequired)?;
    let incoming = incoming::open(&app, request).await?;
    Ok(shown(StatusCode::OK, files::replace(&app, &caller.user, file, expected, incoming.body).await?))
}
