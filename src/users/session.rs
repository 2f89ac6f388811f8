//! Sessions: signing in, signing out, and listing where a user is signed in.

use std::net::IpAddr;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::profile::{MAX_EMAIL, email_key};
use super::secret::{Secret, SecretKind};
use super::throttle::LoginAttempt;
use super::{Caller, Credential, User};
use crate::app::App;
use crate::budget::Party;
use crate::clock::{before, deadline};
use crate::db::{NewSessionRow, SessionRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// The client that registers or signs in.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// The address of the client.
    pub address: IpAddr,
    /// The User-Agent of the client, shortened.
    pub user_agent: String,
    /// The session that it is signed in with by a cookie.
    pub session: Option<Secret>,
}

/// Email address and password.
#[derive(Debug)]
pub struct Credentials {
    /// The email address.
    pub email: String,
    /// The password.
    pub password: SecretString,
}

/// A successful sign-in.
#[derive(Debug)]
pub struct SignIn {
    /// The user.
    pub user: User,
    /// The new session.
    pub session: Session,
    /// The secret of the session, which is not stored.
    pub secret: Secret,
}

/// A session.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// Unique; later sessions have larger ids.
    pub id: Uuid,
    /// Whether it is the caller's own.
    pub current: bool,
    /// The User-Agent of the client that signed in.
    pub user_agent: String,
    /// The address of the client that signed in.
    pub address: String,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it was last used, to within five minutes.
    pub last_used_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Signs in with email address and password. The session that the client was signed in with ends.
///
/// # Errors
/// [`Error::BadCredentials`] if they do not match or the account is disabled; [`Error::Throttled`] after too many
/// failures of the account or the address.
pub async fn log_in(app: &App, client: &ClientInfo, credentials: Credentials) -> Result<SignIn> {
    let key = email_key(&credentials.email);
    let attempt = LoginAttempt::sign_in(app, &key, client.address).await?;
    // Addresses that cannot be registered are not looked up; PostgreSQL does not accept NUL.
    let impossible = key.contains('\0') || credentials.email.trim().len() > MAX_EMAIL;
    let mut known = None;
    let signed_in = attempt.verify(app, async {
        let account = if impossible { None } else { app.db.find_user_by_email(&key).await? };
        known = account.as_ref().map(|account| account.user.id);
        let hash = account.as_ref().map(|account| account.password_hash.as_str());
        let keep = app.passwords.verify(Party::at(client.address), &credentials.password, hash).await?;
        let (Some(account), Some(keep)) = (account, keep) else { return Ok(None) };
        match begin(app, account.user.into(), client, &account.password_hash, &keep).await {
            Err(Error::BadCredentials) => Ok(None),
            begun => begun.map(Some),
        }
    });
    if let Some(sign_in) = signed_in.await? {
        return Ok(sign_in);
    }
    tracing::info!(address = %client.address, "sign-in refused");
    // The email address is not recorded: it may be a password in the wrong field.
    app.events.record(&Event::new(EventKind::SignInRefused, known));
    Err(Error::BadCredentials)
}

/// Ends the caller's own session.
///
/// # Errors
/// [`Error::SessionRequired`] if the caller has an API token; [`Error::Unauthorized`] if the session has already ended.
pub async fn log_out(app: &App, caller: &Caller) -> Result<()> {
    let Credential::Session(id) = caller.credential else {
        return Err(Error::SessionRequired);
    };
    let event = Event::new(EventKind::SignedOut, caller.user.id).row(&app.clock);
    if app.db.end_session(id, caller.user.id, &event).await? { Ok(()) } else { Err(Error::Unauthorized) }
}

/// The caller's sessions, newest first.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn sessions(app: &App, caller: &Caller) -> Result<Vec<Session>> {
    let now = app.clock.now();
    let rows = app.db.list_sessions(caller.user.id, now, used_after(app, now)).await?;
    Ok(rows.into_iter().map(|row| session(row, caller.credential)).collect())
}

/// The number of active sessions and of active API tokens of a user.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn count_credentials(app: &App, user: &User) -> Result<(u64, u64)> {
    let now = app.clock.now();
    let sessions = app.db.count_sessions(user.id, now, used_after(app, now)).await?;
    Ok((sessions, app.db.count_tokens(user.id, now).await?))
}

/// A session that was not used since has ended.
pub(super) fn used_after(app: &App, now: Timestamp) -> Timestamp {
    match app.config.auth.session_idle {
        idle if idle.is_zero() => Timestamp::MIN,
        idle => before(now, idle),
    }
}

/// Ends one of the caller's sessions.
///
/// # Errors
/// [`Error::NotFound`] if the caller has no such session.
pub async fn end_session(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let event = Event::new(EventKind::SessionEnded, caller.user.id).with("session_id", id.to_string()).row(&app.clock);
    if app.db.end_session(id, caller.user.id, &event).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// Begins a session of a user whose password was verified against the hash `proven`; `keep` is the hash that the
/// account has from now on.
///
/// # Errors
/// [`Error::BadCredentials`] if the account is disabled, or its password was changed meanwhile.
pub(super) async fn begin(app: &App, user: User, client: &ClientInfo, proven: &str, keep: &str) -> Result<SignIn> {
    let secret = Secret::random(SecretKind::Session);
    let now = app.clock.now();
    let row = SessionRow {
        id: app.clock.new_id(),
        user_id: user.id,
        user_agent: client.user_agent.clone(),
        address: client.address.to_string(),
        created_at: now.into(),
        last_used_at: now.into(),
        expires_at: deadline(now, app.config.auth.session_lifetime).into(),
    };
    let (id, current) = (row.id, Credential::Session(row.id));
    let event = Event::new(EventKind::SignedIn, user.id).with("session_id", id.to_string()).row(&app.clock);
    let previous = client.session.as_ref().map(Secret::hash);
    let new = NewSessionRow { session: row, token_hash: secret.hash(), previous };
    if !app.db.begin_session(&new, proven, keep, app.config.limits.sessions, &event).await? {
        return Err(Error::BadCredentials);
    }
    tracing::info!(user = %user.id, session = %id, address = %client.address, "signed in");
    Ok(SignIn { user, session: session(new.session, current), secret })
}

fn session(row: SessionRow, current: Credential) -> Session {
    Session {
        id: row.id,
        current: current == Credential::Session(row.id),
        user_agent: row.user_agent,
        address: row.address,
        created_at: row.created_at.into(),
        last_used_at: row.last_used_at.into(),
        expires_at: row.expires_at.into(),
    }
}
