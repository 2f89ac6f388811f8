//! For those who run the server: is it alive, is it ready, what can it do.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Result;
use crate::health::check::{Check, Outcome};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready)).routes(routes!(openapi))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
struct Health {
    status: &'static str,
}

/// What can be told to anybody: no addresses, and no words of others.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "checks": [{"name": "store.private", "outcome": "ok"}]}))]
struct Readiness {
    /// `ok`, or `impaired` if a check failed. Requests are served either way.
    status: &'static str,
    /// What the server found at its start, or later if something was wrong then: `strongroom doctor` tells more.
    checks: Vec<NamedOutcome>,
}

#[derive(Debug, Serialize, ToSchema)]
struct NamedOutcome {
    #[schema(example = "store.private")]
    name: &'static str,
    outcome: CheckOutcomeView,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = CheckOutcome)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcomeView {
    Ok,
    /// It works, but not as well or as safely as it could.
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

/// Is the server alive
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "alive", responses((status = 200, body = Health)))]
async fn alive() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}

/// Do the database and the store answer
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "ready", responses((status = 200, body = Readiness)))]
async fn ready(State(app): State<Arc<App>>) -> Result<axum::Json<Readiness>> {
    app.health.ready(app.db.ping(), app.store.ping()).await?;
    let found = app.health.latest().map(|report| report.checks).unwrap_or_default();
    let status = status(&found);
    let checks =
        found.into_iter().map(|check| NamedOutcome { name: check.name, outcome: check.outcome.into() }).collect();
    Ok(axum::Json(Readiness { status, checks }))
}

/// What the checks come to, in a word.
pub fn status(checks: &[Check]) -> &'static str {
    if checks.iter().any(Check::has_failed) { "impaired" } else { "ok" }
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "openapi",
    responses((status = 200, body = Object)))]
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::description()).into_response()
}
