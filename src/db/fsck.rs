//! Queries of fsck, in the order of keys, and the records of its runs.

use std::time::Duration;

use uuid::Uuid;

use super::instance::has_ended;
use super::{ByteCount, Count, Db, Micros, statements};
use crate::error::Result;

/// The columns of a [`ReferencedBlobRow`], and the tables that they come from.
macro_rules! select_blob {
    () => {
        "SELECT b.key, b.state, b.space_id, b.size, b.sha256, b.multipart_id, b.ready_at, b.format, b.location,
            (SELECT now FROM clock) - b.lease_until AS overdue, f.id AS file_id
         FROM blobs b LEFT JOIN files f ON f.blob_id = b.id "
    };
}

statements! {
    LIST_BLOBS = concat!(select_blob!(), "WHERE b.key > $1 ORDER BY b.key LIMIT $2");
    FIND_BLOB = concat!(select_blob!(), "WHERE b.key = $1");
    SET_VERIFIED = "UPDATE blobs SET verified_at = (SELECT now FROM clock) WHERE key = $1 AND state = 'ready'";
    /// A statement sees one moment, and at any moment all references must be to ready blobs.
    DANGLING_FILES = "SELECT f.id AS file_id, f.space_id, b.key, b.state
        FROM blobs b JOIN files f ON f.blob_id = b.id WHERE b.state <> 'ready' LIMIT $1";
    DANGLING_AVATARS = "SELECT NULL AS file_id, u.id AS space_id, COALESCE(b.key, '') AS key,
            COALESCE(b.state, 'gone') AS state
        FROM users u LEFT JOIN blobs b ON b.id = u.avatar_id
        WHERE u.avatar_id IS NOT NULL AND COALESCE(b.state, 'gone') IN ('pending', 'deleting', 'gone') LIMIT $1";
    FAIL_INTERRUPTED_RUNS = "UPDATE fsck_runs SET state = 'failed', finished_at = (SELECT now FROM clock)
        WHERE state = 'running'";
    INSERT_RUN = "INSERT INTO fsck_runs (id, state, report, started_at)
        VALUES ($1, 'running', $2, (SELECT now FROM clock))";
    DELETE_OLD_RUNS = "DELETE FROM fsck_runs WHERE id NOT IN (SELECT id FROM fsck_runs ORDER BY id DESC LIMIT 20)";
    UPDATE_RUN = "UPDATE fsck_runs SET report = $2 WHERE id = $1 AND state = 'running'";
    END_RUN = "UPDATE fsck_runs SET report = $2, state = $3, finished_at = (SELECT now FROM clock)
        WHERE id = $1 AND state = 'running'";
    RELEASE_LEASE = "DELETE FROM job_leases WHERE name = 'fsck' AND holder = $1";
    /// A run holds the job lease; without one, its process has ended.
    LATEST_RUN = concat!("SELECT id, report, started_at, finished_at,
            CASE WHEN state = 'running' AND NOT EXISTS (SELECT 1 FROM job_leases
                WHERE name = 'fsck' AND lease_until > (SELECT now FROM clock) AND NOT ", has_ended!("instance"), ")
                THEN 'failed' ELSE state END AS state
        FROM fsck_runs ORDER BY id DESC LIMIT 1");
    FIND_RUN = "SELECT id, state, report, started_at, finished_at FROM fsck_runs WHERE id = $1";
    COUNT_DONE_WITHIN = "SELECT COUNT(*) FROM fsck_runs
        WHERE state = 'done' AND started_at > (SELECT now FROM clock) - $1";
}

/// A blob, as it is compared with the store.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ReferencedBlobRow {
    /// The key of its object in the store.
    pub key: String,
    /// `pending`, `ready` or `deleting`.
    pub state: String,
    /// The account that it belongs to.
    pub space_id: Uuid,
    /// The size of its content, once it is ready.
    pub size: Option<ByteCount>,
    /// The digest of its content, once it is ready.
    pub sha256: Option<Vec<u8>>,
    /// The store's id of an open multipart upload.
    pub multipart_id: Option<String>,
    /// When its content was completed.
    pub ready_at: Option<Micros>,
    /// How the object represents the content.
    pub format: String,
    /// The store that has the object.
    pub location: String,
    /// The time since its lease expired; negative while it has one.
    pub overdue: Micros,
    /// The file that refers to it.
    pub file_id: Option<Uuid>,
}

