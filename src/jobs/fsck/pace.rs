//! A limit on the bytes that are read per second.

use std::time::Duration;

use tokio::time::Instant;

/// Keeps to a rate. Time in which nothing was read is not made up for.
pub(super) struct Pace {
    rate: u64,
    due: Instant,
}

impl Pace {
    /// `rate` is in bytes per second.
    pub fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), due: Instant::now() }
    }

    /// Waits for as long as reading this many bytes may take.
    pub async fn spend(&mut self, bytes: usize) {
        self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        tokio::time::sleep_until(self.due).await;
    }
}
