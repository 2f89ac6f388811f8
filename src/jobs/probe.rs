//! Runs the quick checks of `strongroom doctor` in the server. The results are in the log and at
//! `/readyz`, and the store adapts to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;
use crate::health::CheckReport;
use crate::health::check::{Check, Outcome, ProbeLevel, ProbeOptions};

/// Checks whose results the store adapts to. A busy store leaves them without a result.
const LEARNED: [&str; 3] = ["store.conditions", "store.checksums", "store.private"];
/// The longest pause between two probes, unless the reap interval is longer.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Probes now, and again with growing pauses for as long as a check fails or has no result.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut pause = app.config.reap_interval;
        loop {
            // In a task of its own, which continues when this one is aborted: a probe deletes at its
            // end what it wrote to the store.
            let probe = tokio::spawn({
                let app = app.clone();
                async move { run_once(&app).await }
            });
            match probe.await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "probe task panicked"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE.max(app.config.reap_interval));
        }
    })
}

/// Probes once; returns whether everything is known and nothing failed. Concurrent calls in one
/// process run one after the other.
pub async fn run_once(app: &App) -> bool {
    let _guard = app.health.probing.lock().await;
    let options =
        ProbeOptions { level: ProbeLevel::Quick, clock: app.clock.clone(), public_url: app.config.public_url.clone() };
    let (db, store) = tokio::join!(app.db.probe(&options), app.store.probe(&options));
    let checks = [db, store].concat();
    let before = app.health.record(CheckReport { at: app.clock.now(), checks: checks.clone() });
    for check in &checks {
        let known = before.iter().find(|known| known.name == check.name).map(|known| known.outcome);
        if known != Some(check.outcome) {
            log(check, known);
        }
    }
    let is_unknown = |check: &Check| check.outcome == Outcome::Skipped && LEARNED.contains(&check.name);
    !checks.iter().any(|check| check.has_failed() || is_unknown(check))
}

/// Logs a check whose outcome has changed.
fn log(check: &Check, before: Option<Outcome>) {
    let Check { name, action, observed, remedy, .. } = check;
    match check.outcome {
        Outcome::Failed => tracing::error!(name, action, observed, remedy, "check failed"),
        Outcome::Warning => tracing::warn!(name, action, observed, remedy, "check warning"),
        Outcome::Ok if before.is_some() => tracing::info!(name, observed, "check recovered"),
        Outcome::Ok | Outcome::Skipped => tracing::debug!(name, action, observed, "check"),
    }
}
