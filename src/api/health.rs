//! For those who run the server: is it alive, is it ready, what can it do.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{Error, Result};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready)).routes(routes!(openapi))
}

/// How long the database and the store may take to give a sign of life.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
struct Health {
    status: &'static str,
}

/// Is the server alive
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "alive", responses((status = 200, body = Health)))]
async fn alive() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}

/// Do the database and the store answer
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "ready", responses((status = 200, body = Health)))]
async fn ready(State(app): State<Arc<App>>) -> Result<axum::Json<Health>> {
    let silent = |what| Error::Unavailable { what, source: "no sign of life in time".into() };
    let (db, store) =
        tokio::join!(tokio::time::timeout(PATIENCE, app.db.ping()), tokio::time::timeout(PATIENCE, app.store.ping()));
    db.unwrap_or_else(|_| Err(silent("database")))?;
    store.unwrap_or_else(|_| Err(silent("store")))?;
    Ok(axum::Json(Health { status: "ok" }))
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "openapi",
    responses((status = 200, body = Object)))]
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::description()).into_response()
}
