//! Blobs: which keys have bytes, in which state. Every transition is one guarded statement; no row
//! affected means that it did not happen.

use std::time::Duration;

use uuid::Uuid;

use super::idempotency::{KeyClaim, claim_key};
use super::usage::{ReservedRow, UsageDelta, by_owner, count, reserve};
use super::{Db, on, statements, transaction};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    INSERT_PENDING = INSERT;
    /// A lease is never made shorter: an upload through a URL has a longer one.
    RENEW = "UPDATE blobs SET lease_until = CASE WHEN lease_until > (SELECT now FROM clock) + $2
            THEN lease_until ELSE (SELECT now FROM clock) + $2 END
        WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)";
    NOTE_MULTIPART = MULTIPART;
    TOP_UP = "UPDATE blobs SET reserved_bytes = reserved_bytes + $2
        WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)";
    GIVE_BACK = "UPDATE blobs SET reserved_bytes = reserved_bytes - $2 WHERE id = $1 AND state = 'pending' AND reserved_bytes >= $2";
    GIVE_UP = DROP;
    /// SQLite takes a partial index only for a condition that repeats the index's own.
    EXPIRE_LEASES = "UPDATE blobs SET state = 'deleting'
        WHERE state = 'pending' AND state <> 'ready' AND lease_until <= (SELECT now FROM clock)
        RETURNING owner_id, reserved_bytes, reserved_files, reserved_uploads";
    DOOMED = "SELECT id, key, multipart_id, lease_until, ready_at FROM blobs
        WHERE state = 'deleting' AND state <> 'ready' AND lease_until <= (SELECT now FROM clock)
            AND (lease_until, id) > ($1, $2) ORDER BY lease_until, id LIMIT $3";
    DELETE_ROW = "DELETE FROM blobs WHERE id = $1 AND state = 'deleting'";
    /// Not those of signed URLs and of uploads in pieces: whoever began one may go on when the server does.
    END_LEASES = "UPDATE blobs SET lease_until = (SELECT now FROM clock) + $1
        WHERE state = 'pending' AND state <> 'ready' AND lease_until > (SELECT now FROM clock) + $1
            AND id NOT IN (SELECT blob_id FROM signed_puts) AND id NOT IN (SELECT blob_id FROM resumable_uploads)
            AND id NOT IN (SELECT tail_blob_id FROM resumable_uploads WHERE tail_blob_id IS NOT NULL)";
    STATE = "SELECT state FROM blobs WHERE key = $1";
    /// An upload whose file was deleted is gone with it.
    WRITABLE_BLOB = "SELECT b.id, b.owner_id, b.reserved_bytes FROM blobs b JOIN users u ON u.id = b.owner_id JOIN signed_puts ON signed_puts.blob_id = b.id
        WHERE b.key = $1 AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock) AND u.disabled_at IS NULL";
    /// What is in the trash is not there.
    BY_KEY = "SELECT b.key, b.size, b.sha256, b.content_type, b.ready_at, b.owner_id, f.id AS file_id
        FROM blobs b JOIN users u ON u.id = b.owner_id LEFT JOIN files f ON f.blob_id = b.id
        WHERE b.key = $1 AND b.state = 'ready' AND u.disabled_at IS NULL AND f.trashed_at IS NULL";
}

pub(super) const INSERT: &str =
    "INSERT INTO blobs (id, owner_id, key, state, lease_until, created_at, reserved_bytes, reserved_files, reserved_uploads)
    VALUES ($1, $2, $3, 'pending', (SELECT now FROM clock) + $4, $5, $6, $7, $8)";

pub(super) const MULTIPART: &str = "UPDATE blobs SET multipart_id = $2 WHERE id = $1 AND state = 'pending'";

/// From pending to deleting, of a blob that nobody needs any more.
pub(super) const DROP: &str = "UPDATE blobs SET state = 'deleting', lease_until = (SELECT now FROM clock) + $2
    WHERE id = $1 AND state = 'pending' RETURNING owner_id, reserved_bytes, reserved_files, reserved_uploads";

/// From pending to ready, if the writer still holds its lease. Once ready, `lease_until` is the
/// time before which the bytes stay even if the blob is deleted: a URL by which they were put must
/// be dead before its key is forgotten.
pub(super) const READY: &str = "UPDATE blobs SET state = 'ready', size = $2, sha256 = $3, content_type = $4,
        multipart_id = NULL, lease_until = (SELECT now FROM clock) + $5, ready_at = $6
    WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)
    RETURNING owner_id, reserved_bytes, reserved_files, reserved_uploads";

/// From ready to deleting, in the transaction that takes away the last row that pointed at it. It
/// is due from now on, unless its bytes have to stay for longer.
pub(super) const MARK_FOR_DELETION: &str = "UPDATE blobs SET state = 'deleting',
        lease_until = CASE WHEN lease_until > (SELECT now FROM clock) THEN lease_until ELSE (SELECT now FROM clock) END
    WHERE id = $1 AND state = 'ready' RETURNING size";

