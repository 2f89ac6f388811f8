//! The trash: listed, restored from and emptied.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{FileView, file_response};
use crate::api::auth::SignedIn;
use crate::api::conflict::{RestoreParams, with_conflict};
use crate::api::extract::SpaceParams;
use crate::app::App;
use crate::error::Result;
use crate::files::Placed;
use crate::files::trash::{self, TrashedFile};
use crate::http::extract::{Id, PageParams, Paging, Query};

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
    /// When it is deleted permanently, unless it is restored.
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
    /// Seconds that deleted files stay in the trash; 0 if the server has no trash and deletes permanently.
    #[schema(example = 2592000)]
    retention: u64,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The result of emptying the trash.
#[derive(Debug, Serialize, ToSchema)]
struct TrashEmptied {
    /// Files.
    #[schema(example = 17)]
    deleted: u64,
}

/// List the trash
///
/// Most recently deleted first. Files in the trash count toward your quota.
#[utoipa::path(get, path = "/v1/trash", tag = "trash", operation_id = "listTrash", params(SpaceParams, PageParams),
    responses((status = 200, description = "A page of the trash", body = TrashPageView)))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<SpaceParams>,
    Paging(page): Paging,
) -> Result<axum::Json<TrashPageView>> {
    let (subject, space) = (caller.subject(), params.space(&caller));
    let page = trash::list(&app, &subject, space, page.limit, page.cursor.as_deref()).await?;
    let items = page.items.into_iter().map(TrashedFileView::from).collect();
    let retention = app.config.trash_retention.as_secs();
    Ok(axum::Json(TrashPageView { items, retention, next_cursor: page.next_cursor }))
}

/// Empty the trash
///
/// Permanently deletes everything that is in it when the request arrives.
#[utoipa::path(delete, path = "/v1/trash", tag = "trash", operation_id = "emptyTrash", params(SpaceParams),
    responses((status = 200, description = "The number of deleted files", body = TrashEmptied)))]
async fn empty(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<SpaceParams>,
) -> Result<axum::Json<TrashEmptied>> {
    let deleted = trash::empty(&app, &caller.subject(), params.space(&caller)).await?;
    Ok(axum::Json(TrashEmptied { deleted }))
}

/// Delete a trashed file permanently
#[utoipa::path(delete, path = "/v1/trash/{id}", tag = "trash", operation_id = "deleteFromTrash",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The file was deleted")))]
async fn delete(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    trash::delete(&app, &caller.subject(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a file from the trash
///
/// To its previous folder. If its name has been taken, it is numbered: `report (1).pdf`, unless `on_conflict` says
/// otherwise.
#[utoipa::path(post, path = "/v1/trash/{id}/restore", tag = "trash", operation_id = "restoreFile",
    params(("id" = Uuid, Path), RestoreParams),
    responses((status = 200, description = "The restored file, or the one that stays in the trash", body = FileView,
        headers(("ETag" = String), ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "not_a_folder"]))))]
async fn restore(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Query(params): Query<RestoreParams>,
) -> Result<Response> {
    let Placed { item, conflict } = trash::restore(&app, &caller.subject(), id, params.on_conflict()).await?;
    Ok(with_conflict(file_response(StatusCode::OK, item), conflict))
}
