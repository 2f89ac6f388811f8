//! Readiness and diagnostics of a running server. Clients poll readiness often and anonymously, so
//! that concurrent requests share one ping of the database and the store.

pub mod check;
pub mod volume;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::health::check::Check;

/// How long the database and the store may take to respond to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the result of a ping is reused.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// The health of the database and the store.
#[derive(Debug, Default)]
pub struct Health {
    /// `None` until the first probe has ended.
    latest: watch::Sender<Option<CheckReport>>,
    last_ping: Mutex<Option<Ping>>,
    /// Held by the running probe: there is one at a time in a process.
    pub probing: Mutex<()>,
}

/// The result of a probe.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// When the probe ended.
    pub at: Timestamp,
    /// All checks, in the order in which they ran.
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, Copy)]
struct Ping {
    at: Instant,
    failed: Option<&'static str>,
}

impl Health {
    /// The latest report; `None` until the first probe has ended.
    pub fn latest(&self) -> Option<CheckReport> {
        self.latest.borrow().clone()
    }

    /// Records the report of a probe; returns the checks of the one before.
    pub fn record(&self, report: CheckReport) -> Vec<Check> {
        self.latest.send_replace(Some(report)).map(|before| before.checks).unwrap_or_default()
    }

    /// Waits until the first probe has ended.
    pub async fn wait_for_first_check(&self) {
        // It fails only if the sender is dropped, and `self` owns the sender.
        let _ = self.latest.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether the database and the store respond. The result may be one second old; then the two
    /// pings are not sent.
    ///
    /// # Errors
    /// [`Error::Unavailable`] names the one that does not respond.
    pub async fn ready(
        &self,
        database: impl Future<Output = Result<()>>,
        store: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        // Held during the pings, so that concurrent callers share their result.
        let mut last = self.last_ping.lock().await;
        if let Some(ping) = last.filter(|ping| ping.at.elapsed() < CACHE_TTL) {
            return ping.failed.map_or(Ok(()), |what| Err(unavailable(what, "the last ping failed".to_owned())));
        }
        let failure = first_failure(database, store).await;
        *last = Some(Ping { at: Instant::now(), failed: failure.as_ref().map(|(what, _)| *what) });
        failure.map_or(Ok(()), |(what, cause)| Err(unavailable(what, cause)))
    }
}

/// Pings both at the same time; returns which one failed, and why.
async fn first_failure(
    database: impl Future<Output = Result<()>>,
    store: impl Future<Output = Result<()>>,
) -> Option<(&'static str, String)> {
    let (database, store) = tokio::join!(timeout(PING_TIMEOUT, database), timeout(PING_TIMEOUT, store));
    [("database", database), ("store", store)].into_iter().find_map(|(what, response)| match response {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((what, error.cause())),
        Err(_) => Some((what, format!("no response within {PING_TIMEOUT:?}"))),
    })
}

fn unavailable(what: &'static str, cause: String) -> Error {
    Error::Unavailable { what, source: cause.into() }
}
