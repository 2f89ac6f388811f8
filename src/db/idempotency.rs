//! Idempotency keys. A key is claimed in the transaction that records the intent and gets its response in the one that
//! publishes, so that after a crash both exist or neither.

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::instance::has_ended;
use super::{Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// How long a response is kept.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

statements! {
    /// A key without a response is free once the attempt that holds it is over, or its server has ended.
    FIND_KEY = concat!("SELECT k.fingerprint, k.response FROM idempotency_keys k
        WHERE k.user_id = $1 AND k.key = $2
            AND (CASE WHEN k.response IS NULL
                THEN EXISTS (SELECT 1 FROM blobs b WHERE b.id = k.blob_id
                    AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock))
                    AND NOT ", has_ended!("k.instance"), "
                ELSE k.expires_at > (SELECT now FROM clock) END)");
    /// Claims a key that is new or free.
    CLAIM_KEY = concat!("INSERT INTO idempotency_keys (user_id, key, fingerprint, blob_id, instance, expires_at)
        VALUES ($1, $2, $3, $4, $6, (SELECT now FROM clock) + $5)
        ON CONFLICT (user_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, blob_id = excluded.blob_id,
            instance = excluded.instance, response = NULL, expires_at = excluded.expires_at
        WHERE CASE WHEN idempotency_keys.response IS NULL
            THEN NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = idempotency_keys.blob_id
                AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock))
                OR ", has_ended!("idempotency_keys.instance"), "
            ELSE idempotency_keys.expires_at <= (SELECT now FROM clock) END");
    /// Only for the attempt that claimed the key last.
    STORE_RESPONSE = "UPDATE idempotency_keys SET response = $4, expires_at = (SELECT now FROM clock) + $5
        WHERE user_id = $1 AND key = $2 AND blob_id = $3 AND response IS NULL";
    PURGE_KEYS = "DELETE FROM idempotency_keys WHERE expires_at <= (SELECT now FROM clock)
        AND (response IS NOT NULL OR NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = idempotency_keys.blob_id
            AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock)))";
    LIST_BUSY_ACCOUNTS = "SELECT user_id FROM idempotency_keys WHERE expires_at >= (SELECT now FROM clock) + $1
        GROUP BY user_id HAVING COUNT(*) >= $2";
    FIND_NTH_LATEST_KEY = "SELECT expires_at FROM idempotency_keys WHERE user_id = $1 AND response IS NOT NULL
        ORDER BY expires_at DESC LIMIT 1 OFFSET $2";
    PURGE_OLDEST_KEYS = "DELETE FROM idempotency_keys
        WHERE user_id = $1 AND response IS NOT NULL AND expires_at >= 0 AND expires_at <= $2
            AND expires_at <= COALESCE((SELECT expires_at FROM idempotency_keys
                WHERE user_id = $1 AND response IS NOT NULL ORDER BY expires_at LIMIT 1 OFFSET $3), $2)";
}

/// A key that a request claims.
#[derive(Debug, Clone)]
pub struct KeyClaim {
    /// The account that claims it.
    pub user: Uuid,
    /// The value of the header.
    pub key: String,
    /// The SHA-256 of the request without its content.
    pub fingerprint: Vec<u8>,
}

/// A key and the response of its request.
#[derive(Debug, Clone)]
pub struct KeyResponse {
    /// The account that has claimed the key.
    pub user: Uuid,
    /// The value of the header.
    pub key: String,
    /// The response, in a format of the caller.
    pub response: String,
}

/// A key that is not free.
#[derive(Debug, FromRow)]
pub struct KeyRow {
    /// The SHA-256 of the request without its content.
    pub fingerprint: Vec<u8>,
    /// Absent while the request is running.
    pub response: Option<String>,
}

impl Db {
    /// The row of a key, if the key is not free.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn idempotency_key(&self, user: Uuid, key: &str) -> Result<Option<KeyRow>> {
        self.read.fetch_optional(FIND_KEY, (user, key)).await
    }

    /// Deletes expired keys, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_idempotency_keys(&self) -> Result<u64> {
        self.write.execute(PURGE_KEYS, ()).await
    }

    /// The accounts that have used at least `least` keys within `recent`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn accounts_with_idempotency_keys(&self, recent: Duration, least: u64) -> Result<Vec<Uuid>> {
        let since = Micros::from(LIFETIME.saturating_sub(recent));
        let rows: Vec<(Uuid,)> = self.read.fetch_all(LIST_BUSY_ACCOUNTS, (since, Count(least))).await?;
        Ok(rows.into_iter().map(|(account,)| account).collect())
    }

    /// The expiry of the latest key of an account that is not among its `kept` latest ones, if it has as many.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn latest_excess_idempotency_key(&self, account: Uuid, kept: u64) -> Result<Option<Micros>> {
        let row: Option<(Micros,)> = self.read.fetch_optional(FIND_NTH_LATEST_KEY, (account, Count(kept))).await?;
        Ok(row.map(|(expires_at,)| expires_at))
    }

    /// Deletes `limit` of the oldest keys of an account that expire by a time, and those that expire at the same time as
    /// the last; returns their number. Keys of requests in progress are kept.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_oldest_idempotency_keys(&self, account: Uuid, until: Micros, limit: u64) -> Result<u64> {
        self.write.execute(PURGE_OLDEST_KEYS, (account, until, Count(limit))).await
    }
}

/// Claims a key for a pending blob, after the reservation of its usage: requests for the same key wait for each
/// other's lock of the account's row, so that the second sees the blob of the first.
///
/// # Errors
/// [`Error::IdempotencyInProgress`] if another request holds the key.
pub(super) async fn claim_key(tx: &mut Tx<'_>, instance: Option<i64>, blob: Uuid, claim: &KeyClaim) -> Result<()> {
    let values = (claim.user, &claim.key, &claim.fingerprint, blob, Micros::from(LIFETIME), instance);
    match tx.execute(CLAIM_KEY, values).await? {
        1 => Ok(()),
        _ => Err(Error::IdempotencyInProgress),
    }
}

/// Stores the response of the request that claimed a key, after the change of its usage.
///
/// # Errors
/// [`Error::UploadGone`] if another attempt has claimed the key since.
pub(super) async fn store_response(tx: &mut Tx<'_>, blob: Uuid, response: &KeyResponse) -> Result<()> {
    let lifetime = Micros::from(LIFETIME);
    match tx.execute(STORE_RESPONSE, (response.user, &response.key, blob, &response.response, lifetime)).await? {
        1 => Ok(()),
        _ => Err(Error::UploadGone),
    }
}
