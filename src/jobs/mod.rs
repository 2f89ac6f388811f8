//! Work that goes on beside the requests. Any of it may run twice.

mod erase;
pub mod fsck;
pub mod probe;
pub mod reaper;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, Result};

/// Starts the work that repeats itself. It ends when the handle is aborted, which is safe at any moment.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
        tokio::join!(reap(app.clone()), check(app));
    })
}

async fn reap(app: Arc<App>) {
    let mut passes = JoinSet::new();
    loop {
        // In a task of its own: a panic ends one pass, not the reaper.
        passes.spawn({
            let app = app.clone();
            async move { reaper::run_once(&app).await }
        });
        match passes.join_next().await {
            Some(Ok(Ok(report))) if report.is_idle() => tracing::debug!(%report, "reaper"),
            Some(Ok(Ok(report))) => tracing::info!(%report, "reaper"),
            Some(Ok(Err(error))) => tracing::warn!(%error, "the reaper could not finish its pass"),
            Some(Err(error)) => tracing::error!(%error, "the reaper broke down"),
            None => {}
        }
        tokio::time::sleep(app.config.reap_interval).await;
    }
}

/// Renews a duty for as long as it can be renewed; ends when somebody else has it.
async fn until_lost(app: &App, duty: &str, holder: Uuid, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match app.db.acquire_job_lease(duty, holder, lease).await {
            Ok(true) => {}
            Ok(false) => return,
            // The next try comes before the lease is over.
            Err(error) => tracing::warn!(%error, duty, "a duty could not be renewed"),
        }
    }
}

/// Makes the passes of fsck that nobody asks for. What they find is in the log; they remove only
/// what somebody put into quarantine. The interval counts from the last pass, on whichever server,
/// so that neither restarts nor more servers change it.
async fn check(app: Arc<App>) {
    let interval = app.config.fsck.interval;
    let look = (interval / 10).clamp(Duration::from_secs(1), Duration::from_secs(10 * 60));
    let options = fsck::Options { full: false, rate: app.config.fsck.rate, repair: fsck::Repair::Quarantined };
    let mut passes = JoinSet::new();
    while !interval.is_zero() {
        tokio::time::sleep(look).await;
        passes.spawn({
            let app = app.clone();
            async move { if_due(&app, options).await }
        });
        match passes.join_next().await {
            Some(Ok(Err(error))) => tracing::warn!(%error, "fsck could not begin its pass"),
            Some(Err(error)) => tracing::error!(%error, "fsck broke down"),
            _ => {}
        }
    }
}

async fn if_due(app: &Arc<App>, options: fsck::Options) -> Result<()> {
    if !fsck::is_due(app).await? {
        return Ok(());
    }
    match fsck::begin(app, options).await {
        // Another server is at it, or a person.
        Err(Error::FsckRunning) => Ok(()),
        accepted => {
            accepted?.run_logged().await;
            Ok(())
        }
    }
}
