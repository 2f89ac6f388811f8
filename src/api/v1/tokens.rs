//! The user's API tokens.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SessionCaller;
use crate::app::App;
use crate::error::Result;
use crate::http::extract::{Id, Json};
use crate::http::request_memory::RequestMemory;
use crate::users::{self, ApiToken, NewToken};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly backup", "expires_in": 7776000}))]
struct CreateTokenRequest {
    /// 1 to 100 characters, without control characters.
    #[schema(min_length = 1, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    name: String,
    /// Lifetime in seconds, at most ten years; by default the token is valid until it is revoked.
    #[schema(minimum = 1, maximum = 315360000)]
    expires_in: Option<u64>,
}

/// An API token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiToken)]
struct ApiTokenView {
    id: Uuid,
    #[schema(example = "nightly backup")]
    name: String,
    /// The last characters of the secret.
    #[schema(example = "4WpO")]
    last_four: String,
    created_at: Timestamp,
    /// Accurate to five minutes; null if the token has never been used.
    #[schema(required)]
    last_used_at: Option<Timestamp>,
    /// Null if the token is valid until it is revoked.
    #[schema(required)]
    expires_at: Option<Timestamp>,
}

impl From<ApiToken> for ApiTokenView {
    fn from(token: ApiToken) -> Self {
        let ApiToken { id, name, last_four, created_at, last_used_at, expires_at } = token;
        Self { id, name, last_four, created_at, last_used_at, expires_at }
    }
}

/// An API token, with its secret, which is shown only once.
#[derive(Serialize, ToSchema)]
struct ApiTokenWithSecret {
    /// The secret to send as `Authorization: Bearer`. It is not shown again.
    #[schema(example = "srk_0123456789ABCDEFGHIJabcdefghij4WptOr")]
    token: String,
    #[serde(flatten)]
    details: ApiTokenView,
}

/// The active API tokens of an account.
#[derive(Serialize, ToSchema)]
struct ApiTokenPage {
    items: Vec<ApiTokenView>,
    /// Always null: all API tokens are on one page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The approximate maximum size of an API token, as a row and as JSON, in bytes.
const TOKEN_BYTES: usize = 2 * 1024;

/// List your API tokens
///
/// Active tokens, newest first, without their secrets.
#[utoipa::path(get, path = "/v1/me/tokens", tag = "me", operation_id = "listTokens",
    responses((status = 200, description = "Your active API tokens", body = ApiTokenPage)),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Extension(memory): Extension<RequestMemory>,
) -> Result<impl IntoResponse> {
    memory.reserve_items(app.config.limits.tokens as usize, TOKEN_BYTES).await?;
    let items = users::tokens(&app, &caller).await?.into_iter().map(ApiTokenView::from).collect();
    Ok(axum::Json(ApiTokenPage { items, next_cursor: None }))
}

/// Create an API token
///
/// For programs that act as you. They may do everything with your files, but not manage your account.
#[utoipa::path(post, path = "/v1/me/tokens", tag = "me", operation_id = "createToken",
    request_body = CreateTokenRequest,
    responses((status = 201, description = "The token was created", body = ApiTokenWithSecret)),
    extensions(("x-problem-codes" = json!(["session_required", "too_many_tokens"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Json(body): Json<CreateTokenRequest>,
) -> Result<impl IntoResponse> {
    let new = NewToken { name: body.name, expires_in: body.expires_in.map(Duration::from_secs) };
    let (details, secret) = users::create_token(&app, &caller, new).await?;
    let body = ApiTokenWithSecret { token: secret.reveal().to_owned(), details: details.into() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)))
}

/// Revoke an API token
///
/// The token stops working immediately.
#[utoipa::path(delete, path = "/v1/me/tokens/{id}", tag = "me", operation_id = "revokeToken",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The token was revoked")),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn revoke(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller, Id(id): Id) -> Result<StatusCode> {
    users::revoke_token(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
