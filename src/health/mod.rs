//! How the database and the store are doing: asked for often, and by foreign_entries, so that it is
//! looked up once for all who ask at the same time.

pub mod check;
pub mod volume;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::app::App;
use crate::error::{Error, Result};
use crate::health::check::Check;

/// How long the database and the store may take to give a sign of life.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a sign of life, or its absence, is good for.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// What is known.
#[derive(Debug, Default)]
pub struct Health {
    /// What the last probe found; nothing before the first one has ended.
    found: watch::Sender<Option<CheckReport>>,
    last: Mutex<Option<SignOfLife>>,
    /// Held by the probe that is at work.
    pub probing: Mutex<()>,
}

/// What a probe found, and when.
#[derive(Debug, Clone)]
pub struct CheckReport {
    pub at: Timestamp,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, Copy)]
struct SignOfLife {
    at: Instant,
    silent: Option<&'static str>,
}

impl Health {
    /// What the last probe found; `None` before the first one has ended.
    pub fn found(&self) -> Option<CheckReport> {
        self.found.borrow().clone()
    }

    /// Notes what a probe found, and gives what was found before.
    pub fn note(&self, found: CheckReport) -> Vec<Check> {
        self.found.send_replace(Some(found)).map(|before| before.checks).unwrap_or_default()
    }

    /// Waits until a probe has ended.
    pub async fn wait_for_first_check(&self) {
        // It fails when the sender is gone, and that is here.
        let _ = self.found.subscribe().wait_for(Option::is_some).await;
    }
}

impl App {
    /// Whether the database and the store give signs of life, as of a second ago at most.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn ready(&self) -> Result<()> {
        // Held while they are asked: whoever comes meanwhile gets the same answer.
        let mut last = self.health.last.lock().await;
        let (silent, source) = match *last {
            Some(sign) if sign.at.elapsed() < GOOD_FOR => (sign.silent, "it was silent a moment ago".to_owned()),
            _ => {
                let (db, store) = tokio::join!(timeout(PATIENCE, self.db.ping()), timeout(PATIENCE, self.store.ping()));
                let silence =
                    [("database", db), ("store", store)].into_iter().find_map(|(what, answer)| match answer {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some((what, error.cause())),
                        Err(_) => Some((what, "no sign of life in time".to_owned())),
                    });
                let (silent, source) = silence.unzip();
                *last = Some(SignOfLife { at: Instant::now(), silent });
                (silent, source.unwrap_or_default())
            }
        };
        match silent {
            None => Ok(()),
            Some(what) => Err(Error::Unavailable { what, source: source.into() }),
        }
    }
}
