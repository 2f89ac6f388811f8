//! The secret that keys are derived from: configured, or made at the first start and kept.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::error::{Error, Result};

/// The length of the secret in bytes.
const LENGTH: usize = 32;

/// The configured secret, or the one in the data folder, which is made if there is none.
///
/// # Errors
/// [`Error::Setup`] if the file cannot be read or written, or has another length.
pub fn secret(config: &Config) -> Result<[u8; LENGTH]> {
    if let Some(secret) = &config.secret_key {
        return Ok(Sha256::digest(secret.expose_secret()).into());
    }
    let path = config.data_dir.join("secret.key");
    let unusable = |why: String| Error::Setup(format!("STRONGROOM_DATA_DIR: {}: {why}", path.display()));
    if !path.exists() {
        make(&path).map_err(|error| unusable(error.to_string()))?;
    }
    let rights = fs::metadata(&path).map_err(|error| unusable(error.to_string()))?.permissions().mode();
    if rights & 0o077 != 0 {
        return Err(unusable("others can read the key; chmod 600 it, and make a new one if somebody did".into()));
    }
    let key = fs::read(&path).map_err(|error| unusable(error.to_string()))?;
    key.try_into().map_err(|_| unusable(format!("the key is not {LENGTH} bytes long")))
}

/// Writes a new key that only its owner can read, whole or not at all.
fn make(path: &Path) -> std::io::Result<()> {
    let mut key = [0u8; LENGTH];
    getrandom::fill(&mut key)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let staged = path.with_extension("new");
    // A crash may have left one half written; nobody has used it.
    let _ = fs::remove_file(&staged);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    fs::File::open(folder)?.sync_all()
}
