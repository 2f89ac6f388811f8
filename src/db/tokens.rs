//! The rows of API api_tokens.

use sqlx::FromRow;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::users::{CallerRow, columns};
use super::{CachePolicy, Db, on, statements, transaction};
use crate::error::Result;

/// An API token. Times are microseconds since 1970.
#[derive(Debug, Clone, FromRow)]
pub struct TokenRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    /// The secret's last characters.
    pub last_four: String,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub expires_at: Option<i64>,
}

statements! {
    /// Locks the account's row, so that two requests at once cannot both take the last place.
    LOCK = "UPDATE users SET updated_at = updated_at WHERE id = $1";
    COUNT = "SELECT COUNT(*) FROM api_tokens WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    INSERT = "INSERT INTO api_tokens (id, user_id, token_hash, name, last_four, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    FIND_CALLER = concat!("SELECT ", columns!(), ", api_tokens.id AS credential_id, api_tokens.last_used_at, api_tokens.expires_at
        FROM api_tokens JOIN users ON users.id = api_tokens.user_id
        WHERE api_tokens.token_hash = $1 AND (api_tokens.expires_at IS NULL OR api_tokens.expires_at > $2)
        AND users.disabled_at IS NULL");
    LIST = "SELECT id, user_id, name, last_four, created_at, last_used_at, expires_at FROM api_tokens
        WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY id DESC";
    TOUCH = "UPDATE api_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    REVOKE = "DELETE FROM api_tokens WHERE id = $1 AND user_id = $2";
}

impl Db {
    /// Adds an API token; `false` if the account has `limit` live tokens already.
    pub async fn insert_token(
        &self,
        token: &TokenRow,
        token_hash: &[u8],
        limit: u32,
        event: &EventRow,
    ) -> Result<bool> {
        transaction!(self, |tx| {
            sqlx::query(LOCK).bind(token.user_id).execute(&mut *tx).await?;
            let live: i64 =
                sqlx::query_scalar(COUNT).bind(token.user_id).bind(token.created_at).fetch_one(&mut *tx).await?;
            if live >= i64::from(limit) {
                return Ok(false);
            }
            sqlx::query(INSERT)
                .bind(token.id)
                .bind(token.user_id)
                .bind(token_hash)
                .bind(&token.name)
                .bind(&token.last_four)
                .bind(token.created_at)
                .bind(token.expires_at)
                .execute(&mut *tx)
                .await?;
            insert_event!(tx, event);
            Ok(true)
        })
    }

    /// The account behind an API token that is alive at `now`.
    pub async fn find_token_caller(
        &self,
        token_hash: &[u8; 32],
        now: i64,
        recall: CachePolicy,
    ) -> Result<Option<CallerRow>> {
        self.find_caller(FIND_CALLER, token_hash, now, recall).await
    }

    /// The account's tokens that are alive at `now`, newest first.
    pub async fn list_tokens(&self, user_id: Uuid, now: i64) -> Result<Vec<TokenRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(LIST).bind(user_id).bind(now).fetch_all(p).await)?)
    }

    /// Notes that a token was used.
    pub async fn touch_token(&self, id: Uuid, now: i64) -> Result<()> {
        on!(self.write, |p| sqlx::query(TOUCH).bind(id).bind(now).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Deletes one token of the account; `false` if it has no such token.
    pub async fn revoke_token(&self, id: Uuid, user_id: Uuid, event: &EventRow) -> Result<bool> {
        let done = transaction!(self, |tx| {
            if sqlx::query(REVOKE).bind(id).bind(user_id).execute(&mut *tx).await?.rows_affected() != 1 {
                return Ok(false);
            }
            insert_event!(tx, event);
            Ok(true)
        });
        self.callers.forget();
        done
    }
}
