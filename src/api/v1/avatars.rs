//! Avatars: set and removed by their owner, seen by everybody.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::avatar;
use crate::http::body::Binary;
use crate::http::content::{self, Presentation};
use crate::http::extract::Id;
use crate::http::incoming::{self, UploadForm};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(set, remove)).routes(routes!(show, show_head))
}

/// How long others may keep a picture without asking again.
const CACHE_CONTROL: &str = "public, max-age=300";

/// Set your avatar
///
/// The body is the picture (PNG, JPEG, GIF, WebP or AVIF, told from its bytes), or a form with one part named `file`.
#[utoipa::path(put, path = "/v1/me/avatar", tag = "avatars", operation_id = "setAvatar",
    request_body(content((Binary = "application/octet-stream"), (UploadForm = "multipart/form-data"))),
    responses((status = 201, description = "The first one"), (status = 200, description = "Instead of the one before")),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["precondition_failed", "too_large", "unsupported_media_type", "invalid", "too_many_uploads", "quota_exceeded"]))))]
async fn set(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, request: Request) -> Result<Response> {
    let body = incoming::open(&app, request).await?.body;
    let first = avatar::set(&app, &caller.user, body).await?;
    let location = app.config.url(&format!("/v1/users/{}/avatar", caller.user.id));
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    let status = if first { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::LOCATION, location)]).into_response())
}

/// Remove your avatar
#[utoipa::path(delete, path = "/v1/me/avatar", tag = "avatars", operation_id = "removeAvatar", responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn remove(State(app): State<Arc<App>>, SignedIn(caller): SignedIn) -> Result<StatusCode> {
    avatar::remove(&app, &caller.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// See somebody's avatar
///
/// Anybody may, without signing in.
#[utoipa::path(get, path = "/v1/users/{id}/avatar", tag = "avatars", operation_id = "readAvatar", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "image/*", body = Binary), (status = 206), (status = 304)),
    extensions(("x-problem-codes" = json!(["not_found", "precondition_failed", "range_not_satisfiable"]))))]
async fn show(State(app): State<Arc<App>>, Id(id): Id, method: Method, headers: HeaderMap) -> Result<Response> {
    let picture = avatar::find(&app, id).await?;
    let presentation = Presentation {
        disposition: "inline".into(),
        content_type: None,
        event: None,
        cache_control: CACHE_CONTROL.into(),
    };
    content::respond(&app, &method, &headers, &picture, presentation).await
}

/// Read an avatar's headers
#[utoipa::path(head, path = "/v1/users/{id}/avatar", tag = "avatars", operation_id = "headAvatar", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 304)),
    extensions(("x-problem-codes" = json!(["not_found", "precondition_failed"]))))]
async fn show_head(state: State<Arc<App>>, id: Id, method: Method, headers: HeaderMap) -> Result<Response> {
    show(state, id, method, headers).await
}
