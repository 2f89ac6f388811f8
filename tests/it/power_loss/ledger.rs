//! What the server has acknowledged, and what may be found after a cut.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// The SHA-256 of a content.
pub type Hash = [u8; 32];

/// One file by its name, which is used once.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The id, once the server has told it.
    pub id: Option<String>,
    /// What may be found: two things while an answer is missing, `None` for no file.
    pub may_be: Vec<Option<Hash>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Acknowledged: new files and new bytes of old ones.
    pub uploads: usize,
    /// Acknowledged.
    pub deletions: usize,
    /// Files that are not there, or have other bytes than one of those they may have.
    pub lost: usize,
    /// Files that were deleted and are there.
    pub back: usize,
    /// Database without their bytes, bytes without a row, bytes half written.
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

/// Every file that was ever accepted. What is not in it must not be there.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub entries: BTreeMap<String, Entry>,
    pub counts: Counts,
}

impl Ledger {
    /// A request is on its way: its outcome is possible from now on.
    pub fn begin(&mut self, name: &str, outcome: Option<Hash>) {
        let nothing = || Entry { id: None, may_be: vec![None] };
        self.entries.entry(name.to_owned()).or_insert_with(nothing).may_be.push(outcome);
    }

    /// Its answer has come: nothing else is possible any more.
    pub fn acknowledge(&mut self, name: &str, id: Option<String>, outcome: Option<Hash>) {
        *if outcome.is_some() { &mut self.counts.uploads } else { &mut self.counts.deletions } += 1;
        let entry = self.entries.get_mut(name).expect("it was accepted");
        entry.id = id;
        entry.may_be = vec![outcome];
    }

    /// Enters what was found, and says what is wrong with it.
    pub fn find(&mut self, name: &str, id: Option<String>, found: Option<Hash>) -> Option<String> {
        let Some(entry) = self.entries.get_mut(name) else {
            self.counts.back += 1;
            return Some(format!("{name}: nobody knows this file"));
        };
        if entry.may_be.contains(&found) {
            (entry.id, entry.may_be) = (id, vec![found]);
            return None;
        }
        let was_deleted = entry.may_be == [None];
        *if was_deleted { &mut self.counts.back } else { &mut self.counts.lost } += 1;
        Some(format!("{name}: {}", if was_deleted { "it was deleted and is there" } else { "it is lost" }))
    }
}
