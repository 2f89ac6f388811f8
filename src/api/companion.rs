//! Direct uploads over the Companion protocol of Uppy: the routes that `@uppy/aws-s3` calls
//! (`companionEndpoint: '/v1/companion'`), over the same uploads as `/v1/uploads`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json as JsonResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::SignedIn;
use super::conflict;
use super::extract::PartsJson;
use super::extract::{CallerTree, RootParams};
use super::labels;
use crate::app::App;
use crate::cursor::PAGE_BYTES;
use crate::error::{Error, Location, Result};
use crate::files::uploads::{self, ExpectedPart, NewUpload, PartLayout, UploadProtocol};
use crate::files::{FileName, FolderPath, Labels, OnConflict};
use crate::http::extract::{Id, IdAndNumber, Json};
use crate::http::request_memory::RequestMemory;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(list_parts, abort))
        .routes(routes!(sign_part))
        .routes(routes!(complete))
}

/// The file to upload.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"filename": "photo.jpg", "type": "image/jpeg", "metadata": {"size": 7340032, "path": "2026"}}))]
pub struct CompanionFile {
    filename: String,
    #[serde(rename = "type")]
    content_type: Option<String>,
    /// `size` in bytes is required, because the quota is reserved first; `path` may name the folder,
    /// `on_conflict` say what to do if the name is taken when the upload is complete; `tags` are separated by commas, and
    /// `metadata` is a JSON object as a text.
    #[serde(default)]
    #[schema(value_type = HashMap<String, Value>, additional_properties = true)]
    metadata: BTreeMap<String, Value>,
}

impl CompanionFile {
    fn size(&self) -> Result<u64> {
        let size = match self.metadata.get("size") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
            None => None,
        };
        let detail =
            "the file's bytes: uppy.on('file-added', (file) => uppy.setFileMeta(file.id, { size: file.size }))";
        size.filter(|size| *size > 0).ok_or_else(|| Error::invalid("/metadata/size", "required", detail))
    }

    fn on_conflict(&self) -> Result<OnConflict> {
        match self.metadata.get("on_conflict") {
            None => Ok(OnConflict::Number),
            Some(value) => conflict::parse(value.as_str().unwrap_or_default(), "/metadata/on_conflict"),
        }
    }

    /// The member `tags`, separated by commas, and the JSON text in the member `metadata`.
    fn labels(&self, app: &App) -> Result<Labels> {
        let text = |name: &str| {
            let text = self.metadata.get(name)?.as_str()?.to_owned();
            Some((text, Location::Pointer(format!("/metadata/{name}"))))
        };
        labels::parse(app, text("metadata"), text("tags"))
    }

    fn path(&self) -> &str {
        self.metadata.get("path").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The new upload, in the terms of S3: both members are its id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "key": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "uploadId": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11"
}))]
#[serde(rename_all = "camelCase")]
pub struct CompanionUpload {
    key: Uuid,
    upload_id: Uuid,
}

/// A part that was received.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"PartNumber": 1, "Size": 5242880, "ETag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}))]
#[serde(rename_all = "PascalCase")]
pub struct CompanionPart {
    #[schema(minimum = 1, maximum = 10000)]
    part_number: u64,
    /// Bytes.
    #[serde(default)]
    size: u64,
    #[serde(rename = "ETag")]
    etag: String,
}

/// The URL to send a part to, with PUT.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"url": "https://s3.example.org/files/0f3c?partNumber=1&uploadId=7&X-Amz-Signature=..."}))]
pub struct CompanionPartUrl {
    url: String,
}

/// The parts that were sent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"parts": [{"PartNumber": 1, "ETag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}]}))]
pub struct CompanionParts {
    parts: Vec<CompanionPart>,
}

/// The completed file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "location": "http://127.0.0.1:3000/v1/files/019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11/content", "bucket": "",
    "key": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11"
}))]
pub struct CompanionResult {
    /// URL of the content of the file.
    location: String,
    bucket: &'static str,
    /// Id of the file.
    key: Uuid,
}

/// Create a multipart upload (Uppy)
///
/// Direct uploads for `@uppy/aws-s3`: set its `companionEndpoint` to `/v1/companion`, and `shouldUseMultipart` to true.
#[utoipa::path(post, path = "/v1/companion/s3/multipart", tag = "uploads", operation_id = "createMultipartUpload",
    params(RootParams), request_body = CompanionFile,
    responses((status = 200, description = "The upload was created", body = CompanionUpload)),
    extensions(("x-problem-codes" = json!(["path_taken", "too_many_uploads", "quota_exceeded"]))))]
