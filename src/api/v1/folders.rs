//! Folders: list, create, read, rename, move, delete, restore.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SignedIn;
use crate::api::conflict::{MoveParams, RestoreParams, with_conflict};
use crate::api::extract::{CallerTree, PermittedFolder, RootParams, SpaceParams, need};
use crate::app::App;
use crate::db::FolderSum;
use crate::error::{Error, Location, Result};
use crate::files::folders::{self, Contents, Folder, FolderChange, TrashedFolder};
use crate::files::{Deletion, FileName, FolderPath, Placed};
use crate::http::extract::{Id, Json, PageParams, Paging, Query, present};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(list_trash))
        .routes(routes!(delete_trashed))
        .routes(routes!(restore))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FolderParams {
    /// The folder to list; by default the top folder.
    #[param(example = "2026", pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
}

/// A folder.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Folder, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12", "parent_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d10",
    "name": "november", "path": "2026/november", "space_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21",
    "created_at": "2026-11-22T09:30:00Z", "updated_at": "2026-11-22T09:30:00Z"
}))]
pub struct FolderView {
    id: Uuid,
    /// The folder that it is in; null for the top folder.
    #[schema(required)]
    parent_id: Option<Uuid>,
    /// Empty for the top folder.
    name: String,
    /// Full path, as in `path` of its files.
    path: String,
    space_id: Uuid,
    created_at: Timestamp,
    /// When it was last renamed or moved.
    updated_at: Timestamp,
}

impl From<Folder> for FolderView {
    fn from(folder: Folder) -> Self {
        let (path, parent_id) = (folder.visible_path().to_owned(), folder.visible_parent());
        let Folder { id, space_id, name, created_at, updated_at, .. } = folder;
        Self { id, parent_id, name, path, space_id, created_at, updated_at }
    }
}

/// A page of folders.
#[derive(Debug, Serialize, ToSchema)]
struct FolderPage {
    items: Vec<FolderView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A number of files and folders, and the bytes of the files.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FolderSum)]
struct FolderSumView {
    files: u64,
    folders: u64,
    /// Bytes.
    size: u64,
}

impl From<FolderSum> for FolderSumView {
    fn from(FolderSum { files, bytes, folders }: FolderSum) -> Self {
        Self { files: files.0, folders: folders.0, size: bytes.0 }
    }
}

/// A folder and what it contains.
#[derive(Debug, Serialize, ToSchema)]
struct FolderDetails {
    #[serde(flatten)]
    folder: FolderView,
    /// What lies directly in it.
    directly: FolderSumView,
    /// What lies in it at any depth, as it was at `below_at`.
    below: FolderSumView,
    /// At most a minute ago.
    below_at: Timestamp,
}

/// List folders
///
/// The folders directly in a folder, by name.
#[utoipa::path(get, path = "/v1/folders", tag = "folders", operation_id = "listFolders",
    params(FolderParams, RootParams, PageParams),
    responses((status = 200, description = "A page of folders", body = FolderPage)),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn list(
    State(app): State<Arc<App>>,
    CallerTree { tree, .. }: CallerTree,
    Query(params): Query<FolderParams>,
    Paging(page): Paging,
) -> Result<axum::Json<FolderPage>> {
    let inside = FolderPath::new(&params.path.unwrap_or_default(), Location::Parameter("path".into()))?;
    let page = folders::folders(&app, &tree, &inside, page.limit, page.cursor.as_deref()).await?;
    let page = page.map(FolderView::from);
    Ok(axum::Json(FolderPage { items: page.items, next_cursor: page.next_cursor }))
}

/// A folder to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"path": "2026/november"}))]
pub struct CreateFolderRequest {
    /// The path, at most 64 folders and 4096 bytes. What is missing of it is created.
    #[schema(min_length = 1, pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: String,
    /// The folder that the path begins in; by default the top folder.
    parent_id: Option<Uuid>,
}

/// Create a folder
///
/// An upload creates the folders of its path by itself.
#[utoipa::path(post, path = "/v1/folders", tag = "folders", operation_id = "createFolder",
    request_body = CreateFolderRequest,
    responses((status = 201, description = "The folder was created", body = FolderView, headers(
        ("Location" = String, description = "The URL of the folder")))),
    extensions(("x-problem-codes" = json!(["not_found", "path_taken", "not_a_folder", "too_deep"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Json(wanted): Json<CreateFolderRequest>,
) -> Result<Response> {
    let path = FolderPath::new(&wanted.path, "/path")?;
    let folder = folders::create(&app, &caller.subject(), wanted.parent_id, &path).await?;
    let location = app.config.url(&format!("/v1/folders/{}", folder.id));
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(FolderView::from(folder))).into_response())
}

/// Get a folder
///
/// With what it contains: exactly what lies directly in it, and a sum of all below it that may be a minute old. The top
/// folder has the id of its space.
#[utoipa::path(get, path = "/v1/folders/{id}", tag = "folders", operation_id = "getFolder",
    params(("id" = Uuid, Path)), responses((status = 200, description = "The folder", body = FolderDetails)))]
async fn read(
    State(app): State<Arc<App>>,
    PermittedFolder { folder, .. }: PermittedFolder<need::List>,
) -> Result<axum::Json<FolderDetails>> {
    let Contents { directly, below, below_at } = folders::contents(&app, &folder).await?;
    Ok(axum::Json(FolderDetails { folder: folder.into(), directly: directly.into(), below: below.into(), below_at }))
}

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "december"}))]
pub struct UpdateFolderRequest {
    /// At most 255 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: Option<String>,
    /// The folder to move it to.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    parent_id: Option<Uuid>,
    /// Its new full path, instead of a name and a folder. What is missing above it is created.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
}

