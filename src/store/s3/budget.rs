//! The memory budget of uploads to the bucket, shared by all uploads of the process.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::budget::{Party, Reserved, Shared};
use crate::error::{Error, Result};
use crate::store::{MAX_PARTS, SMALLEST_PART};

/// The unit of the semaphore, whose counts are 32 bits wide.
const KIB: u64 = 1024;

/// An upload reserves the memory of a whole part *before* it fills it. Partially filled parts that
/// wait for each other's memory cannot exist; an upload that finds none left waits, and so does its client.
#[derive(Debug)]
pub(super) struct Budget {
    kib: Shared,
    /// In bytes.
    memory: u64,
    /// In bytes.
    part_size: u64,
    /// How long filling one part may take while others wait.
    stall_timeout: Duration,
}

impl Budget {
    /// `memory` and `part_size` are in bytes.
    ///
    /// # Errors
    /// [`Error::Setup`] if one part does not fit, or is smaller than S3 accepts.
    pub fn new(memory: u64, part_size: u64, stall_timeout: Duration) -> Result<Self> {
        if part_size < SMALLEST_PART {
            return Err(Error::Setup(format!("the part size must be at least {SMALLEST_PART} bytes")));
        }
        if memory < part_size {
            let text = format!("the upload memory must hold at least one part of {part_size} bytes");
            return Err(Error::Setup(text));
        }
        // A quarter is left for what connections hold in addition: bytes beyond the end of a part, and
        // the unused rest of the buffers that its chunks are slices of.
        let memory = (memory - memory / 4).max(part_size);
        let permits = usize::try_from(memory / KIB).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        // A quarter, so that slow uploads of one owner do not block those of all others.
        let share = usize::try_from(part_size / KIB).unwrap_or(usize::MAX).max(permits / 4);
        Ok(Self { kib: Shared::new(permits, share), memory, part_size, stall_timeout })
    }

    /// The part size of an upload of `size` bytes. All parts but the last are equal. Large uploads
    /// have larger parts; one of unknown size has the configured part size, and at most 10,000 parts.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if such a part does not fit into the memory.
    pub fn part_size(&self, size: Option<u64>) -> Result<u64> {
        let needed = size.unwrap_or(0).div_ceil(MAX_PARTS).next_multiple_of(KIB);
        if needed > self.memory {
            return Err(Error::TooLarge { limit: self.memory / KIB * KIB * MAX_PARTS });
        }
        Ok(needed.max(self.part_size))
    }

    /// Waits for the memory of the owner's next part, which has at most `left` bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] if the part is larger than 4 TiB.
    pub async fn reserve(&self, owner: Uuid, part_size: u64, left: Option<u64>) -> Result<Reserved> {
        let bytes = left.unwrap_or(part_size).min(part_size);
        let permits = u32::try_from(bytes.div_ceil(KIB).max(1)).map_err(Error::internal)?;
        self.kib.reserve(Party::Account(owner), permits).await
    }

    /// Fills reserved memory. The client may be slow for as long as no upload waits for memory;
    /// while one does, a part must arrive within the stall timeout, so that a few slow clients
    /// cannot block all others.
    ///
    /// # Errors
    /// The error of `filling`; [`Error::BodyStalled`] if it was too slow while others waited.
    pub async fn fill<T>(&self, filling: impl Future<Output = Result<T>>) -> Result<T> {
        let mut filling = pin!(filling);
        loop {
            match tokio::time::timeout(self.stall_timeout, &mut filling).await {
                Ok(filled) => return filled,
                Err(_) if self.kib.is_contended() => return Err(Error::BodyStalled),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(5);
    const MIB: u64 = 1024 * 1024;

    #[test]
    fn parts_of_large_uploads_grow_so_that_ten_thousand_suffice() {
        let budget = Budget::new(100 * MIB, 8 * MIB, TIMEOUT).unwrap();
        assert_eq!(budget.part_size(None).unwrap(), 8 * MIB);
        assert_eq!(budget.part_size(Some(80_000 * MIB)).unwrap(), 8 * MIB);
        for size in [80_000 * MIB + 1, 500_000 * MIB, 750_000 * MIB] {
            let part = budget.part_size(Some(size)).unwrap();
            assert!(part > 8 * MIB && part <= 75 * MIB && part * MAX_PARTS >= size);
        }
        assert!(matches!(budget.part_size(Some(750_000 * MIB + 1)), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_budget_below_one_part_is_a_configuration_error() {
        assert!(matches!(Budget::new(8 * MIB - 1, 8 * MIB, TIMEOUT), Err(Error::Setup(_))));
        assert!(matches!(Budget::new(8 * MIB, 5 * MIB - 1, TIMEOUT), Err(Error::Setup(_))));
    }

    #[tokio::test]
    async fn a_slow_client_is_stalled_only_while_others_wait() {
        let budget = Budget::new(8 * MIB, 8 * MIB, TIMEOUT).unwrap();
        let (owner, other) = (Uuid::nil(), Uuid::max());
        let held = budget.reserve(owner, 8 * MIB, None).await.unwrap();
        let slow = budget.fill(async {
            tokio::time::sleep(TIMEOUT * 4).await;
            Ok(())
        });
        assert!(slow.await.is_ok());

        let dripping = async {
            let outcome = budget.fill(std::future::pending::<Result<()>>()).await;
            drop(held);
            outcome
        };
        let (slow, waiter) = tokio::join!(dripping, budget.reserve(other, 8 * MIB, None));
        assert!(matches!(slow, Err(Error::BodyStalled)));
        assert!(waiter.is_ok());
    }

    #[tokio::test]
    async fn one_owner_cannot_reserve_all_memory() {
        let budget = Budget::new(32 * MIB, 8 * MIB, TIMEOUT).unwrap();
        let (greedy, modest) = (Uuid::nil(), Uuid::max());
        let _held = budget.reserve(greedy, 8 * MIB, None).await.unwrap();
        let more = tokio::time::timeout(TIMEOUT, budget.reserve(greedy, 8 * MIB, None));
        assert!(more.await.is_err());
        budget.reserve(modest, 8 * MIB, None).await.unwrap();
    }
}
