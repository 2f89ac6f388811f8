//! API tokens: for programs that act as a person.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::secret::{Secret, SecretKind};
use super::{Caller, both, checked_name, deadline};
use crate::app::App;
use crate::clock::from_micros;
use crate::db::TokenRow;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// The longest life that can be asked for: ten years. A token may also live until it is revoked.
const MAX_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct ApiToken {
    pub id: Uuid,
    pub name: String,
    /// The secret's last characters.
    pub hint: String,
    pub created_at: Timestamp,
    /// To five minutes; null if it was never used.
    pub last_used_at: Option<Timestamp>,
    /// Null if it lives until it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// An API token that somebody wants.
#[derive(Debug)]
pub struct NewToken {
    pub name: String,
    /// Absent: until it is revoked.
    pub expires_in: Option<Duration>,
}

/// The caller's API tokens that are alive, newest first.
pub async fn tokens(app: &App, caller: &Caller) -> Result<Vec<ApiToken>> {
    let rows = app.db.list_tokens(caller.user.id, app.clock.now().as_microsecond()).await?;
    Ok(rows.into_iter().map(ApiToken::from).collect())
}

/// Makes an API token. Its secret is known to nobody but the receiver of this answer.
///
/// # Errors
/// `Invalid` if the name or the life is not acceptable, or the account has as many live tokens as
/// it may have.
pub async fn create_token(app: &App, caller: &Caller, wish: NewToken) -> Result<(ApiToken, Secret)> {
    let (name, life) = both(checked_name(&wish.name), checked_lifetime(wish.expires_in))?;
    let secret = Secret::random(SecretKind::Token);
    let now = app.clock.now();
    let row = TokenRow {
        id: app.clock.new_id(),
        user_id: caller.user.id,
        name,
        last_four: secret.hint().to_owned(),
        created_at: now.as_microsecond(),
        last_used_at: None,
        expires_at: life.map(|life| deadline(now, life).as_microsecond()),
    };
    let limit = app.config.limits.tokens;
    let event = Event::new(EventKind::TokenCreated, row.user_id).with("token_id", row.id.to_string()).row(&app.clock);
    if !app.db.insert_token(&row, &secret.hash(), limit, &event).await? {
        return Err(Error::TooManyTokens { limit });
    }
    tracing::info!(user = %row.user_id, token = %row.id, "API token made");
    Ok((row.into(), secret))
}

/// Ends one of the caller's API tokens.
///
/// # Errors
/// `NotFound` if the caller has no such token.
pub async fn revoke_token(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let event = Event::new(EventKind::TokenRevoked, caller.user.id).with("token_id", id.to_string()).row(&app.clock);
    if app.db.revoke_token(id, caller.user.id, &event).await? { Ok(()) } else { Err(Error::NotFound) }
}

fn checked_lifetime(life: Option<Duration>) -> Result<Option<Duration>> {
    match life {
        Some(life) if life.is_zero() || life > MAX_LIFE => {
            let detail = format!("from 1 to {} seconds", MAX_LIFE.as_secs());
            Err(Error::invalid("/expires_in", "out_of_range", detail))
        }
        life => Ok(life),
    }
}

impl From<TokenRow> for ApiToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.last_four,
            created_at: from_micros(row.created_at),
            last_used_at: row.last_used_at.map(from_micros),
            expires_at: row.expires_at.map(from_micros),
        }
    }
}
