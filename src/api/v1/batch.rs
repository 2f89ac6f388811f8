//! One operation on many files: each has its own result, and a failure does not affect the others.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::signed_urls::SignedUrlView;
use crate::access::{Right, Subject};
use crate::api::auth::SignedIn;
use crate::api::conflict::ConflictChoice;
use crate::app::App;
use crate::db::Permit;
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::files::signed_urls::{self, ReadMethod, SignOptions};
use crate::files::{self, Change, Conflict, Deletion, Expected, FolderPath, OnConflict, Placed};
use crate::http::extract::Json;
use crate::http::problem::{self, Problem, ProblemCode};
use crate::http::request_memory::RequestMemory;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(batch))
}

/// One operation and the files that it applies to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"op": "move", "ids": ["019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11"], "path": "2026/archive"}))]
pub struct BatchRequest {
    op: BatchOperation,
    /// At most `batch_limit` of the server's capabilities.
    #[schema(max_items = 1000)]
    ids: Vec<Uuid>,
    /// For `move`, which requires it: the target folder.
    #[schema(pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
    /// For `move`: what to do if a name is taken; `fail` by default.
    on_conflict: Option<ConflictChoice>,
    /// For `delete`: delete permanently, without the trash.
    #[serde(default)]
    permanent: bool,
    /// For `sign`: the lifetime of the URLs in seconds. The default is the server's setting.
    #[schema(minimum = 1, maximum = 604800)]
    expires_in: Option<u64>,
}

impl BatchRequest {
    /// Members of another operation are refused: who sends them expects something of them.
    fn check_members(&self) -> Result<()> {
        use BatchOperation::{Delete, Move, Sign};
        if self.op == Move && self.path.is_none() {
            return Err(Error::invalid("/path", "required", "`move` requires the target folder"));
        }
        let misplaced = [
            (self.path.is_some() && self.op != Move, "/path", "allowed with `move` only"),
            (self.on_conflict.is_some() && self.op != Move, "/on_conflict", "allowed with `move` only"),
            (self.permanent && self.op != Delete, "/permanent", "allowed with `delete` only"),
            (self.expires_in.is_some() && self.op != Sign, "/expires_in", "allowed with `sign` only"),
        ];
        match misplaced.into_iter().find(|(is_misplaced, ..)| *is_misplaced) {
            Some((_, pointer, detail)) => Err(Error::invalid(pointer, "unsupported", detail)),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BatchOperation {
    Delete,
    Sign,
    Move,
}

impl BatchOperation {
    /// The right to a file that it needs.
    fn right(self) -> Right {
        match self {
            Self::Delete => Right::Delete,
            Self::Sign => Right::Share,
            Self::Move => Right::Update,
        }
    }

    /// The approximate maximum size of a result as JSON, in bytes.
    fn bytes(self) -> usize {
        match self {
            Self::Delete => 512,
            Self::Move => 4 * 1024,
            Self::Sign => 8 * 1024,
        }
    }
}

/// One result for each id, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchResponse {
    items: Vec<BatchResult>,
}

/// The result of one file: the status that a single request would have had.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "status": 204}))]
pub struct BatchResult {
    id: Uuid,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    file: Option<MovedFileView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    signed_url: Option<SignedUrlView>,
    /// What was done if the name was taken: `numbered`, `replaced` or `skipped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    conflict: Option<&'static str>,
    /// The code of the problem, if the operation failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemCode>, nullable = false)]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
}

/// The new location of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MovedFile, example = json!({
    "name": "report.pdf", "path": "2026/archive", "updated_at": "2026-11-22T09:30:00Z"
}))]
pub struct MovedFileView {
    name: String,
    path: String,
    updated_at: Timestamp,
}

/// Delete, sign or move many files
///
/// Each file has its own result: a failure does not affect the others.
#[utoipa::path(post, path = "/v1/files/batch", tag = "files", operation_id = "batchFiles", request_body = BatchRequest,
    responses((status = 200, description = "One result per file", body = BatchResponse)))]
async fn batch(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Extension(memory): Extension<RequestMemory>,
    Json(request): Json<BatchRequest>,
) -> Result<axum::Json<BatchResponse>> {
    events::set_channel(Channel::Batch);
    let maximum = app.config.limits.batch;
    if request.ids.len() > maximum {
        return Err(Error::invalid("/ids", "too_many", format!("at most {maximum} ids")));
    }
    request.check_members()?;
    let path = request.path.as_deref().map(|path| FolderPath::new(path, "/path")).transpose()?;
    memory.reserve_items(request.ids.len(), request.op.bytes()).await?;
    let mut items = Vec::with_capacity(request.ids.len());
    for id in &request.ids {
        let item = match one(&app, &caller.subject(), &request, path.as_ref(), *id).await {
            Ok(done) => done,
            // The session or the token has ended since the request began.
            Err(Error::Unauthorized) => return Err(Error::Unauthorized),
            Err(failure) => BatchResult::failed(*id, &failure),
        };
        items.push(item);
    }
    Ok(axum::Json(BatchResponse { items }))
}

async fn one(
    app: &App,
    subject: &Subject,
    request: &BatchRequest,
    path: Option<&FolderPath>,
    id: Uuid,
) -> Result<BatchResult> {
    Permit::clear_needs();
    let file = files::find(app, subject, request.op.right(), id).await?;
    match request.op {
        BatchOperation::Delete => {
            let deletion = if request.permanent { Deletion::Permanent } else { Deletion::Trash };
            files::delete(app, subject, file, &Expected::Anything, deletion).await?;
            Ok(BatchResult::done(id, 204))
        }
        BatchOperation::Sign => {
            let options = SignOptions {
                method: ReadMethod::Get,
                expires_in: request.expires_in.map(Duration::from_secs),
                download_name: None,
                inline: true,
            };
            let signed = signed_urls::sign(app, &file, &options).await?;
            let signed_url = Some(SignedUrlView::new(signed, None));
            Ok(BatchResult { signed_url, ..BatchResult::done(id, 201) })
        }
        BatchOperation::Move => {
            let on_conflict = request.on_conflict.map_or(OnConflict::Fail, OnConflict::from);
            let change = Change { path: path.cloned(), on_conflict, ..Change::default() };
            let Placed { item: file, conflict } =
                files::change(app, subject, file, &Expected::Anything, &change).await?;
            // Without metadata: that of a thousand files is more than a response may take.
            let moved =
                MovedFileView { path: file.visible_path().to_owned(), name: file.name, updated_at: file.updated_at };
            let conflict = conflict.map(Conflict::as_str);
            Ok(BatchResult { file: Some(moved), conflict, ..BatchResult::done(id, 200) })
        }
    }
}

impl BatchResult {
    fn done(id: Uuid, status: u16) -> Self {
        Self { id, status, file: None, signed_url: None, conflict: None, code: None, detail: None }
    }

    fn failed(id: Uuid, failure: &Error) -> Self {
        problem::log(failure);
        let problem = Problem::from(failure);
        Self { code: Some(problem.code), detail: Some(problem.detail), ..Self::done(id, problem.status) }
    }
}
