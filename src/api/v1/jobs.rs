//! Work that goes on deadline the answer.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::extract::Id;
use crate::users::{self, Job};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The status of a background job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobStatus, example = json!({
    "id": "5f0f3a55-6b0f-4c4c-9a39-0c7c2d9f6d0e", "kind": "erase", "state": "running",
    "started_at": "2026-11-22T09:30:00Z", "finished_at": null
}))]
struct JobStatusView {
    /// Random: anyone who knows it may read the status.
    id: Uuid,
    kind: &'static str,
    /// `running` or `done`.
    state: String,
    started_at: Timestamp,
    #[schema(required)]
    finished_at: Option<Timestamp>,
}

impl From<Job> for JobStatusView {
    fn from(Job { id, kind, state, started_at, finished_at }: Job) -> Self {
        Self { id, kind, state, started_at, finished_at }
    }
}

/// A background job that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAccepted {
    job: JobStatusView,
}

/// The answer that names a job, and where to ask for it.
///
/// # Errors
/// `Internal` if the URL is no header.
pub fn accepted(app: &App, job: Job) -> Result<Response> {
    let location = app.config.url(&format!("/v1/jobs/{}", job.id));
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], axum::Json(JobAccepted { job: job.into() }))
        .into_response())
}

/// Ask how far a job is
///
/// Without signing in: who erased their account has none any more. The id is random, and known to nobody but who was
/// answered with it. A job that is done is forgotten when its events would be.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "me", operation_id = "readJob", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = JobAccepted)),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn read(State(app): State<Arc<App>>, Id(id): Id) -> Result<axum::Json<JobAccepted>> {
    Ok(axum::Json(JobAccepted { job: users::job(&app, id).await?.into() }))
}
