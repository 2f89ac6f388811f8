//! Accounts.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::erasures::has_other_admins;
use super::errors::is_unique_violation;
use super::events::{EventRow, insert_event};
use super::grants::assign_pending;
use super::spaces::{insert_personal_space, lock_space};
use super::usage::UsageRow;
use super::{ByteCount, CachePolicy, Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// An account without its password.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    /// The id of the account.
    pub id: Uuid,
    /// The email address, as entered.
    pub email: String,
    /// The display name.
    pub name: String,
    /// Whether the user is an admin.
    pub is_admin: bool,
    /// Whether the user must change the password before anything else.
    pub must_change_password: bool,
    /// When the account was disabled, if it is.
    pub disabled_at: Option<Micros>,
    /// When the account was created.
    pub created_at: Micros,
    /// When the account was last changed.
    pub updated_at: Micros,
}

/// An account with the hash of its password. Not `Debug`, so that no hash gets into a log.
#[derive(FromRow)]
pub struct PasswordRow {
    /// The account.
    #[sqlx(flatten)]
    pub user: UserRow,
    /// The hash, as a PHC string.
    pub password_hash: String,
}

/// The account of a session or an API token.
#[derive(Debug, Clone, FromRow)]
pub struct CallerRow {
    /// The account.
    #[sqlx(flatten)]
    pub user: UserRow,
    /// The id of the session or token.
    pub credential_id: Uuid,
    /// When the session or token was last used, to within a few minutes.
    pub last_used_at: Option<Micros>,
    /// When the session or token expires, if it does.
    pub expires_at: Option<Micros>,
}

/// An account with its usage and quotas.
#[derive(Debug, FromRow)]
pub struct AccountRow {
    /// The account.
    #[sqlx(flatten)]
    pub user: UserRow,
    /// The usage and quotas of the account.
    #[sqlx(flatten)]
    pub usage: UsageRow,
}

/// Changes of an account by an admin; absent fields are unchanged. A quota of `None` is the default, as in a
/// [`UsageRow`].
#[derive(Debug, Default, Clone)]
pub struct AccountPatchRow {
    /// The quota of bytes.
    pub quota_bytes: Option<Option<ByteCount>>,
    /// The quota of files.
    pub quota_files: Option<Option<Count>>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
}

/// A change of the password by a user who has proven the current one.
pub struct PasswordChange<'a> {
    /// The hash that was verified; if it is no longer the account's, nothing changes.
    pub proven: &'a str,
    /// The hash of the new password.
    pub new: &'a str,
    /// The session that continues; all others end.
    pub keep_session: Uuid,
}

/// The columns of a [`UserRow`].
macro_rules! user_columns {
    () => {
        "users.id, users.email, users.name, users.is_admin, users.must_change_password, users.disabled_at, \
        users.created_at, users.updated_at"
    };
}
pub(super) use user_columns;

/// The columns of an [`AccountRow`].
macro_rules! account_columns {
    () => {
        concat!(
            user_columns!(),
            ", spaces.used_bytes, spaces.used_files, spaces.open_uploads, spaces.quota_bytes, spaces.quota_files"
        )
    };
}

