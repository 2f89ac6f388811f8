//! For admins: passes of fsck.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Admin;
use super::extract::Json;
use crate::app::App;
use crate::error::Result;
use crate::events::{Act, Event};
use crate::jobs::fsck::{self, Options, Pass, Repair};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(last_fsck, begin_fsck))
}

/// What a pass shall do besides looking.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"full": false, "repair": false}))]
struct FsckWish {
    /// Read every object, and compare its bytes with what was stored.
    #[serde(default)]
    full: bool,
    /// Put bytes that no row knows into quarantine, and remove what was there for long enough.
    #[serde(default)]
    repair: bool,
}

/// How the last pass of fsck went
///
/// Or how far the one is that runs now. `clean` tells whether everything was looked at and is well.
#[utoipa::path(
    get, path = "/v1/admin/fsck", tag = "operations", operation_id = "lastFsck",
    responses((status = 200, description = "The pass that began last", body = Pass)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "not_found"])))
)]
async fn last_fsck(State(app): State<Arc<App>>, _admin: Admin) -> Result<axum::Json<Pass>> {
    fsck::last(&app).await.map(axum::Json)
}

/// Begin a pass of fsck
///
/// Rows, objects and open uploads are held against each other while the server goes on. There is one pass at a time.
#[utoipa::path(
    post, path = "/v1/admin/fsck", tag = "operations", operation_id = "beginFsck",
    request_body = FsckWish,
    responses((status = 202, description = "It has begun", body = Pass)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "fsck_running"])))
)]
async fn begin_fsck(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Json(wish): Json<FsckWish>,
) -> Result<impl IntoResponse> {
    let repair = if wish.repair { Repair::Everything } else { Repair::Nothing };
    let begun = fsck::begin(&app, Options { full: wish.full, rate: app.config.fsck.rate, repair }).await?;
    tracing::info!(admin = %caller.user.id, full = wish.full, repair = wish.repair, "a pass of fsck begins");
    app.events.record(&Event::new(Act::FsckBegun, caller.user.id).with("full", wish.full).with("repair", wish.repair));
    let pass = begun.told().await?;
    tokio::spawn(begun.run_logged());
    Ok((StatusCode::ACCEPTED, axum::Json(pass)))
}
