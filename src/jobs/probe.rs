//! The quick part of what `strongroom doctor` tries, by the server itself: what it finds is in the
//! log and at `/readyz`, and the store learns from it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;
use crate::health::CheckReport;
use crate::health::check::{Check, Outcome, ProbeLevel, ProbeOptions};

/// What the store has to learn once. A store that was busy leaves it open.
const LEARNED: [&str; 3] = ["store.conditions", "store.checksums", "store.private"];
/// The longest time between two looks.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Looks now, and again as long as something is wrong or not known yet, less and less often.
pub fn spawn(app: Arc<App>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut pause = app.config.reap_interval;
        loop {
            // In a task of its own, which goes on when this one is aborted: a probe puts things
            // into the store, and takes them away at its end.
            let look = tokio::spawn({
                let app = app.clone();
                async move { run_once(&app).await }
            });
            match look.await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the probe broke down"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PATIENCE.max(app.config.reap_interval));
        }
    })
}

/// Looks once, and tells whether there is no need to look again. In a process only one looks at a time.
pub async fn run_once(app: &App) -> bool {
    let _alone = app.health.probing.lock().await;
    let probing =
        ProbeOptions { depth: ProbeLevel::Quick, clock: app.clock.clone(), public_url: app.config.public_url.clone() };
    let (db, store) = tokio::join!(app.db.probe(&probing), app.store.probe(&probing));
    let checks = [db, store].concat();
    let before = app.health.note(CheckReport { at: app.clock.now(), checks: checks.clone() });
    for check in &checks {
        let known = before.iter().find(|known| known.name == check.name).map(|known| known.outcome);
        if known != Some(check.outcome) {
            log(check, known);
        }
    }
    let is_open = |check: &Check| check.outcome == Outcome::Skipped && LEARNED.contains(&check.name);
    !checks.iter().any(|check| check.has_failed() || is_open(check))
}

fn log(check: &Check, before: Option<Outcome>) {
    let Check { name, action, came_back, what_to_do, .. } = check;
    match check.outcome {
        Outcome::Failed => tracing::error!(name, action, came_back, what_to_do, "a check failed"),
        Outcome::Warning => tracing::warn!(name, action, came_back, what_to_do, "a check"),
        Outcome::Ok if before.is_some() => tracing::info!(name, came_back, "a check is well again"),
        Outcome::Ok | Outcome::Skipped => tracing::debug!(name, action, came_back, "a check"),
    }
}
