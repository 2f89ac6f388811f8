//! The reaper: the only one who takes bytes away, and only those whose row says so and whose lease
//! is over. It runs on one server at a time.

use std::fmt;
use std::future::ready;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{erase, until_lost};
use crate::app::App;
use crate::db::PendingDeletionRow;
use crate::error::{Error, Result};
use crate::faults;
use crate::files::trash;
use crate::store::{Key, Listed};

pub const JOB_LEASE: &str = "reaper";
/// How long the duty stays with a reaper that died at it. One that lives keeps it, however long
/// its store keeps it waiting.
const DUTY_LEASE: Duration = Duration::from_secs(15);
/// Blobs that are looked up at once.
const BATCH: i64 = 64;
/// How long a revoked link is told from one that never was.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Events that are deleted by one statement.
const EVENTS: i64 = 1000;
/// Blobs that are taken away at once.
const CONCURRENCY: usize = 8;

/// What a pass did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReaperReport {
    /// Another server is at it.
    pub elsewhere: bool,
    /// Uploads whose writer fell silent.
    pub lapsed: u64,
    /// Files that were in the trash for long enough.
    pub purged: u64,
    /// Blobs whose bytes and rows are gone now.
    pub removed: u64,
    /// Blobs that the store would not let go of; the next pass tries again.
    pub failed: u64,
    /// Accounts of which nothing is left.
    pub erased: u64,
    /// Sessions, tokens, throttling windows, idempotency keys, events and uploads that became files, whose time was over.
    pub expired: u64,
}

impl ReaperReport {
    pub fn is_idle(&self) -> bool {
        self.lapsed + self.purged + self.removed + self.failed + self.erased == 0
    }
}

impl fmt::Display for ReaperReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.elsewhere {
            return f.write_str("another server is reaping");
        }
        let Self { lapsed, purged, removed, failed, erased, expired, .. } = self;
        write!(
            f,
            "{lapsed} abandoned uploads ended, {purged} files purged from the trash, {removed} blobs removed, {failed} not removed, {erased} accounts erased, {expired} expired rows deleted"
        )
    }
}

/// Makes one pass over everything that is due.
///
/// # Errors
/// `Unavailable` if the database does not answer. A store that does not answer is in the report.
pub async fn run_once(app: &App) -> Result<ReaperReport> {
    let holder = app.clock.new_id();
    if !app.db.acquire_job_lease(JOB_LEASE, holder, DUTY_LEASE).await? {
        return Ok(ReaperReport { elsewhere: true, ..ReaperReport::default() });
    }
    let mut report = ReaperReport::default();
    let done = tokio::select! {
        done = reap(app, &mut report) => done,
        // Somebody else is at it by now. What was accepted here may be done twice.
        () = until_lost(app, JOB_LEASE, holder, DUTY_LEASE) => Ok(()),
    };
    if let Err(error) = app.db.release_job_lease(JOB_LEASE, holder).await {
        tracing::warn!(%error, "the reaper keeps its duty until the lease is over");
    }
    done.map(|()| report)
}

async fn reap(app: &App, report: &mut ReaperReport) -> Result<()> {
    erase::sweep(app).await?;
    report.lapsed = app.db.expire_blob_leases().await?;
    report.purged = trash::purge(app).await?;
    // Each blob is tried once in a pass, so that those which stay do not hold up the others.
    let mut last = (i64::MIN, Uuid::nil());
    loop {
        let doomed = app.db.blobs_pending_deletion(last, BATCH).await?;
        let Some(end) = doomed.last().map(|blob| (blob.lease_until, blob.id)) else { break };
        let found = doomed.len() as u64;
        let removals = stream::iter(doomed).map(|blob| remove(app, blob)).buffer_unordered(CONCURRENCY);
        let removed = removals.filter(|removed| ready(*removed)).count().await as u64;
        report.removed += removed;
        report.failed += found - removed;
        last = end;
    }
    report.erased = erase::finish(app).await?;
    let now = app.clock.now().as_microsecond();
    report.expired = app.db.purge_sessions(now).await? + app.db.purge_throttles(now).await?;
    report.expired += app.db.purge_idempotency_keys().await? + app.db.purge_resumables(now).await?;
    report.expired +=
        app.db.purge_link_downloads().await? + app.db.purge_links(now - REMEMBERED.as_micros() as i64).await?;
    let oldest = now - app.config.audit_log_retention.as_micros() as i64;
    report.expired += app.db.purge_erasures(oldest).await?;
    loop {
        let purged = app.db.purge_events(oldest, EVENTS).await?;
        report.expired += purged;
        if purged < EVENTS as u64 {
            return Ok(());
        }
    }
}

/// Takes away the bytes, and only when they are surely gone the row.
async fn remove(app: &App, blob: PendingDeletionRow) -> bool {
    let removed = async {
        let key = blob.key.parse().map_err(Error::internal)?;
        if blob.ready_at.is_none() {
            abort_uploads(app, &key).await?;
        }
        app.store.delete(&key, blob.multipart_id.as_deref()).await?;
        faults::point("D3");
        app.db.delete_blob_row(blob.id).await?;
        faults::point("D4");
        Ok::<_, Error>(())
    };
    match removed.await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(key = blob.key, %error, "a blob could not be removed; the next pass tries again");
            false
        }
    }
}

/// Ends every upload of a key that never became ready. The row may not know all of them: the answer
/// that told an id was lost, or the process died before it wrote the id down. What became ready is
/// spared the question.
async fn abort_uploads(app: &App, key: &Key) -> Result<()> {
    let open: Vec<_> = app.store.list_uploads(Some(key)).try_collect().await?;
    for upload in open.into_iter().filter_map(Listed::ours) {
        app.store.abort(&upload.key, upload.id.as_deref()).await?;
    }
    Ok(())
}
