//! Unfinished uploads of any protocol, and direct uploads, whose parts are sent to the store.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body::Body as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::files::FileView;
use super::signed_urls::SignedUrlView;
use crate::api::auth::SignedIn;
use crate::api::conflict::{ConflictChoice, with_conflict};
use crate::api::extract::{CallerTree, Idempotency, PartsJson, RootParams};
use crate::api::openapi::headers::IdempotencyHeader;
use crate::app::App;
use crate::cursor::PAGE_BYTES;
use crate::error::{Error, Result};
use crate::files::uploads::{self, ExpectedPart, NewUpload, SignedPart, Upload, UploadProtocol};
use crate::files::{Conflict, FileName, FolderPath, Labels, OnConflict, Placed};
use crate::hex::unhex;
use crate::http::extract::{Id, Json, PageParams, Paging};
use crate::http::location::location;
use crate::http::request_memory::RequestMemory;
use crate::store::StoredPart;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, cancel))
        .routes(routes!(sign_parts))
        .routes(routes!(complete))
}

/// How the content is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UploadMode {
    /// As parts, directly to the store through signed URLs.
    Direct,
    /// In order, over the tus protocol.
    Tus,
}

/// The upload to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "film.mp4", "path": "2026", "size": 734003200, "mode": "direct"}))]
pub struct CreateUploadRequest {
    /// At most 255 characters.
    #[schema(min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: String,
    /// The folder, at most 64 folders and 4096 bytes; by default the top folder.
    #[serde(default)]
    #[schema(pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: String,
    /// What to do if the name is taken, now or when the upload is complete; `number` by default.
    #[schema(inline)]
    on_conflict: Option<ConflictChoice>,
    /// Metadata of the file, at most 8 KiB of JSON or as configured.
    #[schema(value_type = Option<HashMap<String, Value>>, additional_properties = true)]
    metadata: Option<Value>,
    /// Tags of the file, at most 32 of at most 64 characters.
    tags: Option<Vec<String>>,
    /// The size of the file in bytes. With `tus` it may be declared later.
    #[schema(maximum = 9223372036854775807i64)]
    size: Option<u64>,
    /// The declared media type, used if the content does not determine it.
    content_type: Option<String>,
    mode: UploadMode,
    /// The SHA-256 digest of the content, in hexadecimal. With `direct` only.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    sha256: Option<String>,
    /// Bytes of each part but the last. With `direct` only; by default the server chooses.
    #[schema(minimum = 5242880, maximum = 5368709120i64)]
    part_size: Option<u64>,
}

impl CreateUploadRequest {
    fn protocol(&self) -> Result<UploadProtocol> {
        let wrong = |pointer, code: &'static str, detail: &str| Err(Error::invalid(pointer, code, detail));
        match (self.mode, self.size) {
            (UploadMode::Direct, None) => wrong("/size", "required", "required for direct uploads"),
            (_, Some(size)) if i64::try_from(size).is_err() => wrong("/size", "out_of_range", "too large"),
            (UploadMode::Direct, Some(size)) => {
                let sha256 = self.sha256.as_deref().map(|text| unhex(text).filter(|bytes| bytes.len() == 32));
                if sha256 == Some(None) {
                    return wrong("/sha256", "invalid", "64 hexadecimal digits");
                }
                Ok(UploadProtocol::Direct { size, part_size: self.part_size, sha256: sha256.flatten() })
            }
            (UploadMode::Tus, _) if self.sha256.is_some() => {
                wrong("/sha256", "unsupported", "with tus, each append may carry a checksum instead")
            }
            (UploadMode::Tus, _) if self.part_size.is_some() => wrong("/part_size", "unsupported", "tus has no parts"),
            (UploadMode::Tus, size) => Ok(UploadProtocol::Tus { size }),
        }
    }
}

/// An upload that is unfinished, or that became a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "mode": "direct", "name": "film.mp4", "path": "2026",
    "size": 734003200, "part_size": 8388608, "part_count": 88, "created_at": "2026-11-22T09:30:00Z",
    "expires_at": "2026-11-23T09:30:00Z", "file_id": null
}))]
pub struct UploadView {
    pub id: Uuid,
    pub mode: UploadMode,
    pub name: String,
    pub path: String,
    /// The size of the file in bytes; null until it is known.
    #[schema(required)]
    pub size: Option<u64>,
    /// Bytes received. For direct uploads only in the response to `getUpload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub received: Option<u64>,
    /// Direct: bytes of each part but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub part_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub part_count: Option<u64>,
    /// Direct: the parts received.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parts: Option<Vec<UploadPartView>>,
    /// tus: the URL where a tus client continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tus_url: Option<String>,
    pub created_at: Timestamp,
    /// When the upload expires, unless it makes progress.
    pub expires_at: Timestamp,
    /// The completed file; null until then.
    #[schema(required)]
    pub file_id: Option<Uuid>,
}

/// A part that was received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadPart, example = json!({"number": 1, "size": 8388608, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}))]
pub struct UploadPartView {
    pub number: u64,
    /// Bytes.
    pub size: u64,
    pub etag: String,
}

