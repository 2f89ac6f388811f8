//! Parts of direct uploads that come through this server, in any order. A part counts from when it
//! is written down as durable until it is sent again.

use uuid::Uuid;

use super::resumable::PartRow;
use super::{Db, on, statements};
use crate::error::{Error, Result};

statements! {
    BY_KEY = "SELECT r.id, r.size, r.part_size FROM resumable_uploads r
        JOIN blobs b ON b.id = r.blob_id JOIN users u ON u.id = r.owner_id
        WHERE b.key = $1 AND r.mode = 'direct' AND r.file_id IS NULL AND r.received = 0
            AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock) AND u.disabled_at IS NULL";
    DELETE_ROW = "DELETE FROM upload_parts WHERE upload_id = $1 AND number = $2";
    /// Only of an upload whose parts were not put together meanwhile.
    RECORD = "INSERT INTO upload_parts (upload_id, number, receipt)
        SELECT id, $2, $3 FROM resumable_uploads WHERE id = $1 AND file_id IS NULL AND received = 0
        ON CONFLICT (upload_id, number) DO UPDATE SET receipt = excluded.receipt";
    ALL = "SELECT number, receipt FROM upload_parts WHERE upload_id = $1 ORDER BY number";
}

/// An upload that takes parts.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DirectUploadRow {
    pub id: Uuid,
    pub size: i64,
    pub part_size: i64,
}

impl Db {
    /// The direct upload under this key, if it takes parts and its owner is not disabled.
    pub async fn direct_upload_by_key(&self, key: &str) -> Result<Option<DirectUploadRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(BY_KEY).bind(key).fetch_optional(p).await)?)
    }

    /// Makes a part missing again, before its bytes are written anew.
    pub async fn forget_part(&self, upload: Uuid, number: i64) -> Result<()> {
        on!(self.write, |p| sqlx::query(DELETE_ROW).bind(upload).bind(number).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Writes down that a part is durable.
    ///
    /// # Errors
    /// `UploadGone` if the upload is over, or its parts have been put together.
    pub async fn record_part(&self, upload: Uuid, number: i64, receipt: &str) -> Result<()> {
        let recorded = on!(self.write, |p| sqlx::query(RECORD)
            .bind(upload)
            .bind(number)
            .bind(receipt)
            .execute(p)
            .await?
            .rows_affected());
        if recorded == 1 { Ok(()) } else { Err(Error::UploadGone) }
    }

    /// The parts that are written down, in their order.
    pub async fn parts(&self, upload: Uuid) -> Result<Vec<PartRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(ALL).bind(upload).fetch_all(p).await)?)
    }
}
