//! Background jobs, in every server and as commands. Each may run twice at the same time without damage.

mod clock_watch;
mod erase;
pub mod fsck;
mod lease;
pub mod probe;
pub mod reaper;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::app::App;
use crate::db::JobLease;
use crate::error::{Error, Result};

use self::clock_watch::ClockWatch;

/// Starts the periodic jobs. They end when the handle is aborted, which is safe at any moment.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
        tokio::join!(reap_periodically(app.clone()), fsck_periodically(app));
    })
}

async fn reap_periodically(app: Arc<App>) {
    let (mut runs, mut watch) = (JoinSet::new(), ClockWatch::default());
    loop {
        let is_settled = watch.is_settled(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the reaper could not compare the clocks");
            false
        });
        // In a task of its own: a panic ends one run, not the reaper.
        if is_settled {
            runs.spawn({
                let app = app.clone();
                async move { reap_recorded(&app).await }
            });
        }
        match runs.join_next().await {
            Some(Ok(Ok(report))) if report.interrupted => tracing::warn!(%report, "reaper"),
            Some(Ok(Ok(report))) if report.is_idle() => tracing::debug!(%report, "reaper"),
            Some(Ok(Ok(report))) => tracing::info!(%report, "reaper"),
            Some(Ok(Err(error))) => tracing::warn!(%error, "reaper run failed"),
            Some(Err(error)) => tracing::error!(%error, "reaper task panicked"),
            None => {}
        }
        tokio::time::sleep(app.config.reap_interval).await;
    }
}

/// Runs the reaper, and then records when, so that the next server knows how long all were stopped.
async fn reap_recorded(app: &App) -> Result<reaper::ReaperReport> {
    let report = reaper::run_once(app).await?;
    app.db.record_run(JobLease::Reaper, app.clock.now()).await?;
    Ok(report)
}

/// Starts scheduled fsck runs. Their findings are in the log; they delete only what an operator put
/// into quarantine. The interval counts from the latest run on any server, so that neither restarts
/// nor additional servers change it.
async fn fsck_periodically(app: Arc<App>) {
    let interval = app.config.fsck.interval;
    let pause = (interval / 10).clamp(Duration::from_secs(1), Duration::from_secs(10 * 60));
    let (mut runs, mut watch) = (JoinSet::new(), ClockWatch::default());
    while !interval.is_zero() {
        tokio::time::sleep(pause).await;
        let repair = match watch.is_settled(&app).await {
            Ok(true) => fsck::Repair::Quarantined,
            _ => fsck::Repair::Nothing,
        };
        let options = fsck::Options { full: false, rate: app.config.fsck.rate, repair, accepted_orphans: 0 };
        runs.spawn({
            let app = app.clone();
            async move { fsck_if_due(&app, options).await }
        });
        match runs.join_next().await {
            Some(Ok(Err(error))) => tracing::warn!(%error, "could not start fsck"),
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
