//! `App`: everything a request, a job or a command works with. The only place that wires.

use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::clock::Clock;
use crate::config::{Config, StoreConfig};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::store::{DiskStore, S3Store, Store, UrlSigner};
use crate::users::Passwords;

/// The parts, put together from a [`Config`]; shared by the server, the jobs, the commands and the tests.
#[derive(Debug)]
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub db: Db,
    pub store: Arc<dyn Store>,
    pub passwords: Passwords,
}

impl App {
    /// Opens the database and the store.
    ///
    /// # Errors
    /// What [`Db::open`] and the store's opening fail with; `Malformed` if the secret key is too short.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>> {
        create_private_folder(&config.data_dir)?;
        let db = Db::open(config.database_url.expose_secret(), config.database_connections).await?;
        let store: Arc<dyn Store> = match &config.store {
            StoreConfig::Disk { root } => {
                let signer = UrlSigner::new(&secret_key(&config)?, config.public_url.clone(), clock.clone());
                Arc::new(DiskStore::open(root, signer).await?)
            }
            StoreConfig::S3(s3) => Arc::new(S3Store::open(s3, &config.uploads)?),
        };
        let passwords = Passwords::new(config.auth.password_hashers);
        Ok(Arc::new(Self { config, clock, db, store, passwords }))
    }
}

/// The secret that signing keys are derived from: the configured one, or one that is made at the
/// first start and kept in the data folder.
fn secret_key(config: &Config) -> Result<[u8; 32]> {
    use sha2::{Digest, Sha256};
    if let Some(secret) = &config.secret_key {
        return Ok(Sha256::digest(secret.expose_secret()).into());
    }
    let path = config.data_dir.join("secret.key");
    if !path.exists() {
        let mut key = [0u8; 32];
        getrandom::fill(&mut key).map_err(|error| Error::internal(error.to_string()))?;
        write_private_file(&path, &key)?;
    }
    let key = std::fs::read(&path).map_err(Error::internal)?;
    key.try_into().map_err(|_| Error::Malformed(format!("{}: the key is not 32 bytes long", path.display())))
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private_file(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let staged = path.with_extension("new");
    // A crash may have left one half written; nobody has used it.
    let _ = std::fs::remove_file(&staged);
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&staged, path)?;
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| Error::Malformed(format!("{}: {error}", path.display())))
}

fn create_private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Error::Malformed(format!("{}: {error}", path.display())))
}
