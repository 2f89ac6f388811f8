//! A checksum over the bytes of one piece.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// What the bytes of a piece shall come to, and how far they have come.
#[derive(Debug, Clone)]
pub struct Checksum {
    running: Running,
    expected: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Running {
    Sha1(Sha1),
    Sha256(Sha256),
    Crc32(crc32fast::Hasher),
}

impl Checksum {
    /// The algorithms, as they are named.
    pub const ALGORITHMS: [&str; 3] = ["sha1", "sha256", "crc32"];

    /// None if the algorithm is not one of [`ALGORITHMS`](Self::ALGORITHMS).
    pub fn new(algorithm: &str, expected: Vec<u8>) -> Option<Self> {
        let running = match algorithm {
            "sha1" => Running::Sha1(Sha1::new()),
            "sha256" => Running::Sha256(Sha256::new()),
            "crc32" => Running::Crc32(crc32fast::Hasher::new()),
            _ => return None,
        };
        Some(Self { running, expected })
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        match &mut self.running {
            Running::Sha1(hash) => hash.update(bytes),
            Running::Sha256(hash) => hash.update(bytes),
            Running::Crc32(hash) => hash.update(bytes),
        }
    }

    /// # Errors
    /// `ChecksumMismatch` if the bytes are others than expected.
    pub(super) fn check(self) -> Result<()> {
        let found = match self.running {
            Running::Sha1(hash) => hash.finalize().to_vec(),
            Running::Sha256(hash) => hash.finalize().to_vec(),
            Running::Crc32(hash) => hash.finalize().to_be_bytes().to_vec(),
        };
        if found == self.expected { Ok(()) } else { Err(Error::ChecksumMismatch) }
    }
}
