//! The expected state: the files that exist, and the contents that each of them may have.

use std::fmt;

use sha2::{Digest, Sha256};

/// Random numbers from a seed, so that a round can be repeated.
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

/// Content that was sent, as the seed from which it can be generated again.
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
    /// The id of the file, once it is known.
    pub id: Option<String>,
    /// The possible contents: more than one while a response is outstanding, `None` for no file.
    pub may_be: Vec<Option<Version>>,
    /// Whether it is in the trash; unknown while a response is outstanding.
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

/// Every entry that may exist. Anything else must not exist.
#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// Only the entry of the avatar.
    pub fn new() -> Self {
        Self { entries: vec![Entry::new(String::new())] }
    }

    /// Drops the entries of files that no longer exist: from now on they must not exist.
    pub fn settle(&mut self) {
        self.entries.retain(|entry| entry.is_avatar() || entry.is_there());
    }
}