statements! {
    LOCK_USER = "UPDATE users SET updated_at = updated_at WHERE id = $1";
    INSERT_USER = "INSERT INTO users (id, email, email_key, name, password_hash, must_change_password, is_admin,
            created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    FIND_USER_BY_EMAIL = concat!("SELECT ", user_columns!(), ", password_hash FROM users WHERE email_key = $1");
    FIND_USER = concat!("SELECT ", user_columns!(), ", password_hash FROM users WHERE id = $1");
    /// Not accounts that are being deleted, which have no address.
    LIST_ACCOUNTS = concat!("SELECT ", account_columns!(), " FROM users JOIN spaces ON spaces.id = users.id
        WHERE users.id > $1 AND spaces.id > $1 AND email <> '' ORDER BY users.id LIMIT $2");
    HAS_ACCOUNTS = "SELECT COUNT(*) FROM (SELECT 1 FROM users WHERE email <> '' LIMIT 1) AS account";
    FIND_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM users JOIN spaces ON spaces.id = users.id
        WHERE users.id = $1 AND email <> ''");
    /// Locks the admins, in one order, if the account is one of them: of two admins who disable each other, the second
    /// sees what the first has done.
    LOCK_ADMINS = "UPDATE users SET updated_at = updated_at
        WHERE is_admin AND EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND u.is_admin)";
    PATCH_USER = "UPDATE users SET
            disabled_at = CASE WHEN $2 THEN COALESCE(disabled_at, $4) WHEN $3 THEN NULL ELSE disabled_at END,
            updated_at = $4
        WHERE id = $1 AND email <> ''";
    PATCH_QUOTAS = "UPDATE spaces SET
            quota_bytes = CASE WHEN $2 THEN $3 ELSE quota_bytes END,
            quota_files = CASE WHEN $4 THEN $5 ELSE quota_files END
        WHERE id = $1";
    RENAME_USER = "UPDATE users SET name = $2, updated_at = $3 WHERE id = $1";
    RESET_PASSWORD = "UPDATE users SET password_hash = $2, must_change_password = $3, updated_at = $4 WHERE id = $1";
    CHANGE_PASSWORD = "UPDATE users SET password_hash = $2, must_change_password = FALSE, updated_at = $3
        WHERE id = $1 AND password_hash = $4";
    END_OTHER_SESSIONS = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";
}

impl Db {
    /// The account with a secret of this hash, from the cache or by `statement`.
    pub(super) async fn find_caller(
        &self,
        statement: &'static str,
        hash: &[u8; 32],
        now: Timestamp,
        policy: CachePolicy,
    ) -> Result<Option<CallerRow>> {
        let miss = match self.callers.get(hash, now, policy) {
            Ok(caller) => return Ok(Some(caller)),
            Err(miss) => miss,
        };
        let found: Option<CallerRow> =
            self.read.fetch_optional(statement, (hash.as_slice(), Micros::from(now))).await?;
        found.iter().for_each(|caller| self.callers.put(miss, hash, caller));
        Ok(found)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`Error::EmailTaken`] if another account has the `email_key`.
    pub async fn insert_user(
        &self,
        user: &UserRow,
        email_key: &str,
        password_hash: &str,
        event: &EventRow,
    ) -> Result<()> {
        let UserRow { id, email, name, is_admin, must_change_password, created_at, updated_at, .. } = user;
        self.transaction(async |tx| {
            let row =
                (id, email, email_key, name, password_hash, must_change_password, is_admin, created_at, updated_at);
            match tx.try_execute(INSERT_USER, row).await {
                Err(error) if is_unique_violation(&error) => return Err(Error::EmailTaken),
                inserted => inserted?,
            };
            insert_personal_space(tx, *id, *created_at).await?;
            assign_pending(tx, *id, email_key).await?;
            insert_event(tx, event).await
        })
        .await
    }

