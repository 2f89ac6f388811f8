//! Avatars: set and deleted by their user, visible to everyone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::auth::SignedIn;
use crate::api::delivery;
use crate::api::openapi::headers::{ConditionHeaders, DigestHeaders, RangeHeaders};
use crate::api::upload_body;
use crate::app::App;
use crate::error::Result;
use crate::files::avatar;
use crate::http::body::Binary;
use crate::http::content::Presentation;
use crate::http::extract::Id;
use crate::http::location::location;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(set, remove)).routes(routes!(show, show_head))
}

/// How long caches may keep an avatar without revalidation.
const CACHE_CONTROL: &str = "public, max-age=300";

/// Set your avatar
///
/// The body is the image: PNG, JPEG, GIF, WebP or AVIF, detected from its content. A form (`multipart/form-data`) with
/// one part named `file` is also accepted.
#[utoipa::path(put, path = "/v1/me/avatar", tag = "avatars", operation_id = "setAvatar", params(DigestHeaders),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses((status = 201, description = "The avatar was set", headers(("Location" = String))),
        (status = 200, description = "The avatar was replaced", headers(("Location" = String)))),
    extensions(("x-problem-codes" = json!(["precondition_failed", "unsupported_media_type", "file_missing",
        "too_many_files", "too_many_uploads", "quota_exceeded"]))))]
async fn set(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, request: Request) -> Result<Response> {
    let (body, _) = upload_body::open(&app, request, true).await?;
    let first = avatar::set(&app, &caller.user, body).await?;
    let location = location(&app.config.url(&format!("/v1/users/{}/avatar", caller.user.id)))?;
    let status = if first { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [location]).into_response())
}

/// Delete your avatar
#[utoipa::path(delete, path = "/v1/me/avatar", tag = "avatars", operation_id = "deleteAvatar",
    responses((status = 204, description = "The avatar was deleted")),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn remove(State(app): State<Arc<App>>, SignedIn(caller): SignedIn) -> Result<StatusCode> {
    avatar::remove(&app, &caller.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get a user's avatar
///
/// Public: no sign-in is required.
#[utoipa::path(get, path = "/v1/users/{id}/avatar", tag = "avatars", operation_id = "getAvatar", security(()),
    params(("id" = Uuid, Path),
        ("v" = Option<u64>, Query, description = "Ignored: another value bypasses the cache after a change"),
        RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The image", content_type = "image/*", body = Binary),
        (status = 206, description = "The requested ranges of it", content_type = "*/*", body = Binary),
        (status = 304, description = "Not modified")))]
async fn show(State(app): State<Arc<App>>, Id(id): Id, method: Method, headers: HeaderMap) -> Result<Response> {
    let picture = avatar::find(&app, id).await?;
    let presentation =
        Presentation { disposition: "inline".into(), content_type: None, cache_control: CACHE_CONTROL.into() };
    delivery::respond(&app, &method, &headers, &picture, &presentation, None, None).await
}

/// Get the headers of a user's avatar
#[utoipa::path(head, path = "/v1/users/{id}/avatar", tag = "avatars", operation_id = "headAvatar", security(()),
    params(("id" = Uuid, Path), ConditionHeaders),
    responses((status = 200, description = "The headers of the image"), (status = 304, description = "Not modified")))]
async fn show_head(state: State<Arc<App>>, id: Id, method: Method, headers: HeaderMap) -> Result<Response> {
    show(state, id, method, headers).await
}
