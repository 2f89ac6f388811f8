//! Uploads in pieces. The row is the truth: how many bytes are durable, and who may append to them.
//! Whoever writes holds the row by a random id, which every statement of theirs is guarded by.

use std::time::Duration;

use uuid::Uuid;

use super::blobs::{MULTIPART, NewBlobRow, give_up, insert_pending};
use super::idempotency::{KeyResponse, answer_key, claim_key};
use super::usage::{ReservedRow, by_owner, count, reserve};
use super::{Db, on, statements, transaction};
use crate::config::Quotas;
use crate::error::{Error, Result};

/// The columns of a [`ResumableRow`], and where they come from.
macro_rules! columns {
    () => {
        "SELECT u.id, u.owner_id, u.blob_id, b.key, b.multipart_id, b.reserved_bytes, u.tail_blob_id, t.key AS tail_key, u.mode, u.path,
            u.name, u.content_type, u.upload_metadata, u.size, u.received, u.part_size, u.hash_state, u.sha256, u.file_id, u.created_at, u.expires_at
        FROM resumable_uploads u JOIN blobs b ON b.id = u.blob_id LEFT JOIN blobs t ON t.id = u.tail_blob_id"
    };
}

statements! {
    INSERT = "INSERT INTO resumable_uploads
            (id, owner_id, blob_id, mode, path, name, content_type, upload_metadata, size, part_size, hash_state, sha256, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    BY_ID = concat!(columns!(), " WHERE u.id = $1 AND u.owner_id = $2");
    OPEN = concat!(columns!(), " WHERE u.owner_id = $1 AND u.file_id IS NULL AND u.expires_at > $2 AND u.id > $3
        ORDER BY u.id LIMIT $4");
    BY_KEY = "SELECT COUNT(*) FROM resumable_uploads u JOIN blobs b ON b.id = u.blob_id WHERE b.key = $1";
    CLAIM = "UPDATE resumable_uploads
        SET claim_id = $3, claim_expires_at = (SELECT now FROM clock) + $4, stale_claim_id = claim_id
        WHERE id = $1 AND owner_id = $2 AND file_id IS NULL
            AND (claim_id IS NULL OR claim_expires_at <= (SELECT now FROM clock))
        RETURNING stale_claim_id";
    /// Locks the row, so that nobody takes over before the transaction is done.
    KEEP = "UPDATE resumable_uploads SET claim_id = claim_id WHERE id = $1 AND claim_id = $2";
    END_CLAIMS = "UPDATE resumable_uploads SET claim_expires_at = (SELECT now FROM clock) + $1
        WHERE claim_id IS NOT NULL AND claim_expires_at > (SELECT now FROM clock) + $1";
    HOLD = "UPDATE resumable_uploads SET claim_expires_at = (SELECT now FROM clock) + $3 WHERE id = $1 AND claim_id = $2";
    HELD = "SELECT COUNT(*) FROM resumable_uploads WHERE id = $1 AND claim_id = $2";
    LET_GO = "UPDATE resumable_uploads SET claim_id = NULL, claim_expires_at = 0 WHERE id = $1 AND claim_id = $2";
    DECLARE = "UPDATE resumable_uploads SET size = $3 WHERE id = $1 AND claim_id = $2 AND size IS NULL AND received <= $3";
    ADVANCE = "UPDATE resumable_uploads SET received = $3, hash_state = $4, tail_blob_id = $5, expires_at = $6
        WHERE id = $1 AND claim_id = $2 AND file_id IS NULL";
    TOUCH = "UPDATE resumable_uploads SET expires_at = $2 WHERE id = $1 AND owner_id = $3 AND file_id IS NULL";
    PROLONG = "UPDATE blobs SET lease_until = (SELECT now FROM clock) + $2 WHERE id = $1 AND state = 'pending'";
    INSERT_PART = "INSERT INTO upload_parts (upload_id, number, receipt) VALUES ($1, $2, $3)";
    RECEIPTS = "SELECT receipt FROM upload_parts WHERE upload_id = $1 ORDER BY number";
    FORGET_THE_PARTS = FORGET_PARTS;
    END = FINISH;
    STOP = "UPDATE resumable_uploads SET claim_id = NULL WHERE id = $1 AND owner_id = $2 AND file_id IS NULL";
    /// A writer's last request may still be on its way; the bytes are left alone as long as it may hold on.
    MARK_FOR_DELETION = "UPDATE blobs SET state = 'deleting', lease_until = (SELECT CASE WHEN u.claim_expires_at > (SELECT now FROM clock)
                THEN u.claim_expires_at ELSE (SELECT now FROM clock) END FROM resumable_uploads u WHERE u.id = $1)
        WHERE state = 'pending' AND id IN
            (SELECT blob_id FROM resumable_uploads WHERE id = $1 AND owner_id = $2 AND file_id IS NULL
             UNION ALL SELECT tail_blob_id FROM resumable_uploads WHERE id = $1 AND owner_id = $2 AND file_id IS NULL)
        RETURNING owner_id, reserved_bytes, reserved_files, reserved_uploads";
    DELETE = "DELETE FROM resumable_uploads WHERE id = $1 AND owner_id = $2 AND file_id IS NULL";
    PURGE = "DELETE FROM resumable_uploads WHERE file_id IS NOT NULL AND expires_at < $1";
}

pub(super) const FORGET_PARTS: &str = "DELETE FROM upload_parts WHERE upload_id = $1";

pub(super) const FINISH: &str = "UPDATE resumable_uploads
    SET file_id = $3, blob_id = $4, tail_blob_id = NULL, claim_id = NULL, claim_expires_at = 0
    WHERE id = $1 AND claim_id = $2 AND file_id IS NULL";

/// An upload in pieces.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ResumableRow {
    pub id: Uuid,
    pub owner_id: Uuid,
    pub blob_id: Uuid,
    pub key: String,
    pub multipart_id: Option<String>,
    /// Bytes.
    pub reserved_bytes: i64,
    pub tail_blob_id: Option<Uuid>,
    pub tail_key: Option<String>,
    /// `tus` or `direct`.
    pub mode: String,
    pub path: String,
    pub name: String,
    pub content_type: Option<String>,
    pub upload_metadata: String,
    pub size: Option<i64>,
    pub received: i64,
    pub part_size: i64,
    pub hash_state: Vec<u8>,
    /// What the bytes shall come to.
    pub sha256: Option<Vec<u8>>,
    pub file_id: Option<Uuid>,
    pub created_at: i64,
    pub expires_at: i64,
}

