//! One operation on many files: each gets its own result, and one that fails holds up no other.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
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
use crate::events::{self, Channel};
use crate::files::signed_urls::{self, ReadMethod, SignOptions};
use crate::files::{self, Change, Expected, FolderPath, Removal};
use crate::http::extract::Json;
use crate::http::problem::{self, Problem};
use crate::users::User;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(batch))
}

/// One operation and the files that it is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"op": "move", "ids": ["019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11"], "path": "2026/archive"}))]
pub struct BatchRequest {
    op: BatchOperation,
    ids: Vec<Uuid>,
    /// For `move`: the folder to move to.
    path: Option<String>,
    /// For `delete`: for good, past the trash.
    #[serde(default)]
    permanent: bool,
    /// For `sign`: the life of the URLs, in seconds.
    expires_in: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BatchOperation {
    Delete,
    Sign,
    Move,
}

/// One result for each id, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchResponse {
    items: Vec<BatchItem>,
}

/// What became of one file: the status that the single request would have had, and its answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "status": 204}))]
pub struct BatchItem {
    id: Uuid,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_url: Option<SignedUrlView>,
    /// The code of the problem, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Delete, sign or move many files
#[utoipa::path(post, path = "/v1/files/batch", tag = "files", operation_id = "batchFiles",
    request_body = BatchRequest, responses((status = 200, body = BatchResponse)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["too_large", "unsupported_media_type", "invalid"]))))]
async fn batch(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Json(request): Json<BatchRequest>,
) -> Result<axum::Json<BatchResponse>> {
    events::set_channel(Channel::Batch);
    let most = app.config.limits.batch;
    if request.ids.len() > most {
        return Err(Error::invalid("/ids", "too_many", format!("at most {most} ids")));
    }
    let path = request.path.as_deref().map(|path| FolderPath::new(path, "/path")).transpose()?;
    if (request.op == BatchOperation::Move) != path.is_some() {
        return Err(Error::invalid("/path", "invalid", "`path` belongs to `move`, and `move` needs it"));
    }
    let mut items = Vec::with_capacity(request.ids.len());
    for id in &request.ids {
        let done = one(&app, &caller.user, &request, path.as_ref(), *id).await;
        items.push(done.unwrap_or_else(|failure| BatchItem::failed(*id, &failure)));
    }
    Ok(axum::Json(BatchResponse { items }))
}

async fn one(app: &App, user: &User, request: &BatchRequest, path: Option<&FolderPath>, id: Uuid) -> Result<BatchItem> {
    let file = files::find(app, user, id).await?;
    match request.op {
        BatchOperation::Delete => {
            let removal = if request.permanent { Removal::Permanent } else { Removal::Trash };
            files::delete(app, user, file, &Expected::Anything, removal).await?;
            Ok(BatchItem::done(id, 204))
        }
        BatchOperation::Sign => {
            let options = SignOptions {
                method: ReadMethod::Get,
                expires_in: request.expires_in.map(Duration::from_secs),
                download_name: None,
                inline: true,
            };
            let signed = signed_urls::sign(app, user, &file, &options).await?;
            let signed_url = Some(SignedUrlView::new(signed, None));
            Ok(BatchItem { signed_url, ..BatchItem::done(id, 201) })
        }
        BatchOperation::Move => {
            let change = Change { path: path.cloned(), ..Change::default() };
            let file = files::change(app, user, file, &Expected::Anything, &change).await?;
            Ok(BatchItem { file: Some(FileView::new(file, None)), ..BatchItem::done(id, 200) })
        }
    }
}

impl BatchItem {
    fn done(id: Uuid, status: u16) -> Self {
        Self { id, status, file: None, signed_url: None, code: None, detail: None }
    }

    fn failed(id: Uuid, failure: &Error) -> Self {
        problem::log(failure);
        let problem = Problem::from(failure);
        Self { code: Some(problem.code), detail: Some(problem.detail), ..Self::done(id, problem.status) }
    }
}
