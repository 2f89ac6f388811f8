//! For admins: passes of fsck, and what the server finds when it looks at its set-up.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fsck_run::FsckRunView;
use crate::api::auth::Admin;
use crate::api::health;
use crate::api::health::CheckOutcomeView;
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::health::CheckReport;
use crate::health::check::Check;
use crate::http::extract::Json;
use crate::jobs::fsck::{self, Options, Repair};
use crate::jobs::probe;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(last_fsck, begin_fsck)).routes(routes!(last_look, look_again))
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
    responses((status = 200, description = "The pass that began last", body = FsckRunView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "not_found"])))
)]
async fn last_fsck(State(app): State<Arc<App>>, _admin: Admin) -> Result<axum::Json<FsckRunView>> {
    Ok(axum::Json(fsck::latest(&app).await?.into()))
}

/// Begin a pass of fsck
///
/// Rows, objects and open uploads are held against each other while the server goes on. There is one pass at a time.
#[utoipa::path(
    post, path = "/v1/admin/fsck", tag = "operations", operation_id = "beginFsck",
    request_body = FsckWish,
    responses((status = 202, description = "It has accepted", body = FsckRunView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "fsck_running"])))
)]
async fn begin_fsck(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Json(wish): Json<FsckWish>,
) -> Result<impl IntoResponse> {
    let repair = if wish.repair { Repair::Everything } else { Repair::Nothing };
    let started = fsck::start(&app, Options { full: wish.full, rate: app.config.fsck.rate, repair }).await?;
    tracing::info!(admin = %caller.user.id, full = wish.full, repair = wish.repair, "a pass of fsck begins");
    app.events.record(
        &Event::new(EventKind::FsckStarted, caller.user.id).with("full", wish.full).with("repair", wish.repair),
    );
    let pass = started.status().await?;
    tokio::spawn(started.run_logged());
    Ok((StatusCode::ACCEPTED, axum::Json(FsckRunView::from(pass))))
}

/// The result of checking one thing that the server needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiagnosticCheck, example = json!({"name": "store.private", "outcome": "failed", "action": "read an object without a signature",
    "observed": "200: anyone can read it", "remedy": "make the bucket private"}))]
struct DiagnosticCheckView {
    /// Stable, and contains no private details.
    name: &'static str,
    outcome: CheckOutcomeView,
    action: String,
    observed: String,
    /// What the operator can do about it; empty if there is nothing to do.
    remedy: String,
}

impl From<Check> for DiagnosticCheckView {
    fn from(Check { name, outcome, action, observed, remedy }: Check) -> Self {
        Self { name, outcome: outcome.into(), action, observed, remedy }
    }
}

/// What the server found when it looked at its database and its store.
#[derive(Debug, Serialize, ToSchema)]
struct Diagnosis {
    /// `ok`, or `impaired` if a check failed. Requests are served either way.
    status: &'static str,
    /// When it looked.
    at: Timestamp,
    /// The quick part of what `strongroom doctor` tries.
    checks: Vec<DiagnosticCheckView>,
}

impl From<CheckReport> for Diagnosis {
    fn from(CheckReport { at, checks }: CheckReport) -> Self {
        Self {
            status: health::status(&checks),
            at,
            checks: checks.into_iter().map(DiagnosticCheckView::from).collect(),
        }
    }
}

/// Is the set-up sound
///
/// What the server that answers found when it last looked: at its start, and later as long as something was wrong. Each
/// check comes with what was tried, what came back, and what to do about it.
#[utoipa::path(get, path = "/v1/admin/doctor", tag = "operations", operation_id = "lastDoctor",
    responses((status = 200, body = Diagnosis)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "not_found"]))))]
async fn last_look(State(app): State<Arc<App>>, _: Admin) -> Result<axum::Json<Diagnosis>> {
    Ok(axum::Json(app.health.latest().ok_or(Error::NotFound)?.into()))
}

/// FsckRunner at the set-up again
///
/// A dozen small requests to the database and the store; what they write is taken away. Answers when that is done.
#[utoipa::path(post, path = "/v1/admin/doctor", tag = "operations", operation_id = "runDoctor",
    responses((status = 200, body = Diagnosis)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required"]))))]
async fn look_again(State(app): State<Arc<App>>, _: Admin) -> Result<axum::Json<Diagnosis>> {
    // In a task of its own: it takes away what it wrote even if nobody waits for the answer.
    let look = tokio::spawn({
        let app = app.clone();
        async move { probe::run_once(&app).await }
    });
    look.await.map_err(Error::internal)?;
    Ok(axum::Json(app.health.latest().ok_or(Error::NotFound)?.into()))
}
