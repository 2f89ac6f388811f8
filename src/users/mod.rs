//! Who: accounts, and how somebody proves to be one, by password, session or API token.

mod account;
mod erase;
mod password;
mod secret;
mod session;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
mod usage;

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::clock::from_micros;
use crate::db::UserRow;
use crate::error::{Error, Result};
use crate::events::{self, Actor};
use crate::unicode::is_misleading;

pub use crate::db::CachePolicy;
pub use account::{
    AccountChange, NewAccount, PasswordChange, RegistrationState, account_id, create_account, register, registration,
    set_disabled, set_password, update_me,
};
pub use erase::{Job, erase_account, erase_me, job};
pub use password::Passwords;
pub use secret::{Secret, SecretKind};
pub use session::{Credentials, Session, SignIn, authenticate, end_session, log_in, log_out, sessions};
pub use throttle::LoginAttempt;
pub use token::{ApiToken, NewToken, create_token, revoke_token, tokens};
pub use usage::{
    AccountPatch, AdminUser, AdminUserPage, Quota, QuotaLimit, QuotaOverrides, QuotaUnlimited, Quotas, Usage,
    UsageCounts, account, list_accounts, list_page, patch_account, recount, usage,
};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: Uuid,
    pub email: String,
    pub name: String,
    pub is_admin: bool,
    /// Since when this account can do nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            is_admin: row.is_admin,
            disabled_at: row.disabled_at.map(from_micros),
            created_at: from_micros(row.created_at),
            updated_at: from_micros(row.updated_at),
        }
    }
}

/// Somebody who has proved who they are, and by what.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user: User,
    pub credential: Credential,
}

/// What a caller showed, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Session(Uuid),
    Token(Uuid),
}

impl Credential {
    /// Says to the trail that this account is at work.
    fn enter(self, account: Uuid) {
        let (credential, credential_id) = match self {
            Credential::Session(id) => ("session", id),
            Credential::Token(id) => ("token", id),
        };
        events::set_actor(Actor { account, credential, credential_id });
    }
}

/// Where somebody signs in from.
#[derive(Debug, Clone)]
pub struct Origin {
    pub address: IpAddr,
    pub user_agent: String,
}

/// Bytes in an e-mail address (RFC 5321): what fits into a path of 256 with its angle brackets.
const MAX_EMAIL: usize = 254;

/// An e-mail address as it is compared.
fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A name without the space around it.
///
/// # Errors
/// `Invalid` at `/name` if it has no or more than 100 characters, or control characters.
fn checked_name(name: &str) -> Result<String> {
    const MAX_CHARACTERS: usize = 100;
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid("/name", "required", "a name has at least one character"));
    }
    if name.chars().count() > MAX_CHARACTERS {
        return Err(Error::invalid("/name", "too_long", format!("at most {MAX_CHARACTERS} characters")));
    }
    if name.chars().any(|c| c.is_control() || is_misleading(c)) {
        return Err(Error::invalid("/name", "invalid", "no control characters, and none that mislead"));
    }
    Ok(name.to_owned())
}

/// Both values, or everything that is wrong with either.
pub fn both<A, B>(one: Result<A>, other: Result<B>) -> Result<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Error::Invalid(mut errors)), Err(Error::Invalid(more))) => {
            errors.extend(more);
            Err(Error::Invalid(errors))
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// The time `by` later; at most the calendar's end.
pub fn deadline(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    from_micros(time.as_microsecond().saturating_add(micros))
}
