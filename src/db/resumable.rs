//! Resumable uploads. The row says how many bytes are durable and who may append to them: a request that appends holds
//! a [claim](super::claims), whose id is a condition of each of its statements.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::blobs::{NewBlobRow, abandon, insert_pending, set_multipart_id};
use super::claims::lock_claim;
use super::idempotency::{KeyResponse, claim_key, store_response};
use super::usage::{ReservedRow, UsageDelta, apply_usage, release, reserve_usage};
use super::{ByteCount, Count, Db, Micros, Permit, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};

/// The columns of a [`ResumableRow`], and the tables that they come from.
macro_rules! select_upload {
    () => {
        "SELECT u.id, u.space_id, u.folder_id, u.blob_id, b.key, b.multipart_id, b.reserved_bytes, u.tail_blob_id, t.key AS tail_key,
            u.mode, u.path, u.name, u.on_conflict, u.metadata, u.tags, u.content_type, u.upload_metadata, u.size, u.received,
            u.part_size, u.hash_state,
            u.sha256, u.file_id, u.created_at, u.expires_at
        FROM resumable_uploads u JOIN blobs b ON b.id = u.blob_id LEFT JOIN blobs t ON t.id = u.tail_blob_id"
    };
}

statements! {
    INSERT_UPLOAD = "INSERT INTO resumable_uploads (id, space_id, creator_id, folder_id, blob_id, mode, path, name,
            on_conflict, content_type, upload_metadata, size, part_size, hash_state, sha256, token_id, created_at, expires_at,
            metadata, tags)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    FIND_UPLOAD = concat!(select_upload!(), " WHERE u.id = $1 AND u.creator_id = $2");
    LIST_OPEN_UPLOADS = concat!(select_upload!(), " WHERE u.creator_id = $1 AND u.file_id IS NULL
            AND u.expires_at > $2 AND u.id > $3
        ORDER BY u.id LIMIT $4");
    COUNT_BY_KEY = "SELECT COUNT(*) FROM resumable_uploads u JOIN blobs b ON b.id = u.blob_id WHERE b.key = $1";
    DECLARE_SIZE = "UPDATE resumable_uploads SET size = $3
        WHERE id = $1 AND claim_id = $2 AND size IS NULL AND received <= $3";
    RECORD_PROGRESS = "UPDATE resumable_uploads
        SET received = $3, hash_state = $4, tail_blob_id = $5, expires_at = $6
        WHERE id = $1 AND claim_id = $2 AND file_id IS NULL";
    EXTEND_UPLOAD = "UPDATE resumable_uploads SET expires_at = $2 WHERE id = $1 AND creator_id = $3 AND file_id IS NULL";
    EXTEND_BLOB = "UPDATE blobs SET lease_until = (SELECT now FROM clock) + $2 WHERE id = $1 AND state = 'pending'";
    INSERT_PART = "INSERT INTO upload_parts (upload_id, number, receipt) VALUES ($1, $2, $3)";
    LIST_RECEIPTS = "SELECT receipt FROM upload_parts WHERE upload_id = $1 ORDER BY number";
    DELETE_PARTS = "DELETE FROM upload_parts WHERE upload_id = $1";
    FINISH_UPLOAD = "UPDATE resumable_uploads
        SET file_id = $3, blob_id = $4, tail_blob_id = NULL, claim_id = NULL, claim_expires_at = 0
        WHERE id = $1 AND claim_id = $2 AND file_id IS NULL";
    REVOKE_CLAIM = "UPDATE resumable_uploads SET claim_id = NULL WHERE id = $1 AND creator_id = $2 AND file_id IS NULL";
    /// The last request of a writer may still be in progress; its objects are kept until the claim would have expired.
    DELETE_BLOBS = "UPDATE blobs SET state = 'deleting', lease_until = (
            SELECT CASE WHEN u.claim_expires_at > (SELECT now FROM clock)
                THEN u.claim_expires_at ELSE (SELECT now FROM clock) END FROM resumable_uploads u WHERE u.id = $1)
        WHERE state = 'pending' AND id IN
            (SELECT blob_id FROM resumable_uploads WHERE id = $1 AND creator_id = $2 AND file_id IS NULL
             UNION ALL SELECT tail_blob_id FROM resumable_uploads WHERE id = $1 AND creator_id = $2 AND file_id IS NULL)
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    LIST_UPLOADS_OF_TOKEN = "SELECT id FROM resumable_uploads
        WHERE token_id = $1 AND creator_id = $2 AND file_id IS NULL";
    DELETE_UPLOAD = "DELETE FROM resumable_uploads WHERE id = $1 AND creator_id = $2 AND file_id IS NULL";
    PURGE_UPLOADS = "DELETE FROM resumable_uploads WHERE file_id IS NOT NULL AND expires_at < $1";
}

