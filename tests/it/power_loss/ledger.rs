//! Acknowledged operations, and the states that are possible after a power cut.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// The SHA-256 digest of some content.
pub type Hash = [u8; 32];

/// One file. Its name is used once.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The id, once it is known.
    pub id: Option<String>,
    /// The possible contents: several while a response is outstanding, `None` for no file.
    pub may_be: Vec<Option<Hash>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Acknowledged uploads and replacements.
    pub uploads: usize,
    /// Acknowledged deletions.
    pub deletions: usize,
    /// Files that are missing or have an impossible content.
    pub lost: usize,
    /// Files that were deleted but exist.
    pub back: usize,
    /// Rows without an object, objects without a row, partial objects.
    pub half: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.uploads += other.uploads;
        self.deletions += other.deletions;
        self.lost += other.lost;
        self.back += other.back;
        self.half += other.half;
    }
}

/// Every file that was ever uploaded. Any other file must not exist.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub entries: BTreeMap<String, Entry>,
    pub counts: Counts,
}

impl Ledger {
    /// Records a request that is being sent: its outcome is possible from now on.
    pub fn begin(&mut self, name: &str, outcome: Option<Hash>) {
        let nothing = || Entry { id: None, may_be: vec![None] };
        self.entries.entry(name.to_owned()).or_insert_with(nothing).may_be.push(outcome);
    }

    /// Records its response: no other outcome is possible.
    pub fn acknowledge(&mut self, name: &str, id: Option<String>, outcome: Option<Hash>) {
        *if outcome.is_some() { &mut self.counts.uploads } else { &mut self.counts.deletions } += 1;
        let entry = self.entries.get_mut(name).expect("its request was recorded");
        entry.id = id;
        entry.may_be = vec![outcome];
    }

    /// Records what was found, and returns the violation, if it is one.
    pub fn find(&mut self, name: &str, id: Option<String>, found: Option<Hash>) -> Option<String> {
        let Some(entry) = self.entries.get_mut(name) else {
            self.counts.back += 1;
            return Some(format!("{name}: this file is unknown"));
        };
        if entry.may_be.contains(&found) {
            (entry.id, entry.may_be) = (id, vec![found]);
            return None;
        }
        let was_deleted = entry.may_be == [None];
        *if was_deleted { &mut self.counts.back } else { &mut self.counts.lost } += 1;
        Some(format!("{name}: {}", if was_deleted { "it was deleted but exists" } else { "it is lost" }))
    }
}