/// Rename or move a folder
///
/// At once, however much is in it. A merge patch (RFC 7396), also accepted as `application/merge-patch+json`. Folders are
/// not merged.
#[utoipa::path(patch, path = "/v1/folders/{id}", tag = "folders", operation_id = "updateFolder",
    params(("id" = Uuid, Path), MoveParams), request_body = UpdateFolderRequest,
    responses((status = 200, description = "The updated folder", body = FolderView, headers(
        ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "not_a_folder", "into_itself", "too_deep"]))))]
async fn update(
    State(app): State<Arc<App>>,
    PermittedFolder { caller, folder, .. }: PermittedFolder<need::Update>,
    Query(params): Query<MoveParams>,
    Json(wanted): Json<UpdateFolderRequest>,
) -> Result<Response> {
    let name = wanted.name.map(|name| FileName::new(&name, "/name")).transpose()?;
    let path = wanted.path.map(|path| FolderPath::new(&path, "/path")).transpose()?;
    let change = match path {
        None => FolderChange::Fields(name, wanted.parent_id),
        Some(path) if name.is_none() && wanted.parent_id.is_none() => FolderChange::Path(path),
        Some(_) => return Err(Error::invalid("/path", "unsupported", "allowed without `name` and `parent_id` only")),
    };
    let placed = folders::change(&app, &caller.subject(), &folder, &change, params.on_conflict()).await?;
    Ok(folder_response(placed))
}

fn folder_response(Placed { item, conflict }: Placed<Folder>) -> Response {
    with_conflict(axum::Json(FolderView::from(item)).into_response(), conflict)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteParams {
    /// Delete permanently, without the trash.
    #[serde(default)]
    permanent: bool,
}

/// Delete a folder
///
/// With all below it. It is moved to the trash as one item, from which it can be restored until it expires. With
/// `permanent=true`, or if the server has no trash, it is deleted permanently, with those of its files that are in the
/// trash. Nothing of it is found from then on; 202 says that the server is still
/// deleting the contents of a large one.
#[utoipa::path(delete, path = "/v1/folders/{id}", tag = "folders", operation_id = "deleteFolder",
    params(("id" = Uuid, Path), DeleteParams),
    responses((status = 204, description = "The folder was deleted"),
        (status = 202, description = "The folder is gone, and its contents are being deleted")))]
async fn delete(
    State(app): State<Arc<App>>,
    PermittedFolder { folder, .. }: PermittedFolder<need::Delete>,
    Query(params): Query<DeleteParams>,
) -> Result<StatusCode> {
    let deletion = if params.permanent { Deletion::Permanent } else { Deletion::Trash };
    Ok(status(folders::delete(&app, &folder, deletion).await?))
}

fn status(is_complete: bool) -> StatusCode {
    if is_complete { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED }
}

/// A folder in the trash.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrashedFolder)]
struct TrashedFolderView {
    #[serde(flatten)]
    folder: FolderView,
    #[schema(example = "2026-11-22T09:30:00Z")]
    trashed_at: Timestamp,
    /// When it is deleted permanently, unless it is restored.
    #[schema(example = "2026-12-22T09:30:00Z")]
    purge_at: Timestamp,
}

impl From<TrashedFolder> for TrashedFolderView {
    fn from(TrashedFolder { folder, trashed_at, purge_at }: TrashedFolder) -> Self {
        Self { folder: folder.into(), trashed_at, purge_at }
    }
}

/// A page of folders in the trash.
#[derive(Debug, Serialize, ToSchema)]
struct FolderTrashPage {
    items: Vec<TrashedFolderView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List folders in the trash
///
/// Most recently deleted first. Files and folders that were deleted with a folder are not listed.
#[utoipa::path(get, path = "/v1/trashed-folders", tag = "trash", operation_id = "listTrashedFolders",
    params(SpaceParams, PageParams),
    responses((status = 200, description = "A page of the trash", body = FolderTrashPage)))]
async fn list_trash(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<SpaceParams>,
    Paging(page): Paging,
) -> Result<axum::Json<FolderTrashPage>> {
    let (subject, space) = (caller.subject(), params.space(&caller));
    let page = folders::trashed(&app, &subject, space, page.limit, page.cursor.as_deref()).await?;
    let page = page.map(TrashedFolderView::from);
    Ok(axum::Json(FolderTrashPage { items: page.items, next_cursor: page.next_cursor }))
}

/// Delete a trashed folder permanently
#[utoipa::path(delete, path = "/v1/trashed-folders/{id}", tag = "trash", operation_id = "deleteFolderFromTrash",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "The folder was deleted"),
        (status = 202, description = "The folder is gone, and its contents are being deleted")))]
async fn delete_trashed(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    Ok(status(folders::delete_trashed(&app, &caller.subject(), id).await?))
}

/// Restore a folder from the trash
///
/// With all that was deleted with it, to its previous folder. If its name has been taken, it is numbered, unless
/// `on_conflict` says otherwise. Folders are not merged.
#[utoipa::path(post, path = "/v1/trashed-folders/{id}/restore", tag = "trash", operation_id = "restoreFolder",
    params(("id" = Uuid, Path), RestoreParams),
    responses((status = 200, description = "The restored folder, or the one that stays in the trash", body = FolderView,
        headers(("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "not_a_folder", "too_deep"]))))]
async fn restore(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Query(params): Query<RestoreParams>,
) -> Result<Response> {
    Ok(folder_response(folders::restore(&app, &caller.subject(), id, params.on_conflict()).await?))
}
