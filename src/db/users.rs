//! The rows of accounts.

use sqlx::FromRow;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::usage::UsageRow;
use super::{CachePolicy, Db, is_unique_violation, on, statements, transaction};
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
#[derive(Debug, Clone, FromRow)]
pub struct CallerRow {
    #[sqlx(flatten)]
    pub user: UserRow,
    /// The session's or the token's id.
    pub credential_id: Uuid,
    /// When the session or token was last seen, to a few minutes.
    pub last_used_at: Option<i64>,
    /// When the session or token ends, if it does by itself.
    pub expires_at: Option<i64>,
}

/// An account with what it uses and may use.
#[derive(Debug, FromRow)]
pub struct AccountRow {
    #[sqlx(flatten)]
    pub user: UserRow,
    #[sqlx(flatten)]
    pub usage: UsageRow,
}

/// What the operator changes about an account; what is absent stays. A quota is as in a
/// [`UsageRow`]: none is the default.
#[derive(Debug, Default, Clone)]
pub struct AccountPatchRow {
    pub quota_bytes: Option<Option<i64>>,
    pub quota_files: Option<Option<i64>>,
    pub disabled: Option<bool>,
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

/// The columns of an [`AccountRow`].
macro_rules! account_columns {
    () => {
        concat!(
            columns!(),
            ", users.used_bytes, users.used_files, users.open_uploads, users.quota_bytes, users.quota_files"
        )
    };
}

statements! {
    // An account that is being erased has no address, and is on no list.
    INSERT = "INSERT INTO users (id, email, email_key, name, password_hash, is_admin, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    FIND_BY_EMAIL = concat!("SELECT ", columns!(), ", password_hash FROM users WHERE email_key = $1");
    FIND_BY_ID = concat!("SELECT ", columns!(), ", password_hash FROM users WHERE id = $1");
    LIST = concat!("SELECT ", account_columns!(), " FROM users WHERE id > $1 AND email <> '' ORDER BY id LIMIT $2");
    ANY = "SELECT COUNT(*) FROM (SELECT 1 FROM users WHERE email <> '' LIMIT 1) AS account";
    FIND_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM users WHERE id = $1 AND email <> ''");
    PATCH = concat!("UPDATE users SET
            quota_bytes = CASE WHEN $2 THEN $3 ELSE quota_bytes END,
            quota_files = CASE WHEN $4 THEN $5 ELSE quota_files END,
            disabled_at = CASE WHEN $6 THEN COALESCE(disabled_at, $8) WHEN $7 THEN NULL ELSE disabled_at END,
            updated_at = $8
        WHERE id = $1 AND email <> '' RETURNING ", account_columns!());
    RENAME = "UPDATE users SET name = $2, updated_at = $3 WHERE id = $1";
    RESET_PASSWORD = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1";
    CHANGE_PASSWORD = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1 AND password_hash = $4";
    END_SESSIONS = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";
}

impl Db {
    /// Who shows a secret with this hash, as `statement` finds it or was found a moment ago.
    pub(super) async fn find_caller(
        &self,
        statement: &'static str,
        hash: &[u8; 32],
        now: i64,
        recall: CachePolicy,
    ) -> Result<Option<CallerRow>> {
        let question = match self.callers.get(hash, now, recall) {
            Ok(caller) => return Ok(Some(caller)),
            Err(question) => question,
        };
        let found: Option<CallerRow> =
            on!(self.read, |p| sqlx::query_as(statement).bind(hash.as_slice()).bind(now).fetch_optional(p).await)?;
        found.iter().for_each(|caller| self.callers.put(question, hash, caller));
        Ok(found)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// `EmailTaken` if another account has the `email_key`.
    pub async fn insert_user(
        &self,
        user: &UserRow,
        email_key: &str,
        password_hash: &str,
        event: &EventRow,
    ) -> Result<()> {
        transaction!(self, |tx| {
            let inserted = sqlx::query(INSERT)
                .bind(user.id)
                .bind(&user.email)
                .bind(email_key)
                .bind(&user.name)
                .bind(password_hash)
                .bind(user.is_admin)
                .bind(user.created_at)
                .bind(user.updated_at)
                .execute(&mut *tx)
                .await;
            match inserted {
                Err(error) if is_unique_violation(&error) => return Err(Error::EmailTaken),
                inserted => inserted.map(drop)?,
            }
            insert_event!(tx, event);
            Ok(())
        })
    }

    /// The account with this address and the hash of its password, disabled or not.
    pub async fn find_user_by_email(&self, email_key: &str) -> Result<Option<PasswordRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(FIND_BY_EMAIL).bind(email_key).fetch_optional(p).await)?)
    }

