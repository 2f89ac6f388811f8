//! argon2id, in memory that is kept and reused: 19 MiB per password, allocated and freed each time, fragment the heap.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// The memory of all hashers: as many as ever hashed at the same time.
#[derive(Debug, Clone, Default)]
pub(super) struct HasherMemory(Arc<Mutex<Vec<Vec<Block>>>>);

impl HasherMemory {
    /// The memory of an idle hasher, or new memory.
    pub fn take(&self) -> Hasher {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Hasher { blocks, memory: self.clone() }
    }
}

/// Hashes one password at a time. What it leaves in its memory is overwritten when it is dropped.
pub(super) struct Hasher {
    blocks: Vec<Block>,
    memory: HasherMemory,
}

impl Drop for Hasher {
    fn drop(&mut self) {
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.truncate(Params::default().block_count());
        blocks.shrink_to_fit();
        blocks.fill(Block::new());
        self.memory.0.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
    }
}

impl Hasher {
    /// Hashes a password with a new salt and the current parameters.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn hash(&mut self, password: &SecretString) -> Result<String> {
        let (params, salt) = (Params::default(), Salt::generate());
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::default().into()),
            params: ParamsString::try_from(&params).map_err(Error::internal)?,
            salt: Some(salt),
            hash: Some(self.output(password, &Argon2::default(), &salt, Params::DEFAULT_OUTPUT_LEN)?),
        };
        Ok(hash.to_string())
    }

    /// Whether the hash is of this password.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is not a hash of argon2.
    pub fn verify(&mut self, password: &SecretString, hash: &PasswordHash) -> Result<bool> {
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
            return Err(Error::internal("a hash without salt or output"));
        };
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(Error::internal)?;
        let version = hash.version.map(Version::try_from).transpose().map_err(Error::internal)?.unwrap_or_default();
        let params = Params::try_from(hash).map_err(Error::internal)?;
        let output = self.output(password, &Argon2::new(algorithm, version, params), salt, expected.len())?;
        // In constant time.
        Ok(output == *expected)
    }

    /// `length` is in bytes.
    fn output(&mut self, password: &SecretString, argon: &Argon2<'_>, salt: &Salt, length: usize) -> Result<Output> {
        let needed = argon.params().block_count();
        if self.blocks.len() < needed {
            // Exact: growing as a vector does would take twice the memory.
            self.blocks.reserve_exact(needed - self.blocks.len());
            self.blocks.resize(needed, Block::new());
        }
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..length).ok_or_else(|| Error::internal("a hash that is too long"))?;
        let password = password.expose_secret().as_bytes();
        argon.hash_password_into_with_memory(password, salt, output, &mut self.blocks).map_err(Error::internal)?;
        Output::new(output).map_err(Error::internal)
    }
}

/// Whether the hash has the current algorithm and parameters.
pub(super) fn is_current(hash: &PasswordHash) -> bool {
    hash.algorithm == ARGON2ID_IDENT
        && hash.version == Some(Version::default().into())
        && ParamsString::try_from(&Params::default()).is_ok_and(|params| params == hash.params)
}

/// A hash that matches no known password, with the current parameters.
pub(super) fn decoy() -> String {
    let (memory, passes, lanes) = (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}")
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn the_decoy_has_the_current_parameters() {
        assert!(is_current(&PasswordHash::new(&decoy()).expect("a hash")));
    }

    #[test]
    fn the_memory_is_kept_and_has_nothing_of_a_password() {
        let memory = HasherMemory::default();
        let mut hasher = memory.take();
        // Larger parameters, as another release may have had.
        let large = Argon2::from(Params::new(Params::DEFAULT_M_COST + 64, 1, 1, None).expect("parameters"));
        let old = large.hash_password(b"violet tractor 7").expect("hashed");
        assert!(hasher.verify(&"violet tractor 7".into(), &old).expect("verified"));
        drop(hasher);
        let kept = memory.0.lock().expect("no panic");
        assert_eq!((kept.len(), kept[0].capacity()), (1, Params::default().block_count()));
        assert!(kept[0].iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        let hash = HasherMemory::default().take().hash(&"violet tractor 7".into()).expect("hashed");
        let hash = PasswordHash::new(&hash).expect("a hash");
        assert!(is_current(&hash));
        Argon2::default().verify_password(b"violet tractor 7", &hash).expect("the same algorithm");
        assert!(!HasherMemory::default().take().verify(&"violet tractor 8".into(), &hash).expect("verified"));
    }
}
