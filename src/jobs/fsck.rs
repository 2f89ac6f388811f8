//! fsck compares database and store in both directions. It is the counterpart of the reaper: the
//! reaper trusts the rows, fsck trusts neither side.
//!
//! A run walks rows and objects side by side, both in the order of their keys and with one page of
//! each in memory, then all incomplete uploads, then all references to blobs. It runs while servers
//! are active. A list is outdated as soon as it is read, so that a difference is only a suspicion;
//! each is checked again (`recheck`) before it becomes a finding. Why no race is reported as damage:
//!
//! - *An object without a row.* The row is read first, then the object. The row is created before
//!   the first byte and deleted after the last one, and a key is used once: if a row has been
//!   deleted, its object was deleted before, and the second read does not find it.
//! - *A ready row without its object.* The object is read first, then the row. An object is complete
//!   before its row becomes ready, and the row has left that state permanently before the reaper
//!   deletes the object. If the row is ready before and after, the missing object is lost.
//! - *An object of another size or hash.* A key is never overwritten. Only rows that are ready
//!   before and after count.
//! - *An incomplete upload that its row does not name.* The row is read first, then the uploads of
//!   that key. A pending row without an upload id is about to record one: the upload is its own. If
//!   the row is ready or gone, its own upload was completed or aborted before.
//! - *References.* At every moment that one statement can see, all of them point to ready blobs.
//!
//! No order of reads can rule out a request that was sent before its writer's lease expired and that
//! the store executes after the reaper has processed the key. It leaves a real orphan, which is one reason why
//! orphans wait in quarantine (`quarantine`) instead of being deleted immediately.

mod hash;
mod options;
mod orphan;
mod quarantine;
mod rate_limit;
mod recheck;
mod report;
mod run;
mod runner;

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;
use uuid::Uuid;

use self::runner::FsckRunner;
use super::lease::until_lost;
use crate::app::App;
use crate::db::JobLease;
use crate::error::{Error, Result};
use crate::events::{self, Event, EventKind};
use crate::users::User;

pub use options::{Options, Repair};
pub use report::{FsckAction, FsckFinding, FsckFindingKind, FsckReport, FsckRun, FsckState};

/// The length of the job lease: after this time without a renewal, a run counts as failed.
const LEASE: Duration = Duration::from_secs(60);

/// A run that has been recorded and holds the job lease, so that there is no other.
pub struct StartedRun {
    app: Arc<App>,
    id: Uuid,
    options: Options,
}

/// Acquires the job lease and records a new run.
///
/// # Errors
/// [`Error::FsckRunning`] if a run is in progress on any server; [`Error::Unavailable`].
pub async fn start(app: &Arc<App>, options: Options) -> Result<StartedRun> {
    let id = app.clock.new_id();
    if !app.db.acquire_job_lease(JobLease::Fsck, id, LEASE).await? {
        return Err(Error::FsckRunning);
    }
    let begun = app.db.begin_fsck_run(id, &FsckReport::new(&options).to_json()?).await;
    if begun.is_err()
        && let Err(error) = app.db.release_job_lease(JobLease::Fsck, id).await
    {
        tracing::warn!(%error, "could not release the job lease of fsck; it will expire");
    }
    begun?;
    Ok(StartedRun { app: app.clone(), id, options })
}

/// Starts a run on request of this admin, and performs it in the background.
///
/// # Errors
/// Those of [`start`].
pub async fn start_in_background(app: &Arc<App>, admin: &User, options: Options) -> Result<FsckRun> {
    let (app, admin) = (app.clone(), admin.id);
    // A client that disconnects must not leave a run that is recorded and does not run.
    let starting = events::in_current_context(async move {
        let (full, repair) = (options.full, options.repair == Repair::Everything);
        let started = start(&app, options).await?;
        tracing::info!(%admin, full, repair, "fsck run started");
        app.events.record(&Event::new(EventKind::FsckStarted, admin).with("full", full).with("repair", repair));
        let run = started.status().await;
        // Without the permit of the request, which may end before the run does.
        tokio::spawn(started.run_logged());
        run
    });
    tokio::spawn(starting.in_current_span()).await.map_err(Error::internal)?
}

/// The latest run on any server, in progress or ended.
///
/// # Errors
/// [`Error::NotFound`] if there was none yet; [`Error::Unavailable`].
pub async fn latest(app: &App) -> Result<FsckRun> {
    app.db.latest_fsck_run().await?.ok_or(Error::NotFound)?.try_into()
}

/// Whether a scheduled run is due.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn is_due(app: &App) -> Result<bool> {
    let interval = app.config.fsck.interval;
    Ok(!interval.is_zero() && !app.db.fsck_done_within(interval).await?)
}

impl StartedRun {
    /// Performs the run; `on_progress` is called every two seconds or so.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database or the store does not respond; [`Error::FsckRunning`] if
    /// this run could not renew its lease in time and another one has started.
    pub async fn run(self, mut on_progress: impl FnMut(&FsckReport) + Send) -> Result<FsckRun> {
        let Self { app, id, options } = self;
        let mut report = FsckReport::new(&options);
        let outcome = tokio::select! {
            outcome = FsckRunner::new(&app, id, options, &mut report, &mut on_progress).check_all() => outcome,
            () = until_lost(&app, JobLease::Fsck, id, LEASE) => Err(Error::FsckRunning),
        };
        report.error = outcome.as_ref().err().map(ToString::to_string);
        let state = if outcome.is_ok() { FsckState::Done } else { FsckState::Failed };
        let ended = app.db.end_fsck_run(id, &report.to_json()?, state.as_str()).await;
        outcome?;
        // Another run has recorded this one as failed, and reports its own findings.
        if !ended? {
            return Err(Error::FsckRunning);
        }
        app.db.fsck_run(id).await?.ok_or(Error::FsckRunning)?.try_into()
    }

    /// Performs the run and writes its findings to the log.
    pub async fn run_logged(self) {
        match self.run(ignore_progress).await {
            Ok(run) => run.log(),
            Err(error) => tracing::error!(cause = %crate::error::chain(&error), "fsck run failed"),
        }
    }

    /// The run as it is recorded now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn status(&self) -> Result<FsckRun> {
        self.app.db.fsck_run(self.id).await?.ok_or(Error::NotFound)?.try_into()
    }
}

fn ignore_progress(_: &FsckReport) {}
