//! Units that parties share: each gets at most its part, so that it does not keep others out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Keyed, Party};
use crate::error::{Error, Result};
use crate::waiting::Waiting;

/// The shares of the parties, each of the same number of units.
#[derive(Debug)]
pub struct Shares {
    of_party: Keyed<Party, Semaphore>,
    size: usize,
}

impl Shares {
    /// Shares of `size` units each.
    pub fn new(size: usize) -> Self {
        Self { of_party: Keyed::default(), size: size.min(Semaphore::MAX_PERMITS) }
    }

    /// The number of units that a party has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Waits for units of this party. More than it has are all of them.
    ///
    /// # Errors
    /// [`Error::Internal`], never in practice: the shares are not closed.
    pub async fn acquire(&self, party: Party, units: u32) -> Result<OwnedSemaphorePermit> {
        let units = units.min(u32::try_from(self.size).unwrap_or(u32::MAX));
        let share = self.of_party.get(party, || Semaphore::new(self.size));
        share.acquire_many_owned(units).await.map_err(Error::internal)
    }
}

/// A number of units, and the share of each party.
#[derive(Debug)]
pub struct Shared {
    all: Arc<Semaphore>,
    shares: Shares,
    waiting: Waiting,
}

/// Reserved units; dropping the value releases them.
#[derive(Debug)]
pub struct Reserved {
    of_share: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl Shared {
    /// `total` units, of which one party gets at most `share`.
    pub fn new(total: usize, share: usize) -> Self {
        let all = Arc::new(Semaphore::new(total.min(Semaphore::MAX_PERMITS)));
        Self { all, shares: Shares::new(share), waiting: Waiting::default() }
    }

    /// The number of units that one party gets at most.
    pub fn share(&self) -> usize {
        self.shares.size()
    }

    /// Waits for units: first for those of the party itself, so that it keeps no others waiting meanwhile. More than the
    /// share are the whole share, as the party does not have them twice.
    ///
    /// # Errors
    /// Those of [`Shares::acquire`].
    pub async fn reserve(&self, party: Party, units: u32) -> Result<Reserved> {
        let of_share = self.shares.acquire(party, units).await?;
        let of_all = match self.all.clone().try_acquire_many_owned(units) {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = self.waiting.enter();
                self.all.clone().acquire_many_owned(units).await.map_err(Error::internal)?
            }
        };
        Ok(Reserved { of_share, of_all })
    }

    /// Whether a party waits for units that others have. One that waits for its own is not helped by them.
    pub fn is_contended(&self) -> bool {
        self.waiting.count() > 0
    }
}

impl Reserved {
    /// Releases the units beyond this number.
    pub fn shrink(&mut self, units: usize) {
        for permit in [&mut self.of_share, &mut self.of_all] {
            drop(permit.split(permit.num_permits().saturating_sub(units)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn only_what_waits_for_others_counts() {
        let shared = Shared::new(8, 4);
        let [ann, bob, carl] = [0, 1, 2].map(|id| Party::Account(Uuid::from_u128(id)));
        let mut held = shared.reserve(ann, 4).await.expect("its share");
        let more = async {
            tokio::join!(timeout(MOMENT, shared.reserve(ann, 1)), async {
                tokio::task::yield_now().await;
                shared.is_contended()
            })
        };
        let (more, is_contended) = more.await;
        assert!(more.is_err() && !is_contended, "it waits for itself");
        let _other = shared.reserve(bob, 4).await.expect("another share");
        let (third, is_contended) = tokio::join!(shared.reserve(carl, 1), async {
            tokio::task::yield_now().await;
            let is_contended = shared.is_contended();
            held.shrink(3);
            is_contended
        });
        assert!(third.is_ok() && is_contended);
        assert!(!shared.is_contended());
    }
}