/// A resumable upload.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ResumableRow {
    /// The id of the upload.
    pub id: Uuid,
    /// The space of the future file.
    pub space_id: Uuid,
    /// The folder that the path begins in.
    pub folder_id: Uuid,
    /// The blob of the future file.
    pub blob_id: Uuid,
    /// The key of that blob's object in the store.
    pub key: String,
    /// The store's id of an open multipart upload.
    pub multipart_id: Option<String>,
    /// What the blob has reserved so far.
    pub reserved_bytes: ByteCount,
    /// The blob of the bytes after the last complete part.
    pub tail_blob_id: Option<Uuid>,
    /// The key of that blob's object in the store.
    pub tail_key: Option<String>,
    /// `tus` or `direct`.
    pub mode: String,
    /// The folder of the future file.
    pub path: String,
    /// The name of the future file.
    pub name: String,
    /// What to do if it is taken.
    pub on_conflict: String,
    /// Metadata of the future file, as JSON, if it was given.
    pub metadata: Option<String>,
    /// Tags of the future file, as JSON, if they were given.
    pub tags: Option<String>,
    /// The content type, as declared by the client.
    pub content_type: Option<String>,
    /// The header `Upload-Metadata`, returned verbatim.
    pub upload_metadata: String,
    /// The total size, once known.
    pub size: Option<ByteCount>,
    /// Durable bytes.
    pub received: ByteCount,
    /// The size of a part.
    pub part_size: ByteCount,
    /// The state of SHA-256 after the durable bytes.
    pub hash_state: Vec<u8>,
    /// The expected digest, 32 bytes.
    pub sha256: Option<Vec<u8>>,
    /// The file that it has become.
    pub file_id: Option<Uuid>,
    /// When it was created.
    pub created_at: Micros,
    /// When it expires, unless it is continued.
    pub expires_at: Micros,
}

/// A resumable upload that is about to be created.
#[derive(Debug, Clone)]
pub struct NewResumableRow {
    /// The id of the upload.
    pub id: Uuid,
    /// The account that creates it.
    pub creator: Uuid,
    /// The folder that the path begins in.
    pub folder: Uuid,
    /// `tus` or `direct`.
    pub mode: &'static str,
    /// The folder of the future file.
    pub path: String,
    /// The name of the future file.
    pub name: String,
    /// What to do if it is taken.
    pub on_conflict: &'static str,
    /// Metadata of the future file, as JSON, if it was given.
    pub metadata: Option<String>,
    /// Tags of the future file, as JSON, if they were given.
    pub tags: Option<String>,
    /// The content type, as declared by the client.
    pub content_type: Option<String>,
    /// The header `Upload-Metadata`.
    pub upload_metadata: String,
    /// The total size in bytes, if known.
    pub size: Option<u64>,
    /// The size of a part in bytes.
    pub part_size: u64,
    /// The initial state of SHA-256.
    pub hash_state: Vec<u8>,
    /// The expected digest, 32 bytes.
    pub sha256: Option<Vec<u8>>,
    /// When it expires, unless it is continued.
    pub expires_at: Timestamp,
}

/// A part that the store has acknowledged.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PartRow {
    /// From 1.
    pub number: Count,
    /// What the store returned, and requires to assemble the parts.
    pub receipt: String,
}

/// The progress of a writer since the last record.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The id of the upload.
    pub id: Uuid,
    /// The claim of the writer.
    pub claim_id: Uuid,
    /// The blob of the future file.
    pub blob_id: Uuid,
    /// Durable bytes.
    pub received: u64,
    /// The state of SHA-256 after the durable bytes.
    pub hash_state: Vec<u8>,
    /// Parts that were completed.
    pub parts: Vec<PartRow>,
    /// The blob of the bytes after the last complete part.
    pub tail: Option<Uuid>,
    /// The previous one.
    pub old_tail: Option<Uuid>,
    /// When the upload expires, unless it is continued.
    pub expires_at: Timestamp,
}

