//! The quarantine: bytes that no row knows, and since when that is so.

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    ADMIT = "INSERT INTO orphans (kind, key, multipart_id, size, first_seen_at, last_seen_at)
        VALUES ($1, $2, $3, $4, (SELECT now FROM clock), (SELECT now FROM clock))
        ON CONFLICT (kind, key, multipart_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
        RETURNING last_seen_at - first_seen_at";
    SEE = "UPDATE orphans SET last_seen_at = (SELECT now FROM clock)
        WHERE kind = $1 AND key = $2 AND multipart_id = $3 RETURNING last_seen_at - first_seen_at";
    RELEASE = "DELETE FROM orphans WHERE kind = $1 AND key = $2 AND multipart_id = $3";
    RELEASE_UNSEEN = "DELETE FROM orphans WHERE last_seen_at < (SELECT started_at FROM fsck_runs WHERE id = $1)";
    COUNT = "SELECT COUNT(*) FROM orphans";
}

/// Bytes that no row knows.
#[derive(Debug, Clone)]
pub struct OrphanRow {
    /// `object` or `upload`.
    pub kind: &'static str,
    pub key: String,
    /// Empty unless it is a multipart upload.
    pub multipart_id: String,
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
            .bind(&stray.multipart_id)
            .bind(stray.size)
            .fetch_one(p)
            .await)?)
    }

    /// Sees that a stray is there still, if it is in quarantine; gives the microseconds since it was put there.
    pub async fn touch_orphan(&self, stray: &OrphanRow) -> Result<Option<i64>> {
        Ok(on!(self.write, |p| sqlx::query_scalar(SEE)
            .bind(stray.kind)
            .bind(&stray.key)
            .bind(&stray.multipart_id)
            .fetch_optional(p)
            .await)?)
    }

    /// Takes a stray out of the quarantine.
    pub async fn release_orphan(&self, stray: &OrphanRow) -> Result<()> {
        on!(self.write, |p| sqlx::query(RELEASE)
            .bind(stray.kind)
            .bind(&stray.key)
            .bind(&stray.multipart_id)
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
