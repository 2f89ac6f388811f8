//! Shared spaces: for their members, and for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::admin_users::{QuotaOverridesView, UpdateQuotasRequest};
use super::me::StorageUsageView;
use crate::access::Right;
use crate::api::auth::{Admin, SignedIn};
use crate::app::App;
use crate::cursor::Page;
use crate::error::Result;
use crate::files::spaces::{self, Space};
use crate::http::extract::{Id, Json, PageParams, Paging};
use crate::http::location::location;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(restore))
        .routes(routes!(list_all))
        .routes(routes!(read_any, update_any))
        .routes(routes!(add_manager))
}

/// A shared space. Its top folder has the same id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Space)]
struct SpaceView {
    #[schema(example = "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12")]
    id: Uuid,
    #[schema(example = "Accounting")]
    name: String,
    /// What you may do everywhere in it.
    #[schema(example = json!(["list", "read", "preview"]))]
    rights: Vec<&'static str>,
    usage: StorageUsageView,
    created_at: Timestamp,
    /// When it was deleted; null if it is not.
    #[schema(required)]
    deleted_at: Option<Timestamp>,
    /// When a deleted space is deleted permanently, unless it is restored.
    #[schema(required)]
    purge_at: Option<Timestamp>,
}

impl From<Space> for SpaceView {
    fn from(space: Space) -> Self {
        let rights = Right::ALL.into_iter().filter(|right| space.rights.contains(*right)).map(Right::as_str).collect();
        Self {
            id: space.id,
            name: space.name,
            rights,
            usage: space.usage.into(),
            created_at: space.created_at,
            deleted_at: space.deleted_at,
            purge_at: space.purge_at,
        }
    }
}

