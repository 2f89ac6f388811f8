//! Other people's accounts, for admins.

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
use crate::error::{Error, Result};
use crate::http::extract::{Id, Json, PageParams, Query, present};
use crate::users::{self, AccountPatch, AdminUser, Quota, QuotaOverrides};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, change, erase))
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
struct QuotaOverridesView {
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
    Most(u64),
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
        let QuotaOverrides { bytes, files } = quota;
        Self { user: user.into(), usage: usage.into(), quota: QuotaOverridesView { bytes, files } }
    }
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminUserPage)]
struct AccountPageView {
    items: Vec<AdminUserView>,
    /// Ask with this for the page deadline; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List the accounts
///
/// Oldest first, with what each of them uses.
#[utoipa::path(get, path = "/v1/admin/users", tag = "admin", operation_id = "listAccounts", params(PageParams),
    responses((status = 200, body = AccountPageView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "bad_cursor", "invalid"]))))]
async fn list(
    State(app): State<Arc<App>>,
    _: Admin,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<AccountPageView>> {
    let page = users::list_page(&app, page.limit, page.cursor.as_deref()).await?;
    let items = page.accounts.into_iter().map(AdminUserView::from).collect();
    Ok(axum::Json(AccountPageView { items, next_cursor: page.next_cursor }))
}

/// Read an account
#[utoipa::path(get, path = "/v1/admin/users/{id}", tag = "admin", operation_id = "readAccount", params(("id" = Uuid, Path)),
    responses((status = 200, body = AdminUserView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "not_found"]))))]
async fn read(State(app): State<Arc<App>>, _: Admin, Id(id): Id) -> Result<axum::Json<AdminUserView>> {
    Ok(axum::Json(users::account(&app, id).await?.into()))
}

/// What shall be different about an account; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quota": {"bytes": 10000000000u64, "files": "unlimited"}, "disabled": false}))]
struct AccountPatchRequest {
    #[serde(default)]
    quota: QuotaPatch,
    /// Whether the account can do nothing: its sessions end, its API tokens and the signed URLs of this server are useless.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    disabled: Option<bool>,
}

/// A number, `unlimited`, or null for what the settings say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuotaPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<QuotaLimit>)]
    bytes: Option<Quota>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<QuotaLimit>)]
    files: Option<Quota>,
}

/// Change an account's quota, or disable it
///
/// A merge patch (RFC 7396). A quota below what is used takes nothing away; it admits no upload until there is room.
#[utoipa::path(patch, path = "/v1/admin/users/{id}", tag = "admin", operation_id = "changeAccount", params(("id" = Uuid, Path)),
    request_body(content((AccountPatchRequest = "application/merge-patch+json"), (AccountPatchRequest = "application/json"))),
    responses((status = 200, body = AdminUserView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "not_found"]))))]
async fn change(
    State(app): State<Arc<App>>,
    Admin(admin): Admin,
    Id(id): Id,
    Json(wanted): Json<AccountPatchRequest>,
) -> Result<axum::Json<AdminUserView>> {
    // Nobody could undo it here.
    if wanted.disabled == Some(true) && id == admin.user.id {
        return Err(Error::invalid("/disabled", "invalid", "nobody disables the account they are signed in with"));
    }
    let patch = AccountPatch { bytes: wanted.quota.bytes, files: wanted.quota.files, disabled: wanted.disabled };
    Ok(axum::Json(users::patch_account(&app, id, patch).await?.into()))
}

/// Erase an account
///
/// As if its owner did: it is dead at once, and what is left goes in the background. There is no way back.
#[utoipa::path(delete, path = "/v1/admin/users/{id}", tag = "admin", operation_id = "eraseAccount", params(("id" = Uuid, Path)),
    responses((status = 202, description = "It has accepted", body = JobAccepted, headers(("Location" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "not_found", "last_admin", "invalid"]))))]
async fn erase(State(app): State<Arc<App>>, Admin(admin): Admin, Id(id): Id) -> Result<Response> {
    if id == admin.user.id {
        return Err(Error::invalid("/id", "invalid", "erase the account you are signed in with at DELETE /v1/me"));
    }
    jobs::accepted(&app, users::erase_account(&app, id).await?)
}
