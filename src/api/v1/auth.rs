//! Registering, signing in and out, and the places where one is signed in.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::me::UserView;
use crate::api::auth::{SessionCaller, no_session_cookie, session_cookie};
use crate::app::App;
use crate::error::Result;
use crate::http::extract::{Id, Json};
use crate::users::{self, Credentials, NewAccount, Origin, RegistrationState, Session, SignIn};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(registration))
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(log_out))
        .routes(routes!(list))
        .routes(routes!(end))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "rosalind@example.org", "name": "Rosalind Quimby", "password": "violet tractor under rain"
}))]
struct Registration {
    /// At most 254 bytes. Compared without regard to case.
    email: String,
    /// 1 to 100 characters, none of them control characters.
    name: String,
    /// At least 8 characters, at most 1024 bytes, and not easy to guess.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    password: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "rosalind@example.org", "password": "violet tractor under rain"}))]
struct Login {
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Whether accounts can be created without an admin. Anyone may ask.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegistrationStatus, example = json!({"open": true, "has_accounts": true}))]
struct RegistrationStatusView {
    /// Whether anyone may create an account.
    open: bool,
    /// False until the first account exists. The number of accounts is not revealed.
    has_accounts: bool,
}

impl From<RegistrationState> for RegistrationStatusView {
    fn from(RegistrationState { open, has_accounts }: RegistrationState) -> Self {
        Self { open, has_accounts }
    }
}

/// A signed-in session of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    id: Uuid,
    /// Whether this session sent the request.
    current: bool,
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    user_agent: String,
    /// The network address that signed in.
    #[schema(example = "192.0.2.7")]
    address: String,
    created_at: Timestamp,
    /// Accurate to five minutes.
    last_used_at: Timestamp,
    expires_at: Timestamp,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        let Session { id, current, user_agent, address, created_at, last_used_at, expires_at } = session;
        Self { id, current, user_agent, address, created_at, last_used_at, expires_at }
    }
}

/// A new session.
#[derive(Serialize, ToSchema)]
struct SessionStarted {
    /// What to send as `Authorization: Bearer` when there is no cookie. It is not shown again.
    #[schema(example = "srs_0123456789ABCDEFGHIJabcdefghij4WptOr")]
    token: String,
    user: UserView,
    session: SessionView,
}

/// Where an account is signed in.
#[derive(Serialize, ToSchema)]
struct SessionList {
    items: Vec<SessionView>,
    /// Always null: the list has one page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Can people register
///
/// For pages that ask somebody to sign in. While there is no account at all, it says so: who runs the server is to make
/// the first one.
#[utoipa::path(get, path = "/v1/auth/registration", tag = "auth", operation_id = "readRegistration",
    responses((status = 200, body = RegistrationStatusView)), extensions(("x-problem-codes" = json!([]))))]
async fn registration(State(app): State<Arc<App>>) -> Result<axum::Json<RegistrationStatusView>> {
    Ok(axum::Json(users::registration(&app).await?.into()))
}

/// Register and sign in
///
/// Makes an account and begins a session, as a cookie and as a token.
#[utoipa::path(
    post, path = "/v1/auth/register", tag = "auth", operation_id = "register",
    request_body = Registration,
    responses((status = 201, description = "The account was made", body = SessionStarted,
        headers(("Set-Cookie" = String, description = "The session, for browsers")))),
    extensions(("x-problem-codes" = json!(["registration_closed", "email_taken", "too_large", "unsupported_media_type", "invalid", "too_many_attempts"])))
)]
async fn register(State(app): State<Arc<App>>, origin: Origin, Json(body): Json<Registration>) -> Result<Response> {
    let account = NewAccount { email: body.email, name: body.name, password: body.password };
    let sign_in = users::register(&app, &origin, account).await?;
    Ok(accepted(&app, StatusCode::CREATED, sign_in))
}

/// Sign in
///
/// Begins a session, as a cookie and as a token. Attempts are limited per account and per address.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "auth", operation_id = "logIn",
    request_body = Login,
    responses((status = 200, description = "Signed in", body = SessionStarted,
        headers(("Set-Cookie" = String, description = "The session, for browsers")))),
    extensions(("x-problem-codes" = json!(["bad_credentials", "too_large", "unsupported_media_type", "invalid", "too_many_attempts"])))
)]
async fn log_in(State(app): State<Arc<App>>, origin: Origin, Json(body): Json<Login>) -> Result<Response> {
    let credentials = Credentials { email: body.email, password: body.password };
    let sign_in = users::log_in(&app, &origin, credentials).await?;
    Ok(accepted(&app, StatusCode::OK, sign_in))
}

/// Sign out
///
/// Ends the session that asks, and clears its cookie.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "auth", operation_id = "logOut",
    responses((status = 204, description = "Signed out",
        headers(("Set-Cookie" = String, description = "Makes a browser forget the session")))),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required"])))
)]
async fn log_out(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller) -> Result<impl IntoResponse> {
    users::log_out(&app, &caller).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, no_session_cookie(&app.config))]))
}

/// List your sessions
///
/// Where you are signed in, newest first.
#[utoipa::path(
    get, path = "/v1/me/sessions", tag = "me", operation_id = "listSessions",
    responses((status = 200, description = "All live sessions", body = SessionList)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required"])))
)]
async fn list(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller) -> Result<impl IntoResponse> {
    let items = users::sessions(&app, &caller).await?.into_iter().map(SessionView::from).collect();
    Ok(axum::Json(SessionList { items, next_cursor: None }))
}

/// End one of your sessions
///
/// Whoever uses it has to sign in again.
#[utoipa::path(
    delete, path = "/v1/me/sessions/{id}", tag = "me", operation_id = "endSession",
    params(("id" = uuid::Uuid, Path, description = "The session")),
    responses((status = 204, description = "The session is over")),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "not_found"])))
)]
async fn end(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller, Id(id): Id) -> Result<StatusCode> {
    users::end_session(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn accepted(app: &App, status: StatusCode, sign_in: SignIn) -> Response {
    let SignIn { user, session, secret } = sign_in;
    let headers = [
        (header::SET_COOKIE, session_cookie(&app.config, &secret)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = SessionStarted { token: secret.reveal().to_owned(), user: user.into(), session: session.into() };
    (status, headers, axum::Json(body)).into_response()
}
