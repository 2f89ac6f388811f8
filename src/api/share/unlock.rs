//! Exchanges the password of a share link for a key that unlocks it temporarily.

use std::sync::Arc;

use axum::extract::{FromRef, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{COOKIE, finish_response, url, visitor};
use crate::api::auth::is_https;
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::files::links::{self, LinkVisitor, UnlockToken};
use crate::http::extract::{BodyLimits, Name, is_json, read_whole};
use crate::http::json;
use crate::users::ClientInfo;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(unlock))
}

/// The password of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "violet tractor under rain"}))]
struct UnlockLinkRequest {
    #[schema(value_type = String)]
    password: SecretString,
}

/// The key of an unlocked link.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "AAZF...", "expires_at": "2026-11-22T10:30:00Z"}))]
struct LinkUnlocked {
    /// The secret to send as `Authorization: Bearer`; browsers get it as a cookie. Null if the link has no password.
    #[schema(required)]
    key: Option<String>,
    #[schema(required)]
    expires_at: Option<jiff::Timestamp>,
}

/// Unlock a share link
///
/// The password need not be sent again until the key expires. The key is returned as JSON and as a cookie for this
/// link. A form (`application/x-www-form-urlencoded`), as browsers send it, is also accepted, and redirected to the
/// page of the link.
#[utoipa::path(post, path = "/l/{token}/unlock", tag = "links", operation_id = "unlockLink", security(()),
    params(("token" = String, Path)), request_body = UnlockLinkRequest,
    responses((status = 200, description = "The link is unlocked", body = LinkUnlocked),
        (status = 303, description = "The link is unlocked; the page is at `Location`", headers(("Location" = String)))),
    extensions(("x-problem-codes" = json!(["password_required", "network_refused", "link_expired", "link_revoked",
        "too_many_attempts"]))))]
async fn unlock(State(app): State<Arc<App>>, Name(token): Name, client: ClientInfo, request: Request) -> Response {
    let (is_form, headers) = (!is_json(request.headers()), request.headers().clone());
    let response = async {
        events::set_channel(Channel::Link);
        let password = password(&app, is_form, request).await?;
        let visitor = LinkVisitor { password, unlock_token: None, ..visitor(&client, &headers) };
        let unlock_token = links::unlock(&app, &visitor, &token).await?;
        unlocked(&app, &token, is_form, unlock_token)
    };
    finish_response(response.await, is_form.then(|| url(&app, &token)))
}

/// The password; `None` if a form has none, which is for the link to refuse.
async fn password(app: &Arc<App>, is_form: bool, request: Request) -> Result<Option<SecretString>> {
    let bytes = read_whole(request, BodyLimits::from_ref(app)).await?;
    if is_form {
        let given = form_urlencoded::parse(&bytes).find(|(name, _)| name == "password");
        return Ok(given.map(|(_, value)| value.into_owned().into()));
    }
    let read: UnlockLinkRequest = json::decode(&bytes)?;
    Ok(Some(read.password))
}

fn unlocked(app: &App, token: &str, is_form: bool, unlock_token: Option<UnlockToken>) -> Result<Response> {
    let mut headers = HeaderMap::new();
    if let Some(unlock_token) = &unlock_token {
        let (path, seconds) = (app.config.public_url.path(), app.config.links.unlock_lifetime.as_secs());
        let secure = if is_https(&app.config) { "; Secure" } else { "" };
        let attributes = format!("Path={path}l/{token}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        let cookie = format!("{COOKIE}={}; {attributes}", unlock_token.text);
        headers.insert(header::SET_COOKIE, HeaderValue::try_from(cookie).map_err(Error::internal)?);
    }
    if is_form {
        let location = HeaderValue::try_from(url(app, token)).map_err(Error::internal)?;
        headers.insert(header::LOCATION, location);
        return Ok((StatusCode::SEE_OTHER, headers).into_response());
    }
    let (key, expires_at) = unlock_token.map(|unlock_token| (unlock_token.text, unlock_token.expires_at)).unzip();
    Ok((headers, axum::Json(LinkUnlocked { key, expires_at })).into_response())
}
