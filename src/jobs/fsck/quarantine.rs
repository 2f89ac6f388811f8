//! The quarantine of orphans. Nothing is deleted immediately: a database that was restored from
//! yesterday's backup does not know today's objects, and an operator who notices it within a day
//! loses nothing. An orphan that has a row again, or is gone, leaves the quarantine with the next run.

use super::options::{Options, Repair};
use super::report::{FsckAction, FsckFindingKind, FsckReport};
use super::runner::FsckRunner;
use crate::error::Result;

/// The percentage of objects that may be orphans. More suggest the wrong database or the wrong
/// bucket; an operator who has checked that repeats their number.
const MAX_PERCENT: u64 = 5;

/// Quarantines and deletes the orphans of a run, within its options.
///
/// # Errors
/// [`Error::Unavailable`](crate::error::Error::Unavailable).
pub(super) async fn process_orphans(runner: &mut FsckRunner<'_>) -> Result<()> {
    let (app, repair) = (runner.app, runner.options.repair);
    runner.report.refused = refusal(runner.report, &runner.options);
    let repair = if runner.report.refused.is_some() { Repair::Nothing } else { repair };
    let quarantine = app.config.fsck.quarantine;
    for (orphan, finding) in std::mem::take(&mut runner.orphans) {
        let row = orphan.row();
        let age = match repair {
            Repair::Everything => Some(app.db.insert_orphan(&row).await?),
            Repair::Nothing | Repair::Quarantined => app.db.touch_orphan(&row).await?,
        };
        let is_due = repair != Repair::Nothing && age.is_some_and(|age| age > quarantine);
        let mut action = age.map(|_| FsckAction::Quarantined);
        if is_due && orphan.delete(app).await? {
            app.db.release_orphan(&row).await?;
            runner.report.deleted += 1;
            action = Some(FsckAction::Deleted);
        }
        if let Some(index) = finding {
            runner.report.findings[index].action = action;
        }
        runner.report_progress().await?;
    }
    app.db.release_unseen_orphans(runner.run_id).await?;
    runner.report.quarantined = app.db.count_orphans().await?;
    Ok(())
}

/// The reason why a run must neither quarantine nor delete anything, if any.
fn refusal(report: &FsckReport, options: &Options) -> Option<String> {
    let (orphans, objects) = (report.count(FsckFindingKind::OrphanedObject), report.objects);
    // An empty database has no rows at all, not even those of uploads in progress.
    let is_empty = report.rows == 0 && report.count(FsckFindingKind::OrphanedUpload) > 0;
    let is_many = orphans * 100 > objects * MAX_PERCENT && orphans > options.accepted_orphans;
    let too_many = options.repair != Repair::Nothing && (is_many || is_empty);
    too_many.then(|| {
        format!(
            "{orphans} of {objects} objects are orphans, more than {MAX_PERCENT} in 100: nothing was quarantined or \
             deleted; is this the right database, and the right store? If it is: --accept-orphans {orphans}"
        )
    })
}
