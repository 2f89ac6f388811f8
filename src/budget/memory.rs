//! Memory that requests hold while they wait, counted in KiB.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Keyed, Party};
use crate::error::{Error, Result};
use crate::waiting::Waiting;

const KIB: usize = 1024;

/// The memory of all requests of one kind. One party gets at most a quarter.
#[derive(Debug)]
pub struct MemoryBudget {
    all: Arc<Semaphore>,
    /// KiB of all parties.
    size: usize,
    shares: Keyed<Party, Semaphore>,
    waiting: Waiting,
    /// How long a request may wait for memory.
    timeout: Duration,
}

/// Memory of one request, which dropping it releases.
#[derive(Debug)]
pub struct ReservedMemory {
    of_share: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl ReservedMemory {
    /// Shrinks the reservation to this number of bytes.
    pub fn shrink(&mut self, bytes: usize) {
        for permit in [&mut self.of_share, &mut self.of_all] {
            drop(permit.split(permit.num_permits().saturating_sub(bytes.div_ceil(KIB))));
        }
    }
}

impl MemoryBudget {
    /// `bytes` is the memory of all parties together.
    pub fn new(bytes: u64, timeout: Duration) -> Self {
        let size = usize::try_from(bytes).unwrap_or(usize::MAX) / KIB;
        let size = size.clamp(4, u32::MAX as usize >> 4);
        Self {
            all: Arc::new(Semaphore::new(size)),
            size,
            shares: Keyed::default(),
            waiting: Waiting::default(),
            timeout,
        }
    }

    /// Waits for memory. A request for more than the share of the party gets the whole share.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none becomes free in time.
    pub async fn reserve(&self, party: Party, bytes: usize) -> Result<ReservedMemory> {
        let share = self.size / 4;
        let wanted = bytes.div_ceil(KIB).clamp(1, share) as u32;
        let reserving = async {
            let of_share = self.shares.get(party, || Semaphore::new(share));
            let of_share = of_share.acquire_many_owned(wanted).await.map_err(Error::internal)?;
            // What waits for the memory of its own party is not helped by others that release theirs.
            let _waiting = self.waiting.enter();
            let of_all = self.all.clone().acquire_many_owned(wanted).await.map_err(Error::internal)?;
            Ok(ReservedMemory { of_share, of_all })
        };
        tokio::time::timeout(self.timeout, reserving)
            .await
            .map_err(|late| Error::Unavailable { what: "memory for this request", source: late.into() })?
    }

    /// Whether requests wait for memory of others.
    pub fn is_contended(&self) -> bool {
        self.waiting.count() > 0
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
