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

use super::fields::{Fields, Selected, SelectedPage};
use crate::api::conflict::{self, ConflictChoice, MoveParams, with_conflict};
use crate::api::extract::{CallerTree, Idempotency, PermittedFile, RootParams, expected, need};
use crate::api::labels::{self, LabelParams, Located, WantedLabels};
use crate::api::openapi::headers::{DigestHeaders, IdempotencyHeader, IfMatchHeader, IfNoneMatchAny, MetadataHeader};
use crate::api::upload_body;
use crate::app::App;
use crate::error::{Error, Location, Result};
use crate::files::signed_urls;
use crate::files::{
    self, Change, Conflict, Deletion, Direction, Expected, File, FileName, FolderPath, List, NewFile, OnConflict,
    Order, Placed, Sort,
};
use crate::http::body::Binary;
use crate::http::digest;
use crate::http::extract::{Json, PageParams, Paging, Query, present};
use crate::http::incoming::Form;
use crate::http::location::location;
use crate::store::SignedUrl;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, upload)).routes(routes!(read, update, delete))
}

/// A file, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredFile, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "name": "report.pdf", "path": "2026/november",
    "folder_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12", "space_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "size": 183422, "content_type": "application/pdf",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "etag": "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
    "created_at": "2026-11-22T09:30:00Z", "updated_at": "2026-11-22T09:30:00Z", "metadata": {"invoice": 17}, "tags": ["paid"]
}))]
pub struct FileView {
    pub id: Uuid,
    pub name: String,
    /// The path of its folder, without leading and trailing slashes; empty for the top folder.
    pub path: String,
    pub folder_id: Uuid,
    pub space_id: Uuid,
    /// Bytes.
    pub size: u64,
    /// The media type, detected from the content.
    pub content_type: String,
    /// The SHA-256 digest of the content, in hexadecimal.
    pub sha256: String,
    /// The strong ETag of the content, as in the header `ETag`.
    pub etag: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Free-form metadata of the owner.
    #[schema(value_type = HashMap<String, Value>, additional_properties = true)]
    pub metadata: Box<RawValue>,
    #[schema(value_type = Vec<String>)]
    pub tags: Box<RawValue>,
    /// A signed URL of the content, in lists requested with `urls=signed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub url_expires_at: Option<Timestamp>,
}

impl FileView {
    pub fn new(file: File, url: Option<SignedUrl>) -> Self {
        let sha256 = file.content.sha256_hex();
        Self {
            id: file.id,
            path: file.visible_path().to_owned(),
            name: file.name,
            folder_id: file.folder_id,
            space_id: file.space_id,
            size: file.content.size,
            content_type: file.content.content_type,
            etag: format!("\"{sha256}\""),
            sha256,
            created_at: file.created_at,
            updated_at: file.updated_at,
            metadata: file.metadata,
            tags: file.tags,
            url_expires_at: url.as_ref().map(|url| url.expires_at),
            url: url.map(|url| url.url),
        }
    }
}

impl FileView {
    /// The approximate size as JSON, in bytes.
    fn size_as_json(&self) -> usize {
        const THE_REST: usize = 512;
        THE_REST
            + self.name.len()
            + self.path.len()
            + self.metadata.get().len()
            + self.tags.get().len()
            + self.url.as_ref().map_or(0, String::len)
    }
}

