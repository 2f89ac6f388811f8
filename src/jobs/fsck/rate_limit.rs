//! Rate limit of reads.

use std::time::Duration;

use tokio::time::Instant;

/// A rate limit without bursts: idle time does not accumulate.
pub(super) struct RateLimit {
    rate: u64,
    due: Instant,
}

impl RateLimit {
    /// `rate` is in bytes per second.
    pub fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), due: Instant::now() }
    }

    /// Waits until this many more bytes may be read.
    pub async fn acquire(&mut self, bytes: usize) {
        self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        tokio::time::sleep_until(self.due).await;
    }
}
