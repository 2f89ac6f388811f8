//! Files: upload, list, read, change, delete.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::SignedIn;
use super::body::Binary;
use super::content::{self, Presentation};
use super::extract::{Id, Json, Query};
use super::{body, digest, form};
use crate::app::App;
use crate::config::Via;
use crate::db::{Direction, Sort};
use crate::error::{Error, Result};
use crate::files::{self, Body, Change, Expected, File, FileName, FolderPath, List, NewFile, OnConflict, Order, Wish};
use crate::store::{Operation, SignedUrl};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, upload)).routes(routes!(read, change, delete)).routes(routes!(
        content,
        content_head,
        replace
    ))
}

/// A file, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "name": "report.pdf", "path": "2026/november",
    "owner_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "size": 183422, "content_type": "application/pdf",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "etag": "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
    "created_at": "2026-11-22T09:30:00Z", "updated_at": "2026-11-22T09:30:00Z", "metadata": {"invoice": 17}
}))]
pub struct FileView {
    pub id: Uuid,
    pub name: String,
    /// The folder, without slashes at its ends; empty at the top.
    pub path: String,
    pub owner_id: Uuid,
    /// Bytes.
    pub size: u64,
    /// Sniffed from the bytes.
    pub content_type: String,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// The strong ETag of the content, as it stands in the header.
    pub etag: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What the owner keeps beside the bytes.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// A signed URL, when the list was asked for with `urls=signed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_expires_at: Option<Timestamp>,
}

impl FileView {
    pub fn new(file: File, url: Option<SignedUrl>) -> Self {
        let sha256 = file.content.sha256_hex();
        Self {
            id: file.id,
            name: file.name,
            path: file.path,
            owner_id: file.owner_id,
            size: file.content.size,
            content_type: file.content.content_type,
            etag: format!("\"{sha256}\""),
            sha256,
            created_at: file.created_at,
            updated_at: file.updated_at,
            metadata: file.metadata,
            url_expires_at: url.as_ref().map(|url| url.expires_at),
            url: url.map(|url| url.url.into()),
        }
    }
}

