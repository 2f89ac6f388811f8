//! Which files of a list are new, before any of them is uploaded.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequest, Request, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::extract::{CallerTree, RootParams};
use crate::app::App;
use crate::error::{Error, FieldError, Result};
use crate::files::{self, Checked, CheckedFile, FileName, FolderPath};
use crate::hex::unhex;
use crate::http::extract::{BodyLimits, read_json};
use crate::http::request_memory::RequestMemory;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(check))
}

/// Bytes of JSON of one file, on average.
const ITEM_BYTES: usize = 1024;
/// The approximate maximum size of a result as JSON, in bytes.
const RESULT_BYTES: usize = 128;
/// Invalid values that one response names.
const MAX_NAMED: usize = 100;

/// The body, which may be larger than others.
pub struct CheckJson(CheckRequest);

impl FromRequest<Arc<App>> for CheckJson {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        use axum::extract::FromRef;
        let limits = BodyLimits::from_ref(app);
        let json = limits.json.max(app.config.limits.batch * ITEM_BYTES);
        read_json(request, BodyLimits { json, ..limits }).await.map(Self)
    }
}

/// The files to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"files": [
    {"path": "photos", "name": "a.jpg", "size": 183422, "mtime": "2026-11-22T09:30:00Z"},
    {"name": "b.txt", "size": 12, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
]}))]
pub struct CheckRequest {
    /// At most `batch_limit` of the server's capabilities.
    #[schema(max_items = 1000)]
    files: Vec<FileToCheck>,
}

/// A file as the client has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"path": "photos", "name": "a.jpg", "size": 183422, "mtime": "2026-11-22T09:30:00Z"}))]
pub struct FileToCheck {
    /// The folder; by default the top folder.
    #[serde(default)]
    #[schema(pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: String,
    #[schema(min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: String,
    /// Bytes.
    size: u64,
    /// The SHA-256 digest of the content, in hexadecimal.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    sha256: Option<String>,
    /// When the content was last changed: a text or a number, compared with the member `mtime` of the metadata that the
    /// content was uploaded with. Used without `sha256` only.
    #[schema(value_type = Option<MtimeValue>)]
    mtime: Option<Value>,
}

/// A time in a form of the client's choice.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes values")]
enum MtimeValue {
    Text(String),
    Number(f64),
}

impl FileToCheck {
    fn parse(self, index: usize) -> Result<CheckedFile> {
        let at = |member: &str| format!("/files/{index}/{member}");
        let sha256 = match &self.sha256 {
            None => None,
            Some(text) => match unhex(text).filter(|bytes| bytes.len() == 32) {
                Some(bytes) => Some(bytes),
                None => return Err(Error::invalid(at("sha256"), "invalid", "64 hexadecimal digits")),
            },
        };
        if self.mtime.as_ref().is_some_and(|mtime| !mtime.is_string() && !mtime.is_number()) {
            return Err(Error::invalid(at("mtime"), "wrong_type", "expected a text or a number"));
        }
        Ok(CheckedFile {
            path: FolderPath::new(&self.path, at("path").as_str())?,
            name: FileName::new(&self.name, at("name").as_str())?,
            size: self.size,
            sha256,
            mtime: self.mtime,
        })
    }
}

/// One result for each file, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckResponse {
    items: Vec<CheckResult>,
}

/// The result of one file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "identical", "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11"}))]
pub struct CheckResult {
    #[schema(inline)]
    status: CheckStatus,
    /// The file with this path and name, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CheckStatus {
    New,
    Identical,
    Differs,
}

impl From<Checked> for CheckResult {
    fn from(checked: Checked) -> Self {
        let (status, id) = match checked {
            Checked::New => (CheckStatus::New, None),
            Checked::Identical(id) => (CheckStatus::Identical, Some(id)),
            Checked::Differs(id) => (CheckStatus::Differs, Some(id)),
            Checked::Folder => (CheckStatus::Differs, None),
        };
        Self { status, id }
    }
}

/// Compare files before an upload
///
/// Says of each file of a list whether there is none with its path and name (`new`), one with the same content
/// (`identical`), or one with other content (`differs`; without an `id` it is a folder). With `sha256`, the content is the
/// same if size and digest are. Without, it is the same if the size is, and the content was uploaded with metadata whose
/// member `mtime` is the same; otherwise it is not known to be, and `differs`.
#[utoipa::path(post, path = "/v1/files/check", tag = "files", operation_id = "checkFiles",
    params(RootParams), request_body = CheckRequest,
    responses((status = 200, description = "One result per file", body = CheckResponse)))]
async fn check(
    State(app): State<Arc<App>>,
    CallerTree { tree, .. }: CallerTree,
    Extension(memory): Extension<RequestMemory>,
    CheckJson(request): CheckJson,
) -> Result<axum::Json<CheckResponse>> {
    let maximum = app.config.limits.batch;
    if request.files.len() > maximum {
        return Err(Error::invalid("/files", "too_many", format!("at most {maximum} files")));
    }
    memory.reserve_items(request.files.len(), RESULT_BYTES).await?;
    let checked = files::check(&app, &tree, &parse(request.files)?).await?;
    Ok(axum::Json(CheckResponse { items: checked.into_iter().map(CheckResult::from).collect() }))
}

/// # Errors
/// [`Error::Invalid`] with the invalid values of all files, as many as a response names.
fn parse(files: Vec<FileToCheck>) -> Result<Vec<CheckedFile>> {
    let mut errors: Vec<FieldError> = Vec::new();
    let mut parsed = Vec::with_capacity(files.len());
    for (index, file) in files.into_iter().enumerate() {
        match file.parse(index) {
            Ok(file) => parsed.push(file),
            Err(Error::Invalid(more)) => errors.extend(more),
            Err(error) => return Err(error),
        }
    }
    errors.truncate(MAX_NAMED);
    if errors.is_empty() { Ok(parsed) } else { Err(Error::Invalid(errors)) }
}
