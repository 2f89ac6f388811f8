//! The hashes of content: its SHA-256, which identifies it, and its CRC-32, which archives have of each of their entries.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The hashes of the bytes so far.
#[derive(Debug, Clone, Default)]
pub(in crate::files) struct ContentHash {
    sha256: Sha256,
    crc32: crc32fast::Hasher,
}

impl ContentHash {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc32.update(bytes);
    }

    /// The SHA-256.
    pub fn sha256(&self) -> Vec<u8> {
        self.sha256.clone().finalize().to_vec()
    }

    /// The CRC-32.
    pub fn crc32(&self) -> u32 {
        self.crc32.clone().finalize()
    }

    /// The state, as the row of a resumable upload stores it: the CRC-32, then that of the SHA-256.
    pub fn serialize(&self) -> Vec<u8> {
        [self.crc32().to_be_bytes().as_slice(), &self.sha256.serialize()].concat()
    }

    /// Continues from a stored state.
    ///
    /// # Errors
    /// [`Error::Internal`] if the bytes are not a state.
    pub fn restore(state: &[u8]) -> Result<Self> {
        let (crc32, sha256) =
            state.split_first_chunk().ok_or_else(|| Error::internal("a state of hashes that is too short"))?;
        let sha256 = SerializedState::<Sha256>::try_from(sha256).map_err(Error::internal)?;
        Ok(Self {
            sha256: Sha256::deserialize(&sha256).map_err(Error::internal)?,
            crc32: crc32fast::Hasher::new_with_initial(u32::from_be_bytes(*crc32)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_continues_where_it_stopped() {
        for cut in [0, 1, 63, 64, 65, 1000] {
            let bytes = [7; 1000];
            let mut first = ContentHash::default();
            first.update(&bytes[..cut]);
            let mut second = ContentHash::restore(&first.serialize()).unwrap();
            second.update(&bytes[cut..]);
            assert_eq!(second.sha256(), Sha256::digest(bytes).to_vec(), "{cut}");
            assert_eq!(second.crc32(), crc32fast::hash(&bytes), "{cut}");
        }
        assert!(ContentHash::restore(b"no state").is_err());
        assert!(ContentHash::restore(b"").is_err());
    }
}
