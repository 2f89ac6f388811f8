//! Blobs: which keys have bytes, in which state. Every transition is one guarded statement; no row
//! affected means that it did not happen.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    INSERT_PENDING = INSERT;
    /// A lease is never made shorter: an upload through a URL has a longer one.
    RENEW = "UPDATE blobs SET lease_until = CASE WHEN lease_until > (SELECT now FROM clock) + $2
            THEN lease_until ELSE (SELECT now FROM clock) + $2 END
        WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)";
    NOTE_MULTIPART = "UPDATE blobs SET multipart_id = $2 WHERE id = $1 AND state = 'pending'";
    GIVE_UP = "UPDATE blobs SET state = 'deleting', lease_until = (SELECT now FROM clock) + $2 WHERE id = $1 AND state = 'pending'";
    /// SQLite takes a partial index only for a condition that repeats the index's own.
    LAPSE = "UPDATE blobs SET state = 'deleting'
        WHERE state = 'pending' AND state <> 'ready' AND lease_until <= (SELECT now FROM clock)";
    DOOMED = "SELECT id, key, multipart_id, lease_until, ready_at FROM blobs
        WHERE state = 'deleting' AND state <> 'ready' AND lease_until <= (SELECT now FROM clock)
            AND (lease_until, id) > ($1, $2) ORDER BY lease_until, id LIMIT $3";
    FORGET = "DELETE FROM blobs WHERE id = $1 AND state = 'deleting'";
    /// Not those of signed URLs: whoever has such a URL may go on when the server does.
    END_LEASES = "UPDATE blobs SET lease_until = (SELECT now FROM clock) + $1
        WHERE state = 'pending' AND state <> 'ready' AND lease_until > (SELECT now FROM clock) + $1
            AND id NOT IN (SELECT blob_id FROM uploads)";
    STATE = "SELECT state FROM blobs WHERE key = $1";
    /// An upload whose file was deleted is gone with it.
    ADMITS_BYTES = "SELECT COUNT(*) FROM blobs b JOIN users u ON u.id = b.owner_id JOIN uploads ON uploads.blob_id = b.id
        WHERE b.key = $1 AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock) AND u.disabled_at IS NULL";
    BY_KEY = "SELECT b.key, b.size, b.sha256, b.content_type, b.ready_at FROM blobs b JOIN users u ON u.id = b.owner_id
        WHERE b.key = $1 AND b.state = 'ready' AND u.disabled_at IS NULL";
}

pub(super) const INSERT: &str = "INSERT INTO blobs (id, owner_id, key, state, lease_until, created_at)
    VALUES ($1, $2, $3, 'pending', (SELECT now FROM clock) + $4, $5)";

/// From pending to ready, if the writer still holds its lease. Once ready, `lease_until` is the
/// time before which the bytes stay even if the blob is deleted: a URL by which they were put must
/// be dead before its key is forgotten.
pub(super) const READY: &str = "UPDATE blobs SET state = 'ready', size = $2, sha256 = $3, content_type = $4,
        multipart_id = NULL, lease_until = (SELECT now FROM clock) + $5, ready_at = $6
    WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)";

/// From ready to deleting, in the transaction that takes away the last row that pointed at it.
pub(super) const DOOM: &str = "UPDATE blobs SET state = 'deleting' WHERE id = $1 AND state = 'ready'";

/// What is known of bytes once they are durable.
#[derive(Debug, Clone)]
pub struct BlobFacts {
    pub id: Uuid,
    /// Bytes.
    pub size: i64,
    pub sha256: Vec<u8>,
    pub content_type: String,
    /// How long the key must not be forgotten, even if the blob is deleted.
    pub keep_for: Duration,
    /// Microseconds since 1970.
    pub ready_at: i64,
}

/// Makes a pending blob ready within a transaction; leaves it with `UploadGone` if the lease was lost.
macro_rules! make_ready {
    ($tx:ident, $blob:expr) => {{
        let ready = sqlx::query($crate::db::blobs::READY)
            .bind($blob.id)
            .bind($blob.size)
            .bind(&$blob.sha256)
            .bind(&$blob.content_type)
            .bind($blob.keep_for.as_micros() as i64)
            .bind($blob.ready_at)
            .execute(&mut *$tx)
            .await?
            .rows_affected();
        if ready != 1 {
            return Err($crate::error::Error::UploadGone);
        }
    }};
}
pub(super) use make_ready;

