//! Memory that requests hold while they wait, counted in KiB.

use std::time::Duration;

use super::{Party, Reserved, Shared};
use crate::error::{Error, Result};

const KIB: usize = 1024;

/// The memory of all requests of one kind. One party gets at most a quarter.
#[derive(Debug)]
pub struct MemoryBudget {
    kib: Shared,
    /// How long a request may wait for memory.
    timeout: Duration,
}

/// Memory of one request, which dropping it releases.
#[derive(Debug)]
pub struct ReservedMemory(Reserved);

impl ReservedMemory {
    /// Releases what is not needed for this number of bytes.
    pub fn shrink(&mut self, bytes: usize) {
        self.0.shrink(bytes.div_ceil(KIB));
    }
}

impl MemoryBudget {
    /// `bytes` is the memory of all parties together.
    pub fn new(bytes: u64, timeout: Duration) -> Self {
        let size = usize::try_from(bytes).unwrap_or(usize::MAX) / KIB;
        let size = size.clamp(4, u32::MAX as usize >> 4);
        Self { kib: Shared::new(size, size / 4), timeout }
    }

    /// Waits for memory. A request for more than the share of the party gets the whole share.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none becomes free in time.
    pub async fn reserve(&self, party: Party, bytes: usize) -> Result<ReservedMemory> {
        let wanted = bytes.div_ceil(KIB).clamp(1, self.kib.share()) as u32;
        let reserved = tokio::time::timeout(self.timeout, self.kib.reserve(party, wanted)).await;
        let unavailable = |late| Error::Unavailable { what: "memory for this request", source: Box::new(late) };
        reserved.map_err(unavailable)?.map(ReservedMemory)
    }

    /// Whether requests wait for memory that other parties have.
    pub fn is_contended(&self) -> bool {
        self.kib.is_contended()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn one_party_gets_a_quarter_and_others_what_is_left() {
        let budget = MemoryBudget::new(64 * 1024, Duration::from_millis(5));
        let (greedy, modest) = (Party::Account(Uuid::nil()), Party::Account(Uuid::max()));
        let mut held = budget.reserve(greedy, 1024 * 1024).await.expect("the whole share");
        assert!(matches!(budget.reserve(greedy, 1).await, Err(Error::Unavailable { .. })));
        budget.reserve(modest, 16 * 1024).await.expect("another share");
        held.shrink(15 * 1024);
        budget.reserve(greedy, 1).await.expect("released");
        assert!(matches!(budget.reserve(greedy, 1025).await, Err(Error::Unavailable { .. })));
    }
}
