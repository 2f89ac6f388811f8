//! The rows of idempotency keys. A key is claimed in the transaction that writes down the intent,
//! and gets its answer in the one that publishes: what is there after a crash is both or neither.

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

/// How long an answer is kept.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

statements! {
    /// A key without an answer is free when the attempt that has it is over.
    FIND = "SELECT k.fingerprint, k.response, b.id AS running FROM idempotency_keys k
        LEFT JOIN blobs b ON b.id = k.blob_id AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock)
        WHERE k.owner_id = $1 AND k.key = $2
            AND (CASE WHEN k.response IS NULL THEN b.id IS NOT NULL ELSE k.expires_at > (SELECT now FROM clock) END)";
    CLAIM = CLAIM_KEY;
    ANSWER = ANSWER_KEY;
    PURGE = "DELETE FROM idempotency_keys WHERE expires_at <= (SELECT now FROM clock)
        AND (response IS NOT NULL OR NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = idempotency_keys.blob_id
            AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock)))";
}

/// Takes a key that is new or free.
pub(super) const CLAIM_KEY: &str = "INSERT INTO idempotency_keys (owner_id, key, fingerprint, blob_id, expires_at)
    VALUES ($1, $2, $3, $4, (SELECT now FROM clock) + $5)
    ON CONFLICT (owner_id, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, blob_id = excluded.blob_id, response = NULL, expires_at = excluded.expires_at
    WHERE CASE WHEN idempotency_keys.response IS NULL
        THEN NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = idempotency_keys.blob_id
            AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock))
        ELSE idempotency_keys.expires_at <= (SELECT now FROM clock) END";

/// Whoever claimed the key last answers it, nobody else.
pub(super) const ANSWER_KEY: &str =
    "UPDATE idempotency_keys SET response = $4, expires_at = (SELECT now FROM clock) + $5
    WHERE owner_id = $1 AND key = $2 AND blob_id = $3 AND response IS NULL";

/// A key, and the request that wants it.
#[derive(Debug, Clone)]
pub struct KeyClaim {
    pub key: String,
    /// The SHA-256 of what is asked for, without the bytes.
    pub fingerprint: Vec<u8>,
}

/// A key, and the answer that its request got.
#[derive(Debug, Clone)]
pub struct KeyResponse {
    pub key: String,
    /// JSON.
    pub response: String,
}

/// A key that is not free.
#[derive(Debug, FromRow)]
pub struct KeyRow {
    pub fingerprint: Vec<u8>,
    /// Absent while the request is under way.
    pub response: Option<String>,
}

/// Claims a key for a pending blob within a transaction; leaves it with `IdempotencyInProgress` if
/// another has it. Comes after `reserve!`: by the account's row those who want the same key wait for
/// each other, so that the second one sees the first one's blob.
macro_rules! claim_key {
    ($tx:ident, $owner:expr, $blob:expr, $claim:expr) => {{
        let claimed = sqlx::query($crate::db::idempotency::CLAIM_KEY)
            .bind($owner)
            .bind(&$claim.key)
            .bind(&$claim.fingerprint)
            .bind($blob)
            .bind($crate::db::idempotency::LIFETIME.as_micros() as i64)
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        if claimed != 1 {
            return Err($crate::error::Error::IdempotencyInProgress);
        }
    }};
}
pub(super) use claim_key;

/// Gives a key its answer within a transaction, after `count!`; leaves it with `UploadGone` if
/// another attempt has taken the key meanwhile.
macro_rules! answer_key {
    ($tx:ident, $owner:expr, $blob:expr, $answer:expr) => {{
        let answered = sqlx::query($crate::db::idempotency::ANSWER_KEY)
            .bind($owner)
            .bind(&$answer.key)
            .bind($blob)
            .bind(&$answer.response)
            .bind($crate::db::idempotency::LIFETIME.as_micros() as i64)
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        if answered != 1 {
            return Err($crate::error::Error::UploadGone);
        }
    }};
}
pub(super) use answer_key;

impl Db {
    /// The key's row, if the key is not free.
    pub async fn idempotency_key(&self, owner: Uuid, key: &str) -> Result<Option<KeyRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(FIND).bind(owner).bind(key).fetch_optional(p).await)?)
    }

    /// Deletes the keys whose time is over, and gives their count.
    pub async fn purge_idempotency_keys(&self) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(PURGE).execute(p).await.map(|done| done.rows_affected()))?)
    }
}