/// A resumable upload whose content becomes a file.
#[derive(Debug, Clone)]
pub struct EndedUpload {
    /// The id of the upload.
    pub id: Uuid,
    /// The claim of the request that completes it.
    pub claim_id: Uuid,
    /// The blob that it was created with. The file has another one if its content fits into the tail.
    pub blob_id: Uuid,
}

impl Db {
    /// Creates an upload and its pending blob, and reserves what they need from their space's quotas, in one
    /// transaction. The id is stored as the response of the request's idempotency key.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`]; [`Error::TooManyUploads`]; [`Error::IdempotencyInProgress`] if another request holds
    /// the key.
    pub async fn insert_resumable(&self, new: &NewResumableRow, blob: &NewBlobRow, quotas: &Quotas) -> Result<()> {
        self.transaction(async |tx| {
            insert_pending(tx, blob).await?;
            insert_upload(tx, new, blob).await?;
            reserve_usage(tx, blob.space, blob.usage_delta(), quotas).await?;
            if let Some(claim) = &blob.claim {
                claim_key(tx, self.instance.id(), blob.id, claim).await?;
                let response = KeyResponse { user: claim.user, key: claim.key.clone(), response: new.id.to_string() };
                store_response(tx, blob.id, &response).await?;
            }
            Ok(())
        })
        .await
    }

    /// A page of this account's open uploads that have not expired, after the one with the id `after`, in the order of
    /// their creation.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn open_resumables(
        &self,
        creator: Uuid,
        now: Timestamp,
        after: Uuid,
        limit: usize,
    ) -> Result<Vec<ResumableRow>> {
        self.read.fetch_all(LIST_OPEN_UPLOADS, (creator, Micros::from(now), after, Count::from(limit))).await
    }

    /// The upload with this id, if this account created it.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn resumable(&self, creator: Uuid, id: Uuid) -> Result<Option<ResumableRow>> {
        // On the writing side: a client that resumes must see what the last statement wrote.
        self.write.fetch_optional(FIND_UPLOAD, (id, creator)).await
    }

    /// Whether this key belongs to a resumable upload.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn is_resumable(&self, key: &str) -> Result<bool> {
        let (count,): (i64,) = self.read.fetch_one(COUNT_BY_KEY, (key,)).await?;
        Ok(count > 0)
    }

    /// Records the store's id of an upload's multipart upload; `false` if the claim was lost, or the upload has ended.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn set_resumable_multipart_id(
        &self,
        id: Uuid,
        claim: Uuid,
        blob: Uuid,
        multipart_id: &str,
    ) -> Result<bool> {
        self.transaction(async |tx| match lock_claim(tx, id, claim).await? {
            true => set_multipart_id(tx, blob, multipart_id).await,
            false => Ok(false),
        })
        .await
    }

    /// Records the total size of an upload that was created without; `false` if it is known already, or smaller than
    /// what was received.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn declare_size(&self, id: Uuid, claim: Uuid, size: u64) -> Result<bool> {
        Ok(self.write.execute(DECLARE_SIZE, (id, claim, ByteCount(size))).await? == 1)
    }

    /// Records bytes that are durable, and extends the leases of the upload's blobs to `lease` from now.
    ///
    /// # Errors
    /// [`Error::UploadGone`] if the claim was lost, or the upload has ended.
    pub async fn record_progress(&self, to: &Progress, lease: Duration) -> Result<()> {
        self.transaction(async |tx| {
            let (received, expires_at) = (ByteCount(to.received), Micros::from(to.expires_at));
            let row = (to.id, to.claim_id, received, &to.hash_state, to.tail, expires_at);
            if tx.execute(RECORD_PROGRESS, row).await? != 1 {
                return Err(Error::UploadGone);
            }
            for part in &to.parts {
                tx.execute(INSERT_PART, (to.id, part.number, &part.receipt)).await?;
            }
            for blob in [Some(to.blob_id), to.tail].into_iter().flatten() {
                if !extend_blob(tx, blob, lease).await? {
                    return Err(Error::UploadGone);
                }
            }
            if let Some(old_tail) = to.old_tail.filter(|old_tail| to.tail != Some(*old_tail))
                && let Some(reserved) = abandon(tx, old_tail, Duration::ZERO).await?
            {
                apply_usage(tx, reserved.space_id, reserved.released()).await?;
            }
            Ok(())
        })
        .await
    }

    /// Extends the expiry of an open upload and the lease of its blob.
    ///
    /// # Errors
    /// [`Error::UploadGone`] if the upload has ended.
    pub async fn extend_expiry(
        &self,
        creator: Uuid,
        id: Uuid,
        blob: Uuid,
        expires_at: Timestamp,
        lease: Duration,
    ) -> Result<()> {
        self.transaction(async |tx| {
            let is_open = tx.execute(EXTEND_UPLOAD, (id, Micros::from(expires_at), creator)).await? == 1;
            match is_open && extend_blob(tx, blob, lease).await? {
                true => Ok(()),
                false => Err(Error::UploadGone),
            }
        })
        .await
    }

    /// What the store returned for the parts of an upload, in their order.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn receipts(&self, upload: Uuid) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = self.write.fetch_all(LIST_RECEIPTS, (upload,)).await?;
        Ok(rows.into_iter().map(|(receipt,)| receipt).collect())
    }

    /// Deletes an open upload, marks its blobs for deletion, and releases what they have reserved, in one transaction;
    /// `false` if it does not exist, or has become a file.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn delete_resumable(&self, creator: Uuid, id: Uuid) -> Result<bool> {
        self.unpermitted(async |tx| {
            let Some(released) = delete_upload(tx, creator, id).await? else { return Ok(false) };
            release(tx, &released).await?;
            Ok(true)
        })
        .await
    }

    /// Deletes the rows of uploads that became files and have expired; returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_resumables(&self, now: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_UPLOADS, (Micros::from(now),)).await
    }
}

