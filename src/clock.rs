//! The clock: the real one, and the one that tests move instead of sleeping.
//!
//! Leases are the exception: they are compared by the database's clock alone (the view `clock`),
//! so that several servers agree on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// Tells the time. Clones share the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds that a test moved this clock ahead of the real time; none in service.
    ahead: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that starts at the real time and that [`advance`](Self::advance) moves.
    pub fn movable() -> Self {
        Self { ahead: Some(Arc::default()) }
    }

    /// The time, to the microsecond, as the rows keep it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else uses")]
    pub fn now(&self) -> Timestamp {
        let ahead = self.ahead.as_ref().map_or(0, |ahead| ahead.load(Ordering::Relaxed));
        from_micros(Timestamp::now().as_microsecond() + ahead)
    }

    /// A new id (UUIDv7): later ids sort after earlier ones.
    #[expect(clippy::disallowed_methods, reason = "this is where ids come from")]
    pub fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// Moves a movable clock ahead; the real one stays where it is.
    pub fn advance(&self, by: Duration) {
        if let Some(ahead) = &self.ahead {
            ahead.fetch_add(by.as_micros() as i64, Ordering::Relaxed);
        }
    }
}

/// A row's time: microseconds since 1970. Values out of the calendar become its nearest end.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
