//! Uploads whose bytes arrive apart from the request that asked for them.

use uuid::Uuid;

use super::blobs::{NewBlobRow, insert_pending};
use super::usage::reserve;
use super::{Db, is_foreign_key_violation, on, statements, transaction};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    INSERT = "INSERT INTO signed_puts (id, owner_id, blob_id, file_id, replaces_blob_id, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    BY_ID = "SELECT u.id, u.owner_id, u.blob_id, u.file_id, u.replaces_blob_id, u.expires_at, b.key, b.state, b.reserved_bytes
        FROM signed_puts u JOIN blobs b ON b.id = u.blob_id WHERE u.id = $1 AND u.owner_id = $2";
}

/// An upload that waits for its bytes, or for being completed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SignedPutRow {
    pub id: Uuid,
    pub owner_id: Uuid,
    pub blob_id: Uuid,
    pub file_id: Uuid,
    pub replaces_blob_id: Uuid,
    pub expires_at: i64,
    pub key: String,
    pub state: String,
    /// Bytes.
    pub reserved_bytes: i64,
}

/// An upload that is about to begin.
#[derive(Debug, Clone)]
pub struct NewSignedPutRow {
    pub id: Uuid,
    pub file_id: Uuid,
    pub replaces_blob_id: Uuid,
    /// Microseconds since 1970.
    pub expires_at: i64,
}

impl Db {
    /// Writes down an upload and its pending blob, in one transaction. The blob's lease is what is
    /// left of the upload's time.
    ///
    /// # Errors
    /// `NotFound` if the file is gone by now; `QuotaExceeded`; `TooManyUploads`.
    pub async fn insert_signed_put(&self, upload: &NewSignedPutRow, blob: &NewBlobRow, quotas: &Quotas) -> Result<()> {
        transaction!(self, |tx| {
            insert_pending!(tx, blob);
            let inserted = sqlx::query(INSERT)
                .bind(upload.id)
                .bind(blob.owner)
                .bind(blob.id)
                .bind(upload.file_id)
                .bind(upload.replaces_blob_id)
                .bind(blob.now)
                .bind(upload.expires_at)
                .execute(&mut *tx)
                .await;
            match inserted {
                Err(error) if is_foreign_key_violation(&error) => return Err(Error::NotFound),
                inserted => inserted.map(drop)?,
            }
            reserve!(tx, blob.owner, blob.usage_delta(), quotas);
            Ok(())
        })
    }

    /// The upload with this id, if it is this owner's.
    pub async fn upload(&self, owner: Uuid, id: Uuid) -> Result<Option<SignedPutRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_ID).bind(id).bind(owner).fetch_optional(p).await)?)
    }
}
