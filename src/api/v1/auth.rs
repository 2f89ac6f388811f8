//! Registering, signing in and out, and the user's sessions.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::me::UserView;
use crate::api::auth::{AnyPasswordSession, SessionCaller, no_session_cookie, session_cookie};
use crate::app::App;
use crate::error::Result;
use crate::http::extract::{Id, Json};
use crate::http::request_memory::RequestMemory;
use crate::users::{self, ClientInfo, Credentials, NewAccount, RegistrationStatus, Session, SignIn};

/// Makes a browser delete its copies of responses (Clear Site Data, section 3.1). Cookies are of other ports as well, and
/// the page, which still runs, deletes its own storage: a database that is deleted below it would fail until a reload.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

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
struct RegisterRequest {
    /// At most 254 bytes; case-insensitive.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    /// 1 to 100 characters, without control characters.
    #[schema(min_length = 1, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    name: String,
    /// At least 8 characters and at most 1024 bytes; easily guessed passwords are refused.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    password: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "rosalind@example.org", "password": "violet tractor under rain"}))]
struct LoginRequest {
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

impl From<RegistrationStatus> for RegistrationStatusView {
    fn from(RegistrationStatus { open, has_accounts }: RegistrationStatus) -> Self {
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
struct SignInResponse {
    /// The secret to send as `Authorization: Bearer` where there is no cookie. It is not shown again. Absent for this
    /// server's own page, where no script should know it: it has the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "srs_0123456789ABCDEFGHIJabcdefghij4WptOr", nullable = false)]
    token: Option<String>,
    user: UserView,
    session: SessionView,
}

/// The sessions of an account.
#[derive(Serialize, ToSchema)]
struct SessionPage {
    items: Vec<SessionView>,
    /// Always null: all sessions are on one page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Get registration status
///
/// Whether anyone may register, and whether an account exists yet: the first one belongs to the operator.
#[utoipa::path(get, path = "/v1/auth/registration", tag = "auth", operation_id = "getRegistrationStatus", security(()),
    responses((status = 200, description = "The registration status", body = RegistrationStatusView)))]
async fn registration(State(app): State<Arc<App>>) -> Result<axum::Json<RegistrationStatusView>> {
    Ok(axum::Json(users::registration(&app).await?.into()))
}

/// Register and sign in
///
/// Creates an account and starts a session, returned as a cookie and as a token.
#[utoipa::path(post, path = "/v1/auth/register", tag = "auth", operation_id = "register", security(()),
    request_body = RegisterRequest,
    responses((status = 201, description = "The account was created", body = SignInResponse,
        headers(("Set-Cookie" = String, description = "The session, for browsers")))),
    extensions(("x-problem-codes" = json!(["registration_closed", "cross_site", "email_taken", "too_many_attempts"]))))]
async fn register(
    State(app): State<Arc<App>>,
    client: ClientInfo,
    headers: HeaderMap,
    Json(body): Json<RegisterRequest>,
) -> Result<Response> {
    let RegisterRequest { email, name, password } = body;
    let account = NewAccount { email, name, password, must_change_password: false };
    let sign_in = users::register(&app, &client, account).await?;
    Ok(accepted(&app, StatusCode::CREATED, sign_in, &headers))
}

/// Sign in
///
/// Starts a session, returned as a cookie and as a token; a session whose cookie the request has ends. Attempts are limited per account and per network address.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", operation_id = "logIn", security(()),
    request_body = LoginRequest,
    responses((status = 200, description = "The new session", body = SignInResponse,
        headers(("Set-Cookie" = String, description = "The session, for browsers")))),
    extensions(("x-problem-codes" = json!(["bad_credentials", "cross_site", "too_many_attempts"]))))]
async fn log_in(
    State(app): State<Arc<App>>,
    client: ClientInfo,
    headers: HeaderMap,
    Json(body): Json<LoginRequest>,
) -> Result<Response> {
    let credentials = Credentials { email: body.email, password: body.password };
    let sign_in = users::log_in(&app, &client, credentials).await?;
    Ok(accepted(&app, StatusCode::OK, sign_in, &headers))
}

/// Sign out
///
/// Ends the session that sends the request and clears its cookie.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth", operation_id = "logOut",
    responses((status = 204, description = "The session has ended",
        headers(("Set-Cookie" = String, description = "Clears the session cookie")))),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn log_out(
    State(app): State<Arc<App>>,
    AnyPasswordSession(caller): AnyPasswordSession,
) -> Result<impl IntoResponse> {
    users::log_out(&app, &caller).await?;
    let clear = HeaderValue::from_static("\"cache\"");
    let headers = [(header::SET_COOKIE, no_session_cookie(&app.config)), (CLEAR_SITE_DATA, clear)];
    Ok((StatusCode::NO_CONTENT, headers))
}

/// The approximate maximum size of a session, as a row and as JSON, in bytes.
const SESSION_BYTES: usize = 3 * 1024;

/// List your sessions
///
/// Active sessions, newest first.
#[utoipa::path(get, path = "/v1/me/sessions", tag = "me", operation_id = "listSessions",
    responses((status = 200, description = "Your active sessions", body = SessionPage)),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Extension(memory): Extension<RequestMemory>,
) -> Result<impl IntoResponse> {
    memory.reserve_items(app.config.limits.sessions as usize, SESSION_BYTES).await?;
    let items = users::sessions(&app, &caller).await?.into_iter().map(SessionView::from).collect();
    Ok(axum::Json(SessionPage { items, next_cursor: None }))
}

/// Revoke a session
///
/// The user of this session has to sign in again.
#[utoipa::path(delete, path = "/v1/me/sessions/{id}", tag = "me", operation_id = "revokeSession",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The session has ended")),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn end(State(app): State<Arc<App>>, SessionCaller(caller): SessionCaller, Id(id): Id) -> Result<StatusCode> {
    users::end_session(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the client keeps the cookie of a session: the server's own page, whose scripts need no token. They can neither
/// set nor remove these headers. Pages of allowed origins send no cookie.
fn keeps_cookie(allowed: &[String], headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN);
    let is_page = origin.is_some() || headers.contains_key("sec-fetch-site");
    is_page && !origin.is_some_and(|origin| allowed.iter().any(|allowed| allowed == origin))
}

fn accepted(app: &App, status: StatusCode, sign_in: SignIn, request: &HeaderMap) -> Response {
    let SignIn { user, session, secret } = sign_in;
    let headers = [
        (header::SET_COOKIE, session_cookie(&app.config, &secret)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let token = (!keeps_cookie(&app.config.allowed_origins, request)).then(|| secret.reveal().to_owned());
    let body = SignInResponse { token, user: user.into(), session: session.into() };
    (status, headers, axum::Json(body)).into_response()
}
