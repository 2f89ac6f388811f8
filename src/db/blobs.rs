//! Blobs: the keys that have content, and their states. Every transition is one guarded statement; if it affects
//! no row, it did not happen.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::idempotency::{KeyClaim, claim_key};
use super::usage::{ReservedRow, UsageDelta, apply_usage, release, reserve_usage};
use super::{ByteCount, Count, Db, Micros, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    INSERT_PENDING_BLOB = "INSERT INTO blobs
            (id, space_id, key, state, lease_until, created_at, reserved_bytes, reserved_files, reserved_uploads)
        VALUES ($1, $2, $3, 'pending', (SELECT now FROM clock) + $4, $5, $6, $7, $8)";
    /// A lease is never shortened: that of a signed upload is longer.
    RENEW_LEASE = "UPDATE blobs SET lease_until = CASE WHEN lease_until > (SELECT now FROM clock) + $2
            THEN lease_until ELSE (SELECT now FROM clock) + $2 END
        WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)";
    SET_MULTIPART_ID = "UPDATE blobs SET multipart_id = $2 WHERE id = $1 AND state = 'pending'";
    RESERVE_MORE = "UPDATE blobs SET reserved_bytes = reserved_bytes + $2
        WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)";
    RELEASE_RESERVED = "UPDATE blobs SET reserved_bytes = reserved_bytes - $2
        WHERE id = $1 AND state = 'pending' AND reserved_bytes >= $2";
    /// From pending to deleting.
    ABANDON_BLOB = "UPDATE blobs SET state = 'deleting', lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1 AND state = 'pending' RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    /// From pending to ready, while the writer holds its lease. From then on `lease_until` is the earliest time at
    /// which the object may be deleted: URLs that were signed to write it must have expired before.
    MAKE_READY = "UPDATE blobs SET state = 'ready', size = $2, sha256 = $3, content_type = $4,
            multipart_id = NULL, lease_until = (SELECT now FROM clock) + $5, ready_at = $6, crc32 = $7
        WHERE id = $1 AND state = 'pending' AND lease_until > (SELECT now FROM clock)
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    /// From ready to deleting, in the transaction that deletes the last row that refers to the blob. Its object may
    /// be deleted immediately, unless it has to be kept for longer.
    MARK_FOR_DELETION = "UPDATE blobs SET state = 'deleting', lease_until =
            CASE WHEN lease_until > (SELECT now FROM clock) THEN lease_until ELSE (SELECT now FROM clock) END
        WHERE id = $1 AND state = 'ready' RETURNING size";
    /// SQLite uses a partial index only for a condition that repeats that of the index.
    EXPIRE_LEASES = "UPDATE blobs SET state = 'deleting'
        WHERE state = 'pending' AND state <> 'ready' AND lease_until <= (SELECT now FROM clock)
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    PENDING_DELETION = "SELECT id, key, multipart_id, lease_until, ready_at FROM blobs
        WHERE state = 'deleting' AND state <> 'ready' AND lease_until <= (SELECT now FROM clock)
            AND (lease_until, id) > ($1, $2) ORDER BY lease_until, id LIMIT $3";
    DELETE_BLOB = "DELETE FROM blobs WHERE id = $1 AND state = 'deleting'";
    /// Except for signed and resumable uploads, which survive a restart.
    EXPIRE_ALL_LEASES = "UPDATE blobs SET lease_until = (SELECT now FROM clock) + $1
        WHERE state = 'pending' AND state <> 'ready' AND lease_until > (SELECT now FROM clock) + $1
            AND id NOT IN (SELECT blob_id FROM signed_puts) AND id NOT IN (SELECT blob_id FROM resumable_uploads)
            AND id NOT IN (SELECT tail_blob_id FROM resumable_uploads WHERE tail_blob_id IS NOT NULL)";
    BLOB_STATE = "SELECT state FROM blobs WHERE key = $1";
    /// The upload of a deleted file is deleted with it.
    WRITABLE_BLOB = "SELECT b.id, b.space_id, b.reserved_bytes
        FROM blobs b LEFT JOIN users u ON u.id = b.space_id JOIN signed_puts ON signed_puts.blob_id = b.id
        WHERE b.key = $1 AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock) AND u.disabled_at IS NULL";
    /// Not the content of files in the trash.
    CONTENT_BY_KEY = "SELECT b.key, b.size, b.sha256, b.content_type, b.ready_at, b.space_id, f.id AS file_id
        FROM blobs b LEFT JOIN users u ON u.id = b.space_id LEFT JOIN files f ON f.blob_id = b.id
        LEFT JOIN folders d ON d.id = f.folder_id
        WHERE b.key = $1 AND b.state = 'ready' AND u.disabled_at IS NULL
            AND f.trashed_at IS NULL AND d.trashed_at IS NULL";
}

