//! The feed of the change log: knows how far it is decided, and wakes those who wait for changes. The rows are in the
//! [database](crate::db), where the order and the completeness of the log are explained.
//!
//! While requests wait, each server looks several times a second for what others have written, in one statement for all
//! who wait; what it wrote itself it notices immediately. Only those wake whose spaces have changed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::{ChangeHorizon, Db};
use crate::error::Result;

/// The time between two looks for changes that other servers have written.
const INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Changes of one look from which on everyone wakes.
const MANY: usize = 10_000;
/// Announcements that a waiting task may miss before it wakes in any case.
const ANNOUNCEMENTS: usize = 64;

/// The feed of one process.
#[derive(Debug)]
pub struct ChangeFeed {
    shared: Arc<Shared>,
    watching: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    db: Db,
    seen: Mutex<Seen>,
    /// Looks that have begun.
    looks: AtomicU64,
    changed: broadcast::Sender<Changed>,
    subscribed: Notify,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Seen {
    horizon: ChangeHorizon,
    /// The change up to which all were announced to those who wait.
    announced: Option<i64>,
}

/// How far the log is known.
#[derive(Debug, Clone, Copy)]
pub struct LogEnd {
    /// Up to this number every change is visible, or never will be.
    pub decided: i64,
    /// No change has a greater number.
    pub drawn: i64,
}

/// The spaces that have changed; `None`: any.
type Changed = Arc<Option<HashSet<Uuid>>>;

impl ChangeFeed {
    /// Starts the task that looks for changes while requests wait. It ends with the feed.
    pub fn new(db: Db) -> Self {
        let shared = Arc::new(Shared {
            db,
            seen: Mutex::default(),
            looks: AtomicU64::new(0),
            changed: broadcast::Sender::new(ANNOUNCEMENTS),
            subscribed: Notify::new(),
            closed: CancellationToken::new(),
        });
        let watching = tokio::spawn(watch(shared.clone())).abort_handle();
        Self { shared, watching }
    }

    /// The end of the log now, and announces what is new.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub async fn look(&self) -> Result<LogEnd> {
        self.shared.look().await
    }

    /// From now on the subscription notices every change that a later [`look`](Self::look) does not.
    pub fn subscribe(&self) -> ChangeSubscription {
        let changed = self.shared.changed.subscribe();
        self.shared.subscribed.notify_one();
        ChangeSubscription { changed, closed: self.shared.closed.clone() }
    }

    /// Wakes all who wait, and makes nobody wait any more: the server stops.
    pub fn close(&self) {
        self.shared.closed.cancel();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }
}

impl Drop for ChangeFeed {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Shared {
    async fn look(&self) -> Result<LogEnd> {
        let begun = self.looks.load(Ordering::Acquire);
        let mut seen = self.seen.lock().await;
        // Another look that began after this call has seen everything that this one would.
        if self.looks.load(Ordering::Acquire) == begun {
            self.looks.fetch_add(1, Ordering::AcqRel);
            self.db.advance_horizon(&mut seen.horizon).await?;
            self.announce(&mut seen).await?;
        }
        Ok(LogEnd { decided: seen.horizon.decided(), drawn: seen.horizon.drawn() })
    }

    /// Announces what was not announced yet: a look may be dropped half-way.
    async fn announce(&self, seen: &mut Seen) -> Result<()> {
        let decided = seen.horizon.decided();
        // Who has subscribed after this reads what is decided by now.
        if let Some(announced) = seen.announced.filter(|announced| *announced < decided)
            && self.changed.receiver_count() > 0
        {
            let spaces = self.db.changed_spaces(announced, decided, MANY).await?;
            let spaces = (spaces.len() < MANY).then(|| spaces.into_iter().collect());
            // It fails if nobody waits any more.
            let _ = self.changed.send(Arc::new(spaces));
        }
        seen.announced = Some(decided);
        Ok(())
    }
}

async fn watch(shared: Arc<Shared>) {
    loop {
        if shared.changed.receiver_count() == 0 {
            shared.subscribed.notified().await;
        }
        if let Err(error) = shared.look().await {
            tracing::debug!(%error, "could not look for changes");
        }
        // What is not decided yet will be in a moment.
        let interval = if shared.seen.lock().await.horizon.is_behind() { PAUSE } else { INTERVAL };
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = shared.db.committed() => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Notices changes while a request waits for them.
#[derive(Debug)]
pub struct ChangeSubscription {
    changed: broadcast::Receiver<Changed>,
    closed: CancellationToken,
}

impl ChangeSubscription {
    /// Waits until something may have changed in one of these spaces, or the server stops.
    pub async fn changed(&mut self, spaces: &[Uuid]) {
        let concerns = |changed: &Changed| match changed.as_ref() {
            Some(changed) => spaces.iter().any(|space| changed.contains(space)),
            None => true,
        };
        loop {
            tokio::select! {
                () = self.closed.cancelled() => return,
                changed = self.changed.recv() => match changed {
                    Ok(changed) if !concerns(&changed) => {}
                    Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                },
            }
        }
    }
}
