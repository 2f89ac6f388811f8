//! One's own account.

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
use crate::api::auth::{SessionCaller, SignedIn, no_session_cookie};
use crate::app::App;
use crate::error::{Error, Result};
use crate::files;
use crate::http::body::Binary;
use crate::http::extract::{Json, present};
use crate::http::problem;
use crate::users::{self, AccountChange, PasswordChange, Quotas, Usage, UsageCounts, User};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, update, erase)).routes(routes!(usage)).routes(routes!(export))
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
    /// When the account was disabled; absent while it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let User { id, email, name, is_admin, disabled_at, created_at, updated_at } = user;
        Self { id, email, name, is_admin, disabled_at, created_at, updated_at }
    }
}

/// What shall be different about your account; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Rosalind Quimby-Hale"}))]
struct AccountPatch {
    /// 1 to 100 characters, none of them control characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// A new password; `current_password` has to come with it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024, required = false)]
    password: Option<SecretString>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, format = Password, required = false)]
    current_password: Option<SecretString>,
}

/// Read your account
#[utoipa::path(
    get, path = "/v1/me", tag = "me", operation_id = "readMe",
    responses((status = 200, description = "Your account", body = UserView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!([])))
)]
async fn read(SignedIn(caller): SignedIn) -> axum::Json<UserView> {
    axum::Json(caller.user.into())
}

/// Change your name or password
///
/// A merge patch (RFC 7396). A new password ends every session but the one that asks; API tokens stay.
#[utoipa::path(
    patch, path = "/v1/me", tag = "me", operation_id = "updateMe",
    request_body(content((AccountPatch = "application/merge-patch+json"), (AccountPatch = "application/json"))),
    responses((status = 200, description = "Your account as it is now", body = UserView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "too_large", "unsupported_media_type", "invalid", "too_many_attempts"])))
)]
async fn update(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Json(body): Json<AccountPatch>,
) -> Result<axum::Json<UserView>> {
    let password = match (body.password, body.current_password) {
        (Some(new), Some(current)) => Some(PasswordChange { current, new }),
        (Some(_), None) => {
            return Err(Error::invalid("/current_password", "required", "send the current password too"));
        }
        (None, Some(_)) => {
            return Err(Error::invalid("/password", "required", "send the new password too"));
        }
        (None, None) => None,
    };
    let user = users::update_me(&app, &caller, AccountChange { name: body.name, password }).await?;
    Ok(axum::Json(user.into()))
}

/// How much storage an account uses, and how much it may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageUsage, example = json!({
    "used": {"bytes": 7340032, "files": 12}, "quota": {"bytes": 10000000000u64, "files": null}, "open_uploads": 1
}))]
pub struct StorageUsageView {
    used: UsageCountsView,
    quota: QuotasView,
    /// Unfinished uploads, including those through signed URLs.
    open_uploads: u64,
}

/// What counts toward the quota, including what is reserved for unfinished uploads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageCounts)]
pub struct UsageCountsView {
    /// Bytes of all files, of the trash and of the avatar.
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
        let (UsageCounts { bytes, files }, quota) = (usage.used, usage.quota.into());
        Self { used: UsageCountsView { bytes, files }, quota, open_uploads: usage.open_uploads }
    }
}

impl From<Quotas> for QuotasView {
    fn from(Quotas { bytes, files }: Quotas) -> Self {
        Self { bytes, files }
    }
}

/// Read what you use
///
/// What you use of your quota, with what is reserved for uploads under way.
#[utoipa::path(
    get, path = "/v1/me/usage", tag = "me", operation_id = "readUsage",
    responses((status = 200, body = StorageUsageView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!([])))
)]
async fn usage(State(app): State<Arc<App>>, SignedIn(caller): SignedIn) -> Result<axum::Json<StorageUsageView>> {
    Ok(axum::Json(users::usage(&app, &caller.user).await?.into()))
}

/// The password once more, so that a session that was left open is not enough.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "violet tractor under rain"}))]
struct ErasureWish {
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Erase your account
///
/// From the answer on nobody is signed in with it, its tokens, links and the signed URLs of this server are dead, and
/// its address may register again. Files, what is in the trash, the trail and everything else go in the background; the job
/// tells when that is done. There is no way back.
#[utoipa::path(delete, path = "/v1/me", tag = "me", operation_id = "eraseMe", request_body = ErasureWish,
    responses((status = 202, description = "It has accepted", body = JobAccepted, headers(("Location" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "last_admin", "too_large", "unsupported_media_type", "invalid", "too_many_attempts"]))))]
async fn erase(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Json(wish): Json<ErasureWish>,
) -> Result<impl IntoResponse> {
    let job = users::erase_me(&app, &caller, &wish.password).await?;
    Ok(([(header::SET_COOKIE, no_session_cookie(&app.config))], jobs::accepted(&app, job)?))
}

/// Take everything with you
///
/// One ZIP archive, made while it is sent: `strongroom.json` describes your account, API tokens, files, trash and trail;
/// the files themselves are below `files/` and `trash/`, the avatar beside them. Names that some system could not unpack
/// are made safe; the description tells which file is where. If the store fails in the middle, the connection is cut.
#[utoipa::path(get, path = "/v1/me/export", tag = "me", operation_id = "exportMe",
    responses((status = 200, content_type = "application/zip", body = Binary, headers(("Content-Disposition" = String)))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn export(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller) -> impl IntoResponse {
    let name = format!("strongroom-{}.zip", app.clock.now().strftime("%F"));
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, files::content_disposition(&name, false)),
    ];
    (headers, Body::from_stream(files::export(&app, &caller).inspect_err(problem::log)))
}
