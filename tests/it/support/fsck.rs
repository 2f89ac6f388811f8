//! Consistency checks that tests make of what they leave.

use strongroom::jobs::fsck::{self, FsckRun, Options, Repair};

use super::TestApp;

pub const LOOK: Options = Options { full: false, rate: u64::MAX, repair: Repair::Nothing };

pub async fn pass(app: &TestApp, options: Options) -> FsckRun {
    fsck::start(&app.app, options).await.expect("a pass").run(|_| {}).await.expect("a whole pass")
}

/// Finds nothing, not even what would do no harm.
pub async fn assert_clean(app: &TestApp) {
    let pass = pass(app, LOOK).await;
    assert!(pass.clean && pass.report.counts.is_empty(), "{pass}");
}