async fn create(
    State(app): State<Arc<App>>,
    CallerTree { tree, .. }: CallerTree,
    Json(file): Json<CompanionFile>,
) -> Result<JsonResponse<CompanionUpload>> {
    let size = file.size()?;
    let new = NewUpload {
        path: FolderPath::new(file.path(), "/metadata/path")?,
        name: FileName::new(&file.filename, "/filename")?,
        on_conflict: file.on_conflict()?,
        // Uppy sends the parts in any case.
        skips_early: false,
        labels: file.labels(&app)?,
        protocol: UploadProtocol::Direct {
            size,
            part_size: Some(PartLayout::with_default_size(size).part_size),
            sha256: None,
        },
        content_type: uploads::declared_type(file.content_type.as_deref(), "/type")?,
        note: String::new(),
        idempotency_key: None,
    };
    let upload = uploads::create(&app, &tree, new).await?;
    Ok(JsonResponse(CompanionUpload { key: upload.id, upload_id: upload.id }))
}

/// List the parts of a multipart upload (Uppy)
#[utoipa::path(get, path = "/v1/companion/s3/multipart/{id}", tag = "uploads", operation_id = "listMultipartParts",
    params(("id" = Uuid, Path), ("key" = Option<String>, Query, description = "Sent by Uppy, and ignored")),
    responses((status = 200, description = "The parts received", body = Vec<CompanionPart>,
        example = json!([{"PartNumber": 1, "Size": 5242880, "ETag": "9b2d7f5d1f0b6a3e4c8d9e0f1a2b3c4d"}]))),
    extensions(("x-problem-codes" = json!(["upload_gone"]))))]
async fn list_parts(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Extension(memory): Extension<RequestMemory>,
    Id(id): Id,
) -> Result<JsonResponse<Vec<CompanionPart>>> {
    memory.reserve(PAGE_BYTES).await?;
    let parts = uploads::parts(&app, &caller.subject(), id).await?;
    let parts = parts.into_iter();
    Ok(JsonResponse(
        parts.map(|part| CompanionPart { part_number: part.number, size: part.size, etag: part.receipt }).collect(),
    ))
}

/// Sign the URL of a part of a multipart upload (Uppy)
#[utoipa::path(get, path = "/v1/companion/s3/multipart/{id}/{number}", tag = "uploads",
    operation_id = "signMultipartPart",
    params(("id" = Uuid, Path), ("number" = u64, Path, minimum = 1, maximum = 10000), ("key" = Option<String>, Query, description = "Sent by Uppy, and ignored")),
    responses((status = 200, description = "The signed URL", body = CompanionPartUrl)),
    extensions(("x-problem-codes" = json!(["upload_gone", "invalid"]))))]
async fn sign_part(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    IdAndNumber(id, number): IdAndNumber,
) -> Result<JsonResponse<CompanionPartUrl>> {
    let parts = uploads::sign_parts(&app, &caller.subject(), id, Some(vec![number]), None).await;
    let parts = parts.map_err(|error| error.in_parameter("number"))?;
    let part = parts.into_iter().next().ok_or(Error::NotFound)?;
    Ok(JsonResponse(CompanionPartUrl { url: part.url.url }))
}

/// Complete a multipart upload (Uppy)
#[utoipa::path(post, path = "/v1/companion/s3/multipart/{id}/complete", tag = "uploads",
    operation_id = "completeMultipartUpload", params(("id" = Uuid, Path), ("key" = Option<String>, Query, description = "Sent by Uppy, and ignored")), request_body = CompanionParts,
    responses((status = 200, description = "The completed file", body = CompanionResult)),
    extensions(("x-problem-codes" = json!(["upload_incomplete", "upload_gone", "upload_busy",
        "path_taken", "quota_exceeded"]))))]
async fn complete(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    PartsJson(sent): PartsJson<CompanionParts>,
) -> Result<JsonResponse<CompanionResult>> {
    let claims =
        sent.parts.into_iter().map(|part| ExpectedPart { number: part.part_number, etag: part.etag }).collect();
    let file = uploads::complete(&app, &caller.subject(), id, claims).await?.item;
    let location = app.config.url(&format!("/v1/files/{}/content", file.id));
    Ok(JsonResponse(CompanionResult { location, bucket: "", key: file.id }))
}

/// Abort a multipart upload (Uppy)
#[utoipa::path(delete, path = "/v1/companion/s3/multipart/{id}", tag = "uploads", operation_id = "abortMultipartUpload",
    params(("id" = Uuid, Path), ("key" = Option<String>, Query, description = "Sent by Uppy, and ignored")),
    responses((status = 200, description = "The upload was aborted", body = Object, example = json!({}))),
    extensions(("x-problem-codes" = json!(["upload_gone"]))))]
async fn abort(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<JsonResponse<Value>> {
    uploads::cancel(&app, &caller.subject(), id).await?;
    Ok(JsonResponse(Value::Object(serde_json::Map::new())))
}
