//! The state of one fsck run: its report, and the orphans that it found.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::options::Options;
use super::orphan::Orphan;
use super::rate_limit::RateLimit;
use super::report::{FsckFinding, FsckFindingKind, FsckReport};
use crate::app::App;
use crate::error::Result;

/// Orphans that one run handles, the first ones in order: they are held in memory.
const MAX_ORPHANS: usize = 10_000;
/// Verified objects that one transaction records.
const VERIFIED: usize = 100;
/// The time between two progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// A run in progress.
pub(super) struct FsckRunner<'a> {
    pub app: &'a App,
    pub run_id: Uuid,
    pub options: Options,
    pub report: &'a mut FsckReport,
    pub rate_limit: RateLimit,
    /// Orphans, each with the index of its finding if the report lists it.
    pub orphans: Vec<(Orphan, Option<usize>)>,
    /// Keys of objects that have the right digests, to be recorded together.
    verified: Vec<String>,
    on_progress: &'a mut (dyn FnMut(&FsckReport) + Send),
    reported_at: Instant,
}

impl<'a> FsckRunner<'a> {
    pub fn new(
        app: &'a App,
        run_id: Uuid,
        options: Options,
        report: &'a mut FsckReport,
        on_progress: &'a mut (dyn FnMut(&FsckReport) + Send),
    ) -> Self {
        let rate_limit = RateLimit::new(options.rate);
        Self {
            app,
            run_id,
            options,
            report,
            rate_limit,
            orphans: Vec::new(),
            verified: Vec::new(),
            on_progress,
            reported_at: Instant::now(),
        }
    }

    /// Records a name in the store that cannot be one of ours.
    pub fn add_foreign(&mut self, name: String) {
        self.report.add(FsckFinding::new(FsckFindingKind::Foreign, name, "not a name that Strongroom creates"));
    }

    /// Records an orphan with its finding.
    pub fn add_orphan(&mut self, orphan: Orphan, finding: FsckFinding) {
        let index = self.report.add(finding);
        if self.orphans.len() < MAX_ORPHANS {
            self.orphans.push((orphan, index));
        }
    }

    /// Takes note that an object was read and has the right digest.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) if the database does not respond.
    pub async fn add_verified(&mut self, key: &str) -> Result<()> {
        self.verified.push(key.to_owned());
        if self.verified.len() >= VERIFIED { self.record_verified().await } else { Ok(()) }
    }

    /// Records what was verified so far.
    ///
    /// # Errors
    /// Those of [`add_verified`](Self::add_verified).
    pub async fn record_verified(&mut self) -> Result<()> {
        if !self.verified.is_empty() {
            self.app.db.set_verified(&std::mem::take(&mut self.verified)).await?;
        }
        Ok(())
    }

    /// Reports progress to the caller and to the database, if it is time.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) if the database does not respond.
    pub async fn report_progress(&mut self) -> Result<()> {
        if self.reported_at.elapsed() >= PROGRESS_INTERVAL {
            self.reported_at = Instant::now();
            (self.on_progress)(self.report);
            self.app.db.update_fsck_run(self.run_id, &self.report.to_json()?).await?;
        }
        Ok(())
    }
}