    /// The account with this address and the hash of its password, disabled or not.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn find_user_by_email(&self, email_key: &str) -> Result<Option<PasswordRow>> {
        self.read.fetch_optional(FIND_USER_BY_EMAIL, (email_key,)).await
    }

    /// The account with this id and the hash of its password, disabled or not.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn find_user(&self, id: Uuid) -> Result<Option<PasswordRow>> {
        self.read.fetch_optional(FIND_USER, (id,)).await
    }

    /// At most `limit` accounts after the one with this id, oldest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_accounts(&self, after: Uuid, limit: usize) -> Result<Vec<AccountRow>> {
        self.read.fetch_all(LIST_ACCOUNTS, (after, Count::from(limit))).await
    }

    /// Whether there is any account.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn has_accounts(&self) -> Result<bool> {
        let (count,): (i64,) = self.read.fetch_one(HAS_ACCOUNTS, ()).await?;
        Ok(count > 0)
    }

    /// The account with this id, with its usage.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn find_account(&self, id: Uuid) -> Result<Option<AccountRow>> {
        self.read.fetch_optional(FIND_ACCOUNT, (id,)).await
    }

    /// Changes an account on behalf of an admin; disabling it ends its sessions. `None` if there is no such account.
    ///
    /// # Errors
    /// [`Error::LastAdmin`] if it would disable the last admin who is not disabled; [`Error::Unauthorized`] if the permit
    /// of the request has ended.
    pub async fn patch_account(
        &self,
        id: Uuid,
        patch: &AccountPatchRow,
        now: Timestamp,
        events: &[EventRow],
    ) -> Result<Option<AccountRow>> {
        let patched = self
            .transaction(async |tx| {
                lock_space(tx, id).await?;
                tx.execute(LOCK_ADMINS, (id,)).await?;
                let Some(account) = update_account(tx, id, patch, now).await? else { return Ok(None) };
                if patch.disabled == Some(true) {
                    if account.user.is_admin && !has_other_admins(tx, id).await? {
                        return Err(Error::LastAdmin);
                    }
                    tx.execute(END_OTHER_SESSIONS, (id, Uuid::nil())).await?;
                }
                for event in events {
                    insert_event(tx, event).await?;
                }
                Ok(Some(account))
            })
            .await;
        self.callers.clear();
        patched
    }

    /// Sets a password without knowledge of the current one, and ends every session of the account. With `must_change`
    /// its user must change it before anything else.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn reset_password(
        &self,
        id: Uuid,
        password_hash: &str,
        must_change: bool,
        now: Timestamp,
        event: &EventRow,
    ) -> Result<()> {
        let reset = self
            .transaction(async |tx| {
                tx.execute(RESET_PASSWORD, (id, password_hash, must_change, Micros::from(now))).await?;
                tx.execute(END_OTHER_SESSIONS, (id, Uuid::nil())).await?;
                insert_event(tx, event).await
            })
            .await;
        self.callers.clear();
        reset
    }

    /// Changes the name, the password or both in one transaction. `false`, without a change, if the proven password is
    /// no longer the account's.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn update_user(
        &self,
        id: Uuid,
        name: Option<&str>,
        password: Option<PasswordChange<'_>>,
        now: Timestamp,
        event: &EventRow,
    ) -> Result<bool> {
        let updated = self
            .transaction(async |tx| {
                if let Some(change) = &password {
                    if tx.execute(CHANGE_PASSWORD, (id, change.new, Micros::from(now), change.proven)).await? == 0 {
                        return Ok(false);
                    }
                    tx.execute(END_OTHER_SESSIONS, (id, change.keep_session)).await?;
                }
                if let Some(name) = name {
                    tx.execute(RENAME_USER, (id, name, Micros::from(now))).await?;
                }
                if name.is_some() || password.is_some() {
                    insert_event(tx, event).await?;
                }
                Ok(true)
            })
            .await;
        self.callers.clear();
        updated
    }
}

/// Locks an account for the rest of the transaction, so that concurrent requests cannot exceed a limit together.
pub(super) async fn lock_user(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    tx.execute(LOCK_USER, (id,)).await.map(drop)
}

async fn update_account(
    tx: &mut Tx<'_>,
    id: Uuid,
    patch: &AccountPatchRow,
    now: Timestamp,
) -> Result<Option<AccountRow>> {
    let AccountPatchRow { quota_bytes, quota_files, disabled } = patch;
    let quotas = (quota_bytes.is_some(), quota_bytes.flatten(), quota_files.is_some(), quota_files.flatten());
    let (disable, enable) = (*disabled == Some(true), *disabled == Some(false));
    if tx.execute(PATCH_USER, (id, disable, enable, Micros::from(now))).await? == 0 {
        return Ok(None);
    }
    tx.execute(PATCH_QUOTAS, (id, quotas.0, quotas.1, quotas.2, quotas.3)).await?;
    tx.fetch_optional(FIND_ACCOUNT, (id,)).await
}
