//! Signing in and out, and knowing callers again.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::secret::{Secret, SecretKind};
use super::throttle::LoginAttempt;
use super::{Caller, Credential, MAX_EMAIL, Origin, User, deadline, email_key};
use crate::app::App;
use crate::clock::from_micros;
use crate::db::{CachePolicy, CallerRow, SessionRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// How exact `last_used_at` is.
const TOUCH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// What somebody signs in with.
#[derive(Debug)]
pub struct Credentials {
    pub email: String,
    pub password: SecretString,
}

/// A sign-in that succeeded.
#[derive(Debug)]
pub struct SignIn {
    pub user: User,
    pub session: Session,
    pub secret: Secret,
}

/// A place where an account is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: Uuid,
    /// Whether this is the session that asks.
    pub current: bool,
    pub user_agent: String,
    /// The address that signed in.
    pub address: String,
    pub created_at: Timestamp,
    /// To five minutes.
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Signs in by e-mail and password.
///
/// # Errors
/// `BadCredentials` if they do not belong together or the account is disabled; `Throttled` if the
/// account or the address has tried too often.
pub async fn log_in(app: &App, credentials: Credentials, origin: &Origin) -> Result<SignIn> {
    let key = email_key(&credentials.email);
    let trial = LoginAttempt::sign_in(app, &key, origin.address).await?;
    // What nobody can have registered is not looked up; PostgreSQL would not even take a NUL.
    let impossible = key.contains('\0') || credentials.email.trim().len() > MAX_EMAIL;
    let known = if impossible { None } else { app.db.find_user_by_email(&key).await? };
    let hash = known.as_ref().map(|account| account.password_hash.as_str());
    let keep = app.passwords.verify(&credentials.password, hash).await?;
    // What was typed is kept nowhere: it may be a password that was typed into the wrong field.
    let refused = Event::new(EventKind::SignInRefused, known.as_ref().map(|account| account.user.id));
    let (Some(account), Some(keep)) = (known, keep) else {
        tracing::info!(address = %origin.address, "sign-in refused");
        app.events.record(&refused);
        return Err(Error::BadCredentials);
    };
    let accepted = begin(app, account.user.into(), origin, &account.password_hash, &keep).await;
    let sign_in = accepted.inspect_err(|_| app.events.record(&refused))?;
    trial.succeeded(app).await?;
    Ok(sign_in)
}

/// Ends the caller's own session.
///
/// # Errors
/// `SessionRequired` if the caller has an API token; `Unauthorized` if the session is over.
pub async fn log_out(app: &App, caller: &Caller) -> Result<()> {
    let Credential::Session(id) = caller.credential else {
        return Err(Error::SessionRequired);
    };
    let event = Event::new(EventKind::SignedOut, caller.user.id).row(&app.clock);
    if app.db.end_session(id, caller.user.id, &event).await? { Ok(()) } else { Err(Error::Unauthorized) }
}

/// Finds who shows this secret, in one query at most.
///
/// # Errors
/// `Unauthorized` if it is no secret of ours, its session or token is over, or its account is
/// disabled.
pub async fn authenticate(app: &App, secret: &str, recall: CachePolicy) -> Result<Caller> {
    let secret = Secret::parse(secret).ok_or(Error::Unauthorized)?;
    let now = app.clock.now();
    let (hash, time) = (secret.hash(), now.as_microsecond());
    let (found, credential): (_, fn(Uuid) -> Credential) = match secret.kind() {
        SecretKind::Session => (app.db.find_session_caller(&hash, time, recall).await?, Credential::Session),
        SecretKind::Token => (app.db.find_token_caller(&hash, time, recall).await?, Credential::Token),
        // Whoever has a link is nobody in particular.
        SecretKind::Link => return Err(Error::Unauthorized),
    };
    let row = found.ok_or(Error::Unauthorized)?;
    let credential = credential(row.credential_id);
    credential.enter(row.user.id);
    note_use(app, credential, &row, now);
    Ok(Caller { user: row.user.into(), credential })
}

/// The caller's sessions, newest first.
pub async fn sessions(app: &App, caller: &Caller) -> Result<Vec<Session>> {
    let rows = app.db.list_sessions(caller.user.id, app.clock.now().as_microsecond()).await?;
    Ok(rows.into_iter().map(|row| session(row, caller.credential)).collect())
}

/// Ends one of the caller's sessions.
///
/// # Errors
/// `NotFound` if the caller has no such session.
pub async fn end_session(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let event = Event::new(EventKind::SessionEnded, caller.user.id).with("session_id", id.to_string()).row(&app.clock);
    if app.db.end_session(id, caller.user.id, &event).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// Begins a session for a user whose password was just proven against the hash `proven`; `keep`
/// is the hash that the account has from now on.
///
/// # Errors
/// `BadCredentials` if the account is disabled, or its password was changed meanwhile.
pub(super) async fn begin(app: &App, user: User, origin: &Origin, proven: &str, keep: &str) -> Result<SignIn> {
    let secret = Secret::random(SecretKind::Session);
    let now = app.clock.now();
    let row = SessionRow {
        id: app.clock.new_id(),
        user_id: user.id,
        user_agent: origin.user_agent.clone(),
        address: origin.address.to_string(),
        created_at: now.as_microsecond(),
        last_used_at: now.as_microsecond(),
        expires_at: deadline(now, app.config.auth.session_lifetime).as_microsecond(),
    };
    let current = Credential::Session(row.id);
    let event = Event::new(EventKind::SignedIn, user.id).with("session_id", row.id.to_string()).row(&app.clock);
    if !app.db.begin_session(&row, &secret.hash(), proven, keep, &event).await? {
        return Err(Error::BadCredentials);
    }
    tracing::info!(user = %user.id, session = %row.id, address = %origin.address, "signed in");
    Ok(SignIn { user, session: session(row, current), secret })
}

fn session(row: SessionRow, current: Credential) -> Session {
    Session {
        id: row.id,
        current: current == Credential::Session(row.id),
        user_agent: row.user_agent,
        address: row.address,
        created_at: from_micros(row.created_at),
        last_used_at: from_micros(row.last_used_at),
        expires_at: from_micros(row.expires_at),
    }
}

/// Writes down that a credential was used, now and then and on the side: no request waits for
/// it or fails because of it.
fn note_use(app: &App, credential: Credential, row: &CallerRow, now: Timestamp) {
    if row.last_used_at.is_some_and(|last| now < deadline(from_micros(last), TOUCH_INTERVAL)) {
        return;
    }
    let (db, now) = (app.db.clone(), now.as_microsecond());
    tokio::spawn(async move {
        let noted = match credential {
            Credential::Session(id) => db.touch_session(id, now).await,
            Credential::Token(id) => db.touch_token(id, now).await,
        };
        if let Err(error) = noted {
            tracing::debug!(%error, "the use of a session or token was not noted");
        }
    });
}
