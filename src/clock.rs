//! The clock: the real one, and one that tests advance instead of sleeping.
//!
//! Leases do not use it: they are compared by the clock of the database (the view `clock`), so that all servers agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The source of the current time. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds by which a test has advanced it; `None` in production.
    ahead: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that starts at the real time, and can be [advanced](Self::advance).
    pub fn movable() -> Self {
        Self { ahead: Some(Arc::default()) }
    }

    /// The current time in whole microseconds, the precision of the database.
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

    /// Advances a movable clock. Has no effect on the real one.
    pub fn advance(&self, by: Duration) {
        if let Some(ahead) = &self.ahead {
            ahead.fetch_add(by.as_micros() as i64, Ordering::Relaxed);
        }
    }
}

/// The time in a row: microseconds since 1970. Values outside of the calendar become its nearest end.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The time `by` before `time`; at least the start of the calendar.
pub fn before(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    from_micros(time.as_microsecond().saturating_sub(micros))
}

/// The lifetime that a request wants, of whatever expires.
///
/// # Errors
/// [`Error::Invalid`] at `/expires_in` if it is zero or longer than `max`.
pub fn checked_lifetime(wanted: Duration, max: Duration) -> Result<Duration> {
    if wanted.is_zero() || wanted > max {
        let detail = format!("from 1 to {} seconds", max.as_secs());
        return Err(Error::invalid("/expires_in", "out_of_range", detail));
    }
    Ok(wanted)
}

/// The time `by` after `time`; at most the end of the calendar.
pub fn deadline(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    from_micros(time.as_microsecond().saturating_add(micros))
}