/// An upload in pieces that is about to begin.
#[derive(Debug, Clone)]
pub struct NewResumableRow {
    pub id: Uuid,
    /// `tus` or `direct`.
    pub mode: &'static str,
    pub path: String,
    pub name: String,
    pub content_type: Option<String>,
    pub upload_metadata: String,
    pub size: Option<i64>,
    pub part_size: i64,
    pub hash_state: Vec<u8>,
    pub sha256: Option<Vec<u8>>,
    /// Microseconds since 1970.
    pub expires_at: i64,
}

/// A part that the store has acknowledged.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PartRow {
    pub number: i64,
    pub receipt: String,
}

/// How far a writer has come since the row was last written.
#[derive(Debug, Clone)]
pub struct Progress {
    pub id: Uuid,
    pub claim_id: Uuid,
    pub blob_id: Uuid,
    pub received: i64,
    pub hash_state: Vec<u8>,
    pub parts: Vec<PartRow>,
    /// The tail now, and the one before.
    pub tail: Option<Uuid>,
    pub old_tail: Option<Uuid>,
    pub expires_at: i64,
}

/// An upload in pieces whose bytes become a file.
#[derive(Debug, Clone)]
pub struct EndedUpload {
    pub id: Uuid,
    pub claim_id: Uuid,
    /// The blob that it began with, which is not the file's if the bytes were few.
    pub blob_id: Uuid,
}

/// Ends an upload within the transaction that publishes its file, and gives the difference that
/// this makes to what its owner uses, for `count!`; leaves it with `UploadGone` if somebody else
/// holds the upload.
macro_rules! end_upload {
    ($tx:ident, $upload:expr, $file:expr, $blob:expr) => {{
        use $crate::db::resumable::{FINISH, FORGET_PARTS};
        let ended = sqlx::query(FINISH).bind($upload.id).bind($upload.claim_id).bind($file).bind($blob);
        if ended.execute(&mut *$tx).await?.rows_affected() != 1 {
            return Err($crate::error::Error::UploadGone);
        }
        sqlx::query(FORGET_PARTS).bind($upload.id).execute(&mut *$tx).await?;
        match $upload.blob_id == $blob {
            true => $crate::db::usage::UsageDelta::default(),
            false => $crate::db::blobs::give_up!($tx, $upload.blob_id, std::time::Duration::ZERO)
                .map(|given| given.usage_delta())
                .unwrap_or_default(),
        }
    }};
}
pub(super) use end_upload;