/// A blob that is about to be written.
#[derive(Debug, Clone)]
pub struct NewBlobRow {
    /// The id of the blob.
    pub id: Uuid,
    /// The account whose usage includes it.
    pub space: Uuid,
    /// The key of its object in the store.
    pub key: String,
    /// How long the writer may take, unless it renews the lease.
    pub lease: Duration,
    /// Bytes to reserve from the space's quota.
    pub reserve: u64,
    /// Whether it is going to become a new file, which is reserved as well.
    pub new_file: bool,
    /// Whether it is a part of an upload that is counted already.
    pub aside: bool,
    /// The idempotency key of the request.
    pub claim: Option<KeyClaim>,
    /// The time of creation.
    pub now: Timestamp,
}

impl NewBlobRow {
    /// The reservation from its space's quotas.
    pub(super) fn usage_delta(&self) -> UsageDelta {
        UsageDelta { files: self.new_file.into(), uploads: (!self.aside).into(), ..UsageDelta::bytes(self.reserve) }
    }
}

/// Content that is durable, before its blob is made ready.
#[derive(Debug, Clone)]
pub struct BlobFacts {
    /// The id of the blob.
    pub id: Uuid,
    /// Bytes.
    pub size: u64,
    /// The digest, 32 bytes.
    pub sha256: Vec<u8>,
    /// The CRC-32.
    pub crc32: u32,
    /// The detected type.
    pub content_type: String,
    /// How long the object must be kept, even if the blob is marked for deletion.
    pub keep_for: Duration,
    /// When the content was completed.
    pub ready_at: Timestamp,
}

/// The content of a ready blob.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ContentRow {
    /// The key of the object in the store.
    pub key: String,
    /// The size of the content.
    pub size: ByteCount,
    /// The digest, 32 bytes.
    pub sha256: Vec<u8>,
    /// The detected type.
    pub content_type: String,
    /// When the content was completed.
    pub ready_at: Micros,
}

/// A pending blob whose content arrives through a signed URL.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct WritableBlobRow {
    /// The id of the blob.
    pub id: Uuid,
    /// The account that it is reserved from.
    pub space_id: Uuid,
    /// What it has reserved so far.
    pub reserved_bytes: ByteCount,
}

/// A ready blob, found by its key.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct KeyedContentRow {
    /// The content.
    #[sqlx(flatten)]
    pub content: ContentRow,
    /// The account that it belongs to.
    pub space_id: Uuid,
    /// The file, unless it is an avatar.
    pub file_id: Option<Uuid>,
}

/// A blob whose object is to be deleted.
#[derive(Debug, sqlx::FromRow)]
pub struct PendingDeletionRow {
    /// The id of the blob.
    pub id: Uuid,
    /// The key of the object in the store.
    pub key: String,
    /// The store's id of an open multipart upload.
    pub multipart_id: Option<String>,
    /// Since when the object may be deleted.
    pub lease_until: Micros,
    /// Absent if the blob was never ready, because its upload was aborted.
    pub ready_at: Option<Micros>,
}

impl Db {
    /// Records the intent to write an object, before its first byte: inserts the pending blob, reserves what it
    /// needs from its space's quotas, and claims the idempotency key of the request.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`]; [`Error::TooManyUploads`]; [`Error::IdempotencyInProgress`] if another request
    /// holds the key.
    pub async fn insert_pending_blob(&self, blob: &NewBlobRow, quotas: &Quotas) -> Result<()> {
        self.transaction(async |tx| {
            insert_pending(tx, blob).await?;
            reserve_usage(tx, blob.space, blob.usage_delta(), quotas).await?;
            if let Some(claim) = &blob.claim {
                claim_key(tx, self.instance.id(), blob.id, claim).await?;
            }
            Ok(())
        })
        .await
    }

    /// Reserves more bytes for a pending blob.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`]; [`Error::UploadGone`] if the writer's lease was lost.
    pub async fn reserve_more(&self, id: Uuid, space: Uuid, bytes: u64, quotas: &Quotas) -> Result<()> {
        let usage = UsageDelta::bytes(bytes);
        self.transaction(async |tx| {
            if tx.execute(RESERVE_MORE, (id, usage.bytes)).await? != 1 {
                return Err(Error::UploadGone);
            }
            reserve_usage(tx, space, usage, quotas).await
        })
        .await
    }

    /// Releases bytes that a pending blob has reserved. A blob that is no longer pending has released all.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn release_reserved(&self, id: Uuid, space: Uuid, bytes: u64) -> Result<()> {
        self.unpermitted(async |tx| {
            if tx.execute(RELEASE_RESERVED, (id, ByteCount(bytes))).await? == 1 {
                apply_usage(tx, space, -UsageDelta::bytes(bytes)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Renews a writer's lease; `false` if it was lost.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn renew_blob(&self, id: Uuid, lease: Duration) -> Result<bool> {
        Ok(self.write.execute(RENEW_LEASE, (id, Micros::from(lease))).await? == 1)
    }

    /// Records the store's id of a multipart upload; `false` if the blob is no longer pending.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn set_multipart_id(&self, id: Uuid, multipart_id: &str) -> Result<bool> {
        Ok(self.write.execute(SET_MULTIPART_ID, (id, multipart_id)).await? == 1)
    }

    /// Marks a pending blob for deletion after `keep_for`, and releases what it has reserved; `false` if it is no
    /// longer pending.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn abandon_blob(&self, id: Uuid, keep_for: Duration) -> Result<bool> {
        self.unpermitted(async |tx| {
            let Some(reserved) = abandon(tx, id, keep_for).await? else { return Ok(false) };
            apply_usage(tx, reserved.space_id, reserved.released()).await?;
            Ok(true)
        })
        .await
    }

    /// The state of the blob with this key, if it exists.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn blob_state(&self, key: &str) -> Result<Option<String>> {
        let row = self.write.fetch_optional(BLOB_STATE, (key,)).await?;
        Ok(row.map(|(state,)| state))
    }

