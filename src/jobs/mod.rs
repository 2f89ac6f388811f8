//! Work that goes on beside the requests. Any of it may run twice.

pub mod reaper;

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::app::App;

/// Starts the work that repeats itself. It ends when the handle is aborted, which is safe at any moment.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match reaper::run_once(&app).await {
                Ok(report) if report.is_idle() => tracing::debug!(%report, "reaper"),
                Ok(report) => tracing::info!(%report, "reaper"),
                Err(error) => tracing::warn!(%error, "the reaper could not finish its pass"),
            }
            tokio::time::sleep(app.config.reap_interval).await;
        }
    })
}
