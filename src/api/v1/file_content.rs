//! The content of a file: downloaded and replaced by its owner.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{FileView, file_response};
use crate::api::delivery;
use crate::api::extract::{PermittedFile, expected, need};
use crate::api::openapi::headers::{ConditionHeaders, DigestHeaders, IfMatchRequired, RangeHeaders};
use crate::api::upload_body;
use crate::app::App;
use crate::config::Via;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::files::signed_urls::{self, ReadMethod, SignOptions};
use crate::files::{self, File, TransferRight};
use crate::http::body::Binary;
use crate::http::content::Presentation;
use crate::http::extract::Query;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, head, replace))
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DownloadVia {
    Proxy,
    Redirect,
}

impl From<DownloadVia> for Via {
    fn from(via: DownloadVia) -> Self {
        match via {
            DownloadVia::Proxy => Via::Proxy,
            DownloadVia::Redirect => Via::Redirect,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ContentParams {
    /// Always as a download, even if its type is safe to show in the browser.
    #[serde(default)]
    download: bool,
    /// `proxy`: through this server; `redirect`: 302 to a signed URL of the store. The default is the server's setting.
    #[param(inline)]
    via: Option<DownloadVia>,
}

/// Download a file
///
/// Supports ranges (several in one request), `If-Range` and the conditional headers of RFC 9110. The content type is that
/// of the file.
#[utoipa::path(get, path = "/v1/files/{id}/content", tag = "files", operation_id = "getFileContent",
    params(("id" = Uuid, Path), ContentParams, RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The content", content_type = "*/*", body = Binary,
            headers(("ETag" = String), ("Repr-Digest" = String), ("Content-Disposition" = String))),
        (status = 206, description = "The requested ranges of it", content_type = "*/*", body = Binary,
            headers(("Content-Range" = String))),
        (status = 302, description = "The content is at `Location`", headers(("Location" = String))),
        (status = 304, description = "Not modified")))]
async fn read(
    State(app): State<Arc<App>>,
    PermittedFile { file, .. }: PermittedFile<need::Read>,
    Query(params): Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    content(&app, &file, &params, &method, &headers).await
}

/// The response with the content of a file, which the caller may read, or with its URL.
pub(super) async fn content(
    app: &Arc<App>,
    file: &File,
    params: &ContentParams,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response> {
    let via = params.via.map_or(app.config.download_via, Via::from);
    let inline = !params.download;
    if via == Via::Redirect {
        let method = if *method == Method::HEAD { ReadMethod::Head } else { ReadMethod::Get };
        let options = SignOptions { method, expires_in: None, download_name: None, inline };
        let signed = signed_urls::sign(app, file, &options).await?;
        let headers = [(header::LOCATION, signed.url), (header::CACHE_CONTROL, "no-store".into())];
        return Ok((StatusCode::FOUND, headers, Body::empty()).into_response());
    }
    let inline = inline && files::is_inline(&file.content.content_type);
    let presentation = Presentation {
        disposition: files::content_disposition(&file.name, inline),
        content_type: None,
        cache_control: delivery::cache_control(app).into(),
    };
    let event = file.event(EventKind::FileDownloaded);
    delivery::respond(app, method, headers, &file.content, &presentation, TransferRight::of_caller(), Some(event)).await
}

/// Get the headers of a file's content
///
/// The headers of the response to GET, without the content.
#[utoipa::path(head, path = "/v1/files/{id}/content", tag = "files", operation_id = "headFileContent",
    params(("id" = Uuid, Path), ContentParams, ConditionHeaders),
    responses((status = 200, description = "The headers of the content",
            headers(("ETag" = String), ("Content-Length" = u64), ("Repr-Digest" = String))),
        (status = 302, description = "The content is at `Location`", headers(("Location" = String))),
        (status = 304, description = "Not modified")))]
async fn head(
    state: State<Arc<App>>,
    file: PermittedFile<need::Read>,
    params: Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    read(state, file, params, method, headers).await
}

/// Replace a file's content
///
/// `If-Match` is required: the ETag of the content to replace, or `*` for any. A form (`multipart/form-data`) with one
/// part named `file` is also accepted.
#[utoipa::path(put, path = "/v1/files/{id}/content", tag = "files", operation_id = "replaceFileContent",
    params(("id" = Uuid, Path), IfMatchRequired, DigestHeaders),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses((status = 200, description = "The updated file", body = FileView, headers(("ETag" = String)))),
    extensions(("x-problem-codes" = json!(["precondition_required", "unsupported_media_type", "file_missing",
        "too_many_files", "too_many_uploads", "quota_exceeded"]))))]
async fn replace(
    State(app): State<Arc<App>>,
    PermittedFile { caller, file, .. }: PermittedFile<need::Update>,
    request: Request,
) -> Result<Response> {
    let expected = expected(request.headers())?.ok_or(Error::PreconditionRequired)?;
    let (body, _) = upload_body::open(&app, request, true).await?;
    Ok(file_response(StatusCode::OK, files::replace(&app, &caller.subject(), file, expected, body).await?))
}
