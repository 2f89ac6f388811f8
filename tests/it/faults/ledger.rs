//! What the server has promised: which files there are, and which bytes each of them may have.

use std::fmt;

use sha2::{Digest, Sha256};

/// Throws dice from a seed, so that a round can be run again.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, exclusive.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Bytes that were sent, as the seed that they are made from again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Version {
    seed: u64,
    pub size: usize,
    is_picture: bool,
    pub sha256: [u8; 32],
}

impl Version {
    pub fn new(seed: u64, size: usize, is_picture: bool) -> Self {
        let mut version = Self { seed, size, is_picture, sha256: [0; 32] };
        version.sha256 = Sha256::digest(version.bytes()).into();
        version
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mark: &[u8] = if self.is_picture { b"\x89PNG\r\n\x1a\n" } else { b"" };
        let mut bytes = Vec::with_capacity(self.size + 8);
        bytes.extend_from_slice(mark);
        let mut dice = Dice::new(self.seed);
        while bytes.len() < self.size {
            bytes.extend_from_slice(&dice.next().to_le_bytes());
        }
        bytes.truncate(self.size);
        bytes
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of seed {}", self.size, self.seed)
    }
}

/// A file, or the avatar.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Empty: the avatar.
    pub name: String,
    /// The file's id, once the server has told it.
    pub id: Option<String>,
    /// What may be found: more than one thing while an answer is missing, `None` for nothing.
    pub may_be: Vec<Option<Version>>,
    /// Whether it is in the trash; unknown while an answer is missing.
    pub in_trash: Option<bool>,
}

impl Entry {
    pub fn new(name: String) -> Self {
        Self { name, id: None, may_be: vec![None], in_trash: Some(false) }
    }

    pub fn is_avatar(&self) -> bool {
        self.name.is_empty()
    }

    pub fn is_there(&self) -> bool {
        matches!(self.may_be[..], [Some(_)])
    }
}

/// Every entry that may be there. What is not in it must not be there.
#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// Nothing yet but the place of the avatar.
    pub fn new() -> Self {
        Self { entries: vec![Entry::new(String::new())] }
    }

    /// Forgets the files that are gone: from now on nobody expects them.
    pub fn settle(&mut self) {
        self.entries.retain(|entry| entry.is_avatar() || entry.is_there());
    }
}
