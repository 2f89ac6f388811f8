//! The quarantine: bytes that no row knows, and since when that is so.

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    ADMIT = "INSERT INTO strays (kind, key, upload_id, size, first_seen, last_seen)
        VALUES ($1, $2, $3, $4, (SELECT now FROM clock), (SELECT now FROM clock))
        ON CONFLICT (kind, key, upload_id) DO UPDATE SET last_seen = excluded.last_seen
        RETURNING last_seen - first_seen";
    SEE = "UPDATE strays SET last_seen = (SELECT now FROM clock)
        WHERE kind = $1 AND key = $2 AND upload_id = $3 RETURNING last_seen - first_seen";
    RELEASE = "DELETE FROM strays WHERE kind = $1 AND key = $2 AND upload_id = $3";
    RELEASE_UNSEEN = "DELETE FROM strays WHERE last_seen < (SELECT started_at FROM fsck_passes WHERE id = $1)";
    COUNT = "SELECT COUNT(*) FROM strays";
}

/// Bytes that no row knows.
#[derive(Debug, Clone)]
pub struct OrphanRow {
    /// `object` or `upload`.
    pub kind: &'static str,
    pub key: String,
    /// Empty unless it is a multipart upload.
    pub upload_id: String,
    /// Bytes.
    pub size: Option<i64>,
}

impl Db {
    /// Puts a stray into the quarantine, or sees that it is there still; gives the microseconds
    /// since it was put there.
    pub async fn insert_orphan(&self, stray: &OrphanRow) -> Result<i64> {
        Ok(on!(self.write, |p| sqlx::query_scalar(ADMIT)
            .bind(stray.kind)
            .bind(&stray.key)
            .bind(&stray.upload_id)
            .bind(stray.size)
            .fetch_one(p)
            .await)?)
    }

    /// Sees that a stray is there still, if it is in quarantine; gives the microseconds since it was put there.
    pub async fn touch_orphan(&self, stray: &OrphanRow) -> Result<Option<i64>> {
        Ok(on!(self.write, |p| sqlx::query_scalar(SEE)
            .bind(stray.kind)
            .bind(&stray.key)
            .bind(&stray.upload_id)
            .fetch_optional(p)
            .await)?)
    }

    /// Takes a stray out of the quarantine.
    pub async fn release_orphan(&self, stray: &OrphanRow) -> Result<()> {
        on!(self.write, |p| sqlx::query(RELEASE)
            .bind(stray.kind)
            .bind(&stray.key)
            .bind(&stray.upload_id)
            .execute(p)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Takes everything out of the quarantine that was not seen since this pass began.
    pub async fn release_unseen_orphans(&self, pass: Uuid) -> Result<()> {
        on!(self.write, |p| sqlx::query(RELEASE_UNSEEN).bind(pass).execute(p).await.map(drop))?;
        Ok(())
    }

    /// How much is in quarantine.
    pub async fn count_orphans(&self) -> Result<u64> {
        let count: i64 = on!(self.write, |p| sqlx::query_scalar(COUNT).fetch_one(p).await)?;
        Ok(count as u64)
    }
}
