//! Files: upload, list, read, change, delete.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::signed_urls;
use crate::files::{
    self, Change, Direction, Expected, File, FileName, FolderPath, List, NewFile, OnConflict, Order, Removal, Sort,
};
use crate::http::body::Binary;
use crate::http::conditions::if_match;
use crate::http::digest;
use crate::http::extract::{Id, Idempotency, Json, PageParams, Query, present};
use crate::http::incoming::{self, UploadForm};
use crate::store::SignedUrl;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, upload)).routes(routes!(read, change, delete))
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
    pub metadata: Box<RawValue>,
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
            url: url.map(|url| url.url),
        }
    }
}

impl FileView {
    /// Its bytes as JSON, more or less.
    fn size_as_json(&self) -> usize {
        const THE_REST: usize = 512;
        THE_REST
            + self.name.len()
            + self.path.len()
            + self.metadata.get().len()
            + self.url.as_ref().map_or(0, String::len)
    }
}

/// The file as JSON, with its ETag.
pub(super) fn shown(status: StatusCode, file: File) -> Response {
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
    /// Ask with this for the page deadline; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only files whose path and name, put together, begin with this.
    #[param(example = "2026/")]
    prefix: Option<String>,
    /// Only files in this folder itself; empty: at the top.
    #[param(example = "2026/november")]
    path: Option<String>,
    /// Only files whose path or name contains this, in whatever case.
    q: Option<String>,
    /// `path` (the default), `name`, `created_at`, `updated_at` or `size`; with `-` before it, backwards.
    #[param(example = "-created_at")]
    sort: Option<String>,
    /// `signed`: every file comes with a signed URL.
    urls: Option<String>,
    /// Least life of these URLs, in seconds.
    expires_in: Option<u64>,
}

