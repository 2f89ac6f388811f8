//! Files by their paths: read, created, replaced and deleted.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::file_content::{self, ContentParams};
use super::files::{DeleteParams, FileView, file_response};
use crate::access::{Right, Subject, Tree};
use crate::api::extract::{CallerTree, Needs, RootParams, expected, need};
use crate::api::labels;
use crate::api::openapi::headers::{
    ConditionHeaders, DigestHeaders, IfMatchHeader, IfNoneMatchAny, MetadataHeader, RangeHeaders,
};
use crate::api::upload_body;
use crate::app::App;
use crate::error::{Error, Location, Result};
use crate::events::{self, Channel};
use crate::files::{
    self, Conflict, Deletion, Expected, File, FileName, FolderPath, Labels, NewFile, OnConflict, Placed, TransferRight,
};
use crate::http::body::Binary;
use crate::http::digest;
use crate::http::extract::Query;
use crate::http::location::location;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, head, put, delete))
}

/// What the paths of these routes begin with.
const PREFIX: &str = "/v1/files/at/";

/// The place of a file, from the path of the request: names, percent-encoded and joined by slashes.
struct At {
    tree: Tree,
    path: FolderPath,
    name: FileName,
}

impl FromRequestParts<Arc<App>> for At {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let CallerTree { tree, .. } = CallerTree::from_request_parts(parts, app).await?;
        let text = decoded(parts.uri.path().strip_prefix(PREFIX).unwrap_or_default())?;
        let (path, name) = text.rsplit_once('/').unwrap_or(("", &text));
        let at = || Location::Parameter("path".into());
        // Slashes at the ends of a path are ignored elsewhere; here they are empty names.
        for name in path.split('/').filter(|_| text.contains('/')) {
            FileName::new(name, at())?;
        }
        Ok(Self { tree, path: FolderPath::new(path, at())?, name: FileName::new(name, at())? })
    }
}

/// The path of a request, decoded once.
fn decoded(path: &str) -> Result<String> {
    let is_encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    let is_whole = path.split('%').skip(1).all(is_encoded);
    let text = percent_decode_str(path).decode_utf8().ok().filter(|_| is_whole);
    let text = text.ok_or_else(|| Error::invalid_parameter("path", "malformed", "expected UTF-8, percent-encoded"))?;
    Ok(text.into_owned())
}

/// The file at the path of the request, to which the caller has the right `N`.
struct FileAt<N> {
    subject: Subject,
    file: File,
    _right: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<Arc<App>> for FileAt<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let At { tree, path, name } = At::from_request_parts(parts, app).await?;
        let file = files::find_at(app, &tree, N::RIGHT, &path, &name).await?;
        Ok(Self { subject: tree.subject, file, _right: PhantomData })
    }
}

/// Download a file by its path
///
/// As `GET /v1/files/{id}/content`. The names in the path are percent-encoded; a slash between them may be `%2F`. An empty
/// name, `.` and `..` are refused, also at the end of the path.
#[utoipa::path(get, path = "/v1/files/at/{*path}", tag = "files", operation_id = "getFileAt",
    params(("path" = String, Path, description = "The path and the name", example = "2026/november/report.pdf"),
        RootParams, ContentParams, RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The content", content_type = "*/*", body = Binary,
            headers(("ETag" = String), ("Repr-Digest" = String), ("Content-Disposition" = String))),
        (status = 206, description = "The requested ranges of it", content_type = "*/*", body = Binary,
            headers(("Content-Range" = String))),
        (status = 302, description = "The content is at `Location`", headers(("Location" = String))),
        (status = 304, description = "Not modified")))]
async fn read(
    State(app): State<Arc<App>>,
    FileAt { file, .. }: FileAt<need::Read>,
    Query(params): Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    file_content::content(&app, &file, &params, &method, &headers).await
}

/// Get the headers of a file's content by its path
///
/// The headers of the response to GET, without the content.
#[utoipa::path(head, path = "/v1/files/at/{*path}", tag = "files", operation_id = "headFileAt",
    params(("path" = String, Path, description = "The path and the name", example = "2026/november/report.pdf"),
        RootParams, ContentParams, ConditionHeaders),
    responses((status = 200, description = "The headers of the content",
            headers(("ETag" = String), ("Content-Length" = u64), ("Repr-Digest" = String))),
        (status = 302, description = "The content is at `Location`", headers(("Location" = String))),
        (status = 304, description = "Not modified")))]
