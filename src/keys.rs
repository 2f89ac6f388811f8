//! The secret key: configured, or generated at the first start and stored; and what is derived from it.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::Config;
use crate::error::{Error, Result};

/// The length of the secret in bytes.
const LENGTH: usize = 32;

/// The key from which the tokens of share links are derived, so that their URLs can be shown again and are not stored.
#[derive(Clone)]
pub struct LinkKey(Hmac<Sha256>);

impl LinkKey {
    /// The purpose is part of the key, so that nothing derived for another purpose is a token.
    const PURPOSE: &[u8] = b"strongroom link token v1";

    /// The key that is derived from this secret.
    pub fn new(secret: &[u8; LENGTH]) -> Self {
        let key = mac(secret).chain_update(Self::PURPOSE).finalize().into_bytes();
        Self(mac(&key))
    }

    /// Endless pseudorandom bytes that belong to this link and to this turn of its token.
    pub fn bytes(&self, link: Uuid, turn: i64) -> impl Iterator<Item = u8> {
        let block = move |number: u32| {
            let mac = self.0.clone().chain_update(link).chain_update(turn.to_be_bytes());
            <[u8; 32]>::from(mac.chain_update(number.to_be_bytes()).finalize().into_bytes())
        };
        (0..).flat_map(block)
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256>>::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The configured secret, or the one in the data directory, which is generated if it does not exist.
///
/// # Errors
/// [`Error::Setup`] if the file cannot be read or written, has another length, or is readable by other users.
pub fn secret(config: &Config) -> Result<[u8; LENGTH]> {
    if let Some(secret) = &config.secret_key {
        return Ok(Sha256::digest(secret.expose_secret()).into());
    }
    let path = config.data_dir.join("secret.key");
    let unusable = |why: String| Error::Setup(format!("STRONGROOM_DATA_DIR: {}: {why}", path.display()));
    if !path.exists() {
        generate(&path).map_err(|error| unusable(error.to_string()))?;
    }
    let rights = fs::metadata(&path).map_err(|error| unusable(error.to_string()))?.permissions().mode();
    if rights & 0o077 != 0 {
        return Err(unusable(
            "other users can read the key; run chmod 600 on it, and delete it if it may be compromised".into(),
        ));
    }
    let key = fs::read(&path).map_err(|error| unusable(error.to_string()))?;
    key.try_into().map_err(|_| unusable(format!("the key is not {LENGTH} bytes long")))
}

/// Writes a new key that only its owner can read, atomically.
fn generate(path: &Path) -> std::io::Result<()> {
    let mut key = [0u8; LENGTH];
    getrandom::fill(&mut key)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let staged = path.with_extension("new");
    // A crash may have left an incomplete one, which was never used.
    let _ = fs::remove_file(&staged);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    fs::File::open(directory)?.sync_all()
}