impl Db {
    /// Writes down an upload and its pending blob, and reserves what they need of their owner's
    /// quotas, in one transaction. A key that the client gave to the request is answered with the id.
    ///
    /// # Errors
    /// `QuotaExceeded`; `TooManyUploads`; `IdempotencyInProgress` if another request has the key.
    pub async fn insert_resumable(&self, new: &NewResumableRow, blob: &NewBlobRow, quotas: &Quotas) -> Result<()> {
        transaction!(self, |tx| {
            insert_pending!(tx, blob);
            sqlx::query(INSERT)
                .bind(new.id)
                .bind(blob.owner)
                .bind(blob.id)
                .bind(new.mode)
                .bind(&new.path)
                .bind(&new.name)
                .bind(&new.content_type)
                .bind(&new.upload_metadata)
                .bind(new.size)
                .bind(new.part_size)
                .bind(&new.hash_state)
                .bind(&new.sha256)
                .bind(blob.now)
                .bind(new.expires_at)
                .execute(&mut *tx)
                .await?;
            reserve!(tx, blob.owner, blob.usage_delta(), quotas);
            if let Some(claim) = &blob.claim {
                claim_key!(tx, blob.owner, blob.id, claim);
                let answer = KeyResponse { key: claim.key.clone(), response: new.id.to_string() };
                answer_key!(tx, blob.owner, blob.id, answer);
            }
            Ok(())
        })
    }

