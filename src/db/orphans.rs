//! Orphaned objects in quarantine, with the time first seen.

use std::time::Duration;

use uuid::Uuid;

use super::{ByteCount, Count, Db, Micros, statements};
use crate::error::Result;

statements! {
    INSERT_ORPHAN = "INSERT INTO orphans (kind, key, multipart_id, size, first_seen_at, last_seen_at)
        VALUES ($1, $2, $3, $4, (SELECT now FROM clock), (SELECT now FROM clock))
        ON CONFLICT (kind, key, multipart_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
        RETURNING last_seen_at - first_seen_at";
    TOUCH_ORPHAN = "UPDATE orphans SET last_seen_at = (SELECT now FROM clock)
        WHERE kind = $1 AND key = $2 AND multipart_id = $3 RETURNING last_seen_at - first_seen_at";
    RELEASE_ORPHAN = "DELETE FROM orphans WHERE kind = $1 AND key = $2 AND multipart_id = $3";
    RELEASE_UNSEEN_ORPHANS = "DELETE FROM orphans
        WHERE last_seen_at < (SELECT started_at FROM fsck_runs WHERE id = $1)";
    COUNT_ORPHANS = "SELECT COUNT(*) FROM orphans";
}

/// An object or a multipart upload that no row refers to.
#[derive(Debug, Clone)]
pub struct OrphanRow {
    /// `object` or `upload`.
    pub kind: &'static str,
    /// The key in the store.
    pub key: String,
    /// The store's id of a multipart upload, otherwise empty.
    pub multipart_id: String,
    /// The size in bytes, if known.
    pub size: Option<u64>,
}

impl Db {
    /// Puts an orphan into quarantine, or records that it is still there; returns the time since it was first seen.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn insert_orphan(&self, orphan: &OrphanRow) -> Result<Duration> {
        let OrphanRow { kind, key, multipart_id, size } = orphan;
        let row = (kind, key, multipart_id, size.map(ByteCount));
        let (age,): (Micros,) = self.write.fetch_one(INSERT_ORPHAN, row).await?;
        Ok(age.length())
    }

    /// Records that an orphan is still there, if it is in quarantine; returns the time since it was first seen.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn touch_orphan(&self, orphan: &OrphanRow) -> Result<Option<Duration>> {
        let OrphanRow { kind, key, multipart_id, .. } = orphan;
        let row: Option<(Micros,)> = self.write.fetch_optional(TOUCH_ORPHAN, (kind, key, multipart_id)).await?;
        Ok(row.map(|(age,)| age.length()))
    }

    /// Releases an orphan from quarantine.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn release_orphan(&self, orphan: &OrphanRow) -> Result<()> {
        let OrphanRow { kind, key, multipart_id, .. } = orphan;
        self.write.execute(RELEASE_ORPHAN, (kind, key, multipart_id)).await.map(drop)
    }

    /// Releases everything from quarantine that this run has not seen.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn release_unseen_orphans(&self, run: Uuid) -> Result<()> {
        self.write.execute(RELEASE_UNSEEN_ORPHANS, (run,)).await.map(drop)
    }

    /// The number of orphans in quarantine.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_orphans(&self) -> Result<u64> {
        let (count,): (Count,) = self.write.fetch_one(COUNT_ORPHANS, ()).await?;
        Ok(count.0)
    }
}
