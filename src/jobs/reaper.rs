//! Garbage collector: deletes objects whose row allows it and whose lease has expired. Only the
//! reaper deletes content, apart from orphans that fsck quarantined. It runs on one server at a time.

use std::fmt;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use super::erase;
use super::lease::until_lost;
use crate::app::App;
use crate::clock::before;
use crate::db::{JobLease, Micros, PendingDeletionRow};
use crate::error::{Error, Result};
use crate::faults;
use crate::files::trash;
use crate::store::{Key, Listed};

/// The length of the job lease: how long a crashed reaper delays the next one. A running one renews
/// its lease, however long the store keeps it waiting.
const LEASE: Duration = Duration::from_secs(15);
/// Blobs that are read from the database by one statement.
const BATCH: usize = 64;
/// How long the row of a revoked link is kept, so that it is reported as revoked rather than not found.
const REVOKED_LINK_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Audit events, or idempotency keys, that one statement deletes.
const EVENTS: u64 = 1000;
/// The events or keys of an account since the last run from which on it may have more than the limit.
const BUSY: u64 = 100;
/// Objects that are deleted concurrently.
const CONCURRENCY: usize = 8;

/// The report of one run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReaperReport {
    /// Another server is reaping; this run did nothing.
    pub elsewhere: bool,
    /// Another server acquired the job lease during this run, which then stopped; the other fields
    /// say what it did until then.
    pub interrupted: bool,
    /// Abandoned uploads: their leases had expired.
    pub abandoned: u64,
    /// Files whose time in the trash had expired.
    pub purged: u64,
    /// Blobs whose object and row were deleted.
    pub deleted: u64,
    /// Blobs whose object could not be deleted; the next run tries again.
    pub failed: u64,
    /// Accounts whose erasure was completed.
    pub erased: u64,
    /// Expired rows: sessions, tokens, throttling windows, idempotency keys, links, events and
    /// completed uploads.
    pub expired: u64,
}

impl ReaperReport {
    /// Whether nothing but expired rows was deleted, and nothing failed.
    pub fn is_idle(&self) -> bool {
        self.abandoned + self.purged + self.deleted + self.failed + self.erased == 0
    }
}

impl fmt::Display for ReaperReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.elsewhere {
            return f.write_str("another server is reaping");
        }
        let Self { abandoned, purged, deleted, failed, erased, expired, .. } = self;
        write!(
            f,
            "{abandoned} abandoned uploads ended, {purged} files purged from the trash, {deleted} blobs deleted, \
             {failed} deletions failed, {erased} accounts deleted, {expired} expired rows deleted"
        )?;
        match self.interrupted {
            true => f.write_str("; interrupted: another server has taken over"),
            false => Ok(()),
        }
    }
}

/// Runs once over everything that is due.
///
/// # Errors
/// [`Error::Unavailable`] if the database does not respond. Failures of the store are in the report.
pub async fn run_once(app: &App) -> Result<ReaperReport> {
    let holder = app.clock.new_id();
    if !app.db.acquire_job_lease(JobLease::Reaper, holder, LEASE).await? {
        return Ok(ReaperReport { elsewhere: true, ..ReaperReport::default() });
    }
    let mut report = ReaperReport::default();
    let interrupted = tokio::select! {
        done = reap(app, &mut report) => done.map(|()| false),
        // What was started here may be done a second time by the new holder, which is harmless.
        () = until_lost(app, JobLease::Reaper, holder, LEASE) => Ok(true),
    };
    if let Err(error) = app.db.release_job_lease(JobLease::Reaper, holder).await {
        tracing::warn!(%error, "could not release the job lease of the reaper; it will expire");
    }
    Ok(ReaperReport { interrupted: interrupted?, ..report })
}

async fn reap(app: &App, report: &mut ReaperReport) -> Result<()> {
    erase::sweep(app).await?;
    report.abandoned = app.db.expire_blob_leases().await?;
    report.purged = trash::purge(app).await?;
    delete_blobs(app, report).await?;
    report.erased = erase::finish(app).await?;
    purge_rows(app, report).await
}