/// List your files
///
/// Pages cost the same however deep they are. Within a while the same file gives the same signed URL, so that caches work.
#[utoipa::path(get, path = "/v1/files", tag = "files", operation_id = "listFiles", params(ListParams, PageParams),
    responses((status = 200, body = FilePage)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["bad_cursor", "invalid"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<ListParams>,
    Query(page): Query<PageParams>,
) -> Result<Response> {
    let signed = match params.urls.as_deref() {
        None => false,
        Some("signed") => true,
        Some(_) => return Err(Error::invalid("/urls", "invalid", "`signed`, or absent")),
    };
    let list = List {
        prefix: params.prefix,
        folder: params.path.map(|path| FolderPath::new(&path, "/path")).transpose()?,
        search: params.q,
        order: order(params.sort.as_deref())?,
        limit: page.limit,
        cursor: page.cursor,
    };
    let page = files::list(&app, &caller.user, &list).await?;
    let mut urls = Vec::new();
    if signed {
        urls = signed_urls::sign_list(&app, &page.files, params.expires_in.map(Duration::from_secs)).await?;
    }
    let mut urls = urls.into_iter();
    let items: Vec<_> = page.files.into_iter().map(|file| FileView::new(file, urls.next())).collect();
    let size = items.iter().map(FileView::size_as_json).sum();
    json_of_size(size, &FilePage { items, next_cursor: page.next_cursor })
}

/// JSON of about so many bytes, so that they are written where they stay.
fn json_of_size(size: usize, value: &impl Serialize) -> Result<Response> {
    let mut text = Vec::with_capacity(size);
    serde_json::to_writer(&mut text, value).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
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

/// Upload a file
///
/// The body is the file itself (with `?name=`), or a form with one part named `file`. A name that is taken gets
/// a number, `report (1).pdf`; with `If-None-Match: *` it is refused instead. A SHA-256 in `Repr-Digest` or
/// `Content-Digest` (in a form: among the part's headers) is checked before anything is kept.
///
/// With an `Idempotency-Key` the upload may be sent again until it is answered: within a day, the same place, name,
/// content type, `If-None-Match` and bytes give the same answer and no second file. Bytes are the same if their announced
/// digest is, which needs no reading; without one they are read and compared. A key whose upload failed is free again; one
/// whose server died is free when the lease of the upload is over.
#[utoipa::path(post, path = "/v1/files", tag = "files", operation_id = "uploadFile",
    params(UploadParams, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters of ASCII")),
    request_body(content((UploadForm = "multipart/form-data"), (Binary = "application/octet-stream"))),
    responses((status = 201, body = FileView, headers(
        ("Location" = String, description = "The URL of the file"), ("ETag" = String), ("Repr-Digest" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["precondition_failed", "too_large", "invalid", "unsupported_media_type", "idempotency_in_progress", "idempotency_mismatch", "too_many_uploads", "quota_exceeded"]))))]
async fn upload(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<UploadParams>,
    Idempotency(idempotency_key): Idempotency,
    request: Request,
) -> Result<Response> {
    let on_conflict = match request.headers().get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes) {
        None => OnConflict::Number,
        Some(b"*") => OnConflict::Refuse,
        Some(_) => return Err(Error::invalid("/if-none-match", "invalid", "only `*` has a meaning here")),
    };
    let incoming = incoming::open(&app, request).await?;
    let name = params
        .name
        .or(incoming.name)
        .ok_or_else(|| Error::invalid_parameter("name", "required", "the query parameter `name` is required"))?;
    let path = params.path.or(incoming.path).unwrap_or_default();
    let (path, name) = (FolderPath::new(&path, "/path")?, FileName::new(&name, "/name")?);
    let new = NewFile { path, name, on_conflict, idempotency_key };
    let file = files::upload(&app, &caller.user, new, incoming.body).await?;

    let location = app.config.url(&format!("/v1/files/{}", file.id));
    let digest = digest::of(&file.content.sha256);
    let mut response = shown(StatusCode::CREATED, file);
    for (name, text) in [(header::LOCATION, location), (HeaderName::from_static("repr-digest"), digest)] {
        response.headers_mut().insert(name, HeaderValue::from_str(&text).map_err(Error::internal)?);
    }
    Ok(response)
}

/// Read about a file
#[utoipa::path(get, path = "/v1/files/{id}", tag = "files", operation_id = "readFile", params(("id" = Uuid, Path)),
    responses((status = 200, body = FileView, headers(("ETag" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<Response> {
    Ok(shown(StatusCode::OK, files::find(&app, &caller.user, id).await?))
}

/// What shall be different about a file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "report-final.pdf", "path": "2026/archive", "metadata": {"invoice": 18, "draft": null}}))]
pub struct ChangeRequest {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    path: Option<String>,
    /// A merge patch: null takes a member, or all of it, away (RFC 7396).
    #[serde(default, deserialize_with = "present")]
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
    extensions(("x-problem-codes" = json!(["not_found", "path_taken", "precondition_failed", "too_large", "unsupported_media_type", "invalid"]))))]
async fn change(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    headers: HeaderMap,
    Json(wanted): Json<ChangeRequest>,
) -> Result<Response> {
    let file = files::find(&app, &caller.user, id).await?;
    let change = Change {
        path: wanted.path.map(|path| FolderPath::new(&path, "/path")).transpose()?,
        name: wanted.name.map(|name| FileName::new(&name, "/name")).transpose()?,
        metadata: wanted.metadata,
    };
    let expected = if_match(&headers)?.unwrap_or(Expected::Anything);
    Ok(shown(StatusCode::OK, files::change(&app, &caller.user, file, &expected, &change).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteParams {
    /// `true`: for good, past the trash.
    #[serde(default)]
    permanent: bool,
}

/// Delete a file
///
/// From the answer on it is not there. It is in the trash, from where it can be restored until its time is over;
/// with `permanent=true`, or where the server is set up without a trash, it is deleted for good.
#[utoipa::path(delete, path = "/v1/files/{id}", tag = "files", operation_id = "deleteFile",
    params(("id" = Uuid, Path), DeleteParams),
    responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "precondition_failed", "invalid"]))))]
async fn delete(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Query(params): Query<DeleteParams>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let file = files::find(&app, &caller.user, id).await?;
    let expected = if_match(&headers)?.unwrap_or(Expected::Anything);
    let removal = if params.permanent { Removal::Permanent } else { Removal::Trash };
    files::delete(&app, &caller.user, file, &expected, removal).await?;
    Ok(StatusCode::NO_CONTENT)
}
