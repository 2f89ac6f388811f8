//! Memory for the bytes on their way to the bucket: one budget for all uploads of the process.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::store::{MAX_PARTS, SMALLEST_PART};

/// The unit of the semaphore, whose counts are 32 bits wide.
const KIB: u64 = 1024;

/// An upload reserves the whole of a part *before* it fills it. Half-filled parts that wait for each
/// other's memory can then not exist; who finds nothing left waits, and so does its client.
#[derive(Debug)]
pub(super) struct Budget {
    semaphore: Arc<Semaphore>,
    memory: u64,
    part_size: u64,
    /// What is left of each owner's share, as long as the owner has uploads.
    shares: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
    share: usize,
    /// Uploads that wait for memory.
    waiting: AtomicUsize,
    patience: Duration,
}

impl Budget {
    /// # Errors
    /// [`Error::Setup`] if one part does not fit, or is smaller than S3 takes.
    pub fn new(memory: u64, part_size: u64, patience: Duration) -> Result<Self> {
        if part_size < SMALLEST_PART {
            return Err(Error::Setup(format!("parts must have at least {SMALLEST_PART} bytes")));
        }
        if memory < part_size {
            let text = format!("uploads need memory for one part at least: {part_size} bytes");
            return Err(Error::Setup(text));
        }
        // The last quarter is for what the connections hold beside the parts: what came deadline the
        // part's end, and the rest of the buffers that its pieces are cut from.
        let memory = (memory - memory / 4).max(part_size);
        let permits = usize::try_from(memory / KIB).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let semaphore = Arc::new(Semaphore::new(permits));
        // A quarter, so that the slow uploads of one owner leave room for everybody else's.
        let share = usize::try_from(part_size / KIB).unwrap_or(usize::MAX).max(permits / 4);
        let (shares, waiting) = (Mutex::default(), AtomicUsize::new(0));
        Ok(Self { semaphore, memory, part_size, shares, share, waiting, patience })
    }

    /// The size of the parts of an upload: all are equal, but for the last. Big uploads get bigger
    /// parts; one of unknown length keeps to the plain size, of which 10,000 is the most.
    ///
    /// # Errors
    /// `TooLarge` if such a part does not fit into the memory.
    pub fn part_size(&self, size: Option<u64>) -> Result<u64> {
        let needed = size.unwrap_or(0).div_ceil(MAX_PARTS).next_multiple_of(KIB);
        if needed > self.memory {
            return Err(Error::TooLarge { limit: self.memory / KIB * KIB * MAX_PARTS });
        }
        Ok(needed.max(self.part_size))
    }

    /// Waits for the memory of the owner's next part, of which at most `left` bytes are to come.
    ///
    /// # Errors
    /// None in service.
    pub async fn reserve(&self, owner: &Share, part_size: u64, left: Option<u64>) -> Result<Reserved> {
        let bytes = left.unwrap_or(part_size).min(part_size);
        let permits = u32::try_from(bytes.div_ceil(KIB).max(1)).map_err(Error::internal)?;
        // A part that is bigger than the share takes all of it, and no more than its owner can have.
        let of_share = permits.min(u32::try_from(self.share).unwrap_or(u32::MAX));
        let of_share = owner.0.clone().acquire_many_owned(of_share).await.map_err(Error::internal)?;
        let of_all = match self.semaphore.clone().try_acquire_many_owned(permits) {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiter::new(&self.waiting);
                self.semaphore.clone().acquire_many_owned(permits).await.map_err(Error::internal)?
            }
        };
        Ok(Reserved { _of_share: of_share, _of_all: of_all })
    }

    /// What one owner may have of the memory.
    pub fn share(&self, owner: Uuid) -> Share {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&owner).and_then(Weak::upgrade) {
            return Share(share);
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(owner, Arc::downgrade(&share));
        Share(share)
    }

    /// Fills reserved memory. A client may be as slow as it likes as long as nobody waits; when
    /// somebody does, one part may take the client `patience` and no longer, so that a few slow
    /// clients cannot keep everybody else out.
    ///
    /// # Errors
    /// What `filling` fails with; `BodyStalled` if it was too slow while others waited.
    pub async fn fill<T>(&self, filling: impl Future<Output = Result<T>>) -> Result<T> {
        let mut filling = pin!(filling);
        loop {
            match tokio::time::timeout(self.patience, &mut filling).await {
                Ok(filled) => return filled,
                Err(_) if self.waiting.load(Ordering::Relaxed) > 0 => return Err(Error::BodyStalled),
                Err(_) => {}
            }
        }
    }
}

/// One owner's share of the memory.
#[derive(Debug, Clone)]
pub(super) struct Share(Arc<Semaphore>);

/// Memory for one part, until it is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    _of_share: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// One upload that waits, until it is dropped.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(5);
    const MIB: u64 = 1024 * 1024;

    #[test]
    fn parts_grow_so_that_ten_thousand_suffice() {
        let budget = Budget::new(100 * MIB, 8 * MIB, PATIENCE).unwrap();
        assert_eq!(budget.part_size(None).unwrap(), 8 * MIB);
        assert_eq!(budget.part_size(Some(80_000 * MIB)).unwrap(), 8 * MIB);
        for size in [80_000 * MIB + 1, 500_000 * MIB, 750_000 * MIB] {
            let part = budget.part_size(Some(size)).unwrap();
            assert!(part > 8 * MIB && part <= 75 * MIB && part * MAX_PARTS >= size);
        }
        assert!(matches!(budget.part_size(Some(750_000 * MIB + 1)), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn one_part_must_fit() {
        assert!(matches!(Budget::new(8 * MIB - 1, 8 * MIB, PATIENCE), Err(Error::Setup(_))));
        assert!(matches!(Budget::new(8 * MIB, 5 * MIB - 1, PATIENCE), Err(Error::Setup(_))));
    }

    #[tokio::test]
    async fn a_slow_client_makes_room_for_those_who_wait_and_for_nobody_else() {
        let budget = Budget::new(8 * MIB, 8 * MIB, PATIENCE).unwrap();
        let (share, other) = (budget.share(Uuid::nil()), budget.share(Uuid::max()));
        let held = budget.reserve(&share, 8 * MIB, None).await.unwrap();
        let slow = budget.fill(async {
            tokio::time::sleep(PATIENCE * 4).await;
            Ok(())
        });
        assert!(slow.await.is_ok());

        let dripping = async {
            let outcome = budget.fill(std::future::pending::<Result<()>>()).await;
            drop(held);
            outcome
        };
        let (slow, waiter) = tokio::join!(dripping, budget.reserve(&other, 8 * MIB, None));
        assert!(matches!(slow, Err(Error::BodyStalled)));
        assert!(waiter.is_ok());
    }

    #[tokio::test]
    async fn one_owner_leaves_room_for_the_others() {
        let budget = Budget::new(32 * MIB, 8 * MIB, PATIENCE).unwrap();
        let (greedy, modest) = (budget.share(Uuid::nil()), budget.share(Uuid::max()));
        let _held = budget.reserve(&greedy, 8 * MIB, None).await.unwrap();
        let same = budget.share(Uuid::nil());
        let more = tokio::time::timeout(PATIENCE, budget.reserve(&same, 8 * MIB, None));
        assert!(more.await.is_err());
        budget.reserve(&modest, 8 * MIB, None).await.unwrap();
    }
}