/// Deletes every blob that is due. Each is tried once in a run, so that failures do not block the others.
async fn delete_blobs(app: &App, report: &mut ReaperReport) -> Result<()> {
    let mut last = (Micros(i64::MIN), Uuid::nil());
    loop {
        let due = app.db.blobs_pending_deletion(last, BATCH).await?;
        let Some(end) = due.last().map(|blob| (blob.lease_until, blob.id)) else { return Ok(()) };
        let mut deletions = stream::iter(due).map(|blob| delete_blob(app, blob)).buffer_unordered(CONCURRENCY);
        while let Some(deleted) = deletions.next().await {
            report.deleted += u64::from(deleted);
            report.failed += u64::from(!deleted);
        }
        last = end;
    }
}

/// Deletes rows whose retention has ended.
async fn purge_rows(app: &App, report: &mut ReaperReport) -> Result<()> {
    let now = app.clock.now();
    report.expired += app.db.purge_sessions(now).await? + app.db.purge_tokens(now).await?;
    report.expired += app.db.purge_grants(now).await?;
    report.expired += app.db.purge_throttles(now).await?;
    report.expired += app.db.purge_idempotency_keys().await? + app.db.purge_resumables(now).await?;
    let revoked_before = before(now, REVOKED_LINK_RETENTION);
    report.expired += app.db.purge_archive_urls(now).await?
        + app.db.purge_link_downloads().await?
        + app.db.purge_links(revoked_before).await?;
    let oldest = before(now, app.config.audit_log_retention);
    report.expired += app.db.purge_erasures(oldest).await?;
    loop {
        let purged = app.db.purge_events(oldest, EVENTS).await?;
        report.expired += purged;
        if purged < EVENTS {
            break;
        }
    }
    let oldest = before(now, app.config.changes.retention);
    let excess = app.changes.look().await?.drawn.saturating_sub_unsigned(app.config.changes.limit);
    loop {
        let purged = app.db.purge_changes(oldest, excess, EVENTS as usize).await?;
        report.expired += purged;
        if purged < EVENTS {
            break;
        }
    }
    report.expired += purge_excess_events(app, now).await? + purge_excess_keys(app).await?;
    Ok(())
}

/// Deletes the oldest events of accounts that have more than the limit. Only those are checked that had some lately.
async fn purge_excess_events(app: &App, now: Timestamp) -> Result<u64> {
    let (limit, mut purged) = (app.config.limits.events, 0);
    let since = before(now, app.config.reap_interval * 2);
    for account in app.db.accounts_with_events(since, BUSY.min(limit)).await? {
        let Some(until) = app.db.latest_excess_event(account, limit).await? else { continue };
        loop {
            let batch = app.db.purge_account_events(account, until, EVENTS).await?;
            purged += batch;
            if batch < EVENTS {
                break;
            }
        }
    }
    Ok(purged)
}

/// Deletes the oldest idempotency keys of accounts that have more than the limit.
async fn purge_excess_keys(app: &App) -> Result<u64> {
    let (limit, mut purged) = (app.config.limits.idempotency_keys, 0);
    for account in app.db.accounts_with_idempotency_keys(app.config.reap_interval * 2, BUSY.min(limit)).await? {
        let Some(until) = app.db.latest_excess_idempotency_key(account, limit).await? else { continue };
        loop {
            let batch = app.db.purge_oldest_idempotency_keys(account, until, EVENTS).await?;
            purged += batch;
            if batch < EVENTS {
                break;
            }
        }
    }
    Ok(purged)
}

/// Deletes the object and, once that has succeeded, the row. Returns whether it did.
async fn delete_blob(app: &App, blob: PendingDeletionRow) -> bool {
    let deleted = async {
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
    match deleted.await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(key = blob.key, %error, "could not delete a blob; the next run retries");
            false
        }
    }
}

/// Aborts every upload of a key that never became ready. The row may not name all of them: the
/// response with an id was lost, or the process crashed before it recorded the id. Blobs that were
/// ready have no such uploads and are not asked about.
async fn abort_uploads(app: &App, key: &Key) -> Result<()> {
    let open: Vec<_> = app.store.list_uploads(Some(key)).try_collect().await?;
    for upload in open.into_iter().filter_map(Listed::known) {
        app.store.abort(&upload.key, upload.id.as_deref()).await?;
    }
    Ok(())
}
