//! The checksum of one append (the tus extension "checksum").

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The expected checksum of an append, and the state of its computation.
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
    /// The names of the algorithms.
    pub const ALGORITHMS: [&str; 3] = ["sha1", "sha256", "crc32"];

    /// A checksum to verify; `None` if the algorithm is not one of [`ALGORITHMS`](Self::ALGORITHMS).
    pub fn new(algorithm: &str, expected: Vec<u8>) -> Option<Self> {
        let running = match algorithm {
            "sha1" => Running::Sha1(Sha1::new()),
            "sha256" => Running::Sha256(Sha256::new()),
            "crc32" => Running::Crc32(crc32fast::Hasher::new()),
            _ => return None,
        };
        Some(Self { running, expected })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.running {
            Running::Sha1(hash) => hash.update(bytes),
            Running::Sha256(hash) => hash.update(bytes),
            Running::Crc32(hash) => hash.update(bytes),
        }
    }

    /// # Errors
    /// [`Error::ChecksumMismatch`].
    pub(super) fn verify(self) -> Result<()> {
        let found = match self.running {
            Running::Sha1(hash) => hash.finalize().to_vec(),
            Running::Sha256(hash) => hash.finalize().to_vec(),
            Running::Crc32(hash) => hash.finalize().to_be_bytes().to_vec(),
        };
        if found == self.expected { Ok(()) } else { Err(Error::ChecksumMismatch) }
    }
}