/// A ready blob, as it is read.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ContentRow {
    pub key: String,
    pub size: i64,
    pub sha256: Vec<u8>,
    pub content_type: String,
    pub ready_at: i64,
}

/// A blob whose bytes are to be taken away.
#[derive(Debug, sqlx::FromRow)]
pub struct DoomedRow {
    pub id: Uuid,
    pub key: String,
    pub multipart_id: Option<String>,
    pub lease_until: i64,
    /// Absent if nobody ever saw the bytes: their upload broke off.
    pub ready_at: Option<i64>,
}

impl Db {
    /// Writes down the intent to store bytes under `key`, before the first of them.
    pub async fn insert_pending_blob(&self, id: Uuid, owner: Uuid, key: &str, lease: Duration, now: i64) -> Result<()> {
        let lease = lease.as_micros() as i64;
        on!(self.write, |p| sqlx::query(INSERT)
            .bind(id)
            .bind(owner)
            .bind(key)
            .bind(lease)
            .bind(now)
            .execute(p)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Keeps a writer's lease alive; `false` if it is lost.
    pub async fn renew_blob(&self, id: Uuid, lease: Duration) -> Result<bool> {
        let lease = lease.as_micros() as i64;
        let renewed = on!(self.write, |p| sqlx::query(RENEW).bind(id).bind(lease).execute(p).await?.rows_affected());
        Ok(renewed == 1)
    }

    /// Writes down the store's id of a multipart upload; `false` if the blob is no longer pending.
    pub async fn note_multipart(&self, id: Uuid, multipart_id: &str) -> Result<bool> {
        let noted = on!(self.write, |p| sqlx::query(NOTE_MULTIPART)
            .bind(id)
            .bind(multipart_id)
            .execute(p)
            .await?
            .rows_affected());
        Ok(noted == 1)
    }

    /// Gives a pending blob to the reaper, which leaves its key alone for `keep_for`; `false` if it
    /// is not pending any more.
    pub async fn give_up_blob(&self, id: Uuid, keep_for: Duration) -> Result<bool> {
        let keep_for = keep_for.as_micros() as i64;
        let given = on!(self.write, |p| sqlx::query(GIVE_UP).bind(id).bind(keep_for).execute(p).await?.rows_affected());
        Ok(given == 1)
    }

    /// The state of the blob with this key, if there is a row.
    pub async fn blob_state(&self, key: &str) -> Result<Option<String>> {
        Ok(on!(self.write, |p| sqlx::query_scalar(STATE).bind(key).fetch_optional(p).await)?)
    }

    /// Gives every pending blob whose lease is over to the reaper; tells how many.
    pub async fn lapse_blobs(&self) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(LAPSE).execute(p).await?.rows_affected()))
    }

    /// Ends every writer's lease, in `grace` at the latest. Only for whoever knows that no writer lives.
    pub async fn end_leases(&self, grace: Duration) -> Result<()> {
        let grace = grace.as_micros() as i64;
        on!(self.write, |p| sqlx::query(END_LEASES).bind(grace).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Blobs whose bytes may be taken away now, after the given lease and id, the longest due first.
    pub async fn doomed_blobs(&self, after: (i64, Uuid), limit: i64) -> Result<Vec<DoomedRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(DOOMED).bind(after.0).bind(after.1).bind(limit).fetch_all(p).await)?)
    }

    /// Takes away the row of a blob whose bytes are gone.
    pub async fn forget_blob(&self, id: Uuid) -> Result<()> {
        on!(self.write, |p| sqlx::query(FORGET).bind(id).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Whether bytes may be written under this key now.
    pub async fn admits_bytes(&self, key: &str) -> Result<bool> {
        let count: i64 = on!(self.read, |p| sqlx::query_scalar(ADMITS_BYTES).bind(key).fetch_one(p).await)?;
        Ok(count == 1)
    }

    /// The ready blob with this key, if its owner is not disabled.
    pub async fn content_by_key(&self, key: &str) -> Result<Option<ContentRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_KEY).bind(key).fetch_optional(p).await)?)
    }
}