impl UploadView {
    fn new(app: &App, upload: &Upload, parts: Option<Vec<StoredPart>>) -> Self {
        let direct = upload.is_direct && upload.file_id.is_none();
        let (received, layout) = match (&parts, direct) {
            (Some(parts), _) => (Some(parts.iter().map(|part| part.size).sum()), upload.layout()),
            (None, true) => (None, upload.layout()),
            (None, false) => (Some(upload.received), None),
        };
        Self {
            id: upload.id,
            mode: if upload.is_direct { UploadMode::Direct } else { UploadMode::Tus },
            name: upload.name.clone(),
            path: upload.path.clone(),
            size: upload.size,
            received,
            part_size: layout.map(|layout| layout.part_size),
            part_count: layout.map(|layout| layout.count()),
            parts: parts.map(|parts| parts.into_iter().map(UploadPartView::from).collect()),
            tus_url: (!upload.is_direct).then(|| app.config.url(&format!("/v1/tus/{}", upload.id))),
            created_at: upload.created_at,
            expires_at: upload.expires_at,
            file_id: upload.file_id,
        }
    }
}

impl From<StoredPart> for UploadPartView {
    fn from(part: StoredPart) -> Self {
        Self { number: part.number, size: part.size, etag: part.receipt.trim_matches('"').to_owned() }
    }
}

/// A page of uploads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadPage)]
pub struct UploadPageView {
    pub items: Vec<UploadView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// List unfinished uploads
///
/// Oldest first, of every protocol.
#[utoipa::path(get, path = "/v1/uploads", tag = "uploads", operation_id = "listUploads", params(PageParams),
    responses((status = 200, description = "A page of uploads", body = UploadPageView)))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Paging(page): Paging,
) -> Result<axum::Json<UploadPageView>> {
    let page = uploads::list(&app, &caller.subject(), page.limit, page.cursor.as_deref()).await?;
    let items = page.items.iter().map(|upload| UploadView::new(&app, upload, None)).collect();
    Ok(axum::Json(UploadPageView { items, next_cursor: page.next_cursor }))
}

