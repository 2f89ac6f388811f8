//! Work that goes on beside the requests. Any of it may run twice.

pub mod reaper;

use std::sync::Arc;

use tokio::task::{JoinHandle, JoinSet};

use crate::app::App;

/// Starts the work that repeats itself. It ends when the handle is aborted, which is safe at any moment.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
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
    })
}
