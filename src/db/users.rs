//! The rows of accounts.

use sqlx::FromRow;
use uuid::Uuid;

use super::{Db, is_taken, on, statements, transaction};
use crate::error::{Error, Result};

/// An account, without its password. Times are microseconds since 1970.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    pub id: Uuid,
    pub email: String,
    pub name: String,
    pub is_admin: bool,
    pub disabled_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// An account with the hash of its password. Not `Debug`, so that no hash gets into a log.
#[derive(FromRow)]
pub struct PasswordRow {
    #[sqlx(flatten)]
    pub user: UserRow,
    pub password_hash: String,
}

/// The account behind a session or an API token, as one query finds it.
#[derive(Debug, FromRow)]
pub struct CallerRow {
    #[sqlx(flatten)]
    pub user: UserRow,
    /// The session's or the token's id.
    pub credential_id: Uuid,
    /// When the session or token was last seen, to a few minutes.
    pub last_used_at: Option<i64>,
}

/// The change of a password by somebody who has shown the present one.
pub struct PasswordChange<'a> {
    /// The hash that was checked; if it is no longer the account's, nothing changes.
    pub proven: &'a str,
    pub new: &'a str,
    /// The session that goes on; all others end.
    pub keep_session: Uuid,
}

/// The columns of a [`UserRow`].
macro_rules! columns {
    () => {
        "users.id, users.email, users.name, users.is_admin, users.disabled_at, users.created_at, users.updated_at"
    };
}
pub(super) use columns;

statements! {
    INSERT = "INSERT INTO users (id, email, email_key, name, password_hash, is_admin, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    FIND_BY_EMAIL = concat!("SELECT ", columns!(), ", password_hash FROM users WHERE email_key = $1");
    FIND_BY_ID = concat!("SELECT ", columns!(), ", password_hash FROM users WHERE id = $1");
    LIST = concat!("SELECT ", columns!(), " FROM users ORDER BY id");
    DISABLE = concat!("UPDATE users SET disabled_at = COALESCE(disabled_at, $2), updated_at = $2
        WHERE email_key = $1 RETURNING ", columns!());
    ENABLE = concat!("UPDATE users SET disabled_at = NULL, updated_at = $2
        WHERE email_key = $1 RETURNING ", columns!());
    RENAME = "UPDATE users SET name = $2, updated_at = $3 WHERE id = $1";
    RESET_PASSWORD = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1";
    CHANGE_PASSWORD = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1 AND password_hash = $4";
    END_SESSIONS = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";
}

impl Db {
    /// Adds an account.
    ///
    /// # Errors
    /// `EmailTaken` if another account has the `email_key`.
    pub async fn insert_user(&self, user: &UserRow, email_key: &str, password_hash: &str) -> Result<()> {
        let inserted = on!(self.write, |p| sqlx::query(INSERT)
            .bind(user.id)
            .bind(&user.email)
            .bind(email_key)
            .bind(&user.name)
            .bind(password_hash)
            .bind(user.is_admin)
            .bind(user.created_at)
            .bind(user.updated_at)
            .execute(p)
            .await
            .map(drop));
        inserted.map_err(|error| if is_taken(&error) { Error::EmailTaken } else { error.into() })
    }

    /// The account with this address and the hash of its password, disabled or not.
    pub async fn find_user_by_email(&self, email_key: &str) -> Result<Option<PasswordRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(FIND_BY_EMAIL).bind(email_key).fetch_optional(p).await)?)
    }

    /// The account with this id and the hash of its password, disabled or not.
    pub async fn find_user(&self, id: Uuid) -> Result<Option<PasswordRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(FIND_BY_ID).bind(id).fetch_optional(p).await)?)
    }

    /// Every account, oldest first.
    pub async fn list_users(&self) -> Result<Vec<UserRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(LIST).fetch_all(p).await)?)
    }

    /// Disables or enables an account; disabling ends its sessions. `None` if there is none.
    pub async fn set_disabled(&self, email_key: &str, disabled: bool, now: i64) -> Result<Option<UserRow>> {
        transaction!(self, |tx| {
            let statement = if disabled { DISABLE } else { ENABLE };
            let user: Option<UserRow> =
                sqlx::query_as(statement).bind(email_key).bind(now).fetch_optional(&mut *tx).await?;
            if let (Some(user), true) = (&user, disabled) {
                sqlx::query(END_SESSIONS).bind(user.id).bind(Uuid::nil()).execute(&mut *tx).await?;
            }
            Ok(user)
        })
    }

    /// Sets a password whatever the present one is, and ends every session of the account.
    pub async fn reset_password(&self, id: Uuid, password_hash: &str, now: i64) -> Result<()> {
        transaction!(self, |tx| {
            sqlx::query(RESET_PASSWORD).bind(id).bind(password_hash).bind(now).execute(&mut *tx).await?;
            sqlx::query(END_SESSIONS).bind(id).bind(Uuid::nil()).execute(&mut *tx).await?;
            Ok(())
        })
    }

    /// Changes the name, the password or both at once. `false`, and nothing changed, if the
    /// proven password is no longer the account's.
    pub async fn update_user(
        &self,
        id: Uuid,
        name: Option<&str>,
        password: Option<PasswordChange<'_>>,
        now: i64,
    ) -> Result<bool> {
        transaction!(self, |tx| {
            if let Some(change) = &password {
                let update = sqlx::query(CHANGE_PASSWORD).bind(id).bind(change.new).bind(now).bind(change.proven);
                if update.execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(END_SESSIONS).bind(id).bind(change.keep_session).execute(&mut *tx).await?;
            }
            if let Some(name) = name {
                sqlx::query(RENAME).bind(id).bind(name).bind(now).execute(&mut *tx).await?;
            }
            Ok(true)
        })
    }
}