/// Create an upload
///
/// `direct`: sign URLs for parts, send the parts, then complete the upload. `tus`: continue at `tus_url`. The size is
/// reserved from your quota. An upload that is skipped because its name is taken is not created: the response is one that is
/// complete already, with the `file_id` of the file that is there as its id. With an `Idempotency-Key` the same request may be repeated for a day and returns the same
/// upload in its current state.
#[utoipa::path(post, path = "/v1/uploads", tag = "uploads", operation_id = "createUpload",
    params(RootParams, IdempotencyHeader), request_body = CreateUploadRequest,
    responses((status = 201, description = "The upload was created", body = UploadView,
            headers(("Location" = String, description = "The URL of the upload"),
                ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`"))),
        (status = 200, description = "The upload was skipped", body = UploadView,
            headers(("Location" = String, description = "The URL of the upload"),
                ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "too_many_uploads", "quota_exceeded", "upload_busy", "upload_gone"]))))]
async fn create(
    State(app): State<Arc<App>>,
    CallerTree { tree, .. }: CallerTree,
    Idempotency(idempotency_key): Idempotency,
    Json(request): Json<CreateUploadRequest>,
) -> Result<Response> {
    let new = NewUpload {
        path: FolderPath::new(&request.path, "/path")?,
        name: FileName::new(&request.name, "/name")?,
        on_conflict: request.on_conflict.map_or(OnConflict::Number, OnConflict::from),
        skips_early: true,
        labels: Labels::new(&app.config.limits, request.metadata.clone(), request.tags.as_deref())?,
        protocol: request.protocol()?,
        content_type: uploads::declared_type(request.content_type.as_deref(), "/content_type")?,
        note: String::new(),
        idempotency_key,
    };
    let upload = uploads::create(&app, &tree, new).await?;
    let location = location(&app.config.url(&format!("/v1/uploads/{}", upload.id)))?;
    let view = UploadView::new(&app, &upload, None);
    let status = if upload.conflict == Some(Conflict::Skipped) { StatusCode::OK } else { StatusCode::CREATED };
    Ok(with_conflict((status, [location], axum::Json(view)).into_response(), upload.conflict))
}

/// Get upload progress
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "getUpload", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The upload", body = UploadView)),
    extensions(("x-problem-codes" = json!(["upload_gone", "upload_busy", "unsupported_media_type"]))))]
async fn read(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Extension(memory): Extension<RequestMemory>,
    Id(id): Id,
) -> Result<axum::Json<UploadView>> {
    let upload = uploads::status(&app, &caller.subject(), id).await?;
    let open = upload.is_direct && upload.file_id.is_none();
    let mut parts = None;
    if open {
        memory.reserve(PAGE_BYTES).await?;
        parts = Some(uploads::parts(&app, &caller.subject(), id).await?);
    }
    Ok(axum::Json(UploadView::new(&app, &upload, parts)))
}

/// Cancel an upload
///
/// Deletes what was received and releases the quota reserved for it. A completed file is not affected.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "cancelUpload",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The upload was canceled")),
    extensions(("x-problem-codes" = json!(["upload_gone"]))))]
async fn cancel(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    uploads::cancel(&app, &caller.subject(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The parts to sign URLs for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"numbers": [1, 2, 3], "expires_in": 900}))]
pub struct SignPartsRequest {
    /// Part numbers, counted from 1; by default the first hundred that are missing.
    #[schema(value_type = Option<Vec<PartNumber>>, max_items = 1000)]
    numbers: Option<Vec<u64>>,
    /// Lifetime of the URLs in seconds. The default is the server's setting.
    #[schema(minimum = 1, maximum = 604800)]
    expires_in: Option<u64>,
}

/// The number of a part, counted from 1.
#[derive(ToSchema)]
#[schema(minimum = 1, maximum = 10000)]
#[allow(dead_code, reason = "describes numbers")]
struct PartNumber(u64);

/// Signed URLs of parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"parts": [{
    "number": 1, "size": 8388608, "url": "https://s3.example.org/files/0f3c?partNumber=1&uploadId=7&X-Amz-Signature=...",
    "method": "PUT", "headers": {}, "expires_at": "2026-11-22T09:45:00Z"
}]}))]
pub struct SignedParts {
    pub parts: Vec<SignedPartView>,
}

/// A part, and the request that uploads it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedPart, example = json!({
    "number": 1, "size": 8388608, "url": "https://s3.example.org/files/0f3c?partNumber=1&uploadId=7&X-Amz-Signature=...",
    "method": "PUT", "headers": {}, "expires_at": "2026-11-22T09:45:00Z"
}))]
pub struct SignedPartView {
    pub number: u64,
    /// The size that the part must have, in bytes.
    pub size: u64,
    #[serde(flatten)]
    pub signed: SignedUrlView,
}

impl From<SignedPart> for SignedPartView {
    fn from(part: SignedPart) -> Self {
        Self { number: part.number, size: part.size, signed: SignedUrlView::new(part.url, None) }
    }
}

/// The approximate maximum size of a signed part as JSON, in bytes.
const PART_BYTES: usize = 2 * 1024;

/// Sign URLs for parts
///
/// Send each part with PUT to its URL, in any order and concurrently; repeat parts that were interrupted.
#[utoipa::path(post, path = "/v1/uploads/{id}/parts", tag = "uploads", operation_id = "signUploadParts",
    params(("id" = Uuid, Path)), request_body = SignPartsRequest,
    responses((status = 200, description = "The signed URLs", body = SignedParts)),
    extensions(("x-problem-codes" = json!(["upload_gone"]))))]
async fn sign_parts(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Extension(memory): Extension<RequestMemory>,
    Id(id): Id,
    Json(request): Json<SignPartsRequest>,
) -> Result<axum::Json<SignedParts>> {
    memory.reserve_items(request.numbers.as_ref().map_or(100, Vec::len), PART_BYTES).await?;
    let expires_in = request.expires_in.map(Duration::from_secs);
    let parts = uploads::sign_parts(&app, &caller.subject(), id, request.numbers, expires_in).await?;
    Ok(axum::Json(SignedParts { parts: parts.into_iter().map(SignedPartView::from).collect() }))
}

/// The parts that the client sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"parts": [{"number": 1, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}]}))]
pub struct CompleteUploadRequest {
    #[serde(default)]
    parts: Vec<CompletedPart>,
}

/// A part, and the ETag that the store returned for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number": 1, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}))]
pub struct CompletedPart {
    #[schema(value_type = PartNumber)]
    number: u64,
    etag: String,
}

/// Complete an upload
///
/// For direct uploads and uploads through a signed URL. Checks that the content is complete, reads it back, hashes it
/// and makes it the content of the file. `upload_incomplete` names the missing parts, which may still be sent. Repeating
/// the request has no further effect. The body is optional: with it, parts that differ from what was sent are detected.
#[utoipa::path(post, path = "/v1/uploads/{id}/complete", tag = "uploads", operation_id = "completeUpload",
    params(("id" = Uuid, Path)),
    request_body(content = Option<CompleteUploadRequest>,
        example = json!({"parts": [{"number": 1, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}]})),
    responses((status = 200, description = "The completed file", body = FileView, headers(
        ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["upload_incomplete", "upload_gone", "upload_busy", "precondition_failed",
        "digest_mismatch", "quota_exceeded", "path_taken"]))))]
async fn complete(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    request: Request,
) -> Result<Response> {
    let wanted = match request.body().is_end_stream() {
        true => CompleteUploadRequest::default(),
        false => PartsJson::from_request(request, &app).await?.0,
    };
    let expected = wanted.parts.into_iter().map(|part| ExpectedPart { number: part.number, etag: part.etag }).collect();
    let Placed { item: file, conflict } = uploads::complete(&app, &caller.subject(), id, expected).await?;
    Ok(with_conflict(axum::Json(FileView::new(file, None)).into_response(), conflict))
}