    /// Marks every pending blob with an expired lease for deletion, and releases what it has reserved. Returns
    /// their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn expire_blob_leases(&self) -> Result<u64> {
        self.transaction(async |tx| {
            let expired: Vec<ReservedRow> = tx.fetch_all(EXPIRE_LEASES, ()).await?;
            release(tx, &expired).await?;
            Ok(expired.len() as u64)
        })
        .await
    }

    /// Expires every writer's lease, after `grace` at the latest. Only for a caller that knows that no writer runs.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn expire_all_leases(&self, grace: Duration) -> Result<()> {
        self.write.execute(EXPIRE_ALL_LEASES, (Micros::from(grace),)).await.map(drop)
    }

    /// Blobs whose object may be deleted now, after the given lease and id, longest overdue first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn blobs_pending_deletion(&self, after: (Micros, Uuid), limit: usize) -> Result<Vec<PendingDeletionRow>> {
        self.write.fetch_all(PENDING_DELETION, (after.0, after.1, Count::from(limit))).await
    }

    /// Deletes the row of a blob whose object is deleted.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn delete_blob_row(&self, id: Uuid) -> Result<()> {
        self.write.execute(DELETE_BLOB, (id,)).await.map(drop)
    }

    /// The pending blob with this key, if content may be written to it through a signed URL now.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn writable_blob(&self, key: &str) -> Result<Option<WritableBlobRow>> {
        self.read.fetch_optional(WRITABLE_BLOB, (key,)).await
    }

    /// The ready blob with this key, if its owner is not disabled and its file is not in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn content_by_key(&self, key: &str) -> Result<Option<KeyedContentRow>> {
        self.read.fetch_optional(CONTENT_BY_KEY, (key,)).await
    }
}

/// Inserts a pending blob. Its usage is to be reserved in the same transaction.
pub(super) async fn insert_pending(tx: &mut Tx<'_>, blob: &NewBlobRow) -> Result<()> {
    let usage = blob.usage_delta();
    let (lease, now) = (Micros::from(blob.lease), Micros::from(blob.now));
    let row = (blob.id, blob.space, &blob.key, lease, now, usage.bytes, usage.files, usage.uploads);
    tx.execute(INSERT_PENDING_BLOB, row).await.map(drop)
}

/// Records the store's id of a multipart upload; `false` if the blob is no longer pending.
pub(super) async fn set_multipart_id(tx: &mut Tx<'_>, id: Uuid, multipart_id: &str) -> Result<bool> {
    Ok(tx.execute(SET_MULTIPART_ID, (id, multipart_id)).await? == 1)
}

/// Marks a pending blob for deletion after `keep_for`, and returns what it had reserved, to be released in the same
/// transaction; `None` if it is no longer pending.
pub(super) async fn abandon(tx: &mut Tx<'_>, id: Uuid, keep_for: Duration) -> Result<Option<ReservedRow>> {
    tx.fetch_optional(ABANDON_BLOB, (id, Micros::from(keep_for))).await
}

/// Makes a pending blob ready, and returns the change of its space's usage.
///
/// # Errors
/// [`Error::UploadGone`] if the writer's lease was lost.
pub(super) async fn make_ready(tx: &mut Tx<'_>, blob: &BlobFacts) -> Result<UsageDelta> {
    let (size, keep_for, ready_at) = (ByteCount(blob.size), Micros::from(blob.keep_for), Micros::from(blob.ready_at));
    let facts = (blob.id, size, &blob.sha256, &blob.content_type, keep_for, ready_at, i64::from(blob.crc32));
    let reserved: Option<ReservedRow> = tx.fetch_optional(MAKE_READY, facts).await?;
    let released = reserved.ok_or(Error::UploadGone)?.released();
    Ok(released + UsageDelta::bytes(blob.size))
}

/// Marks a ready blob for deletion, and returns the change of its space's usage.
pub(super) async fn mark_for_deletion(tx: &mut Tx<'_>, id: Uuid) -> Result<UsageDelta> {
    let marked: Option<(ByteCount,)> = tx.fetch_optional(MARK_FOR_DELETION, (id,)).await?;
    let (size,) = marked.unwrap_or_default();
    Ok(-UsageDelta::bytes(size.0))
}
