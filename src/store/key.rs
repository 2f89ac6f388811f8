//! Keys of objects. Only this module creates them.

use std::fmt;
use std::str::FromStr;

use crate::hex::hex;

/// The name of an object in the store: 128 random bits in hexadecimal. A key is used once, contains
/// nothing that users enter, and cannot name anything outside the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    const LENGTH: usize = 32;

    /// A new key, unique by its randomness.
    pub fn random() -> Self {
        let mut bytes = [0u8; Self::LENGTH / 2];
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        Self(hex(&bytes))
    }

    /// The 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first two digits, which distribute the keys over 256 directories.
    pub(super) fn shard(&self) -> &str {
        &self.0[..2]
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() == Self::LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidKey) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a key.
#[derive(Debug, thiserror::Error)]
#[error("not a key")]
pub struct InvalidKey;
