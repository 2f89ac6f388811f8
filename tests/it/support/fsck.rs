//! Consistency checks of what a test leaves behind.

use strongroom::jobs::fsck::{self, FsckRun, Options, Repair};

use super::TestApp;

pub const CHECK_ONLY: Options = Options { full: false, rate: u64::MAX, repair: Repair::Nothing, accepted_orphans: 0 };

pub async fn run_fsck(app: &TestApp, options: Options) -> FsckRun {
    fsck::start(&app.app, options).await.expect("fsck starts").run(|_| {}).await.expect("fsck finishes")
}

/// Asserts that fsck finds nothing, not even harmless leftovers.
pub async fn assert_clean(app: &TestApp) {
    let run = run_fsck(app, CHECK_ONLY).await;
    assert!(run.clean && run.report.counts.is_empty(), "{run}");
}
