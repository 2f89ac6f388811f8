//! Notices jumps of the clock. After one, nothing is deleted for its age until the clock is back, or has kept pace for an
//! hour: what is deleted cannot be restored when it turns out that the clock was wrong.

use std::time::{Duration, Instant};

use crate::app::App;
use crate::db::{JobLease, Micros};
use crate::error::Result;

/// How far a clock may be adjusted without a jump.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How long all servers may have been stopped without a suspicion.
const ABSENCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a clock must keep pace after a jump before it is trusted.
const SETTLING: Duration = Duration::from_secs(60 * 60);

/// The state of the clock check of one job.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    last: Option<Reading>,
    /// Microseconds by which a clock has jumped ahead, until it is trusted again.
    ahead: i64,
    settles_at: Option<Instant>,
}

/// One reading of the clocks, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Reading {
    server: i64,
    database: i64,
    /// This clock never jumps.
    at: Instant,
}

impl Reading {
    /// Microseconds by which a clock is further ahead than the time that has passed since.
    fn ahead_of(&self, last: &Reading) -> i64 {
        let passed = micros(self.at.saturating_duration_since(last.at));
        let [server, database] = [self.server - last.server - passed, self.database - last.database - passed];
        if server.abs() > database.abs() { server } else { database }
    }

    /// Microseconds by which a clock seems to be ahead at the first look: of the other one, as one of them is wrong then,
    /// or of the time for which all servers may have been stopped.
    fn ahead_at_first(&self, last_run: Option<i64>) -> i64 {
        let apart = (self.database - self.server).abs();
        last_run.map_or(0, |run| self.server - run - micros(ABSENCE)).max(apart)
    }
}

impl ClockWatch {
    /// Whether what is due may be deleted.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub async fn is_settled(&mut self, app: &App) -> Result<bool> {
        let database = app.db.clock().await?.0;
        let now = Reading { server: Micros::from(app.clock.now()).0, database, at: Instant::now() };
        let last_run = app.db.last_run(JobLease::Reaper).await?;
        Ok(self.check(now, last_run.map(|run| run.0)))
    }

    /// `last_run` is when a job ran last on any server, which matters for the first look only.
    fn check(&mut self, now: Reading, last_run: Option<i64>) -> bool {
        let jump = match &self.last {
            Some(last) => now.ahead_of(last),
            None => now.ahead_at_first(last_run),
        };
        self.last = Some(now);
        if jump.abs() > micros(TOLERANCE) {
            self.ahead += jump;
            self.settles_at = Some(now.at + SETTLING);
            let seconds = self.ahead / 1_000_000;
            tracing::warn!(seconds, "the clock has jumped: nothing is deleted until it is back or has settled");
        }
        let is_back = self.ahead.abs() <= micros(TOLERANCE);
        if is_back || self.settles_at.is_some_and(|settled| settled <= now.at) {
            (self.ahead, self.settles_at) = (0, None);
        }
        self.settles_at.is_none()
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Clocks of a test, and the time that has really passed.
    struct Clocks {
        started: Instant,
        passed: Duration,
        server: i64,
        database: i64,
    }

    impl Clocks {
        fn new() -> Self {
            Self { started: Instant::now(), passed: Duration::ZERO, server: 0, database: 0 }
        }

        /// The reading after `passed`, in which the clocks were moved by these microseconds as well.
        fn after(&mut self, passed: Duration, server: i64, database: i64) -> Reading {
            self.passed += passed;
            self.server += micros(passed) + server;
            self.database += micros(passed) + database;
            Reading { server: self.server, database: self.database, at: self.started + self.passed }
        }
    }

    #[test]
    fn small_adjustments_do_not_count_as_jumps() {
        let (mut clocks, mut watch) = (Clocks::new(), ClockWatch::default());
        for adjustment in [0, micros(MINUTE), -micros(MINUTE), 0] {
            assert!(watch.check(clocks.after(MINUTE, adjustment, 0), None));
        }
    }

    #[test]
    fn after_a_jump_the_clock_is_trusted_when_it_is_back() {
        for [server, database] in [[micros(40 * DAY), 0], [0, micros(40 * DAY)]] {
            let (mut clocks, mut watch) = (Clocks::new(), ClockWatch::default());
            assert!(watch.check(clocks.after(MINUTE, 0, 0), None));
            assert!(!watch.check(clocks.after(MINUTE, server, database), None));
            assert!(!watch.check(clocks.after(MINUTE, 0, 0), None));
            assert!(watch.check(clocks.after(MINUTE, -server, -database), None));
            assert!(watch.check(clocks.after(MINUTE, 0, 0), None));
        }
    }

    #[test]
    fn after_a_jump_the_clock_is_trusted_when_it_has_kept_pace() {
        let (mut clocks, mut watch) = (Clocks::new(), ClockWatch::default());
        assert!(watch.check(clocks.after(MINUTE, 0, 0), None));
        assert!(!watch.check(clocks.after(MINUTE, micros(DAY), 0), None));
        for _ in 0..59 {
            assert!(!watch.check(clocks.after(MINUTE, 0, 0), None));
        }
        assert!(watch.check(clocks.after(MINUTE, 0, 0), None));
        assert!(watch.check(clocks.after(MINUTE, 0, 0), None));
    }

    #[test]
    fn a_server_that_starts_long_after_the_last_run_waits() {
        for (stopped, is_trusted) in [(DAY, true), (40 * DAY, false)] {
            let (mut clocks, mut watch) = (Clocks::new(), ClockWatch::default());
            let first = clocks.after(stopped, 0, 0);
            assert_eq!(watch.check(first, Some(0)), is_trusted);
            assert_eq!(watch.check(clocks.after(MINUTE, 0, 0), Some(0)), is_trusted);
        }
    }

    #[test]
    fn a_server_that_starts_while_one_clock_is_ahead_of_the_other_waits() {
        for [server, database] in [[0, micros(40 * DAY)], [micros(40 * DAY), 0]] {
            for last_run in [None, Some(0)] {
                let (mut clocks, mut watch) = (Clocks::new(), ClockWatch::default());
                assert!(!watch.check(clocks.after(MINUTE, server, database), last_run));
                assert!(!watch.check(clocks.after(MINUTE, 0, 0), last_run));
                assert!(watch.check(clocks.after(MINUTE, -server, -database), last_run));
            }
        }
    }
}
