//! Parts of direct uploads that this server receives, in any order. A part counts from the record that it is durable
//! until it is sent again.

use uuid::Uuid;

use super::resumable::PartRow;
use super::{ByteCount, Count, Db, statements};
use crate::error::{Error, Result};

statements! {
    FIND_DIRECT_UPLOAD = "SELECT r.id, r.size, r.part_size FROM resumable_uploads r
        JOIN blobs b ON b.id = r.blob_id JOIN users u ON u.id = r.space_id
        WHERE b.key = $1 AND r.mode = 'direct' AND r.file_id IS NULL AND r.received = 0
            AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock) AND u.disabled_at IS NULL";
    DELETE_PART = "DELETE FROM upload_parts WHERE upload_id = $1 AND number = $2";
    /// Only while the upload accepts parts: they may have been assembled since, the upload canceled, or its owner disabled.
    RECORD_PART = "INSERT INTO upload_parts (upload_id, number, receipt)
        SELECT r.id, $2, $3 FROM resumable_uploads r
        JOIN blobs b ON b.id = r.blob_id JOIN users u ON u.id = r.space_id
        WHERE r.id = $1 AND r.file_id IS NULL AND r.received = 0
            AND b.state = 'pending' AND b.lease_until > (SELECT now FROM clock) AND u.disabled_at IS NULL
        ON CONFLICT (upload_id, number) DO UPDATE SET receipt = excluded.receipt";
    LIST_PARTS = "SELECT number, receipt FROM upload_parts WHERE upload_id = $1 ORDER BY number";
}

/// A direct upload that accepts parts.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DirectUploadRow {
    /// The id of the upload.
    pub id: Uuid,
    /// The total size.
    pub size: ByteCount,
    /// The size of a part.
    pub part_size: ByteCount,
}

impl Db {
    /// The direct upload with this key, if it accepts parts and its owner is not disabled.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn direct_upload_by_key(&self, key: &str) -> Result<Option<DirectUploadRow>> {
        self.write.fetch_optional(FIND_DIRECT_UPLOAD, (key,)).await
    }

    /// Deletes the record of a part, before its bytes are written again.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn forget_part(&self, upload: Uuid, number: u64) -> Result<()> {
        self.write.execute(DELETE_PART, (upload, Count(number))).await.map(drop)
    }

    /// Records that a part is durable.
    ///
    /// # Errors
    /// [`Error::UploadGone`] if the upload has ended, its parts have been assembled, or its owner is disabled.
    pub async fn record_part(&self, upload: Uuid, number: u64, receipt: &str) -> Result<()> {
        match self.write.execute(RECORD_PART, (upload, Count(number), receipt)).await? {
            1 => Ok(()),
            _ => Err(Error::UploadGone),
        }
    }

    /// The recorded parts, in their order.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn parts(&self, upload: Uuid) -> Result<Vec<PartRow>> {
        self.write.fetch_all(LIST_PARTS, (upload,)).await
    }
}
