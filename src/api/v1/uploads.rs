//! Uploads under way, whichever wire their bytes come on; and parts that go straight to the store.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::files::FileView;
use super::signed_urls::SignedUrlView;
use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::uploads::{self, NewUpload, PartClaim, SignedPart, Upload, UploadProtocol};
use crate::files::{FileName, FolderPath};
use crate::hex::unhex;
use crate::http::extract::{Id, Idempotency, Json, PageParams, PartsJson, Query};
use crate::store::StoredPart;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, give_up))
        .routes(routes!(sign_parts))
        .routes(routes!(complete))
}

/// How bytes are to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As parts, straight to the store through signed URLs.
    Direct,
    /// In order, by the tus protocol.
    Tus,
}

/// A wish for an upload.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "film.mp4", "path": "2026", "size": 734003200, "mode": "direct"}))]
pub struct UploadRequest {
    name: String,
    /// The folder.
    #[serde(default)]
    path: String,
    /// Bytes in the whole. Only with `tus` it may come later.
    size: Option<u64>,
    /// A hint; what the bytes can prove is believed from them.
    content_type: Option<String>,
    mode: Mode,
    /// What the bytes shall come to, in hexadecimal. With `direct` only.
    sha256: Option<String>,
    /// Bytes in each part but the last, from 5 MiB on. With `direct` only; else the server chooses.
    part_size: Option<u64>,
}

impl UploadRequest {
    fn wire(&self) -> Result<UploadProtocol> {
        let wrong = |pointer, code: &'static str, detail: &str| Err(Error::invalid(pointer, code, detail));
        match (self.mode, self.size) {
            (Mode::Direct, None) => wrong("/size", "required", "a direct upload has to say its size"),
            (_, Some(size)) if i64::try_from(size).is_err() => wrong("/size", "out_of_range", "too large"),
            (Mode::Direct, Some(size)) => {
                let sha256 = self.sha256.as_deref().map(|text| unhex(text).filter(|bytes| bytes.len() == 32));
                if sha256 == Some(None) {
                    return wrong("/sha256", "invalid", "64 hexadecimal digits");
                }
                Ok(UploadProtocol::Direct { size, part_size: self.part_size, sha256: sha256.flatten() })
            }
            (Mode::Tus, _) if self.sha256.is_some() => {
                wrong("/sha256", "unsupported", "with tus each piece may have a checksum instead")
            }
            (Mode::Tus, _) if self.part_size.is_some() => wrong("/part_size", "unsupported", "tus has no parts"),
            (Mode::Tus, size) => Ok(UploadProtocol::Tus { size }),
        }
    }
}

/// An upload under way, or one that became a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "mode": "direct", "name": "film.mp4", "path": "2026",
    "size": 734003200, "part_size": 8388608, "part_count": 88, "created_at": "2026-11-22T09:30:00Z",
    "expires_at": "2026-11-23T09:30:00Z", "file_id": null
}))]
pub struct UploadView {
    pub id: Uuid,
    pub mode: Mode,
    pub name: String,
    pub path: String,
    /// Bytes in the whole, once they are known.
    #[schema(required)]
    pub size: Option<u64>,
    /// Bytes that have arrived. Of a direct upload that is only told when it is asked for by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Direct: bytes in each part but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_count: Option<u64>,
    /// Direct: the parts that have arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<PartView>>,
    /// tus: where a tus client goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tus_url: Option<String>,
    pub created_at: Timestamp,
    /// When it is given up if nothing more is heard of it.
    pub expires_at: Timestamp,
    /// The file that it became.
    #[schema(required)]
    pub file_id: Option<Uuid>,
}

/// A part that has arrived.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"number": 1, "size": 8388608, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}))]
pub struct PartView {
    pub number: u64,
    /// Bytes.
    pub size: u64,
    pub etag: String,
}