async fn head(
    state: State<Arc<App>>,
    file: FileAt<need::Read>,
    params: Query<ContentParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    read(state, file, params, method, headers).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PutParams {
    /// Tags of the file, separated by commas: at most 32 of at most 64 characters.
    #[param(example = "paid,2026")]
    tags: Option<String>,
}

/// Create or replace a file by its path
///
/// The body is the content, whatever its type. What is missing of the folders is created. A file that exists keeps its id,
/// its links, and the metadata and tags that are not given. With `If-None-Match: *` only a new file is created; with
/// `If-Match` only a file with one of these ETags is replaced, and its metadata and tags stay as they are. A SHA-256 in
/// `Repr-Digest` or `Content-Digest` is verified before the file is stored.
#[utoipa::path(put, path = "/v1/files/at/{*path}", tag = "files", operation_id = "putFileAt",
    params(("path" = String, Path, description = "The path and the name", example = "2026/november/report.pdf"),
        RootParams, PutParams, MetadataHeader, IfMatchHeader, IfNoneMatchAny, DigestHeaders),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses((status = 201, description = "The file was created", body = FileView, headers(
            ("Location" = String, description = "The URL of the file"), ("ETag" = String), ("Repr-Digest" = String))),
        (status = 200, description = "The content of the file was replaced", body = FileView, headers(
            ("Location" = String, description = "The URL of the file"), ("ETag" = String), ("Repr-Digest" = String)))),
    extensions(("x-problem-codes" = json!(["unsupported_media_type", "too_many_uploads", "quota_exceeded", "path_taken",
        "not_a_folder"]))))]
async fn put(
    State(app): State<Arc<App>>,
    at: At,
    Query(params): Query<PutParams>,
    request: Request,
) -> Result<Response> {
    let headers = request.headers();
    let tags = params.tags.map(|tags| (tags, Location::Parameter("tags".into())));
    let labels = labels::parse(&app, labels::metadata_header(headers)?, tags)?;
    let on_conflict = match headers.get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes) {
        None => OnConflict::Replace,
        Some(b"*") => OnConflict::Refuse,
        Some(_) => return Err(Error::invalid_header("if-none-match", "unsupported", "only `*` is supported")),
    };
    let Placed { item: file, conflict } = match expected(headers)? {
        None => {
            let At { tree, path, name } = at;
            let new = NewFile { path, name, on_conflict, labels, idempotency_key: None };
            files::upload(&app, &tree, new, body(&app, request)?).await?
        }
        Some(_) if on_conflict == OnConflict::Refuse => {
            return Err(Error::invalid_header("if-match", "unsupported", "allowed without If-None-Match only"));
        }
        Some(expected) => replace(&app, at, expected, labels, request).await?,
    };
    let location = location(&app.config.url(&format!("/v1/files/{}", file.id)))?;
    let digest = HeaderValue::from_str(&digest::of(&file.content.sha256)).map_err(Error::internal)?;
    let headers = [location, (HeaderName::from_static("repr-digest"), digest)];
    let status = if conflict == Some(Conflict::Replaced) { StatusCode::OK } else { StatusCode::CREATED };
    Ok((headers, file_response(status, file)).into_response())
}

/// Replaces the content of a file that must exist.
async fn replace(
    app: &Arc<App>,
    At { tree, path, name }: At,
    expected: Expected,
    labels: Labels,
    request: Request,
) -> Result<Placed<File>> {
    if labels != Labels::default() {
        return Err(Error::invalid_header("if-match", "unsupported", "allowed without metadata and tags only"));
    }
    // No content has the expected ETag (RFC 9110, section 13.1.1).
    let file = match files::find_at(app, &tree, Right::Update, &path, &name).await {
        Err(Error::NotFound) => Err(Error::PreconditionFailed),
        file => file,
    }?;
    let file = files::replace(app, &tree.subject, file, expected, body(app, request)?).await?;
    Ok(Placed { item: file, conflict: Some(Conflict::Replaced) })
}

fn body(app: &Arc<App>, request: Request) -> Result<files::Body> {
    events::set_channel(Channel::Raw);
    upload_body::open_raw(app, TransferRight::of_caller().ok_or(Error::Unauthorized)?, request)
}

/// Delete a file by its path
///
/// As `DELETE /v1/files/{id}`: into the trash, unless `permanent=true` or the server has none.
#[utoipa::path(delete, path = "/v1/files/at/{*path}", tag = "files", operation_id = "deleteFileAt",
    params(("path" = String, Path, description = "The path and the name", example = "2026/november/report.pdf"),
        RootParams, DeleteParams, IfMatchHeader),
    responses((status = 204, description = "The file was deleted")))]
async fn delete(
    State(app): State<Arc<App>>,
    FileAt { subject, file, .. }: FileAt<need::Delete>,
    Query(params): Query<DeleteParams>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let expected = expected(&headers)?.unwrap_or(Expected::Anything);
    let deletion = if params.permanent { Deletion::Permanent } else { Deletion::Trash };
    files::delete(&app, &subject, file, &expected, deletion).await?;
    Ok(StatusCode::NO_CONTENT)
}