/// The file as JSON, with its ETag.
fn shown(status: StatusCode, file: File) -> Response {
    let etag = HeaderValue::from_str(&file.content.etag());
    let mut response = (status, axum::Json(FileView::new(file, None))).into_response();
    if let Ok(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilePage {
    pub items: Vec<FileView>,
    /// Ask with this for the page after; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only files whose path and name, put together, begin with this.
    #[param(example = "2026/")]
    prefix: Option<String>,
    /// Only files whose path or name contains this, in whatever case.
    q: Option<String>,
    /// `path` (the default), `name`, `created_at`, `updated_at` or `size`; with `-` before it, backwards.
    #[param(example = "-created_at")]
    sort: Option<String>,
    /// Files on the page; 100 if absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `signed`: every file comes with a signed URL.
    urls: Option<String>,
    /// Least life of these URLs, in seconds.
    expires_in: Option<u64>,
}

/// List your files
///
/// Pages cost the same however deep they are. Within a while the same file gives the same signed URL, so that caches work.
#[utoipa::path(get, path = "/v1/files", tag = "files", operation_id = "listFiles", params(ListParams),
    responses((status = 200, body = FilePage)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["unauthorized", "bad_cursor", "invalid"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<FilePage>> {
    let signed = match params.urls.as_deref() {
        None => false,
        Some("signed") => true,
        Some(_) => return Err(Error::invalid("/urls", "invalid", "`signed`, or absent")),
    };
    let list = List {
        prefix: params.prefix,
        search: params.q,
        order: order(params.sort.as_deref())?,
        limit: params.limit,
        cursor: params.cursor,
    };
    let page = files::list(&caller.user, &app, &list).await?;
    let mut urls = Vec::new();
    if signed {
        urls = files::sign_for_list(&app, &page.files, params.expires_in.map(Duration::from_secs)).await?;
    }
    let mut urls = urls.into_iter();
    let items = page.files.into_iter().map(|file| FileView::new(file, urls.next())).collect();
    Ok(axum::Json(FilePage { items, next_cursor: page.next_cursor }))
}

fn order(text: Option<&str>) -> Result<Order> {
    let Some(text) = text else { return Ok(Order::default()) };
    let (name, direction) = match text.strip_prefix('-') {
        Some(name) => (name, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    let sort = match name {
        "path" => Sort::Location,
        "name" => Sort::Name,
        "created_at" => Sort::Created,
        "updated_at" => Sort::Updated,
        "size" => Sort::Size,
        _ => {
            let detail = "`path`, `name`, `created_at`, `updated_at` or `size`, with or without `-` before it";
            return Err(Error::invalid("/sort", "invalid", detail));
        }
    };
    Ok(Order { sort, direction })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadParams {
    /// The name of the file; in a form the part's own name if absent.
    #[param(example = "report.pdf")]
    name: Option<String>,
    /// The folder; the top if absent.
    #[param(example = "2026/november")]
    path: Option<String>,
}

/// A form with one file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described, never built")]
struct UploadForm {
    /// Before the file.
    name: Option<String>,
    /// Before the file.
    path: Option<String>,
    file: Binary,
}

/// Upload a file
///
/// The body is the file itself (with `?name=`), or a form with one part named `file`. A name that is taken gets
/// a number, `report (1).pdf`; with `If-None-Match: *` it is refused instead. A SHA-256 in `Repr-Digest` or
/// `Content-Digest` (in a form: among the part's headers) is checked before anything is kept.
#[utoipa::path(post, path = "/v1/files", tag = "files", operation_id = "uploadFile", params(UploadParams),
    request_body(content((UploadForm = "multipart/form-data"), (Binary = "application/octet-stream"))),
    responses((status = 201, body = FileView, headers(
        ("Location" = String, description = "The URL of the file"), ("ETag" = String), ("Repr-Digest" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["malformed", "body_incomplete", "unauthorized", "cross_site", "body_stalled",
        "precondition_failed", "too_large", "invalid", "digest_mismatch", "file_missing", "too_many_files", "storage_full"]))))]
async fn upload(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<UploadParams>,
    request: Request,
) -> Result<Response> {
    let on_conflict = match request.headers().get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes) {
        None => OnConflict::Number,
        Some(b"*") => OnConflict::Refuse,
        Some(_) => return Err(Error::invalid("/if-none-match", "invalid", "only `*` has a meaning here")),
    };
    let incoming = incoming(&app, request).await?;
    let name = params.name.or(incoming.name).ok_or_else(|| Error::invalid("/name", "missing", "say ?name="))?;
    let path = params.path.or(incoming.path).unwrap_or_default();
    let new = NewFile { path: FolderPath::new(&path, "/path")?, name: FileName::new(&name, "/name")?, on_conflict };
    let file = files::upload(&caller.user, &app, new, incoming.body).await?;

    let location = format!("{}/v1/files/{}", app.config.public_url.as_str().trim_end_matches('/'), file.id);
    let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(&file.content.sha256));
    let mut response = shown(StatusCode::CREATED, file);
    for (name, text) in [(header::LOCATION, location), (HeaderName::from_static("repr-digest"), digest)] {
        response.headers_mut().insert(name, HeaderValue::from_str(&text).map_err(Error::internal)?);
    }
    Ok(response)
}

/// The bytes of a request, raw or in a form, and what came with them.
pub(super) struct Incoming {
    pub name: Option<String>,
    pub path: Option<String>,
    pub body: Body,
}

/// Opens the body of an upload.
///
/// # Errors
/// `Malformed`, `FileMissing` and `Invalid` if it is a form that cannot be one file.
pub(super) async fn incoming(app: &App, request: Request) -> Result<Incoming> {
    let (parts, http_body) = request.into_parts();
    let content_type = text(&parts.headers, header::CONTENT_TYPE);
    let announced = digest::announced(&parts.headers)?;
    let stream = body::stream(http_body, app.config.uploads.stall_timeout);
    if content_type
        .as_deref()
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
    {
        if announced.is_some() {
            let detail = "a form has its digest among the headers of its part";
            return Err(Error::invalid("/repr-digest", "misplaced", detail));
        }
        let boundary = multer::parse_boundary(content_type.unwrap_or_default())
            .map_err(|error| Error::Malformed(format!("the form cannot be read: {error}")))?;
        let form = form::open(stream, boundary).await?;
        let body = Body { stream: form.stream, size: None, content_type: form.content_type, digest: form.digest };
        return Ok(Incoming { name: form.name, path: form.path, body });
    }
    let size = text(&parts.headers, header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let body = Body { stream, size, content_type, digest: announced };
    Ok(Incoming { name: None, path: None, body })
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Read about a file
#[utoipa::path(get, path = "/v1/files/{id}", tag = "files", operation_id = "readFile", params(("id" = Uuid, Path)),
    responses((status = 200, body = FileView, headers(("ETag" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["unauthorized", "not_found"]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<Response> {
    Ok(shown(StatusCode::OK, files::find(&caller.user, &app, id).await?))
}

/// What shall be different about a file.
#[derive(Debug, Deserialize, ToSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"name": "report-final.pdf", "path": "2026/archive", "metadata": {"invoice": 18, "draft": null}}))]
pub struct ChangeRequest {
    name: Option<String>,
    path: Option<String>,
    /// A merge patch: null takes a member away (RFC 7396).
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// Rename, move or describe a file
///
/// A merge patch (RFC 7396). With `If-Match`, only if the content is still the one with that ETag.
#[utoipa::path(patch, path = "/v1/files/{id}", tag = "files", operation_id = "changeFile", params(("id" = Uuid, Path)),
    request_body(content((ChangeRequest = "application/merge-patch+json"), (ChangeRequest = "application/json"))),
    responses((status = 200, body = FileView, headers(("ETag" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["malformed", "unauthorized", "cross_site", "not_found", "path_taken",
        "precondition_failed", "too_large", "unsupported_media_type", "invalid"]))))]
async fn change(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    headers: HeaderMap,
    Json(wanted): Json<ChangeRequest>,
) -> Result<Response> {
    let change = Change {
        path: wanted.path.map(|path| FolderPath::new(&path, "/path")).transpose()?,
        name: wanted.name.map(|name| FileName::new(&name, "/name")).transpose()?,
        metadata: wanted.metadata,
    };
    let expected = if_match(&headers)?.unwrap_or(Expected::Anything);
    Ok(shown(StatusCode::OK, files::change(&caller.user, &app, id, &expected, change).await?))
}

/// Delete a file
///
/// For good: from the answer on it is not there, and its bytes are taken away within a minute or two.
#[utoipa::path(delete, path = "/v1/files/{id}", tag = "files", operation_id = "deleteFile", params(("id" = Uuid, Path)),
    responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["unauthorized", "cross_site", "not_found", "precondition_failed", "invalid"]))))]
async fn delete(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let expected = if_match(&headers)?.unwrap_or(Expected::Anything);
    files::delete(&caller.user, &app, id, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
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
    extensions(("x-problem-codes" = json!(["unauthorized", "not_found", "precondition_failed", "range_not_satisfiable", "invalid"]))))]
async fn content(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Query(params): Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let file = files::find(&caller.user, &app, id).await?;
    let via = match params.via.as_deref() {
        None => app.config.download_via,
        Some("proxy") => Via::Proxy,
        Some("redirect") => Via::Redirect,
        Some(_) => return Err(Error::invalid("/via", "invalid", "`proxy` or `redirect`")),
    };
    let inline = params.download.unwrap_or(0) == 0;
    if via == Via::Redirect {
        let operation = if method == Method::HEAD { Operation::Head } else { Operation::Get };
        let wish = Wish { operation, expires_in: None, download_name: None, inline };
        let signed = files::sign(&caller.user, &app, id, &wish).await?;
        let headers = [(header::LOCATION, signed.url.url.to_string()), (header::CACHE_CONTROL, "no-store".into())];
        return Ok((StatusCode::FOUND, headers, HttpBody::empty()).into_response());
    }
    let inline = inline && files::is_inline(&file.content.content_type);
    let presentation = Presentation {
        disposition: files::content_disposition(&file.name, inline),
        content_type: None,
        cache_control: "private, no-cache".into(),
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
    extensions(("x-problem-codes" = json!(["unauthorized", "not_found", "precondition_failed", "invalid"]))))]
async fn content_head(
    state: State<Arc<App>>,
    caller: SignedIn,
    id: Id,
    params: Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    content(state, caller, id, params, method, headers).await
}

/// Replace a file's bytes
///
/// Only with `If-Match`: the ETag of the bytes to replace, or `*` for whatever is there.
#[utoipa::path(put, path = "/v1/files/{id}/content", tag = "files", operation_id = "replaceContent",
    params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body(content((Binary = "application/octet-stream"), (UploadForm = "multipart/form-data"))),
    responses((status = 200, body = FileView, headers(("ETag" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["malformed", "body_incomplete", "unauthorized", "cross_site", "not_found", "body_stalled",
        "precondition_failed", "too_large", "invalid", "digest_mismatch", "precondition_required", "storage_full"]))))]
async fn replace(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    request: Request,
) -> Result<Response> {
    // Not yours is not there, whatever else may be wrong with the request.
    files::find(&caller.user, &app, id).await?;
    let expected = if_match(request.headers())?.ok_or(Error::PreconditionRequired)?;
    let incoming = incoming(&app, request).await?;
    Ok(shown(StatusCode::OK, files::replace(&caller.user, &app, id, expected, incoming.body).await?))
}

/// The ETags in `If-Match`, if it is there. A weak one never matches (RFC 9110, section 13.1.1).
fn if_match(headers: &HeaderMap) -> Result<Option<Expected>> {
    let mut etags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let bad = || Error::invalid("/if-match", "invalid", "`*`, or ETags in double quotes");
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            return Ok(Some(Expected::Anything));
        }
        for etag in text.split(',').map(str::trim) {
            let opaque = etag.strip_prefix("W/").unwrap_or(etag);
            if opaque.len() < 2 || !opaque.starts_with('"') || !opaque.ends_with('"') {
                return Err(bad());
            }
            etags.push(etag.to_owned());
        }
    }
    Ok((!etags.is_empty()).then_some(Expected::OneOf(etags)))
}
