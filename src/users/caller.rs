//! Callers: users who are authenticated by a session or an API token.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::User;
use super::secret::{Secret, SecretKind};
use super::session::used_after;
use crate::access::Subject;
use crate::app::App;
use crate::clock::deadline;
use crate::db::{CachePolicy, CallerRow, Micros, Permit, PermitKind};
use crate::error::{Error, Result};
use crate::events::{self, Actor};

/// The precision of `last_used_at`.
const TOUCH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// An authenticated user, and the credential.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub user: User,
    /// The session or token.
    pub credential: Credential,
}

/// The credential of a caller, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A session.
    Session(Uuid),
    /// An API token.
    Token(Uuid),
}

impl Caller {
    /// Who asks, for the predicate of rights.
    pub fn subject(&self) -> Subject {
        Subject::account(self.user.id)
    }
}

impl Credential {
    /// Makes this account the actor of the current request in the audit log, and lets the request change rows for as
    /// long as the credential is valid.
    fn set_current(self, app: &App, account: Uuid) {
        let (kind, credential, credential_id) = match self {
            Credential::Session(id) => (PermitKind::Session, "session", id),
            Credential::Token(id) => (PermitKind::Token, "token", id),
        };
        events::set_actor(Actor { account, credential, credential_id });
        Permit { kind, credential: credential_id, account, clock: app.clock.clone(), needs: Vec::new() }.set_current();
    }
}

/// Authenticates the caller that sent this secret, in at most one query.
///
/// # Errors
/// [`Error::Unauthorized`] if it is not a secret of this server, its session or token has expired or was revoked, or
/// its account is disabled.
pub async fn authenticate(app: &App, secret: &str, policy: CachePolicy) -> Result<Caller> {
    let secret = Secret::parse(secret).ok_or(Error::Unauthorized)?;
    let now = app.clock.now();
    let hash = secret.hash();
    let (found, credential): (_, fn(Uuid) -> Credential) = match secret.kind() {
        SecretKind::Session => (app.db.find_session_caller(&hash, now, policy).await?, Credential::Session),
        SecretKind::Token => (app.db.find_token_caller(&hash, now, policy).await?, Credential::Token),
        // These do not authenticate a user: anyone may have them.
        SecretKind::Link | SecretKind::Archive => return Err(Error::Unauthorized),
    };
    let row = found.filter(|row| !is_idle(app, secret.kind(), row, now)).ok_or(Error::Unauthorized)?;
    let credential = credential(row.credential_id);
    credential.set_current(app, row.user.id);
    record_use(app, credential, &row, now);
    Ok(Caller { user: row.user.into(), credential })
}

/// Whether a session was not used for so long that it has ended.
fn is_idle(app: &App, kind: SecretKind, row: &CallerRow, now: Timestamp) -> bool {
    let is_over = |used: Micros| Timestamp::from(used) <= used_after(app, now);
    kind == SecretKind::Session && row.last_used_at.is_some_and(is_over)
}

/// Updates `last_used_at` periodically, in the background: no request waits for it or fails because of it.
fn record_use(app: &App, credential: Credential, row: &CallerRow, now: Timestamp) {
    if row.last_used_at.is_some_and(|last| now < deadline(last.into(), TOUCH_INTERVAL)) {
        return;
    }
    let db = app.db.clone();
    tokio::spawn(async move {
        let touched = match credential {
            Credential::Session(id) => db.touch_session(id, now).await,
            Credential::Token(id) => db.touch_token(id, now).await,
        };
        if let Err(error) = touched {
            tracing::debug!(%error, "could not update the last use of a session or token");
        }
    });
}