impl UploadView {
    fn new(app: &App, upload: &Upload, parts: Option<Vec<StoredPart>>) -> Self {
        let direct = upload.is_direct && upload.file_id.is_none();
        let (received, cut) = match (&parts, direct) {
            (Some(parts), _) => (Some(parts.iter().map(|part| part.size).sum()), upload.cut()),
            (None, true) => (None, upload.cut()),
            (None, false) => (Some(upload.received), None),
        };
        Self {
            id: upload.id,
            mode: if upload.is_direct { Mode::Direct } else { Mode::Tus },
            name: upload.name.clone(),
            path: upload.path.clone(),
            size: upload.size,
            received,
            part_size: cut.map(|cut| cut.part_size),
            part_count: cut.map(|cut| cut.count()),
            parts: parts.map(|parts| parts.into_iter().map(PartView::from).collect()),
            tus_url: (!upload.is_direct).then(|| app.config.url(&format!("/v1/tus/{}", upload.id))),
            created_at: upload.created_at,
            expires_at: upload.expires_at,
            file_id: upload.file_id,
        }
    }
}

impl From<StoredPart> for PartView {
    fn from(part: StoredPart) -> Self {
        Self { number: part.number, size: part.size, etag: part.receipt.trim_matches('"').to_owned() }
    }
}

/// A page of uploads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadPage)]
pub struct UploadPageView {
    pub items: Vec<UploadView>,
    /// Ask with this for the page deadline; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// List your uploads under way
///
/// Those that wait for bytes, in the order in which they began, whichever wire they began on.
#[utoipa::path(get, path = "/v1/uploads", tag = "uploads", operation_id = "listUploads", params(PageParams),
    responses((status = 200, body = UploadPageView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["bad_cursor", "invalid"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<UploadPageView>> {
    let page = uploads::list(&app, &caller.user, page.limit, page.cursor.as_deref()).await?;
    let items = page.uploads.iter().map(|upload| UploadView::new(&app, upload, None)).collect();
    Ok(axum::Json(UploadPageView { items, next_cursor: page.next_cursor }))
}

/// Begin an upload
///
/// `direct`: ask for the parts' URLs, send the parts, complete. `tus`: go on at `tus_url`. The size is reserved of
/// your quota at once. With an `Idempotency-Key` the same request may be sent again for a day, and is answered with
/// the same upload as it stands then.
#[utoipa::path(post, path = "/v1/uploads", tag = "uploads", operation_id = "createUpload",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = UploadRequest,
    responses((status = 201, body = UploadView, headers(("Location" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["too_many_uploads", "quota_exceeded", "idempotency_mismatch",
        "idempotency_in_progress", "upload_busy", "upload_gone"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Idempotency(idempotency_key): Idempotency,
    Json(request): Json<UploadRequest>,
) -> Result<Response> {
    let new = NewUpload {
        path: FolderPath::new(&request.path, "/path")?,
        name: FileName::new(&request.name, "/name")?,
        wire: request.wire()?,
        content_type: request.content_type,
        note: String::new(),
        idempotency_key,
    };
    let upload = uploads::create(&app, &caller.user, new).await?;
    let location = app.config.url(&format!("/v1/uploads/{}", upload.id));
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    let view = UploadView::new(&app, &upload, None);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(view)).into_response())
}

/// Ask how far an upload has come
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "readUpload", params(("id" = Uuid, Path)),
    responses((status = 200, body = UploadView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "upload_gone", "upload_busy", "unsupported_media_type"]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<UploadView>> {
    let upload = uploads::status(&app, &caller.user, id).await?;
    let open = upload.is_direct && upload.file_id.is_none();
    let parts = if open { Some(uploads::parts(&app, &caller.user, id).await?) } else { None };
    Ok(axum::Json(UploadView::new(&app, &upload, parts)))
}

/// Give up an upload
///
/// What has arrived is taken away, and what it reserved of your quota is yours again. A finished file is not touched.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "giveUpUpload", params(("id" = Uuid, Path)),
    responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "upload_gone"]))))]
async fn give_up(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    uploads::cancel(&app, &caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which parts shall be signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"numbers": [1, 2, 3], "expires_in": 900}))]
pub struct PartsRequest {
    /// From 1. Absent: the first hundred that are missing.
    numbers: Option<Vec<u64>>,
    /// Seconds; 900 if absent, at most seven days.
    expires_in: Option<u64>,
}