    /// A page of the uploads of this owner that are open and not over, after the one with this id,
    /// in the order in which they began.
    pub async fn open_resumables(&self, owner: Uuid, now: i64, after: Uuid, limit: i64) -> Result<Vec<ResumableRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(OPEN).bind(owner).bind(now).bind(after).bind(limit).fetch_all(p).await)?)
    }

    /// The upload with this id, if it is this owner's.
    pub async fn resumable(&self, owner: Uuid, id: Uuid) -> Result<Option<ResumableRow>> {
        // From the writing side: whoever goes on must know what the last statement wrote.
        Ok(on!(self.write, |p| sqlx::query_as(BY_ID).bind(id).bind(owner).fetch_optional(p).await)?)
    }

    /// Whether bytes come in pieces under this key.
    pub async fn is_resumable(&self, key: &str) -> Result<bool> {
        let count: i64 = on!(self.read, |p| sqlx::query_scalar(BY_KEY).bind(key).fetch_one(p).await)?;
        Ok(count > 0)
    }

    /// Makes `writer` the one who may append, for `lease`, and gives the writer before if that one
    /// never let go.
    ///
    /// # Errors
    /// `UploadBusy` if somebody else may append, or the upload has ended.
    pub async fn acquire_claim(&self, owner: Uuid, id: Uuid, claim_id: Uuid, lease: Duration) -> Result<Option<Uuid>> {
        let lease = lease.as_micros() as i64;
        let claim: Option<Option<Uuid>> = on!(self.write, |p| sqlx::query_scalar(CLAIM)
            .bind(id)
            .bind(owner)
            .bind(claim_id)
            .bind(lease)
            .fetch_optional(p)
            .await)?;
        claim.ok_or(Error::UploadBusy)
    }

    /// Ends every writer's claim, in `grace` at the latest. Only for whoever knows that no writer lives.
    pub async fn expire_all_claims(&self, grace: Duration) -> Result<()> {
        let grace = grace.as_micros() as i64;
        on!(self.write, |p| sqlx::query(END_CLAIMS).bind(grace).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Writes down the store's id of an upload's multipart upload; `false` if the writer lost its
    /// claim, or the upload is over.
    pub async fn set_resumable_multipart_id(
        &self,
        id: Uuid,
        claim_id: Uuid,
        blob: Uuid,
        multipart_id: &str,
    ) -> Result<bool> {
        transaction!(self, |tx| {
            if sqlx::query(KEEP).bind(id).bind(claim_id).execute(&mut *tx).await?.rows_affected() != 1 {
                return Ok(false);
            }
            let noted = sqlx::query(MULTIPART).bind(blob).bind(multipart_id).execute(&mut *tx).await?;
            Ok(noted.rows_affected() == 1)
        })
    }

    /// Whether a writer has its claim still.
    pub async fn holds_claim(&self, id: Uuid, claim_id: Uuid) -> Result<bool> {
        let held: i64 = on!(self.write, |p| sqlx::query_scalar(HELD).bind(id).bind(claim_id).fetch_one(p).await)?;
        Ok(held == 1)
    }

    /// Prolongs a writer's claim; `false` if it is lost.
    pub async fn renew_claim(&self, id: Uuid, claim_id: Uuid, lease: Duration) -> Result<bool> {
        let lease = lease.as_micros() as i64;
        let held = on!(self.write, |p| sqlx::query(HOLD)
            .bind(id)
            .bind(claim_id)
            .bind(lease)
            .execute(p)
            .await?
            .rows_affected());
        Ok(held == 1)
    }

    /// Ends a writer's claim.
    pub async fn release_claim(&self, id: Uuid, claim_id: Uuid) -> Result<()> {
        on!(self.write, |p| sqlx::query(LET_GO).bind(id).bind(claim_id).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Writes down the size of the whole, which was left open; `false` if it is known already, or
    /// smaller than what there is.
    pub async fn declare_size(&self, id: Uuid, claim_id: Uuid, size: i64) -> Result<bool> {
        let declared = on!(self.write, |p| sqlx::query(DECLARE)
            .bind(id)
            .bind(claim_id)
            .bind(size)
            .execute(p)
            .await?
            .rows_affected());
        Ok(declared == 1)
    }

    /// Moves an upload on to bytes that are durable, and gives its blobs `lease` from now.
    ///
    /// # Errors
    /// `UploadGone` if the writer lost its claim, or the upload is over.
    pub async fn record_progress(&self, to: &Progress, lease: Duration) -> Result<()> {
        let lease = lease.as_micros() as i64;
        transaction!(self, |tx| {
            let advanced = sqlx::query(ADVANCE)
                .bind(to.id)
                .bind(to.claim_id)
                .bind(to.received)
                .bind(&to.hash_state)
                .bind(to.tail)
                .bind(to.expires_at)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if advanced != 1 {
                return Err(Error::UploadGone);
            }
            for part in &to.parts {
                let insert = sqlx::query(INSERT_PART).bind(to.id).bind(part.number).bind(&part.receipt);
                insert.execute(&mut *tx).await?;
            }
            for blob in [Some(to.blob_id), to.tail].into_iter().flatten() {
                let prolonged = sqlx::query(PROLONG).bind(blob).bind(lease).execute(&mut *tx).await?;
                if prolonged.rows_affected() != 1 {
                    return Err(Error::UploadGone);
                }
            }
            if let Some(old) = to.old_tail.filter(|old| to.tail != Some(*old))
                && let Some(given) = give_up!(tx, old, Duration::ZERO)
            {
                count!(tx, given.owner_id, given.usage_delta());
            }
            Ok(())
        })
    }

    /// Gives an open upload and its blob more time, because its owner asked about it.
    ///
    /// # Errors
    /// `UploadGone` if it is over.
    pub async fn extend_expiry(
        &self,
        owner: Uuid,
        id: Uuid,
        blob: Uuid,
        expires_at: i64,
        lease: Duration,
    ) -> Result<()> {
        let lease = lease.as_micros() as i64;
        transaction!(self, |tx| {
            let touched = sqlx::query(TOUCH).bind(id).bind(expires_at).bind(owner).execute(&mut *tx).await?;
            let prolonged = sqlx::query(PROLONG).bind(blob).bind(lease).execute(&mut *tx).await?;
            match touched.rows_affected() + prolonged.rows_affected() {
                2 => Ok(()),
                _ => Err(Error::UploadGone),
            }
        })
    }

    /// What the store gave for the parts of an upload, in their order.
    pub async fn receipts(&self, upload: Uuid) -> Result<Vec<String>> {
        Ok(on!(self.write, |p| sqlx::query_scalar(RECEIPTS).bind(upload).fetch_all(p).await)?)
    }

    /// Takes an open upload away, gives its bytes to the reaper, and what it had reserved back to
    /// its owner, in one transaction; `false` if there is none, or it has become a file.
    pub async fn delete_resumable(&self, owner: Uuid, id: Uuid) -> Result<bool> {
        transaction!(self, |tx| {
            // Its row first, as whoever writes does: two that want both wait for each other in one order.
            if sqlx::query(STOP).bind(id).bind(owner).execute(&mut *tx).await?.rows_affected() != 1 {
                return Ok(false);
            }
            let ended: Vec<ReservedRow> =
                sqlx::query_as(MARK_FOR_DELETION).bind(id).bind(owner).fetch_all(&mut *tx).await?;
            sqlx::query(DELETE).bind(id).bind(owner).execute(&mut *tx).await?;
            count!(tx, owner, by_owner(&ended).remove(&owner).unwrap_or_default());
            Ok(true)
        })
    }

    /// Forgets uploads that became files and whose time is over; tells how many.
    pub async fn purge_resumables(&self, now: i64) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(PURGE).bind(now).execute(p).await?.rows_affected()))
    }
}
