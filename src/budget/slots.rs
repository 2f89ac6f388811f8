//! Slots: a number for long work in the whole process, of which each holder has one or a few.

use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Keyed;

/// Slots for long work: a number in the process, of which one holder has at most a part.
#[derive(Debug)]
pub struct Slots<H> {
    of_all: Arc<Semaphore>,
    of_holder: Keyed<H, Semaphore>,
    per_holder: usize,
}

/// A slot, which dropping it releases.
#[derive(Debug)]
pub struct Slot {
    _of_holder: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The reason why no slot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotTaken {
    /// The holder has as many as it may have.
    BySameHolder,
    /// Others have all of them.
    ByOthers,
}

impl<H: Eq + Hash> Slots<H> {
    /// This many slots, of which a holder has at most `per_holder`.
    pub fn new(slots: usize, per_holder: usize) -> Self {
        Self { of_all: Arc::new(Semaphore::new(slots)), of_holder: Keyed::default(), per_holder }
    }

    /// Takes a slot without waiting.
    ///
    /// # Errors
    /// [`SlotTaken`] if none is free.
    pub fn take(&self, holder: H) -> Result<Slot, SlotTaken> {
        let of_holder = self
            .of_holder
            .get(holder, || Semaphore::new(self.per_holder))
            .try_acquire_owned()
            .map_err(|_| SlotTaken::BySameHolder)?;
        let of_all = self.of_all.clone().try_acquire_owned().map_err(|_| SlotTaken::ByOthers)?;
        Ok(Slot { _of_holder: of_holder, _of_all: of_all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_has_one_slot_and_all_have_as_many_as_there_are() {
        let slots = Slots::new(2, 1);
        let first = slots.take("ann").expect("a slot");
        assert_eq!(slots.take("ann").err(), Some(SlotTaken::BySameHolder));
        let _second = slots.take("bob").expect("a slot");
        assert_eq!(slots.take("eve").err(), Some(SlotTaken::ByOthers));
        drop(first);
        slots.take("ann").expect("a slot again");
    }
}
