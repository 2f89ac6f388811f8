//! Authentication: extractors that turn a cookie or a bearer token into a [`Caller`], and the session cookie.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::cookies::{self, Cookie};
use crate::http::request_memory::RequestMemory;
use crate::users::{self, CachePolicy, Caller, Credential, Secret};

/// A user with an active session or API token. Others are refused with [`Error::Unauthorized`], and sessions of users who
/// must change their password with [`Error::PasswordChangeRequired`].
#[derive(Debug)]
pub struct SignedIn(pub Caller);

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        caller(parts, app, CachePolicy::Allowed, Password::Changed).await.map(Self)
    }
}

/// As [`SignedIn`], also for users who must change their password: what they need to do so, or to sign out.
#[derive(Debug)]
pub struct AnyPassword(pub Caller);

impl FromRequestParts<Arc<App>> for AnyPassword {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        caller(parts, app, CachePolicy::Never, Password::Any).await.map(Self)
    }
}

/// As [`SessionCaller`], also for users who must change their password.
#[derive(Debug)]
pub struct AnyPasswordSession(pub Caller);

impl FromRequestParts<Arc<App>> for AnyPasswordSession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        session(caller(parts, app, CachePolicy::Never, Password::Any).await?).map(Self)
    }
}

fn session(caller: Caller) -> Result<Caller> {
    match caller.credential {
        Credential::Session(_) => Ok(caller),
        Credential::Token(_) => Err(Error::SessionRequired),
    }
}

/// The passwords with which a session may send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Password {
    /// Not one that must be changed first.
    Changed,
    Any,
}

async fn caller(parts: &Parts, app: &App, policy: CachePolicy, allowed: Password) -> Result<Caller> {
    let secret = match bearer(&parts.headers) {
        Some(secret) => secret,
        None => session_secret(&parts.headers, &app.config)?.ok_or(Error::Unauthorized)?,
    };
    let caller = users::authenticate(app, &secret, policy).await?;
    let is_session = matches!(caller.credential, Credential::Session(_));
    if caller.user.must_change_password && is_session && allowed == Password::Changed {
        return Err(Error::PasswordChangeRequired);
    }
    if let Some(memory) = parts.extensions.get::<RequestMemory>() {
        memory.set_account(caller.user.id);
    }
    Ok(caller)
}

/// A user with an active session, for whatever manages an account: a leaked API token must not be able to extend its own
/// lifetime. Others are refused with [`Error::Unauthorized`], an API token with [`Error::SessionRequired`].
#[derive(Debug)]
pub struct SessionCaller(pub Caller);

impl FromRequestParts<Arc<App>> for SessionCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        // A session that was ended on another server a moment ago must not create an API token.
        session(caller(parts, app, CachePolicy::Never, Password::Changed).await?).map(Self)
    }
}

/// An admin with an active session. Refused as [`SessionCaller`], and other users with [`Error::AdminRequired`].
#[derive(Debug)]
pub struct Admin(pub Caller);

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let SessionCaller(caller) = SessionCaller::from_request_parts(parts, app).await?;
        if caller.user.is_admin { Ok(Self(caller)) } else { Err(Error::AdminRequired) }
    }
}

/// The token of `Authorization: Bearer`. If the scheme is present, the cookie is not used, even if the token is
/// malformed. Other schemes are ignored: they may be meant for a proxy.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(header::AUTHORIZATION)?.as_bytes());
    let (scheme, token) = value.split_once(' ').unwrap_or((&value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// The value of the session cookie, if the request has one.
///
/// # Errors
/// [`Error::Unauthorized`] if it has several.
pub fn session_secret(headers: &HeaderMap, config: &Config) -> Result<Option<String>> {
    match cookies::cookie(headers, cookie_name(config)) {
        Cookie::Absent => Ok(None),
        Cookie::Value(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        Cookie::Ambiguous => Err(Error::Unauthorized),
    }
}

/// The value of `Set-Cookie` that keeps a browser signed in for the lifetime of the session.
pub fn session_cookie(config: &Config, secret: &Secret) -> HeaderValue {
    set_cookie(config, secret.reveal(), config.auth.session_lifetime.as_secs())
}

/// The value of `Set-Cookie` that deletes the session cookie.
pub fn no_session_cookie(config: &Config) -> HeaderValue {
    set_cookie(config, "", 0)
}

fn set_cookie(config: &Config, value: &str, seconds: u64) -> HeaderValue {
    let (name, secure) = (cookie_name(config), if is_https(config) { "; Secure" } else { "" });
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut cookie = HeaderValue::try_from(cookie).expect("letters, digits and attributes are a header's value");
    cookie.set_sensitive(true);
    cookie
}

/// Browsers accept the prefix only with `Secure`, so plain HTTP, as on localhost, has none.
pub fn cookie_name(config: &Config) -> &'static str {
    if is_https(config) { "__Host-strongroom" } else { "strongroom" }
}

pub fn is_https(config: &Config) -> bool {
    config.public_url.scheme() == "https"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_bearer_scheme_is_case_insensitive_and_others_are_ignored() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bEARER  abc ", Some("abc")),
            ("Bearer", Some("")),
            ("Basic abc", None),
            ("Bearerabc", None),
        ] {
            assert_eq!(bearer(&headers(&[("authorization", value)])).as_deref(), token, "{value}");
        }
    }

    #[test]
    fn the_cookie_has_the_host_prefix_over_https_alone() {
        let mut config = Config::default();
        assert_eq!(no_session_cookie(&config), "strongroom=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        let secret = |cookies, config: &Config| session_secret(&headers(&[("cookie", cookies)]), config).ok().flatten();
        assert_eq!(secret("a=b; strongroom=c", &config).as_deref(), Some("c"));
        assert_eq!(secret("strongroom=c; strongroom=d", &config), None);
        config.public_url = "https://files.example.org".parse().expect("a URL");
        assert_eq!(no_session_cookie(&config), "__Host-strongroom=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        for other in ["strongroom=c", "%5F%5FHost-strongroom=c", "__host-strongroom=c", "\"__Host-strongroom\"=c"] {
            assert_eq!(secret(other, &config), None, "{other}");
        }
    }
}