/// Deletes an open upload, marks its blobs for deletion, and returns what they had reserved; `None` if it does not exist, or
/// has become a file.
async fn delete_upload(tx: &mut Tx<'_>, creator: Uuid, id: Uuid) -> Result<Option<Vec<ReservedRow>>> {
    // Its row first, the order in which appends lock the rows.
    if tx.execute(REVOKE_CLAIM, (id, creator)).await? != 1 {
        return Ok(None);
    }
    let deleted = tx.fetch_all(DELETE_BLOBS, (id, creator)).await?;
    tx.execute(DELETE_UPLOAD, (id, creator)).await?;
    Ok(Some(deleted))
}

/// Deletes the open uploads that an API token created, and returns what they had reserved.
pub(super) async fn delete_uploads_of_token(tx: &mut Tx<'_>, user: Uuid, token: Uuid) -> Result<Vec<ReservedRow>> {
    let uploads: Vec<(Uuid,)> = tx.fetch_all(LIST_UPLOADS_OF_TOKEN, (token, user)).await?;
    let mut released = Vec::new();
    for (upload,) in uploads {
        released.extend(delete_upload(tx, user, upload).await?.unwrap_or_default());
    }
    Ok(released)
}

async fn insert_upload(tx: &mut Tx<'_>, new: &NewResumableRow, blob: &NewBlobRow) -> Result<()> {
    let NewResumableRow { path, name, content_type, upload_metadata, hash_state, sha256, .. } = new;
    let row = (
        new.id,
        blob.space,
        new.creator,
        new.folder,
        blob.id,
        new.mode,
        path,
        name,
        new.on_conflict,
        content_type,
        upload_metadata,
        new.size.map(ByteCount),
        ByteCount(new.part_size),
        hash_state,
        sha256,
        Permit::current_token(),
        Micros::from(blob.now),
        Micros::from(new.expires_at),
        &new.metadata,
        &new.tags,
    );
    tx.execute(INSERT_UPLOAD, row).await.map(drop)
}

/// Extends the lease of a pending blob; `false` if it is no longer pending.
async fn extend_blob(tx: &mut Tx<'_>, blob: Uuid, lease: Duration) -> Result<bool> {
    Ok(tx.execute(EXTEND_BLOB, (blob, Micros::from(lease))).await? == 1)
}

/// Ends an upload in the transaction that publishes its file, and returns the change of its space's usage.
///
/// # Errors
/// [`Error::UploadGone`] if the claim was lost.
pub(super) async fn finish_upload(tx: &mut Tx<'_>, upload: &EndedUpload, file: Uuid, blob: Uuid) -> Result<UsageDelta> {
    if tx.execute(FINISH_UPLOAD, (upload.id, upload.claim_id, file, blob)).await? != 1 {
        return Err(Error::UploadGone);
    }
    tx.execute(DELETE_PARTS, (upload.id,)).await?;
    if upload.blob_id == blob {
        return Ok(UsageDelta::default());
    }
    let reserved = abandon(tx, upload.blob_id, Duration::ZERO).await?;
    Ok(reserved.map(|reserved| reserved.released()).unwrap_or_default())
}
