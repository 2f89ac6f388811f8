//! `strongroom reap`: one run of the reaper.

use super::{Failure, print};
use crate::app::App;
use crate::jobs::reaper;

pub(super) async fn run(app: &App) -> Result<(), Failure> {
    let report = reaper::run_once(app).await?;
    print(&format!("{report}\n"))?;
    match report.failed {
        _ if report.interrupted => Err(Failure::Runtime("interrupted: another server has taken over".into())),
        0 => Ok(()),
        failed => Err(Failure::Runtime(format!("could not delete {failed} blobs; see the log"))),
    }
}
