//! Cache of callers, so that a burst of requests queries the database once.
//!
//! A change that ends a session or a token, or changes an account, clears the cache, and is effective on this server
//! when its response is sent. Changes by other processes, or by a client that disconnected before the response, are
//! effective when the entry expires, after `session_cache_ttl` at most.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{CallerRow, Micros};

/// Maximum number of entries. The cache is cleared before it exceeds it.
const CAPACITY: usize = 8192;

/// Whether a caller may be taken from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    /// From the cache, if it is there.
    Allowed,
    /// Always from the database.
    Never,
}

/// The hash of a secret, as it is stored.
type Hash = [u8; 32];

#[derive(Debug)]
pub(super) struct CallerCache {
    ttl: Micros,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// How often the cache was cleared. What was queried before must not be added after it.
    epoch: u64,
    /// Callers, with the time at which they were queried.
    callers: HashMap<Hash, (Micros, CallerRow)>,
}

/// Permission to add what a query is about to return.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheMiss {
    epoch: u64,
    now: Micros,
}

impl CallerCache {
    pub fn new(ttl: Duration) -> Self {
        Self { ttl: ttl.into(), entries: Mutex::default() }
    }

    /// The caller with this secret, if it is cached.
    pub fn get(&self, hash: &Hash, now: Timestamp, policy: CachePolicy) -> Result<CallerRow, CacheMiss> {
        let (entries, now) = (self.entries(), Micros::from(now));
        let cached = entries.callers.get(hash).filter(|(queried_at, caller)| {
            // The clock may have been set back.
            let is_fresh = (Micros(0)..self.ttl).contains(&(now - *queried_at));
            is_fresh && caller.expires_at.is_none_or(|end| now < end)
        });
        match cached {
            Some((_, caller)) if policy == CachePolicy::Allowed => Ok(caller.clone()),
            _ => Err(CacheMiss { epoch: entries.epoch, now }),
        }
    }

    /// Adds the result of a query. Users who must change their password are not cached: the new one is effective on
    /// every server when it is set.
    pub fn put(&self, miss: CacheMiss, hash: &Hash, caller: &CallerRow) {
        if self.ttl == Micros(0) || caller.user.must_change_password {
            return;
        }
        // The use is recorded by the request that queried the database, not by requests that are served from the cache.
        let caller = CallerRow { last_used_at: Some(miss.now), ..caller.clone() };
        let mut entries = self.entries();
        if entries.epoch == miss.epoch {
            if entries.callers.len() >= CAPACITY {
                entries.callers.clear();
            }
            entries.callers.insert(*hash, (miss.now, caller));
        }
    }

    /// Clears the cache: after every transaction that ends a credential or changes an account, also if it is unknown
    /// whether it was committed.
    pub fn clear(&self) {
        let mut entries = self.entries();
        entries.epoch += 1;
        entries.callers.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::UserRow;
    use super::*;

    fn time(micros: i64) -> Timestamp {
        Micros(micros).into()
    }

    fn caller(expires_at: Option<Micros>) -> CallerRow {
        let user = UserRow {
            id: Uuid::nil(),
            email: "a@example.org".into(),
            name: "A".into(),
            is_admin: false,
            must_change_password: false,
            disabled_at: None,
            created_at: Micros(0),
            updated_at: Micros(0),
        };
        CallerRow { user, credential_id: Uuid::nil(), last_used_at: None, expires_at }
    }

    #[test]
    fn a_caller_is_cached_for_the_ttl_and_never_after_its_expiry() {
        let callers = CallerCache::new(Duration::from_secs(1));
        let miss = callers.get(&[1; 32], time(10_000_000), CachePolicy::Allowed).unwrap_err();
        callers.put(miss, &[1; 32], &caller(None));
        assert_eq!(
            callers.get(&[1; 32], time(10_000_000), CachePolicy::Allowed).unwrap().last_used_at,
            Some(Micros(10_000_000))
        );
        assert!(callers.get(&[2; 32], time(10_000_000), CachePolicy::Allowed).is_err());
        assert!(callers.get(&[1; 32], time(11_000_000), CachePolicy::Allowed).is_err());
        assert!(callers.get(&[1; 32], time(9_000_000), CachePolicy::Allowed).is_err());

        let miss = callers.get(&[3; 32], time(10_000_000), CachePolicy::Allowed).unwrap_err();
        callers.put(miss, &[3; 32], &caller(Some(Micros(10_000_005))));
        assert!(callers.get(&[3; 32], time(10_000_004), CachePolicy::Allowed).is_ok());
        assert!(callers.get(&[3; 32], time(10_000_005), CachePolicy::Allowed).is_err());
    }

    #[test]
    fn a_query_from_before_a_revocation_is_not_cached_after_it() {
        let callers = CallerCache::new(Duration::from_secs(1));
        let miss = callers.get(&[1; 32], time(0), CachePolicy::Allowed).unwrap_err();
        callers.clear();
        callers.put(miss, &[1; 32], &caller(None));
        assert!(callers.get(&[1; 32], time(0), CachePolicy::Allowed).is_err());
    }

    #[test]
    fn the_number_of_entries_is_limited() {
        let callers = CallerCache::new(Duration::from_secs(1));
        for number in 0..2 * CAPACITY {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            let miss = callers.get(&hash, time(0), CachePolicy::Allowed).unwrap_err();
            callers.put(miss, &hash, &caller(None));
        }
        assert!(callers.entries().callers.len() <= CAPACITY);
    }
}
