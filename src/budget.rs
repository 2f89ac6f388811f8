//! Budgets of the process that requests share fairly: the turns of a few workers, and memory.

mod memory;
mod shared;
mod slots;
mod streams;
mod turns;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use uuid::Uuid;

use crate::net::subscriber;

pub use memory::{MemoryBudget, ReservedMemory};
pub use shared::{Reserved, Shared, Shares};
pub use slots::{Slot, SlotTaken, Slots};
pub use streams::{OpenStream, StreamMemory};
pub use turns::{Turn, Turns};

/// Who gets a share of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The account with this id.
    Account(Uuid),
    /// Clients without an account: an IPv4 address, or the /64 network of an IPv6 address.
    Address(IpAddr),
}

impl Party {
    /// A client without an account.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(subscriber(address))
    }
}

/// Values by key. A value exists as long as someone holds it.
#[derive(Debug)]
pub struct Keyed<K, T>(Mutex<HashMap<K, Weak<T>>>);

impl<K, T> Default for Keyed<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T> Keyed<K, T> {
    /// The value of this key, or a new one.
    pub fn get(&self, key: K, new: impl FnOnce() -> T) -> Arc<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        values.retain(|_, value| value.strong_count() > 0);
        let value = Arc::new(new());
        values.insert(key, Arc::downgrade(&value));
        value
    }
}
