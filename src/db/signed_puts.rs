//! Uploads through signed URLs, which replace the content of a file.

use jiff::Timestamp;
use uuid::Uuid;

use super::blobs::{NewBlobRow, insert_pending};
use super::errors::is_foreign_key_violation;
use super::usage::{ReservedRow, reserve_usage};
use super::{ByteCount, Count, Db, Micros, Permit, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    INSERT_SIGNED_PUT = "INSERT INTO signed_puts
            (id, space_id, creator_id, blob_id, file_id, replaces_blob_id, token_id, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    FIND_SIGNED_PUT = "SELECT u.id, u.space_id, u.blob_id, u.file_id, u.replaces_blob_id, u.expires_at,
            b.key, b.state, b.reserved_bytes
        FROM signed_puts u JOIN blobs b ON b.id = u.blob_id WHERE u.id = $1 AND u.creator_id = $2";
    COUNT_PUTS_OF_FILE = "SELECT COUNT(*), MAX(u.expires_at) FROM signed_puts u JOIN blobs b ON b.id = u.blob_id
        WHERE u.file_id = $1 AND u.space_id = $2 AND u.expires_at > $3 AND b.state = 'pending'";
    END_PUTS_OF_TOKEN = "UPDATE blobs SET state = 'deleting'
        WHERE state = 'pending' AND id IN (SELECT blob_id FROM signed_puts WHERE token_id = $1 AND creator_id = $2)
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
}

/// A signed upload that waits for its content, or for its completion.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SignedPutRow {
    /// The id of the upload.
    pub id: Uuid,
    /// The space of the file.
    pub space_id: Uuid,
    /// The blob of the new content.
    pub blob_id: Uuid,
    /// The file whose content is replaced.
    pub file_id: Uuid,
    /// The blob of the file when the URL was signed.
    pub replaces_blob_id: Uuid,
    /// When the URL expires.
    pub expires_at: Micros,
    /// The key of the new object in the store.
    pub key: String,
    /// The state of the blob: `pending`, `ready` or `deleting`.
    pub state: String,
    /// What the blob has reserved so far.
    pub reserved_bytes: ByteCount,
}

/// A signed upload that is about to be created.
#[derive(Debug, Clone)]
pub struct NewSignedPutRow {
    /// The id of the upload.
    pub id: Uuid,
    /// The account that asks for the URL.
    pub creator: Uuid,
    /// The file whose content is replaced.
    pub file_id: Uuid,
    /// The blob of the file when the URL is signed.
    pub replaces_blob_id: Uuid,
    /// When the URL expires.
    pub expires_at: Timestamp,
}

impl Db {
    /// Creates an upload and its pending blob, in one transaction. The lease of the blob is the remaining lifetime of
    /// the upload.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the file was deleted; [`Error::QuotaExceeded`]; [`Error::TooManyUploads`].
    pub async fn insert_signed_put(&self, upload: &NewSignedPutRow, blob: &NewBlobRow, quotas: &Quotas) -> Result<()> {
        let NewSignedPutRow { id, creator, file_id, replaces_blob_id, expires_at } = upload;
        self.transaction(async |tx| {
            insert_pending(tx, blob).await?;
            let (now, expires_at) = (Micros::from(blob.now), Micros::from(*expires_at));
            let token = Permit::current_token();
            let row = (id, blob.space, creator, blob.id, file_id, replaces_blob_id, token, now, expires_at);
            match tx.try_execute(INSERT_SIGNED_PUT, row).await {
                Err(error) if is_foreign_key_violation(&error) => return Err(Error::NotFound),
                inserted => inserted?,
            };
            reserve_usage(tx, blob.space, blob.usage_delta(), quotas).await
        })
        .await
    }

    /// How many signed uploads to a file are open at `now`, and when the last of their URLs expires.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn open_signed_puts(&self, space: Uuid, file: Uuid, now: Timestamp) -> Result<(Count, Option<Micros>)> {
        self.read.fetch_one(COUNT_PUTS_OF_FILE, (file, space, Micros::from(now))).await
    }

    /// The upload with this id, if this account asked for its URL.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn upload(&self, creator: Uuid, id: Uuid) -> Result<Option<SignedPutRow>> {
        self.read.fetch_optional(FIND_SIGNED_PUT, (id, creator)).await
    }
}

/// Ends the signed uploads that an API token asked for, and returns what they had reserved.
pub(super) async fn end_puts_of_token(tx: &mut Tx<'_>, user: Uuid, token: Uuid) -> Result<Vec<ReservedRow>> {
    tx.fetch_all(END_PUTS_OF_TOKEN, (token, user)).await
}
