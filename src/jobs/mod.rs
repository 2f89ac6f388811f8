//! Background jobs, in every server and as commands. Each may run twice at the same time without damage.

mod erase;
pub mod fsck;
mod lease;
pub mod probe;
pub mod reaper;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::app::App;
use crate::error::{Error, Result};

/// Starts the periodic jobs. They end when the handle is aborted, which is safe at any moment.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
        tokio::join!(reap_periodically(app.clone()), fsck_periodically(app));
    })
}

async fn reap_periodically(app: Arc<App>) {
    let mut runs = JoinSet::new();
    loop {
        // In a task of its own: a panic ends one run, not the reaper.
        runs.spawn({
            let app = app.clone();
            async move { reaper::run_once(&app).await }
        });
        match runs.join_next().await {
            Some(Ok(Ok(report))) if report.interrupted => tracing::warn!(%report, "reaper"),
            Some(Ok(Ok(report))) if report.is_idle() => tracing::debug!(%report, "reaper"),
            Some(Ok(Ok(report))) => tracing::info!(%report, "reaper"),
            Some(Ok(Err(error))) => tracing::warn!(%error, "the reaper could not finish its run"),
            Some(Err(error)) => tracing::error!(%error, "reaper task panicked"),
            None => {}
        }
        tokio::time::sleep(app.config.reap_interval).await;
    }
}

/// Starts scheduled fsck runs. Their findings are in the log; they delete only what an operator put
/// into quarantine. The interval counts from the latest run on any server, so that neither restarts
/// nor additional servers change it.
async fn fsck_periodically(app: Arc<App>) {
    let interval = app.config.fsck.interval;
    let pause = (interval / 10).clamp(Duration::from_secs(1), Duration::from_secs(10 * 60));
    let options = fsck::Options { full: false, rate: app.config.fsck.rate, repair: fsck::Repair::Quarantined };
    let mut runs = JoinSet::new();
    while !interval.is_zero() {
        tokio::time::sleep(pause).await;
        runs.spawn({
            let app = app.clone();
            async move { fsck_if_due(&app, options).await }
        });
        match runs.join_next().await {
            Some(Ok(Err(error))) => tracing::warn!(%error, "fsck could not start"),
            Some(Err(error)) => tracing::error!(%error, "fsck task panicked"),
            _ => {}
        }
    }
}

async fn fsck_if_due(app: &Arc<App>, options: fsck::Options) -> Result<()> {
    if !fsck::is_due(app).await? {
        return Ok(());
    }
    match fsck::start(app, options).await {
        // Another server started it, or an operator.
        Err(Error::FsckRunning) => Ok(()),
        started => {
            started?.run_logged().await;
            Ok(())
        }
    }
}