/// A file or an avatar whose blob is not ready.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DanglingReferenceRow {
    /// The file, unless it is an avatar.
    pub file_id: Option<Uuid>,
    /// The account that it belongs to.
    pub space_id: Uuid,
    /// The key of the blob's object in the store.
    pub key: String,
    /// `pending`, `deleting` or `gone`.
    pub state: String,
}

/// A run of fsck.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct FsckRunRow {
    /// The id of the run.
    pub id: Uuid,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// The findings, as JSON.
    pub report: String,
    /// When it started.
    pub started_at: Micros,
    /// When it ended.
    pub finished_at: Option<Micros>,
}

impl Db {
    /// The blobs after this key, in the order of their keys.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn referenced_blobs(&self, after: &str, limit: usize) -> Result<Vec<ReferencedBlobRow>> {
        self.read.fetch_all(LIST_BLOBS, (after, Count::from(limit))).await
    }

    /// The blob with this key, in any state.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn referenced_blob(&self, key: &str) -> Result<Option<ReferencedBlobRow>> {
        self.read.fetch_optional(FIND_BLOB, (key,)).await
    }

    /// Records that the objects with these keys were read and have the right digests.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn set_verified(&self, keys: &[String]) -> Result<()> {
        self.transaction(async |tx| {
            for key in keys {
                tx.execute(SET_VERIFIED, (key,)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Files and avatars whose blob is not ready, at most `limit` of each.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn dangling(&self, limit: usize) -> Result<Vec<DanglingReferenceRow>> {
        let mut found = self.read.fetch_all(DANGLING_FILES, (Count::from(limit),)).await?;
        found.append(&mut self.read.fetch_all(DANGLING_AVATARS, (Count::from(limit),)).await?);
        Ok(found)
    }

    /// Records the start of a run. The caller holds the job lease, so that other running runs were interrupted.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn begin_fsck_run(&self, id: Uuid, report: &str) -> Result<()> {
        self.transaction(async |tx| {
            tx.execute(FAIL_INTERRUPTED_RUNS, ()).await?;
            tx.execute(INSERT_RUN, (id, report)).await?;
            tx.execute(DELETE_OLD_RUNS, ()).await.map(drop)
        })
        .await
    }

    /// Records what a run has found so far.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn update_fsck_run(&self, id: Uuid, report: &str) -> Result<()> {
        self.write.execute(UPDATE_RUN, (id, report)).await.map(drop)
    }

    /// Records the end of a run, `done` or `failed`, and releases its job lease; `false` if the run was recorded as
    /// interrupted before.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn end_fsck_run(&self, id: Uuid, report: &str, state: &str) -> Result<bool> {
        self.transaction(async |tx| {
            let ended = tx.execute(END_RUN, (id, report, state)).await?;
            tx.execute(RELEASE_LEASE, (id,)).await?;
            Ok(ended == 1)
        })
        .await
    }

    /// The run with this id.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn fsck_run(&self, id: Uuid) -> Result<Option<FsckRunRow>> {
        self.write.fetch_optional(FIND_RUN, (id,)).await
    }

    /// The run that started last.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn latest_fsck_run(&self) -> Result<Option<FsckRunRow>> {
        self.write.fetch_optional(LATEST_RUN, ()).await
    }

    /// Whether a run that succeeded started within the last `interval`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn fsck_done_within(&self, interval: Duration) -> Result<bool> {
        let (count,): (i64,) = self.write.fetch_one(COUNT_DONE_WITHIN, (Micros::from(interval),)).await?;
        Ok(count > 0)
    }
}
