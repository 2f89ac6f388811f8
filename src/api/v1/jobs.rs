//! Background jobs: work that continues after the response.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::error::Result;
use crate::http::extract::Id;
use crate::http::location::location;
use crate::users::{self, Erasure};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The status of a background job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobStatus, example = json!({
    "id": "5f0f3a55-6b0f-4c4c-9a39-0c7c2d9f6d0e", "kind": "account_deletion", "state": "running",
    "started_at": "2026-11-22T09:30:00Z", "finished_at": null
}))]
struct JobStatusView {
    /// Random: anyone who knows it may read the status.
    id: Uuid,
    #[schema(value_type = JobKind, inline)]
    kind: &'static str,
    #[schema(value_type = JobState, inline)]
    state: String,
    started_at: Timestamp,
    #[schema(required)]
    finished_at: Option<Timestamp>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes texts of the domain")]
enum JobKind {
    /// The deletion of an account and its data.
    AccountDeletion,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes texts of the domain")]
enum JobState {
    Running,
    Done,
}

impl From<Erasure> for JobStatusView {
    fn from(Erasure { id, kind, state, started_at, finished_at }: Erasure) -> Self {
        Self { id, kind, state, started_at, finished_at }
    }
}

/// A background job that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAccepted {
    job: JobStatusView,
}

/// The response that names a job and its URL.
///
/// # Errors
/// [`Error::Internal`] if the URL is not a valid header value.
pub fn accepted(app: &App, job: Erasure) -> Result<Response> {
    let location = location(&app.config.url(&format!("/v1/jobs/{}", job.id)))?;
    Ok((StatusCode::ACCEPTED, [location], axum::Json(JobAccepted { job: job.into() })).into_response())
}

/// Get job status
///
/// Public, because the user who deleted an account cannot sign in any more: the id is random, and only the response
/// that started the job contains it. Finished jobs are deleted after the retention of the audit log.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "me", operation_id = "getJob", security(()),
    params(("id" = Uuid, Path)), responses((status = 200, description = "The status of the job", body = JobAccepted)))]
async fn read(State(app): State<Arc<App>>, Id(id): Id) -> Result<axum::Json<JobAccepted>> {
    Ok(axum::Json(JobAccepted { job: users::erasure(&app, id).await?.into() }))
}
