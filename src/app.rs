//! `App`: everything a request, a job or a command works with. The only place that wires.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::clock::Clock;
use crate::config::{Config, StoreConfig};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::keys;
use crate::store::{DiskStore, MemoryStore, S3Store, Store, UrlSigner};
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
    /// What [`Db::open`] and the store's opening fail with, and the setting that it is about.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>> {
        let store: Arc<dyn Store> = match &config.store {
            StoreConfig::Disk { root } => {
                let signer = UrlSigner::new(&keys::secret(&config)?, config.public_url.clone(), clock.clone());
                Arc::new(DiskStore::open(root, signer).await.map_err(|error| about("STORE_URL", error))?)
            }
            StoreConfig::S3(s3) => {
                Arc::new(S3Store::open(s3, &config.uploads).map_err(|error| about("STORE_URL", error))?)
            }
        };
        Self::with_store(config, clock, store).await
    }

    /// Opens the database alone, for commands on accounts: they shall work when the store does
    /// not. What is kept in this store ends with the process.
    ///
    /// # Errors
    /// What [`Db::open`] fails with.
    pub async fn open_without_store(config: Config, clock: Clock) -> Result<Arc<Self>> {
        let signer = UrlSigner::new(&[0; 32], config.public_url.clone(), clock.clone());
        Self::with_store(config, clock, Arc::new(MemoryStore::new(signer))).await
    }

    async fn with_store(config: Config, clock: Clock, store: Arc<dyn Store>) -> Result<Arc<Self>> {
        let url = config.database_url.expose_secret();
        if url.starts_with("sqlite:") {
            // Where the database is by default; it is made with the first start.
            let folder = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
            folder.map_err(|error| about("STRONGROOM_DATA_DIR", Error::internal(error)))?;
        }
        let db = Db::open(url, config.database_connections).await.map_err(|error| about("DATABASE_URL", error))?;
        let passwords = Passwords::new(config.auth.password_hashers);
        Ok(Arc::new(Self { config, clock, db, store, passwords }))
    }
}

/// Names the setting that something could not be opened with. The text of the cause is kept: at
/// the start it is for the operator.
fn about(setting: &str, error: Error) -> Error {
    let why = match &error {
        Error::Internal(cause) | Error::Unavailable { source: cause, .. } => cause.to_string(),
        error => error.to_string(),
    };
    match why.starts_with(setting) {
        true => Error::Malformed(why),
        false => Error::Malformed(format!("{setting}: {why}")),
    }
}
