//! CallerCache that were found a moment ago, so that a burst of requests asks the database once.
//!
//! What ends a session or a token, or changes an account, forgets them all: on this server it
//! counts as soon as it is answered. What another process does, or somebody who hung up before the
//! answer, counts when an entry is too old, half a second later at most (`session_cache_ttl`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::CallerRow;

/// CallerCache that are remembered at most. When there are more, all are forgotten.
const MOST: usize = 8192;

/// Whether an answer of a moment ago will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    Allowed,
    /// The database is asked in any case.
    Never,
}

/// The hash of a secret, as the rows keep it.
type Hash = [u8; 32];

#[derive(Debug)]
pub(super) struct CallerCache {
    /// Microseconds.
    life: i64,
    known: Mutex<Lookup>,
}

#[derive(Debug, Default)]
struct Lookup {
    /// How often all were forgotten: what was asked before must not be remembered after.
    epoch: u64,
    callers: HashMap<Hash, (i64, CallerRow)>,
}

/// The right to remember what the database is about to be asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheMiss {
    epoch: u64,
    now: i64,
}

impl CallerCache {
    pub fn new(life: Duration) -> Self {
        Self { life: life.as_micros() as i64, known: Mutex::default() }
    }

    /// The caller with this secret, if it was found lately, or the question to be asked. Times are
    /// microseconds since 1970.
    pub fn get(&self, hash: &Hash, now: i64, recall: CachePolicy) -> Result<CallerRow, CacheMiss> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.callers.get(hash) {
            Some((found_at, caller))
                // A clock may be set back.
                if recall == CachePolicy::Allowed
                    && (0..self.life).contains(&(now - found_at)) && caller.expires_at.is_none_or(|end| now < end) =>
            {
                Ok(caller.clone())
            }
            _ => Err(CacheMiss { epoch: known.epoch, now }),
        }
    }

    /// Remembers what the database answered.
    pub fn put(&self, question: CacheMiss, hash: &Hash, caller: &CallerRow) {
        if self.life == 0 {
            return;
        }
        // Its use is written down by whoever asked the database, not by everyone who finds it here.
        let caller = CallerRow { last_used_at: Some(question.now), ..caller.clone() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.epoch == question.epoch {
            if known.callers.len() >= MOST {
                known.callers.clear();
            }
            known.callers.insert(*hash, (question.now, caller));
        }
    }

    /// Forgets all. To be called after every commit that takes a right away or changes an account, and
    /// also when nobody knows whether it was carried out.
    pub fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.epoch += 1;
        known.callers.clear();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::UserRow;
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn caller(expires_at: Option<i64>) -> CallerRow {
        let user = UserRow {
            id: Uuid::nil(),
            email: "a@example.org".into(),
            name: "A".into(),
            is_admin: false,
            disabled_at: None,
            created_at: 0,
            updated_at: 0,
        };
        CallerRow { user, credential_id: Uuid::nil(), last_used_at: None, expires_at }
    }

    #[test]
    fn a_caller_is_known_for_a_moment_and_never_past_its_end() {
        let callers = CallerCache::new(Duration::from_secs(1));
        let question = callers.get(&[1; 32], 10 * SECOND, CachePolicy::Allowed).unwrap_err();
        callers.put(question, &[1; 32], &caller(None));
        assert_eq!(callers.get(&[1; 32], 10 * SECOND, CachePolicy::Allowed).unwrap().last_used_at, Some(10 * SECOND));
        assert!(callers.get(&[2; 32], 10 * SECOND, CachePolicy::Allowed).is_err());
        assert!(callers.get(&[1; 32], 11 * SECOND, CachePolicy::Allowed).is_err());
        assert!(callers.get(&[1; 32], 9 * SECOND, CachePolicy::Allowed).is_err());

        let question = callers.get(&[3; 32], 10 * SECOND, CachePolicy::Allowed).unwrap_err();
        callers.put(question, &[3; 32], &caller(Some(10 * SECOND + 5)));
        assert!(callers.get(&[3; 32], 10 * SECOND + 4, CachePolicy::Allowed).is_ok());
        assert!(callers.get(&[3; 32], 10 * SECOND + 5, CachePolicy::Allowed).is_err());
    }

    #[test]
    fn what_was_asked_before_a_revocation_is_not_remembered_after_it() {
        let callers = CallerCache::new(Duration::from_secs(1));
        let question = callers.get(&[1; 32], 0, CachePolicy::Allowed).unwrap_err();
        callers.forget();
        callers.put(question, &[1; 32], &caller(None));
        assert!(callers.get(&[1; 32], 0, CachePolicy::Allowed).is_err());
    }

    #[test]
    fn they_never_become_too_many() {
        let callers = CallerCache::new(Duration::from_secs(1));
        for number in 0..2 * MOST {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            let question = callers.get(&hash, 0, CachePolicy::Allowed).unwrap_err();
            callers.put(question, &hash, &caller(None));
        }
        assert!(callers.known.lock().unwrap().callers.len() <= MOST);
    }
}
