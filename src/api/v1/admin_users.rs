//! The accounts of all users, for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::jobs::{self, JobAccepted};
use super::me::{StorageUsageView, UserView};
use crate::api::auth::Admin;
use crate::app::App;
use crate::error::Result;
use crate::http::extract::{Id, Json, PageParams, Paging, present};
use crate::users::{self, AdminUser, Quota, QuotaOverrides, UpdateUser};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, update, delete))
}

/// An account as admins see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminUser)]
struct AdminUserView {
    #[serde(flatten)]
    user: UserView,
    usage: StorageUsageView,
    quota: QuotaOverridesView,
}

/// The account's own quota: a number, `unlimited`, or null for the default of the server's settings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaOverrides, example = json!({"bytes": 10000000000u64, "files": null}))]
pub struct QuotaOverridesView {
    #[schema(value_type = Option<QuotaLimit>, required)]
    bytes: Quota,
    #[schema(value_type = Option<QuotaLimit>, required)]
    files: Quota,
}

/// A number, or `unlimited`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes how `Quota` is written")]
#[serde(untagged)]
enum QuotaLimit {
    Limit(u64),
    Word(QuotaUnlimited),
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes how `Quota` is written")]
enum QuotaUnlimited {
    Unlimited,
}

impl From<AdminUser> for AdminUserView {
    fn from(AdminUser { user, usage, quota }: AdminUser) -> Self {
        Self { user: user.into(), usage: usage.into(), quota: quota.into() }
    }
}

impl From<QuotaOverrides> for QuotaOverridesView {
    fn from(QuotaOverrides { bytes, files }: QuotaOverrides) -> Self {
        Self { bytes, files }
    }
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
struct AdminUserPage {
    items: Vec<AdminUserView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List users
///
/// Oldest first, with their storage usage.
#[utoipa::path(get, path = "/v1/admin/users", tag = "admin", operation_id = "listUsers", params(PageParams),
    responses((status = 200, description = "A page of users", body = AdminUserPage)))]
async fn list(State(app): State<Arc<App>>, _: Admin, Paging(page): Paging) -> Result<axum::Json<AdminUserPage>> {
    let page = users::list_users(&app, page.limit, page.cursor.as_deref()).await?;
    let items = page.items.into_iter().map(AdminUserView::from).collect();
    Ok(axum::Json(AdminUserPage { items, next_cursor: page.next_cursor }))
}

/// Get a user
#[utoipa::path(get, path = "/v1/admin/users/{id}", tag = "admin", operation_id = "getUser", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The user", body = AdminUserView)))]
async fn read(State(app): State<Arc<App>>, _: Admin, Id(id): Id) -> Result<axum::Json<AdminUserView>> {
    Ok(axum::Json(users::find_user(&app, id).await?.into()))
}

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quota": {"bytes": 10000000000u64, "files": "unlimited"}, "disabled": false}))]
struct UpdateUserRequest {
    #[serde(default)]
    quota: UpdateQuotasRequest,
    /// Whether the account is disabled: its sessions end, and its API tokens and the signed URLs of this server are
    /// refused until it is enabled again.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    disabled: Option<bool>,
}

/// The quota to set: a number, `unlimited`, or null for the default of the server's settings.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateQuotasRequest {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<QuotaLimit>)]
    pub bytes: Option<Quota>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<QuotaLimit>)]
    pub files: Option<Quota>,
}

/// Update a user
///
/// A merge patch (RFC 7396), also accepted as `application/merge-patch+json`. A quota below the current usage deletes
/// nothing; uploads are refused until there is room.
#[utoipa::path(patch, path = "/v1/admin/users/{id}", tag = "admin", operation_id = "updateUser",
    params(("id" = Uuid, Path)), request_body = UpdateUserRequest,
    responses((status = 200, description = "The updated user", body = AdminUserView)))]
async fn update(
    State(app): State<Arc<App>>,
    Admin(admin): Admin,
    Id(id): Id,
    Json(wanted): Json<UpdateUserRequest>,
) -> Result<axum::Json<AdminUserView>> {
    let patch = UpdateUser { bytes: wanted.quota.bytes, files: wanted.quota.files, disabled: wanted.disabled };
    Ok(axum::Json(users::update_user(&app, Some(&admin.user), id, patch).await?.into()))
}

/// Delete a user
///
/// As if the user had deleted the account: it becomes unusable immediately, and its data is deleted in the background.
/// This cannot be undone.
#[utoipa::path(delete, path = "/v1/admin/users/{id}", tag = "admin", operation_id = "deleteUser",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "The deletion has started", body = JobAccepted,
        headers(("Location" = String, description = "The URL of the job")))),
    extensions(("x-problem-codes" = json!(["last_admin", "invalid"]))))]
async fn delete(State(app): State<Arc<App>>, Admin(admin): Admin, Id(id): Id) -> Result<Response> {
    jobs::accepted(&app, users::delete_account(&app, Some(&admin.user), id).await?)
}