    /// The account with this id and the hash of its password, disabled or not.
    pub async fn find_user(&self, id: Uuid) -> Result<Option<PasswordRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(FIND_BY_ID).bind(id).fetch_optional(p).await)?)
    }

    /// At most so many accounts after the one with this id, oldest first.
    pub async fn list_accounts(&self, after: Uuid, limit: i64) -> Result<Vec<AccountRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(p).await)?)
    }

    /// Whether there is an account at all.
    pub async fn has_accounts(&self) -> Result<bool> {
        let some: i64 = on!(self.read, |p| sqlx::query_scalar(ANY).fetch_one(p).await)?;
        Ok(some > 0)
    }

    /// The account with this id, and what it uses.
    pub async fn find_account(&self, id: Uuid) -> Result<Option<AccountRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(FIND_ACCOUNT).bind(id).fetch_optional(p).await)?)
    }

    /// Changes an account by order of the operator; disabling it ends its sessions. `None` if there is none.
    pub async fn patch_account(
        &self,
        id: Uuid,
        patch: &AccountPatchRow,
        now: i64,
        events: &[EventRow],
    ) -> Result<Option<AccountRow>> {
        let done = transaction!(self, |tx| {
            let account: Option<AccountRow> = sqlx::query_as(PATCH)
                .bind(id)
                .bind(patch.quota_bytes.is_some())
                .bind(patch.quota_bytes.flatten())
                .bind(patch.quota_files.is_some())
                .bind(patch.quota_files.flatten())
                .bind(patch.disabled == Some(true))
                .bind(patch.disabled == Some(false))
                .bind(now)
                .fetch_optional(&mut *tx)
                .await?;
            if account.is_some() && patch.disabled == Some(true) {
                sqlx::query(END_SESSIONS).bind(id).bind(Uuid::nil()).execute(&mut *tx).await?;
            }
            for event in events.iter().filter(|_| account.is_some()) {
                insert_event!(tx, event);
            }
            Ok(account)
        });
        self.callers.forget();
        done
    }

    /// Sets a password whatever the present one is, and ends every session of the account.
    pub async fn reset_password(&self, id: Uuid, password_hash: &str, now: i64, event: &EventRow) -> Result<()> {
        let done = transaction!(self, |tx| {
            sqlx::query(RESET_PASSWORD).bind(id).bind(password_hash).bind(now).execute(&mut *tx).await?;
            sqlx::query(END_SESSIONS).bind(id).bind(Uuid::nil()).execute(&mut *tx).await?;
            insert_event!(tx, event);
            Ok(())
        });
        self.callers.forget();
        done
    }

    /// Changes the name, the password or both at once. `false`, and nothing changed, if the
    /// proven password is no longer the account's.
    pub async fn update_user(
        &self,
        id: Uuid,
        name: Option<&str>,
        password: Option<PasswordChange<'_>>,
        now: i64,
        event: &EventRow,
    ) -> Result<bool> {
        let done = transaction!(self, |tx| {
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
            if name.is_some() || password.is_some() {
                insert_event!(tx, event);
            }
            Ok(true)
        });
        self.callers.forget();
        done
    }
}