/// A blob that is about to be written.
#[derive(Debug, Clone)]
pub struct NewBlobRow {
    pub id: Uuid,
    pub owner: Uuid,
    pub key: String,
    pub lease: Duration,
    /// Bytes that it reserves of its owner's quota.
    pub reserve: u64,
    /// Whether it is to become a new file, which is reserved too.
    pub new_file: bool,
    /// Whether it is only what an upload sets aside, which counts with that upload.
    pub aside: bool,
    /// The key that the client gave to the request.
    pub claim: Option<KeyClaim>,
    /// Microseconds since 1970.
    pub now: i64,
}

impl NewBlobRow {
    /// What it takes from its owner's quotas.
    pub(super) fn usage_delta(&self) -> UsageDelta {
        UsageDelta { bytes: self.reserve as i64, files: self.new_file.into(), uploads: (!self.aside).into() }
    }
}

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

/// Inserts a pending blob within a transaction, and reserves what it needs.
macro_rules! insert_pending {
    ($tx:ident, $blob:expr) => {{
        let usage_delta = $blob.usage_delta();
        sqlx::query($crate::db::blobs::INSERT)
            .bind($blob.id)
            .bind($blob.owner)
            .bind(&$blob.key)
            .bind($blob.lease.as_micros() as i64)
            .bind($blob.now)
            .bind(usage_delta.bytes)
            .bind(usage_delta.files)
            .bind(usage_delta.uploads)
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(super) use insert_pending;

/// Gives a pending blob to the reaper within a transaction, and gives what it had reserved, for
/// `count!`; nothing if it is not pending any more.
macro_rules! give_up {
    ($tx:ident, $id:expr, $keep_for:expr) => {{
        let keep_for: std::time::Duration = $keep_for;
        let given: Option<$crate::db::usage::ReservedRow> = sqlx::query_as($crate::db::blobs::DROP)
            .bind($id)
            .bind(keep_for.as_micros() as i64)
            .fetch_optional(&mut *$tx)
            .await?;
        given
    }};
}
pub(super) use give_up;

/// Makes a pending blob ready within a transaction, and gives the difference that this makes to
/// what its owner uses, for `count!`; leaves it with `UploadGone` if the lease was lost.
macro_rules! make_ready {
    ($tx:ident, $blob:expr) => {{
        let reserved: Option<$crate::db::usage::ReservedRow> = sqlx::query_as($crate::db::blobs::READY)
            .bind($blob.id)
            .bind($blob.size)
            .bind(&$blob.sha256)
            .bind(&$blob.content_type)
            .bind($blob.keep_for.as_micros() as i64)
            .bind($blob.ready_at)
            .fetch_optional(&mut *$tx)
            .await?;
        let given_back = reserved.ok_or($crate::error::Error::UploadGone)?.usage_delta();
        given_back + $crate::db::usage::UsageDelta { bytes: $blob.size, ..Default::default() }
    }};
}
pub(super) use make_ready;

/// Dooms a ready blob within a transaction, and gives the difference that this makes to what its
/// owner uses, for `count!`.
macro_rules! mark_for_deletion {
    ($tx:ident, $id:expr) => {{
        let size: Option<i64> =
            sqlx::query_scalar($crate::db::blobs::MARK_FOR_DELETION).bind($id).fetch_optional(&mut *$tx).await?;
        $crate::db::usage::UsageDelta { bytes: -size.unwrap_or(0), ..Default::default() }
    }};
}
pub(super) use mark_for_deletion;

/// A ready blob, as it is read.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ContentRow {
    pub key: String,
    pub size: i64,
    pub sha256: Vec<u8>,
    pub content_type: String,
    pub ready_at: i64,
}

/// A pending blob whose bytes come through a signed URL.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct WritableBlobRow {
    pub id: Uuid,
    pub owner_id: Uuid,
    /// Bytes.
    pub reserved_bytes: i64,
}

/// A ready blob, as somebody finds it who knows its key.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct KeyedContentRow {
    #[sqlx(flatten)]
    pub content: ContentRow,
    pub owner_id: Uuid,
    pub file_id: Option<Uuid>,
}

/// A blob whose bytes are to be taken away.
#[derive(Debug, sqlx::FromRow)]
pub struct PendingDeletionRow {
    pub id: Uuid,
    pub key: String,
    pub multipart_id: Option<String>,
    pub lease_until: i64,
    /// Absent if nobody ever saw the bytes: their upload broke off.
    pub ready_at: Option<i64>,
}

impl Db {
    /// Writes down the intent to store bytes under a key, before the first of them, and reserves
    /// what they need of their owner's quotas; the request's key is claimed with it.
    ///
    /// # Errors
    /// `QuotaExceeded`; `TooManyUploads`; `IdempotencyInProgress` if another request has the key.
    pub async fn insert_pending_blob(&self, blob: &NewBlobRow, quotas: &Quotas) -> Result<()> {
        transaction!(self, |tx| {
            insert_pending!(tx, blob);
            reserve!(tx, blob.owner, blob.usage_delta(), quotas);
            if let Some(claim) = &blob.claim {
                claim_key!(tx, blob.owner, blob.id, claim);
            }
            Ok(())
        })
    }

