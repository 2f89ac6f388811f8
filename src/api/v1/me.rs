//! The user's own account.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::TryStreamExt;
use http::header;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::jobs::{self, JobAccepted};
use crate::api::auth::{AnyPassword, AnyPasswordSession, SessionCaller, SignedIn, no_session_cookie};
use crate::app::App;
use crate::error::{Error, Result};
use crate::files;
use crate::http::body::Binary;
use crate::http::extract::{Json, present};
use crate::http::problem;
use crate::users::{self, PasswordChange, Quotas, UpdateMe, Usage, UsageCounts, User};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, update, delete)).routes(routes!(usage)).routes(routes!(export))
}

/// A user of this server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    id: Uuid,
    #[schema(example = "rosalind@example.org")]
    email: String,
    #[schema(example = "Rosalind Quimby")]
    name: String,
    is_admin: bool,
    /// Whether the password must be changed with `PATCH /v1/me` before anything else, because the operator has set it.
    /// Until then other requests with a session of the user are refused with `password_change_required`.
    must_change_password: bool,
    /// When the account was disabled; absent while it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let User { id, email, name, is_admin, must_change_password, disabled_at, created_at, updated_at } = user;
        Self { id, email, name, is_admin, must_change_password, disabled_at, created_at, updated_at }
    }
}

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Rosalind Quimby-Hale"}))]
struct UpdateMeRequest {
    /// 1 to 100 characters, without control characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    name: Option<String>,
    /// The new password; requires `current_password`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024, required = false)]
    password: Option<SecretString>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, format = Password, required = false)]
    current_password: Option<SecretString>,
}

/// Get your account
#[utoipa::path(get, path = "/v1/me", tag = "me", operation_id = "getMe",
    responses((status = 200, description = "Your account", body = UserView)))]
async fn read(AnyPassword(caller): AnyPassword) -> axum::Json<UserView> {
    axum::Json(caller.user.into())
}

/// Update your account
///
/// Changes the name or the password. A merge patch (RFC 7396), also accepted as `application/merge-patch+json`. A new
/// password ends all other sessions; API tokens remain valid. One that must be changed can only be changed to another.
#[utoipa::path(patch, path = "/v1/me", tag = "me", operation_id = "updateMe", request_body = UpdateMeRequest,
    responses((status = 200, description = "Your updated account", body = UserView)),
    extensions(("x-problem-codes" = json!(["session_required", "too_many_attempts"]))))]
async fn update(
    State(app): State<Arc<App>>,
    AnyPasswordSession(caller): AnyPasswordSession,
    Json(body): Json<UpdateMeRequest>,
) -> Result<axum::Json<UserView>> {
    let password = match (body.password, body.current_password) {
        (Some(new), Some(current)) => Some(PasswordChange { current, new }),
        (Some(_), None) => {
            return Err(Error::invalid("/current_password", "required", "the current password is required"));
        }
        (None, Some(_)) => {
            return Err(Error::invalid("/password", "required", "the new password is required"));
        }
        (None, None) => None,
    };
    let user = users::update_me(&app, &caller, UpdateMe { name: body.name, password }).await?;
    Ok(axum::Json(user.into()))
}

/// How much storage an account uses, and how much it may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageUsage, example = json!({
    "used": {"bytes": 7340032, "files": 12}, "trash": {"bytes": 1048576, "files": 2}, "quota": {"bytes": 10000000000u64, "files": null}, "open_uploads": 1
}))]
pub struct StorageUsageView {
    used: UsageCountsView,
    /// The part of `used` that is in the trash. Only for your own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trash: Option<UsageCountsView>,
    quota: QuotasView,
    /// Unfinished uploads, including those through signed URLs.
    open_uploads: u64,
}

/// What counts toward the quota, including what is reserved for unfinished uploads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageCounts)]
pub struct UsageCountsView {
    /// Bytes of all files, of the trash, of the avatar, and of metadata as JSON.
    bytes: u64,
    files: u64,
}

/// The quota in force; null means unlimited.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quotas)]
pub struct QuotasView {
    #[schema(required)]
    bytes: Option<u64>,
    #[schema(required)]
    files: Option<u64>,
}

impl From<Usage> for StorageUsageView {
    fn from(usage: Usage) -> Self {
        let Usage { used, trash, quota, open_uploads } = usage;
        Self { used: used.into(), trash: trash.map(UsageCountsView::from), quota: quota.into(), open_uploads }
    }
}

impl From<UsageCounts> for UsageCountsView {
    fn from(UsageCounts { bytes, files }: UsageCounts) -> Self {
        Self { bytes, files }
    }
}

impl From<Quotas> for QuotasView {
    fn from(Quotas { bytes, files }: Quotas) -> Self {
        Self { bytes, files }
    }
}

/// Get storage usage
///
/// What counts toward your quota, including what is reserved for unfinished uploads.
#[utoipa::path(get, path = "/v1/me/usage", tag = "me", operation_id = "getUsage",
    responses((status = 200, description = "Your storage usage", body = StorageUsageView)))]
async fn usage(State(app): State<Arc<App>>, SignedIn(caller): SignedIn) -> Result<axum::Json<StorageUsageView>> {
    Ok(axum::Json(users::usage(&app, &caller.user).await?.into()))
}

/// The password, so that an unattended session is not enough.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "violet tractor under rain"}))]
struct DeleteAccountRequest {
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Delete your account
///
/// Immediately, its sessions, API tokens, links and the signed URLs of this server stop working, and its address may
/// register again. Files, trash, audit log and all other data are deleted in the background; the job reports when that
/// is done. This cannot be undone.
#[utoipa::path(delete, path = "/v1/me", tag = "me", operation_id = "deleteMe", request_body = DeleteAccountRequest,
    responses((status = 202, description = "The deletion has started", body = JobAccepted,
        headers(("Location" = String, description = "The URL of the job")))),
    extensions(("x-problem-codes" = json!(["session_required", "last_admin", "too_many_attempts"]))))]
async fn delete(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Json(request): Json<DeleteAccountRequest>,
) -> Result<impl IntoResponse> {
    let job = users::delete_me(&app, &caller, &request.password).await?;
    Ok(([(header::SET_COOKIE, no_session_cookie(&app.config))], jobs::accepted(&app, job)?))
}

/// Export account data
///
/// A ZIP archive, created while it is sent: `strongroom.json` describes the account, API tokens, files, trash and audit
/// log; the files are below `files/` and `trash/`, and the avatar is next to them. Names that some systems cannot
/// unpack are replaced; the description maps them. If the storage has lost the content of a file, `MISSING.txt` lists it
/// and the archive contains the others. If the storage does not respond, the connection is closed early. An account has
/// one export in progress at a time.
#[utoipa::path(get, path = "/v1/me/export", tag = "me", operation_id = "exportMyData",
    responses((status = 200, description = "The archive", content_type = "application/zip", body = Binary,
        headers(("Content-Disposition" = String)))),
    extensions(("x-problem-codes" = json!(["session_required", "export_running", "too_many_exports"]))))]
async fn export(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller) -> Result<impl IntoResponse> {
    let name = format!("strongroom-{}.zip", app.clock.now().strftime("%F"));
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, files::content_disposition(&name, false)),
    ];
    Ok((headers, Body::from_stream(files::export(&app, &caller)?.inspect_err(problem::log))))
}
