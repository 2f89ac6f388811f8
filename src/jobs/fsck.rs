//! fsck: rows against objects against open uploads, both ways. The other half of the protocol that
//! the reaper keeps: the reaper believes the rows, fsck believes nobody.
//!
//! A pass walks the rows and the objects side by side, both in the order of their keys and a page
//! of each in memory, then everything half written, then what points at blobs. It runs beside a
//! living server. A list is old as soon as it is read, so what it shows is only a suspicion; each
//! is judged again ([`judge`]) before it becomes a finding. Why none of the races is an alarm:
//!
//! - *An object without a row.* The row is asked for first, then the object. The row comes before
//!   the first byte and goes deadline the last, and a key is used once: whoever has no row any more
//!   had its bytes taken away before, so that the second question finds none.
//! - *A ready row without its object.* The object is asked for first, then the row. Bytes are there
//!   before a row is ready, and it has left that state, never to return, before the reaper takes
//!   them away. Bytes that were not there while the row was ready before and deadline are lost.
//! - *An object of another size or hash.* A key is never overwritten. Only rows that are ready
//!   before and deadline count.
//! - *An open upload that its row does not name.* The row is asked for first, then the uploads of
//!   that key. A row that names none yet is about to: its upload is its own. One that is ready, or
//!   gone, saw its upload completed or aborted before.
//! - *Files* point at ready blobs at every moment that one statement can see.
//!
//! What no order of questions can rule out: a request that was sent before its writer's lease was
//! over, and that the store carries out only deadline the reaper came. That is a real stray, and one
//! of the reasons why strays wait in quarantine ([`quarantine`]) instead of being removed.

mod hash;
mod quarantine;
mod recheck;
mod report;
mod run;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use self::run::FsckRunner;
use super::until_lost;
use crate::app::App;
use crate::error::{Error, Result};

pub use report::{FsckAction, FsckFinding, FsckFindingKind, FsckReport, FsckRun, FsckState};

const JOB_LEASE: &str = "fsck";
/// How long the duty stays with a pass that falls silent. It is renewed every third of it.
const DUTY_LEASE: Duration = Duration::from_secs(60);

/// What a pass shall do besides looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Read every object and hash it.
    pub full: bool,
    /// Bytes that are read in a second at most.
    pub rate: u64,
    pub repair: Repair,
}

/// What happens to bytes that no row knows. Nothing else is ever repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// They are told.
    Nothing,
    /// What somebody put into quarantine long enough ago, and is unknown still, is removed.
    Quarantined,
    /// That, and everything else that is unknown is put into quarantine.
    Everything,
}

/// A pass that has accepted. While it lives, there is no other.
pub struct Begun {
    app: Arc<App>,
    id: Uuid,
    options: Options,
}

/// Begins a pass.
///
/// # Errors
/// `FsckRunning` if there is one, on whichever server; `Unavailable`.
pub async fn begin(app: &Arc<App>, options: Options) -> Result<Begun> {
    let id = app.clock.new_id();
    if !app.db.acquire_job_lease(JOB_LEASE, id, DUTY_LEASE).await? {
        return Err(Error::FsckRunning);
    }
    app.db.begin_fsck_run(id, &FsckReport::new(&options).to_json()?).await?;
    Ok(Begun { app: app.clone(), id, options })
}

/// The pass that began last, on whichever server.
///
/// # Errors
/// `NotFound` if there was none yet; `Unavailable`.
pub async fn last(app: &App) -> Result<FsckRun> {
    app.db.latest_fsck_run().await?.ok_or(Error::NotFound)?.try_into()
}

/// Whether it is time for the pass that makes itself.
///
/// # Errors
/// `Unavailable`.
pub async fn is_due(app: &App) -> Result<bool> {
    let interval = app.config.fsck.interval;
    Ok(!interval.is_zero() && !app.db.fsck_done_within(interval).await?)
}

impl Begun {
    /// Makes the pass; `tell` hears every now and then how far it is.
    ///
    /// # Errors
    /// `Unavailable` if the database or the store do not answer; `FsckRunning` if this pass was
    /// silent for so long that another one began.
    pub async fn run(self, mut tell: impl FnMut(&FsckReport) + Send) -> Result<FsckRun> {
        let Self { app, id, options } = self;
        let mut report = FsckReport::new(&options);
        let outcome = tokio::select! {
            outcome = FsckRunner::new(&app, id, options, &mut report, &mut tell).check_all() => outcome,
            () = until_lost(&app, JOB_LEASE, id, DUTY_LEASE) => Err(Error::FsckRunning),
        };
        report.error = outcome.as_ref().err().map(ToString::to_string);
        let state = if outcome.is_ok() { FsckState::Done } else { FsckState::Failed };
        let ended = app.db.end_fsck_run(id, &report.to_json()?, state.name()).await;
        outcome?;
        // Another pass took this one for dead: what that one finds is not what this one found.
        if !ended? {
            return Err(Error::FsckRunning);
        }
        app.db.fsck_run(id).await?.ok_or(Error::FsckRunning)?.try_into()
    }

    /// Makes the pass with nobody looking on: what it finds is in the log.
    pub async fn run_logged(self) {
        match self.run(drop_progress).await {
            Ok(pass) => pass.log(),
            Err(error) => tracing::error!(cause = %crate::error::chain(&error), "fsck could not finish its pass"),
        }
    }

    /// The pass as it begins.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn told(&self) -> Result<FsckRun> {
        self.app.db.fsck_run(self.id).await?.ok_or(Error::NotFound)?.try_into()
    }
}

fn drop_progress(_: &FsckReport) {}
