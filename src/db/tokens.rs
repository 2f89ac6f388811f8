//! API tokens.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::resumable::delete_uploads_of_token;
use super::signed_puts::end_puts_of_token;
use super::usage::release;
use super::users::{CallerRow, lock_user, user_columns};
use super::{CachePolicy, Count, Db, Micros, Tx, statements};
use crate::error::Result;

/// An API token.
#[derive(Debug, Clone, FromRow)]
pub struct TokenRow {
    /// The id of the token.
    pub id: Uuid,
    /// The account that it belongs to.
    pub user_id: Uuid,
    /// The name that the user gave it.
    pub name: String,
    /// The last four characters of the secret.
    pub last_four: String,
    /// When it was created.
    pub created_at: Micros,
    /// When it was last used, to within a few minutes.
    pub last_used_at: Option<Micros>,
    /// When it expires, if it does.
    pub expires_at: Option<Micros>,
}

statements! {
    COUNT_TOKENS = "SELECT COUNT(*) FROM api_tokens WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    INSERT_TOKEN = "INSERT INTO api_tokens (id, user_id, token_hash, name, last_four, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    FIND_TOKEN_CALLER = concat!("SELECT ", user_columns!(), ", t.id AS credential_id, t.last_used_at, t.expires_at
        FROM api_tokens t JOIN users ON users.id = t.user_id
        WHERE t.token_hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND users.disabled_at IS NULL");
    LIST_TOKENS = "SELECT id, user_id, name, last_four, created_at, last_used_at, expires_at FROM api_tokens
        WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY id DESC";
    TOUCH_TOKEN = "UPDATE api_tokens SET last_used_at = $2
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    REVOKE_TOKEN = "DELETE FROM api_tokens WHERE id = $1 AND user_id = $2";
    LIST_EXPIRED_TOKENS = "SELECT id, user_id FROM api_tokens WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2";
}

impl Db {
    /// Adds an API token; `false` if the account has `limit` active tokens already.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn insert_token(
        &self,
        token: &TokenRow,
        token_hash: &[u8],
        limit: u32,
        event: &EventRow,
    ) -> Result<bool> {
        let TokenRow { id, user_id, name, last_four, created_at, expires_at, .. } = token;
        self.transaction(async |tx| {
            lock_user(tx, *user_id).await?;
            let (active,): (i64,) = tx.fetch_one(COUNT_TOKENS, (user_id, created_at)).await?;
            if active >= i64::from(limit) {
                return Ok(false);
            }
            tx.execute(INSERT_TOKEN, (id, user_id, token_hash, name, last_four, created_at, expires_at)).await?;
            insert_event(tx, event).await?;
            Ok(true)
        })
        .await
    }

    /// The account of an API token that is active at `now`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn find_token_caller(
        &self,
        token_hash: &[u8; 32],
        now: Timestamp,
        policy: CachePolicy,
    ) -> Result<Option<CallerRow>> {
        self.find_caller(FIND_TOKEN_CALLER, token_hash, now, policy).await
    }

    /// The account's tokens that are active at `now`, newest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_tokens(&self, user_id: Uuid, now: Timestamp) -> Result<Vec<TokenRow>> {
        self.read.fetch_all(LIST_TOKENS, (user_id, Micros::from(now))).await
    }

    /// The number of the account's tokens that are active at `now`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_tokens(&self, user_id: Uuid, now: Timestamp) -> Result<u64> {
        let (Count(active),) = self.read.fetch_one(COUNT_TOKENS, (user_id, Micros::from(now))).await?;
        Ok(active)
    }

    /// Records that a token was used.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn touch_token(&self, id: Uuid, now: Timestamp) -> Result<()> {
        self.write.execute(TOUCH_TOKEN, (id, Micros::from(now))).await.map(drop)
    }

    /// Deletes a token of the account, and ends the uploads that it began; `false` if the account has no such token.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn revoke_token(&self, id: Uuid, user_id: Uuid, event: &EventRow) -> Result<bool> {
        let revoked = self
            .unpermitted(async |tx| {
                if !delete_token(tx, user_id, id).await? {
                    return Ok(false);
                }
                insert_event(tx, event).await?;
                Ok(true)
            })
            .await;
        self.callers.clear();
        revoked
    }

    /// Deletes the API tokens that expired by `now`, ends the uploads that they began, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_tokens(&self, now: Timestamp) -> Result<u64> {
        let mut purged = 0;
        loop {
            let due: Vec<(Uuid, Uuid)> =
                self.write.fetch_all(LIST_EXPIRED_TOKENS, (Micros::from(now), Count::from(PURGE_BATCH))).await?;
            for (id, user_id) in &due {
                purged += u64::from(self.unpermitted(async |tx| delete_token(tx, *user_id, *id).await).await?);
            }
            if due.len() < PURGE_BATCH {
                return Ok(purged);
            }
        }
    }
}

/// Expired tokens that are read by one statement.
const PURGE_BATCH: usize = 100;

/// Deletes a token of an account with the uploads that it began; `false` if the account has no such token. The token's row
/// comes last, as in a transaction that relies on it.
async fn delete_token(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> Result<bool> {
    let mut released = delete_uploads_of_token(tx, user_id, id).await?;
    released.extend(end_puts_of_token(tx, user_id, id).await?);
    release(tx, &released).await?;
    Ok(tx.execute(REVOKE_TOKEN, (id, user_id)).await? == 1)
}
