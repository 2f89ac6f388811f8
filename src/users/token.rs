//! API tokens, which let programs act for a user.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::Caller;
use super::profile::checked_name;
use super::secret::{Secret, SecretKind};
use crate::app::App;
use crate::clock::{checked_lifetime, deadline};
use crate::db::TokenRow;
use crate::error::{Error, Result, both};
use crate::events::{Event, EventKind};

/// The maximum lifetime: ten years. A token without a lifetime is active until it is revoked.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct ApiToken {
    /// Unique; later tokens have larger ids.
    pub id: Uuid,
    /// The name that the user gave it.
    pub name: String,
    /// The last four characters of the secret.
    pub last_four: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, to within five minutes; `None` if never.
    pub last_used_at: Option<Timestamp>,
    /// When it expires; `None` if it is active until it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// An API token to create.
#[derive(Debug)]
pub struct NewToken {
    /// The name; surrounding space is removed.
    pub name: String,
    /// The lifetime; absent: until it is revoked.
    pub expires_in: Option<Duration>,
}

/// The caller's active API tokens, newest first.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn tokens(app: &App, caller: &Caller) -> Result<Vec<ApiToken>> {
    let rows = app.db.list_tokens(caller.user.id, app.clock.now()).await?;
    Ok(rows.into_iter().map(ApiToken::from).collect())
}

/// Creates an API token. Its secret is not stored.
///
/// # Errors
/// [`Error::Invalid`] if the name or the lifetime is not valid; [`Error::TooManyTokens`].
pub async fn create_token(app: &App, caller: &Caller, new: NewToken) -> Result<(ApiToken, Secret)> {
    let lifetime = new.expires_in.map(|wanted| checked_lifetime(wanted, MAX_LIFETIME));
    let (name, lifetime) = both(checked_name(&new.name), lifetime.transpose())?;
    let secret = Secret::random(SecretKind::Token);
    let now = app.clock.now();
    let row = TokenRow {
        id: app.clock.new_id(),
        user_id: caller.user.id,
        name,
        last_four: secret.last_four().to_owned(),
        created_at: now.into(),
        last_used_at: None,
        expires_at: lifetime.map(|lifetime| deadline(now, lifetime).into()),
    };
    let limit = app.config.limits.tokens;
    let event = Event::new(EventKind::TokenCreated, row.user_id).with("token_id", row.id.to_string()).row(&app.clock);
    if !app.db.insert_token(&row, &secret.hash(), limit, &event).await? {
        return Err(Error::TooManyTokens { limit });
    }
    tracing::info!(user = %row.user_id, token = %row.id, "API token created");
    Ok((row.into(), secret))
}

/// Revokes one of the caller's API tokens.
///
/// # Errors
/// [`Error::NotFound`] if the caller has no such token.
pub async fn revoke_token(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let event = Event::new(EventKind::TokenRevoked, caller.user.id).with("token_id", id.to_string()).row(&app.clock);
    if app.db.revoke_token(id, caller.user.id, &event).await? { Ok(()) } else { Err(Error::NotFound) }
}

impl From<TokenRow> for ApiToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            last_four: row.last_four,
            created_at: row.created_at.into(),
            last_used_at: row.last_used_at.map(Into::into),
            expires_at: row.expires_at.map(Into::into),
        }
    }
}
