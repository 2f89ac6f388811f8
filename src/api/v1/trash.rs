//! The trash: look into it, take out of it, empty it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{FileView, shown};
use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::Result;
use crate::files::trash::{self, TrashedFile};
use crate::http::extract::{Id, PageParams, Query};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, empty)).routes(routes!(delete)).routes(routes!(restore))
}

/// A file in the trash.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrashedFile)]
struct TrashedFileView {
    #[serde(flatten)]
    file: FileView,
    #[schema(example = "2026-11-22T09:30:00Z")]
    trashed_at: Timestamp,
    /// When it goes for good, unless it is restored.
    #[schema(example = "2026-12-22T09:30:00Z")]
    purge_at: Timestamp,
}

impl From<TrashedFile> for TrashedFileView {
    fn from(trashed: TrashedFile) -> Self {
        let TrashedFile { file, trashed_at, purge_at } = trashed;
        Self { file: FileView::new(file, None), trashed_at, purge_at }
    }
}

/// A page of the trash.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrashPage)]
struct TrashPageView {
    items: Vec<TrashedFileView>,
    /// Seconds that what is deleted stays here; 0: there is no trash, deleting is for good.
    #[schema(example = 2592000)]
    retention: u64,
    /// Ask with this for the page deadline; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// How much of the trash was deleted.
#[derive(Debug, Serialize, ToSchema)]
struct Emptied {
    /// Files.
    #[schema(example = 17)]
    deleted: u64,
}

/// List your trash
///
/// What was deleted last comes first. What is here counts toward your quota.
#[utoipa::path(get, path = "/v1/trash", tag = "trash", operation_id = "listTrash", params(PageParams),
    responses((status = 200, body = TrashPageView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["bad_cursor", "invalid"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<TrashPageView>> {
    let page = trash::list(&app, &caller.user, page.limit, page.cursor.as_deref()).await?;
    let items = page.files.into_iter().map(TrashedFileView::from).collect();
    let retention = app.config.trash_retention.as_secs();
    Ok(axum::Json(TrashPageView { items, retention, next_cursor: page.next_cursor }))
}

/// Empty your trash
///
/// Everything that is in it when the request comes is deleted for good.
#[utoipa::path(delete, path = "/v1/trash", tag = "trash", operation_id = "emptyTrash",
    responses((status = 200, body = Emptied)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!([]))))]
async fn empty(State(app): State<Arc<App>>, SignedIn(caller): SignedIn) -> Result<axum::Json<Emptied>> {
    Ok(axum::Json(Emptied { deleted: trash::empty(&app, &caller.user).await? }))
}

/// Delete a file in the trash for good
#[utoipa::path(delete, path = "/v1/trash/{id}", tag = "trash", operation_id = "deleteFromTrash",
    params(("id" = uuid::Uuid, Path)), responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn delete(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    trash::delete(&app, &caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a file from the trash
///
/// To where it was. If another file is there by now, its name gets a number: `report (1).pdf`.
#[utoipa::path(post, path = "/v1/trash/{id}/restore", tag = "trash", operation_id = "restoreFile",
    params(("id" = uuid::Uuid, Path)), responses((status = 200, body = FileView, headers(("ETag" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn restore(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<Response> {
    Ok(shown(StatusCode::OK, trash::restore(&app, &caller.user, id).await?))
}
