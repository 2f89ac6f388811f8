//! Liveness and readiness probes.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Admin;
use crate::app::App;
use crate::error::{Error, Result};
use crate::health::check::{Check, Outcome};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(liveness)).routes(routes!(readiness))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
struct Liveness {
    #[schema(value_type = HealthStatus, inline)]
    status: &'static str,
}

/// The public part of the diagnostics.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
struct Readiness {
    #[schema(value_type = HealthStatus, inline)]
    status: &'static str,
    /// The latest results of the server's own checks, for admins: they say what could be attacked. `strongroom doctor`
    /// reports more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checks: Option<Vec<ReadinessCheck>>,
}

/// `impaired` if a check failed; requests are served nevertheless.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes what `status` returns")]
pub enum HealthStatus {
    Ok,
    Impaired,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReadinessCheck {
    #[schema(example = "store.private")]
    name: &'static str,
    outcome: CheckOutcomeView,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = CheckOutcome)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcomeView {
    Ok,
    /// Something works, but not as well or as safely as it could.
    Warning,
    /// Something does not work, or is not safe.
    Failed,
    /// The check could not run.
    Skipped,
}

impl From<Outcome> for CheckOutcomeView {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Warning => Self::Warning,
            Outcome::Failed => Self::Failed,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

/// Liveness probe
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "getLiveness", security(()),
    responses((status = 200, description = "The server runs", body = Liveness)))]
async fn liveness() -> axum::Json<Liveness> {
    axum::Json(Liveness { status: "ok" })
}

/// Readiness probe
///
/// Whether the database and the store respond.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "getReadiness", security(()),
    responses((status = 200, description = "The database and the store respond", body = Readiness)))]
async fn readiness(State(app): State<Arc<App>>, request: Request) -> Result<axum::Json<Readiness>> {
    // In a task of its own, which has no client: whether the server is ready must not depend on the share of the database
    // that the client of this request has.
    let pings = tokio::spawn({
        let app = app.clone();
        async move { app.health.ready(app.db.ping(), app.store.ping()).await }
    });
    pings.await.map_err(Error::internal)??;
    let found = app.health.latest().map(|report| report.checks).unwrap_or_default();
    let status = status(&found);
    let is_admin = Admin::from_request_parts(&mut request.into_parts().0, &app).await.is_ok();
    let checks = found.into_iter().map(|check| ReadinessCheck { name: check.name, outcome: check.outcome.into() });
    let checks = is_admin.then(|| checks.collect());
    Ok(axum::Json(Readiness { status, checks }))
}

/// The summary of some checks: `ok` or `impaired`.
pub fn status(checks: &[Check]) -> &'static str {
    if checks.iter().any(Check::has_failed) { "impaired" } else { "ok" }
}