/// The file as JSON, with its ETag.
pub(super) fn file_response(status: StatusCode, file: File) -> Response {
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
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// With `total=true`: the number of files on all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// The orders of a list, each in both directions.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
enum FileSort {
    #[serde(rename = "path")]
    Path,
    #[serde(rename = "-path")]
    PathDescending,
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameDescending,
    #[serde(rename = "natural")]
    Natural,
    #[serde(rename = "-natural")]
    NaturalDescending,
    #[serde(rename = "created_at")]
    Created,
    #[serde(rename = "-created_at")]
    CreatedDescending,
    #[serde(rename = "updated_at")]
    Updated,
    #[serde(rename = "-updated_at")]
    UpdatedDescending,
    #[serde(rename = "size")]
    Size,
    #[serde(rename = "-size")]
    SizeDescending,
}

impl From<FileSort> for Order {
    fn from(order: FileSort) -> Self {
        use Direction::{Ascending, Descending};
        let (sort, direction) = match order {
            FileSort::Path => (Sort::Location, Ascending),
            FileSort::PathDescending => (Sort::Location, Descending),
            FileSort::Name => (Sort::Name, Ascending),
            FileSort::NameDescending => (Sort::Name, Descending),
            FileSort::Natural => (Sort::Natural, Ascending),
            FileSort::NaturalDescending => (Sort::Natural, Descending),
            FileSort::Created => (Sort::Created, Ascending),
            FileSort::CreatedDescending => (Sort::Created, Descending),
            FileSort::Updated => (Sort::Updated, Ascending),
            FileSort::UpdatedDescending => (Sort::Updated, Descending),
            FileSort::Size => (Sort::Size, Ascending),
            FileSort::SizeDescending => (Sort::Size, Descending),
        };
        Order { sort, direction }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ListUrls {
    Signed,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only files whose path and name, joined by a slash, begin with this.
    #[param(example = "2026/", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    prefix: Option<String>,
    /// Only files directly in this folder; empty for the top folder.
    #[param(example = "2026/november", pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
    /// Only files in this folder and below it.
    #[param(example = "2026", pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    under: Option<String>,
    /// Only files whose path and name contain each of these words, in any order; case, accents and width are ignored. At
    /// most 255 characters.
    #[param(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    q: Option<String>,
    /// The order; `path` by default. A leading `-` reverses it. `path` and `name` are in the order of bytes; `natural`
    /// is by folder, and in it by name as people sort names: numbers by value, letters in any case.
    #[param(inline, example = "-created_at")]
    sort: Option<FileSort>,
    /// Count the files on all pages, which takes longer the more there are.
    #[serde(default)]
    total: bool,
    /// `signed`: include a signed URL of every file.
    #[param(inline)]
    urls: Option<ListUrls>,
    /// Only these members of each file, separated by commas; with `urls=signed` also its URL.
    #[param(example = "id,path,name,size", pattern = r"^[a-z0-9_]+(,[a-z0-9_]+)*$")]
    fields: Option<String>,
    /// With `urls=signed` only: the minimum lifetime of these URLs in seconds. The default is the server's setting.
    #[param(minimum = 1, maximum = 604800)]
    expires_in: Option<u64>,
}

/// List your files
///
/// The cost of a page does not depend on its position. Within a short time the same file gets the same signed URL, so
/// that it can be cached.
#[utoipa::path(get, path = "/v1/files", tag = "files", operation_id = "listFiles",
    params(ListParams, LabelParams, RootParams, PageParams),
    responses((status = 200, description = "A page of files", body = FilePage)),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn list(
    State(app): State<Arc<App>>,
    CallerTree { tree, .. }: CallerTree,
    Query(params): Query<ListParams>,
    labels: WantedLabels,
    Paging(page): Paging,
) -> Result<Response> {
    let list = List {
        prefix: params.prefix,
        folder: params.path.map(|path| FolderPath::new(&path, Location::Parameter("path".into()))).transpose()?,
        under: params.under.map(|path| FolderPath::new(&path, Location::Parameter("under".into()))).transpose()?,
        search: params.q,
        metadata: labels.metadata,
        tags: labels.tags,
        total: params.total,
        order: params.sort.map(Order::from).unwrap_or_default(),
        limit: page.limit,
        cursor: page.cursor,
        with_urls: params.urls.is_some(),
    };
    if params.urls.is_none() && params.expires_in.is_some() {
        return Err(Error::invalid_parameter("expires_in", "unsupported", "allowed with `urls=signed` only"));
    }
    let fields = params.fields.as_deref().map(Fields::new).transpose()?;
    let (page, total) = files::list(&app, &tree, &list).await?;
    let mut urls = Vec::new();
    if params.urls.is_some() {
        let signed = signed_urls::sign_list(&app, &page.items, params.expires_in.map(Duration::from_secs)).await;
        urls = signed.map_err(|error| error.in_parameter("expires_in"))?;
    }
    let mut urls = urls.into_iter();
    let items: Vec<_> = page.items.into_iter().map(|file| FileView::new(file, urls.next())).collect();
    let size = items.iter().map(FileView::size_as_json).sum();
    match fields {
        None => json_of_size(size, &FilePage { items, next_cursor: page.next_cursor, total }),
        Some(fields) => {
            let items = items.iter().map(|file| Selected(file, &fields)).collect();
            json_of_size(size, &SelectedPage { items, next_cursor: page.next_cursor, total })
        }
    }
}

/// Serializes into a buffer of about this capacity, which avoids reallocation.
fn json_of_size(size: usize, value: &impl Serialize) -> Result<Response> {
    let mut text = Vec::with_capacity(size);
    serde_json::to_writer(&mut text, value).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadParams {
    /// The name of the file, at most 255 characters.
    #[param(example = "report.pdf", required = true, min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: Option<String>,
    /// The folder, at most 64 folders and 4096 bytes; by default the top folder.
    #[param(example = "2026/november", pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
    /// What to do if the name is taken; `number` by default. `replace`: the content becomes that of the file, which keeps
    /// its id, links and metadata. `skip`: the response is the file that is there.
    #[param(inline, example = "replace")]
    on_conflict: Option<ConflictChoice>,
    /// Tags of the file, separated by commas: at most 32 of at most 64 characters.
    #[param(example = "paid,2026")]
    tags: Option<String>,
}

impl UploadParams {
    /// Whether the fields of the form that are not known yet change nothing.
    fn is_complete(&self, form: &Form, condition: Option<OnConflict>) -> bool {
        let known = |parameter: bool, name| parameter || form.fields.get(name).is_some();
        known(self.path.is_some(), "path")
            && known(self.name.is_some(), "name")
            && known(self.on_conflict.is_some() || condition.is_some(), "on_conflict")
    }

    /// The new file. Query parameters take precedence over form fields, and those over the part's file name.
    fn place(
        self,
        app: &App,
        form: Option<&Form>,
        condition: Option<OnConflict>,
        metadata: Option<Located>,
    ) -> Result<NewFile> {
        let field = |name: &str| form.and_then(|form| form.fields.get(name));
        let path = match self.path {
            Some(path) => FolderPath::new(&path, Location::Parameter("path".into()))?,
            None => FolderPath::new(&field("path").unwrap_or_default(), "/path")?,
        };
        let name = match (self.name, form) {
            (Some(name), _) => FileName::new(&name, Location::Parameter("name".into()))?,
            (None, None) => return Err(Error::invalid_parameter("name", "required", "required")),
            (None, Some(form)) => {
                let name = field("name").or_else(|| form.file_name.clone());
                FileName::new(&name.ok_or_else(|| Error::invalid("/name", "required", "required"))?, "/name")?
            }
        };
        let chosen = match (self.on_conflict, field("on_conflict")) {
            (Some(choice), _) => Some(choice.into()),
            (None, Some(text)) => Some(conflict::parse(&text, "/on_conflict")?),
            (None, None) => None,
        };
        if chosen.is_some() && condition.is_some() {
            return Err(Error::invalid_header("if-none-match", "unsupported", "allowed without `on_conflict` only"));
        }
        let on_conflict = condition.or(chosen).unwrap_or(OnConflict::Number);
        let of_field = |name: &str| Some((field(name)?, Location::Pointer(format!("/{name}"))));
        let tags = self.tags.map(|tags| (tags, Location::Parameter("tags".into()))).or_else(|| of_field("tags"));
        let labels = labels::parse(app, metadata.or_else(|| of_field("metadata")), tags)?;
        Ok(NewFile { path, name, on_conflict, labels, idempotency_key: None })
    }
}

/// Upload a file
///
/// The body is the content. A form (`multipart/form-data`) with one part named `file` is also accepted; its fields
/// `name`, `path`, `on_conflict` and `tags` may replace the query parameters, `metadata` the header, and `name` may be
/// absent. The fields may follow the file, except with an `Idempotency-Key`.
///
/// If the name is taken, the file is numbered: `report (1).pdf`, unless `on_conflict` says otherwise; with `If-None-Match:
/// *` the response is 412 instead. Where the name is known before the content, an upload that is skipped or refused is so
/// before its content is read. Two uploads of one name at the same time never overwrite each other, unless one has
/// `replace`. A SHA-256 in `Repr-Digest` or `Content-Digest` (in a form: in the headers of the part) is verified before the file is
/// stored.
///
/// With an `Idempotency-Key` the upload can be retried safely: for a day, a request with the same path, name, content
/// type, `on_conflict`, `If-None-Match`, metadata, tags and content returns the same response and creates no second file. If both requests declare a
/// digest, the digests are compared instead of the content. The key of a failed upload can be used again; after a
/// crash of the server, once the lease of the upload has expired.
#[utoipa::path(post, path = "/v1/files", tag = "files", operation_id = "uploadFile",
    params(UploadParams, RootParams, MetadataHeader, IdempotencyHeader, IfNoneMatchAny, DigestHeaders),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses((status = 201, description = "The file was stored", body = FileView, headers(
            ("Location" = String, description = "The URL of the file"), ("ETag" = String), ("Repr-Digest" = String),
            ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`"))),
        (status = 200, description = "The content of the file was replaced, or the upload was skipped", body = FileView,
            headers(("Location" = String, description = "The URL of the file"), ("ETag" = String),
                ("Repr-Digest" = String), ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["unsupported_media_type", "file_missing", "too_many_files",
        "too_many_uploads", "quota_exceeded", "path_taken", "not_a_folder"]))))]
async fn upload(
    State(app): State<Arc<App>>,
    CallerTree { tree, .. }: CallerTree,
    Query(params): Query<UploadParams>,
    Idempotency(idempotency_key): Idempotency,
    request: Request,
) -> Result<Response> {
    let condition = match request.headers().get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes) {
        None => None,
        Some(b"*") => Some(OnConflict::Refuse),
        Some(_) => return Err(Error::invalid_header("if-none-match", "unsupported", "only `*` is supported")),
    };
    let metadata = labels::metadata_header(request.headers())?;
    // A key is looked up before the file is read, and with it the path and the name.
    let (body, form) = upload_body::open(&app, request, idempotency_key.is_none()).await?;
    let Placed { item: file, conflict } = match form {
        Some(form) if idempotency_key.is_none() => {
            let known = match params.is_complete(&form, condition) {
                true => Some(params.clone().place(&app, Some(&form), condition, metadata.clone())?),
                false => None,
            };
            let late = app.clone();
            let place = move || params.place(&late, Some(&form), condition, metadata);
            files::upload_with_late_location(&app, &tree, known.as_ref(), body, place).await?
        }
        form => {
            let new = NewFile { idempotency_key, ..params.place(&app, form.as_ref(), condition, metadata)? };
            files::upload(&app, &tree, new, body).await?
        }
    };

    let location = location(&app.config.url(&format!("/v1/files/{}", file.id)))?;
    let digest = HeaderValue::from_str(&digest::of(&file.content.sha256)).map_err(Error::internal)?;
    let headers = [location, (HeaderName::from_static("repr-digest"), digest)];
    let status = match conflict {
        Some(Conflict::Replaced | Conflict::Skipped) => StatusCode::OK,
        Some(Conflict::Numbered) | None => StatusCode::CREATED,
    };
    Ok(with_conflict((headers, file_response(status, file)).into_response(), conflict))
}

/// Get a file
#[utoipa::path(get, path = "/v1/files/{id}", tag = "files", operation_id = "getFile", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The file", body = FileView, headers(("ETag" = String)))))]
async fn read(PermittedFile { file, .. }: PermittedFile<need::List>) -> Response {
    file_response(StatusCode::OK, file)
}

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "report-final.pdf", "path": "2026/archive", "metadata": {"invoice": 18, "draft": null}, "tags": ["paid"]}))]
pub struct UpdateFileRequest {
    /// At most 255 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: Option<String>,
    /// The folder to move the file to, at most 64 folders and 4096 bytes; empty for the top folder.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
    /// A merge patch (RFC 7396): null removes a member, or all metadata.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<HashMap<String, Value>>, additional_properties = true)]
    metadata: Option<Value>,
    /// The tags instead of all others, at most 32 of at most 64 characters; null for none.
    #[serde(default, deserialize_with = "present")]
    tags: Option<Option<Vec<String>>>,
}

/// Update a file
///
/// Renames, moves or annotates it. A merge patch (RFC 7396), also accepted as `application/merge-patch+json`. With
/// `If-Match`, only if the content still has that ETag.
#[utoipa::path(patch, path = "/v1/files/{id}", tag = "files", operation_id = "updateFile",
    params(("id" = Uuid, Path), MoveParams, IfMatchHeader), request_body = UpdateFileRequest,
    responses((status = 200, description = "The updated file", body = FileView, headers(("ETag" = String),
        ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "not_a_folder", "quota_exceeded"]))))]
async fn update(
    State(app): State<Arc<App>>,
    PermittedFile { caller, file, .. }: PermittedFile<need::Update>,
    Query(params): Query<MoveParams>,
    headers: HeaderMap,
    Json(wanted): Json<UpdateFileRequest>,
) -> Result<Response> {
    let change = Change {
        path: wanted.path.map(|path| FolderPath::new(&path, "/path")).transpose()?,
        name: wanted.name.map(|name| FileName::new(&name, "/name")).transpose()?,
        metadata: wanted.metadata,
        tags: wanted.tags.map(Option::unwrap_or_default),
        on_conflict: params.on_conflict(),
    };
    let expected = expected(&headers)?.unwrap_or(Expected::Anything);
    let Placed { item, conflict } = files::change(&app, &caller.subject(), file, &expected, &change).await?;
    Ok(with_conflict(file_response(StatusCode::OK, item), conflict))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParams {
    /// Delete permanently, without the trash.
    #[serde(default)]
    pub(super) permanent: bool,
}

/// Delete a file
///
/// The file is moved to the trash, from which it can be restored until it expires. With `permanent=true`, or if the server
/// has no trash, it is deleted permanently.
#[utoipa::path(delete, path = "/v1/files/{id}", tag = "files", operation_id = "deleteFile",
    params(("id" = Uuid, Path), DeleteParams, IfMatchHeader),
    responses((status = 204, description = "The file was deleted")))]
async fn delete(
    State(app): State<Arc<App>>,
    PermittedFile { caller, file, .. }: PermittedFile<need::Delete>,
    Query(params): Query<DeleteParams>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let expected = expected(&headers)?.unwrap_or(Expected::Anything);
    let deletion = if params.permanent { Deletion::Permanent } else { Deletion::Trash };
    files::delete(&app, &caller.subject(), file, &expected, deletion).await?;
    Ok(StatusCode::NO_CONTENT)
}
