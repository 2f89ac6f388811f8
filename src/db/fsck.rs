//! The rows as fsck reads them, in the order of their keys, and the passes that it made.

use uuid::Uuid;

use super::{Db, on, statements, transaction};
use crate::error::Result;

/// The columns of a [`ReferencedBlobRow`].
macro_rules! held_columns {
    () => {
        "SELECT b.key, b.state, b.owner_id, b.size, b.sha256, b.multipart_id, b.ready_at,
            (SELECT now FROM clock) - b.lease_until AS overdue, f.id AS file_id
         FROM blobs b LEFT JOIN files f ON f.blob_id = b.id "
    };
}

statements! {
    PAGE = concat!(held_columns!(), "WHERE b.key > $1 ORDER BY b.key LIMIT $2");
    BY_KEY = concat!(held_columns!(), "WHERE b.key = $1");
    /// One statement sees one moment, and at each of them all of these must point at ready blobs.
    DANGLING = "SELECT f.id AS file_id, f.owner_id, b.key, b.state
        FROM blobs b JOIN files f ON f.blob_id = b.id WHERE b.state <> 'ready' LIMIT $1";
    DANGLING_AVATARS = "SELECT NULL AS file_id, u.id AS owner_id, COALESCE(b.key, '') AS key, COALESCE(b.state, 'gone') AS state
        FROM users u LEFT JOIN blobs b ON b.id = u.avatar_id
        WHERE u.avatar_id IS NOT NULL AND COALESCE(b.state, 'gone') IN ('pending', 'deleting', 'gone') LIMIT $1";
    END_BROKEN = "UPDATE fsck_runs SET state = 'failed', finished_at = (SELECT now FROM clock) WHERE state = 'running'";
    BEGIN = "INSERT INTO fsck_runs (id, state, report, started_at) VALUES ($1, 'running', $2, (SELECT now FROM clock))";
    FORGET_OLD = "DELETE FROM fsck_runs WHERE id NOT IN (SELECT id FROM fsck_runs ORDER BY id DESC LIMIT 20)";
    UPDATE = "UPDATE fsck_runs SET report = $2 WHERE id = $1 AND state = 'running'";
    END = "UPDATE fsck_runs SET report = $2, state = $3, finished_at = (SELECT now FROM clock)
        WHERE id = $1 AND state = 'running'";
    RELEASE = "DELETE FROM job_leases WHERE name = 'fsck' AND holder = $1";
    /// A pass that runs has the duty; without it, its process is gone.
    LAST = "SELECT id, report, started_at, finished_at,
            CASE WHEN state = 'running' AND NOT EXISTS (SELECT 1 FROM job_leases
                WHERE name = 'fsck' AND lease_until > (SELECT now FROM clock)) THEN 'failed' ELSE state END AS state
        FROM fsck_runs ORDER BY id DESC LIMIT 1";
    PASS = "SELECT id, state, report, started_at, finished_at FROM fsck_runs WHERE id = $1";
    DONE_WITHIN = "SELECT COUNT(*) FROM fsck_runs
        WHERE state = 'done' AND started_at > (SELECT now FROM clock) - $1";
}

/// A blob, as it is held against the store.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ReferencedBlobRow {
    pub key: String,
    pub state: String,
    pub owner_id: Uuid,
    pub size: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    pub multipart_id: Option<String>,
    pub ready_at: Option<i64>,
    /// Microseconds since its lease ended; below zero while it has one.
    pub overdue: i64,
    /// The file that points at it.
    pub file_id: Option<Uuid>,
}

/// What points at a blob that is not ready: a file, or somebody's avatar.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DanglingReferenceRow {
    pub file_id: Option<Uuid>,
    pub owner_id: Uuid,
    pub key: String,
    pub state: String,
}

/// A pass. Times are microseconds since 1970.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct FsckRunRow {
    pub id: Uuid,
    /// `running`, `done` or `failed`.
    pub state: String,
    pub report: String,
    pub started_at: i64,
    pub finished_at: Option<i64>,
}

impl Db {
    /// The blobs after this key, in the order of their keys.
    pub async fn referenced_blobs(&self, after: &str, limit: i64) -> Result<Vec<ReferencedBlobRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(p).await)?)
    }

    /// The blob with this key, whatever its state is.
    pub async fn referenced_blob(&self, key: &str) -> Result<Option<ReferencedBlobRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_KEY).bind(key).fetch_optional(p).await)?)
    }

    /// Files and avatars whose blob is not ready, at most `limit` of each.
    pub async fn dangling(&self, limit: i64) -> Result<Vec<DanglingReferenceRow>> {
        let mut found: Vec<DanglingReferenceRow> =
            on!(self.read, |p| sqlx::query_as(DANGLING).bind(limit).fetch_all(p).await)?;
        found.extend(on!(self.read, |p| {
            sqlx::query_as::<_, DanglingReferenceRow>(DANGLING_AVATARS).bind(limit).fetch_all(p).await
        })?);
        Ok(found)
    }

    /// Writes down that a pass begins. Whoever calls this has the duty, so that passes which seem
    /// to run broke off.
    pub async fn begin_fsck_run(&self, id: Uuid, report: &str) -> Result<()> {
        transaction!(self, |tx| {
            sqlx::query(END_BROKEN).execute(&mut *tx).await?;
            sqlx::query(BEGIN).bind(id).bind(report).execute(&mut *tx).await?;
            sqlx::query(FORGET_OLD).execute(&mut *tx).await?;
            Ok(())
        })
    }

    /// Writes down what a pass found until now.
    pub async fn update_fsck_run(&self, id: Uuid, report: &str) -> Result<()> {
        on!(self.write, |p| sqlx::query(UPDATE).bind(id).bind(report).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Writes down how a pass ended, `done` or `failed`, and gives its duty to the next one; `false` if
    /// it was given up for broken off before.
    pub async fn end_fsck_run(&self, id: Uuid, report: &str, state: &str) -> Result<bool> {
        transaction!(self, |tx| {
            let ended = sqlx::query(END).bind(id).bind(report).bind(state).execute(&mut *tx).await?.rows_affected();
            sqlx::query(RELEASE).bind(id).execute(&mut *tx).await?;
            Ok(ended == 1)
        })
    }

    /// The pass with this id.
    pub async fn fsck_run(&self, id: Uuid) -> Result<Option<FsckRunRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(PASS).bind(id).fetch_optional(p).await)?)
    }

    /// The pass that began last.
    pub async fn latest_fsck_run(&self) -> Result<Option<FsckRunRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(LAST).fetch_optional(p).await)?)
    }

    /// Whether a pass that came to its end began in the last `interval`.
    pub async fn fsck_done_within(&self, interval: std::time::Duration) -> Result<bool> {
        let interval = interval.as_micros() as i64;
        let count: i64 = on!(self.write, |p| sqlx::query_scalar(DONE_WITHIN).bind(interval).fetch_one(p).await)?;
        Ok(count > 0)
    }
}
