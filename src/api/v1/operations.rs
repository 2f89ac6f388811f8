//! Operations for admins: fsck runs and diagnostics.

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
use crate::api::health::{CheckOutcomeView, HealthStatus};
use crate::app::App;
use crate::error::{Error, Result};
use crate::health::CheckReport;
use crate::health::check::Check;
use crate::http::extract::Json;
use crate::jobs::fsck::{self, Options, Repair};
use crate::jobs::probe;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(latest_fsck_run, start_fsck_run))
        .routes(routes!(latest_diagnostics, run_diagnostics))
}

/// The options of the run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"full": false, "repair": false}))]
struct StartFsckRequest {
    /// Read every object and compare its content with what was stored.
    #[serde(default)]
    full: bool,
    /// Quarantine orphans, and delete those whose time in quarantine has expired.
    #[serde(default)]
    repair: bool,
}

/// Get the latest fsck run
///
/// The run in progress, or the last one. `clean` is true if everything was checked and no problem was found.
#[utoipa::path(get, path = "/v1/admin/fsck", tag = "admin", operation_id = "getLatestFsckRun",
    responses((status = 200, description = "The latest run", body = FsckRunView)),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn latest_fsck_run(State(app): State<Arc<App>>, _admin: Admin) -> Result<axum::Json<FsckRunView>> {
    Ok(axum::Json(fsck::latest(&app).await?.into()))
}

/// Start an fsck run
///
/// Compares rows, objects and open uploads while the server continues to run. There is one run at a time.
#[utoipa::path(post, path = "/v1/admin/fsck", tag = "admin", operation_id = "startFsckRun",
    request_body = StartFsckRequest, responses((status = 202, description = "The run has started", body = FsckRunView)),
    extensions(("x-problem-codes" = json!(["fsck_running"]))))]
async fn start_fsck_run(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    Json(request): Json<StartFsckRequest>,
) -> Result<impl IntoResponse> {
    let repair = if request.repair { Repair::Everything } else { Repair::Nothing };
    let options = Options { full: request.full, rate: app.config.fsck.rate, repair, accepted_orphans: 0 };
    let run = fsck::start_in_background(&app, &caller.user, options).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(FsckRunView::from(run))))
}

/// The result of checking one thing that the server needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiagnosticCheck, example = json!({"name": "store.private", "outcome": "failed", "action": "get the object and list the bucket without a signature",
    "observed": "its content can be read by anyone", "remedy": "make the bucket private"}))]
struct DiagnosticCheckView {
    /// The stable name, without private details.
    name: &'static str,
    outcome: CheckOutcomeView,
    /// What the check did.
    action: String,
    /// What was observed.
    observed: String,
    /// What the operator can do; empty if no action is needed.
    remedy: String,
}

impl From<Check> for DiagnosticCheckView {
    fn from(Check { name, outcome, action, observed, remedy }: Check) -> Self {
        Self { name, outcome: outcome.into(), action, observed, remedy }
    }
}

/// The results of the checks of the database and the store.
#[derive(Debug, Serialize, ToSchema)]
struct Diagnostics {
    #[schema(value_type = HealthStatus, inline)]
    status: &'static str,
    /// When the checks ran.
    at: Timestamp,
    /// The quick checks of `strongroom doctor`.
    checks: Vec<DiagnosticCheckView>,
}

impl From<CheckReport> for Diagnostics {
    fn from(CheckReport { at, checks }: CheckReport) -> Self {
        Self {
            status: health::status(&checks),
            at,
            checks: checks.into_iter().map(DiagnosticCheckView::from).collect(),
        }
    }
}

/// Get diagnostics
///
/// The latest results of the checks of the database and the store, which the server runs at startup and repeats while
/// a check fails. Each check reports its action, what was observed, and a remedy.
#[utoipa::path(get, path = "/v1/admin/doctor", tag = "admin", operation_id = "getDiagnostics",
    responses((status = 200, description = "The latest results", body = Diagnostics)),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn latest_diagnostics(State(app): State<Arc<App>>, _: Admin) -> Result<axum::Json<Diagnostics>> {
    Ok(axum::Json(app.health.latest().ok_or(Error::NotFound)?.into()))
}

/// Run diagnostics
///
/// A dozen small requests to the database and the store; what they write is deleted. Returns when the checks are done.
#[utoipa::path(post, path = "/v1/admin/doctor", tag = "admin", operation_id = "runDiagnostics",
    responses((status = 200, description = "The new results", body = Diagnostics)))]
async fn run_diagnostics(State(app): State<Arc<App>>, _: Admin) -> Result<axum::Json<Diagnostics>> {
    // In a task of its own: it deletes what it wrote even if the client disconnects.
    let diagnostics = tokio::spawn({
        let app = app.clone();
        async move { probe::run_once(&app).await }
    });
    diagnostics.await.map_err(Error::internal)?;
    Ok(axum::Json(app.health.latest().ok_or(Error::NotFound)?.into()))
}
