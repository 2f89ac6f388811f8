//! Accounts and authentication: passwords, sessions and API tokens.

mod account;
mod admin;
mod caller;
mod erase;
mod events;
mod password;
mod profile;
mod quota;
mod secret;
mod session;
mod teams;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
mod usage;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::db::UserRow;

pub use crate::db::CachePolicy;
pub use account::{
    NewAccount, PasswordChange, RegistrationStatus, UpdateMe, create_account, register, registration, set_password,
    update_me,
};
pub use admin::{
    AdminUser, UpdateUser, all_users, find_user, list_users, recalculate_usage, set_disabled, update_user, user_id,
};
pub use caller::{Caller, Credential, authenticate};
pub use erase::{Erasure, delete_account, delete_me, erasure};
pub use events::events;
pub use password::Passwords;
pub use profile::split_email;
pub use quota::{Quota, QuotaOverrides};
pub use secret::{Secret, SecretKind};
pub use session::{
    ClientInfo, Credentials, Session, SignIn, count_credentials, end_session, log_in, log_out, sessions,
};
pub use teams::{
    Team, TeamMember, add_member, create_team, delete_team, find_team, members, remove_member, rename_team, teams,
};
pub use throttle::{LoginAttempt, PendingAttempts, count_new_password};
pub use token::{ApiToken, NewToken, create_token, revoke_token, tokens};
pub use usage::{Quotas, Usage, UsageCounts, usage};

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Unique; later accounts have larger ids.
    pub id: Uuid,
    /// The email address, as it was entered.
    pub email: String,
    /// The display name.
    pub name: String,
    /// Whether the user may manage other users.
    pub is_admin: bool,
    /// Whether the user must change the password before anything else, because the operator has set it.
    pub must_change_password: bool,
    /// When the account was disabled; absent while it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the account was last changed.
    pub updated_at: Timestamp,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            is_admin: row.is_admin,
            must_change_password: row.must_change_password,
            disabled_at: row.disabled_at.map(Into::into),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}