/// A page of shared spaces.
#[derive(Debug, Serialize, ToSchema)]
struct SpacePage {
    items: Vec<SpaceView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl From<Page<Space>> for SpacePage {
    fn from(page: Page<Space>) -> Self {
        let page = page.map(SpaceView::from);
        Self { items: page.items, next_cursor: page.next_cursor }
    }
}

/// List your shared spaces
///
/// Those that you are a member of, oldest first; those that are deleted only if you manage them.
#[utoipa::path(get, path = "/v1/spaces", tag = "spaces", operation_id = "listSpaces", params(PageParams),
    responses((status = 200, description = "A page of spaces", body = SpacePage)))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Paging(page): Paging,
) -> Result<axum::Json<SpacePage>> {
    let page = spaces::list(&app, &caller.subject(), page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}

/// The name of a space, at most 255 characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Accounting"}))]
struct SpaceRequest {
    #[schema(min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: String,
}

/// Create a shared space
///
/// You become its first manager; add members with `POST /v1/grants` and the id of the space as `folder_id`. Unless the
/// settings say otherwise, only admins create spaces.
#[utoipa::path(post, path = "/v1/spaces", tag = "spaces", operation_id = "createSpace", request_body = SpaceRequest,
    responses((status = 201, description = "The space was created", body = SpaceView,
        headers(("Location" = String, description = "The URL of the space")))),
    extensions(("x-problem-codes" = json!(["admin_required", "too_many_spaces"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Json(wanted): Json<SpaceRequest>,
) -> Result<Response> {
    let space = spaces::create(&app, &caller.user, &wanted.name).await?;
    let location = location(&app.config.url(&format!("/v1/spaces/{}", space.id)))?;
    Ok((StatusCode::CREATED, [location], axum::Json(SpaceView::from(space))).into_response())
}

/// Get a shared space
#[utoipa::path(get, path = "/v1/spaces/{id}", tag = "spaces", operation_id = "getSpace", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The space", body = SpaceView)),
    extensions(("x-problem-codes" = json!(["right_required"]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<SpaceView>> {
    Ok(axum::Json(spaces::find(&app, &caller.subject(), Right::List, id).await?.into()))
}

/// Rename a shared space
///
/// For its managers. A merge patch (RFC 7396), also accepted as `application/merge-patch+json`.
#[utoipa::path(patch, path = "/v1/spaces/{id}", tag = "spaces", operation_id = "updateSpace",
    params(("id" = Uuid, Path)), request_body = SpaceRequest,
    responses((status = 200, description = "The updated space", body = SpaceView)),
    extensions(("x-problem-codes" = json!(["right_required"]))))]
async fn update(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(wanted): Json<SpaceRequest>,
) -> Result<axum::Json<SpaceView>> {
    Ok(axum::Json(spaces::rename(&app, &caller.subject(), id, &wanted.name).await?.into()))
}

/// Delete a shared space
///
/// For its managers, with everything in it. Nobody has access from then on; a manager can restore it until its grace
/// period expires.
#[utoipa::path(delete, path = "/v1/spaces/{id}", tag = "spaces", operation_id = "deleteSpace",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The space was deleted")),
    extensions(("x-problem-codes" = json!(["right_required"]))))]
async fn delete(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    spaces::delete(&app, &caller.subject(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a deleted space
#[utoipa::path(post, path = "/v1/spaces/{id}/restore", tag = "spaces", operation_id = "restoreSpace",
    params(("id" = Uuid, Path)), responses((status = 200, description = "The restored space", body = SpaceView)))]
async fn restore(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<SpaceView>> {
    Ok(axum::Json(spaces::restore(&app, &caller.subject(), id).await?.into()))
}

/// A shared space as admins see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminSpace)]
struct AdminSpaceView {
    #[serde(flatten)]
    space: SpaceView,
    quota: QuotaOverridesView,
}

impl From<Space> for AdminSpaceView {
    fn from(space: Space) -> Self {
        Self { quota: space.quota.into(), space: space.into() }
    }
}

/// A page of shared spaces.
#[derive(Debug, Serialize, ToSchema)]
struct AdminSpacePage {
    items: Vec<AdminSpaceView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List all shared spaces
///
/// Oldest first, with their usage. Admins see no files of spaces that they are not members of.
#[utoipa::path(get, path = "/v1/admin/spaces", tag = "admin", operation_id = "listAllSpaces", params(PageParams),
    responses((status = 200, description = "A page of spaces", body = AdminSpacePage)))]
async fn list_all(
    State(app): State<Arc<App>>,
    Admin(admin): Admin,
    Paging(page): Paging,
) -> Result<axum::Json<AdminSpacePage>> {
    let page = spaces::list_all(&app, &admin.user, page.limit, page.cursor.as_deref()).await?;
    let page = page.map(AdminSpaceView::from);
    Ok(axum::Json(AdminSpacePage { items: page.items, next_cursor: page.next_cursor }))
}

/// Get any shared space
#[utoipa::path(get, path = "/v1/admin/spaces/{id}", tag = "admin", operation_id = "getAnySpace",
    params(("id" = Uuid, Path)), responses((status = 200, description = "The space", body = AdminSpaceView)))]
async fn read_any(State(app): State<Arc<App>>, Admin(admin): Admin, Id(id): Id) -> Result<axum::Json<AdminSpaceView>> {
    Ok(axum::Json(spaces::find_any(&app, &admin.user, id).await?.into()))
}

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quota": {"bytes": 10000000000u64, "files": "unlimited"}}))]
struct UpdateSpaceQuotaRequest {
    #[serde(default)]
    quota: UpdateQuotasRequest,
}

/// Change the quota of a shared space
///
/// A merge patch (RFC 7396), also accepted as `application/merge-patch+json`. A quota below the current usage deletes
/// nothing; uploads are refused until there is room.
#[utoipa::path(patch, path = "/v1/admin/spaces/{id}", tag = "admin", operation_id = "updateSpaceQuota",
    params(("id" = Uuid, Path)), request_body = UpdateSpaceQuotaRequest,
    responses((status = 200, description = "The updated space", body = AdminSpaceView)))]
async fn update_any(
    State(app): State<Arc<App>>,
    Admin(admin): Admin,
    Id(id): Id,
    Json(wanted): Json<UpdateSpaceQuotaRequest>,
) -> Result<axum::Json<AdminSpaceView>> {
    let UpdateQuotasRequest { bytes, files } = wanted.quota;
    Ok(axum::Json(spaces::set_quota(&app, &admin.user, id, bytes, files).await?.into()))
}

/// The user who is going to manage the space.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21"}))]
struct ManagerRequest {
    user_id: Uuid,
}

/// Name a manager of a shared space
///
/// Where the last manager is gone or is about to be deleted.
#[utoipa::path(post, path = "/v1/admin/spaces/{id}/managers", tag = "admin", operation_id = "addSpaceManager",
    params(("id" = Uuid, Path)), request_body = ManagerRequest,
    responses((status = 200, description = "The space", body = AdminSpaceView)),
    extensions(("x-problem-codes" = json!(["already_shared", "too_many_grants"]))))]
async fn add_manager(
    State(app): State<Arc<App>>,
    Admin(admin): Admin,
    Id(id): Id,
    Json(wanted): Json<ManagerRequest>,
) -> Result<axum::Json<AdminSpaceView>> {
    Ok(axum::Json(spaces::add_manager(&app, &admin.user, id, wanted.user_id).await?.into()))
}