    /// Reserves so many more bytes for a pending blob.
    ///
    /// # Errors
    /// `QuotaExceeded`; `UploadGone` if the writer's lease is lost.
    pub async fn reserve_more(&self, id: Uuid, owner: Uuid, bytes: u64, quotas: &Quotas) -> Result<()> {
        let usage_delta = UsageDelta { bytes: bytes as i64, ..UsageDelta::default() };
        transaction!(self, |tx| {
            if sqlx::query(TOP_UP).bind(id).bind(usage_delta.bytes).execute(&mut *tx).await?.rows_affected() != 1 {
                return Err(Error::UploadGone);
            }
            reserve!(tx, owner, usage_delta, quotas);
            Ok(())
        })
    }

    /// Gives back so many of the bytes that a pending blob has reserved; nothing if it is not pending
    /// any more, as then it has given back all.
    pub async fn release_reserved(&self, id: Uuid, owner: Uuid, bytes: u64) -> Result<()> {
        let bytes = bytes as i64;
        transaction!(self, |tx| {
            if sqlx::query(GIVE_BACK).bind(id).bind(bytes).execute(&mut *tx).await?.rows_affected() == 1 {
                count!(tx, owner, UsageDelta { bytes: -bytes, ..UsageDelta::default() });
            }
            Ok(())
        })
    }

    /// Keeps a writer's lease alive; `false` if it is lost.
    pub async fn renew_blob(&self, id: Uuid, lease: Duration) -> Result<bool> {
        let lease = lease.as_micros() as i64;
        let renewed = on!(self.write, |p| sqlx::query(RENEW).bind(id).bind(lease).execute(p).await?.rows_affected());
        Ok(renewed == 1)
    }

    /// Writes down the store's id of a multipart upload; `false` if the blob is no longer pending.
    pub async fn set_multipart_id(&self, id: Uuid, multipart_id: &str) -> Result<bool> {
        let noted = on!(self.write, |p| sqlx::query(NOTE_MULTIPART)
            .bind(id)
            .bind(multipart_id)
            .execute(p)
            .await?
            .rows_affected());
        Ok(noted == 1)
    }

    /// Gives a pending blob to the reaper, which leaves its key alone for `keep_for`, and what it
    /// had reserved back to its owner; `false` if it is not pending any more.
    pub async fn abandon_blob(&self, id: Uuid, keep_for: Duration) -> Result<bool> {
        transaction!(self, |tx| {
            let Some(given) = give_up!(tx, id, keep_for) else { return Ok(false) };
            count!(tx, given.owner_id, given.usage_delta());
            Ok(true)
        })
    }

    /// The state of the blob with this key, if there is a row.
    pub async fn blob_state(&self, key: &str) -> Result<Option<String>> {
        Ok(on!(self.write, |p| sqlx::query_scalar(STATE).bind(key).fetch_optional(p).await)?)
    }

    /// Gives every pending blob whose lease is over to the reaper, and what they had reserved back
    /// to their owners; tells how many.
    pub async fn expire_blob_leases(&self) -> Result<u64> {
        transaction!(self, |tx| {
            let lapsed: Vec<ReservedRow> = sqlx::query_as(EXPIRE_LEASES).fetch_all(&mut *tx).await?;
            for (owner, usage_delta) in by_owner(&lapsed) {
                count!(tx, owner, usage_delta);
            }
            Ok(lapsed.len() as u64)
        })
    }

    /// Ends every writer's lease, in `grace` at the latest. Only for whoever knows that no writer lives.
    pub async fn expire_all_leases(&self, grace: Duration) -> Result<()> {
        let grace = grace.as_micros() as i64;
        on!(self.write, |p| sqlx::query(END_LEASES).bind(grace).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Blobs whose bytes may be taken away now, after the given lease and id, the longest due first.
    pub async fn blobs_pending_deletion(&self, after: (i64, Uuid), limit: i64) -> Result<Vec<PendingDeletionRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(DOOMED).bind(after.0).bind(after.1).bind(limit).fetch_all(p).await)?)
    }

    /// Takes away the row of a blob whose bytes are gone.
    pub async fn delete_blob_row(&self, id: Uuid) -> Result<()> {
        on!(self.write, |p| sqlx::query(DELETE_ROW).bind(id).execute(p).await.map(drop))?;
        Ok(())
    }

    /// The pending blob with this key, if bytes may be written under it now.
    pub async fn writable_blob(&self, key: &str) -> Result<Option<WritableBlobRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(WRITABLE_BLOB).bind(key).fetch_optional(p).await)?)
    }

    /// The ready blob with this key, if its owner is not disabled and its file not in the trash.
    pub async fn content_by_key(&self, key: &str) -> Result<Option<KeyedContentRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_KEY).bind(key).fetch_optional(p).await)?)
    }
}