/// URLs for parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"parts": [{
    "number": 1, "size": 8388608, "url": "https://s3.example.org/files/0f3c?partNumber=1&uploadId=7&X-Amz-Signature=...",
    "method": "PUT", "headers": {}, "expires_at": "2026-11-22T09:45:00Z"
}]}))]
pub struct SignedParts {
    pub parts: Vec<SignedPartView>,
}

/// A part, and the request by which it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedPart, example = json!({
    "number": 1, "size": 8388608, "url": "https://s3.example.org/files/0f3c?partNumber=1&uploadId=7&X-Amz-Signature=...",
    "method": "PUT", "headers": {}, "expires_at": "2026-11-22T09:45:00Z"
}))]
pub struct SignedPartView {
    pub number: u64,
    /// Bytes that the part must have.
    pub size: u64,
    #[serde(flatten)]
    pub signed: SignedUrlView,
}

impl From<SignedPart> for SignedPartView {
    fn from(part: SignedPart) -> Self {
        Self { number: part.number, size: part.size, signed: SignedUrlView::new(part.url, None) }
    }
}

/// Sign URLs for parts
///
/// Send each part with PUT to its URL, in any order and several at once; a part that broke off is simply sent again.
#[utoipa::path(post, path = "/v1/uploads/{id}/parts", tag = "uploads", operation_id = "signParts", params(("id" = Uuid, Path)),
    request_body = PartsRequest, responses((status = 200, body = SignedParts)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "upload_gone"]))))]
async fn sign_parts(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(request): Json<PartsRequest>,
) -> Result<axum::Json<SignedParts>> {
    let life = request.expires_in.map(Duration::from_secs);
    let parts = uploads::sign_parts(&app, &caller.user, id, request.numbers, life).await?;
    Ok(axum::Json(SignedParts { parts: parts.into_iter().map(SignedPartView::from).collect() }))
}

/// What the client believes it has sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"parts": [{"number": 1, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}]}))]
pub struct CompleteRequest {
    #[serde(default)]
    parts: Vec<PartRequest>,
}

/// A part, and the ETag that the store answered it with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number": 1, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}))]
pub struct PartRequest {
    number: u64,
    etag: String,
}

/// Complete an upload
///
/// Of a direct upload, or of one through a signed URL. Checks that all bytes are there, reads them back, hashes them,
/// and makes them the file. `upload_incomplete` names the parts that are missing; they can be sent still. Doing it
/// twice is the same as once. The body is optional: with it, parts that arrived with other bytes are found out.
#[utoipa::path(post, path = "/v1/uploads/{id}/complete", tag = "uploads", operation_id = "completeUpload", params(("id" = Uuid, Path)),
    request_body(content = Option<CompleteRequest>, example = json!({"parts": [{"number": 1, "etag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}]})), responses((status = 200, body = FileView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "upload_incomplete", "upload_gone", "upload_busy", "precondition_failed",
        "digest_mismatch", "quota_exceeded"]))))]
async fn complete(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    request: Request,
) -> Result<axum::Json<FileView>> {
    let wanted = match request.body().is_end_stream() {
        true => CompleteRequest::default(),
        false => PartsJson::from_request(request, &app).await?.0,
    };
    let claims = wanted.parts.into_iter().map(|part| PartClaim { number: part.number, etag: part.etag }).collect();
    let file = uploads::complete(&app, &caller.user, id, claims).await?;
    Ok(axum::Json(FileView::new(file, None)))
}
