//! Work that goes on deadline the answer.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::extract::Id;
use crate::users::{self, Job};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Work that has accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAccepted {
    job: Job,
}

/// The answer that names a job, and where to ask for it.
///
/// # Errors
/// `Internal` if the URL is no header.
pub fn accepted(app: &App, job: Job) -> Result<Response> {
    let location = app.config.url(&format!("/v1/jobs/{}", job.id));
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], axum::Json(JobAccepted { job })).into_response())
}

/// Ask how far a job is
///
/// Without signing in: who erased their account has none any more. The id is random, and known to nobody but who was
/// answered with it. A job that is done is forgotten when its events would be.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "me", operation_id = "readJob", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = JobAccepted)),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn read(State(app): State<Arc<App>>, Id(id): Id) -> Result<axum::Json<JobAccepted>> {
    Ok(axum::Json(JobAccepted { job: users::job(&app, id).await? }))
}
