//! `App`: everything that a request, a job or a command works with. Components are wired here and nowhere else.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::budget::{MemoryBudget, Party, Slots, StreamMemory};
use crate::clock::Clock;
use crate::config::{Config, SignedUrls, StoreConfig};
use crate::db::{self, Db};
use crate::error::{Error, Result};
use crate::events::{ChangeFeed, Recorder};
use crate::health::Health;
use crate::keys::{self, LinkKey};
use crate::store::{DiskStore, Listed, NoStore, S3Store, Store, UrlSigner};
use crate::users::{Passwords, PendingAttempts};

/// How long a request may wait for memory: longer than a response may stall while others wait.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a bucket may still execute requests of a process that has ended.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// The components, built from a [`Config`]; shared by the server, the jobs, the commands and the tests.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The source of the current time.
    pub clock: Clock,
    /// Metadata.
    pub db: Db,
    /// Content.
    pub store: Arc<dyn Store>,
    /// The memory of bodies and responses that are gathered.
    pub memory: Arc<MemoryBudget>,
    /// The memory of content in transit to clients.
    pub streams: Arc<StreamMemory>,
    /// The password hasher.
    pub passwords: Passwords,
    /// Password attempts whose outcome is not known yet.
    pub attempts: PendingAttempts,
    /// The results of the latest checks of database and store.
    pub health: Health,
    /// The audit log, for reads and refusals.
    pub events: Recorder,
    /// The change log.
    pub changes: ChangeFeed,
    /// Exports in progress.
    pub exports: Slots<Uuid>,
    /// Archives in progress.
    pub archives: Slots<Party>,
    /// Derives the tokens of share links; `None` if this server has no place for a secret key. Their URLs are shown only
    /// once then.
    pub link_key: Option<LinkKey>,
    /// Requests that wait for changes.
    pub change_waiters: Slots<Uuid>,
    /// Signs URLs of this server for a bucket that could sign its own.
    signer: Option<UrlSigner>,
}

impl App {
    /// Opens the database and the store.
    ///
    /// # Errors
    /// [`Error::Setup`], which names the setting that it is about.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>> {
        let secret = keys::secret(&config);
        let link_key = match &secret {
            Ok(secret) => Some(LinkKey::new(secret)),
            Err(error) => {
                tracing::warn!(%error, "without a secret key the URLs of share links are shown only once");
                None
            }
        };
        let signer = || secret.map(|secret| UrlSigner::new(&secret, config.public_url.clone(), clock.clone()));
        let (store, signer): (Arc<dyn Store>, _) = match &config.store {
            StoreConfig::Disk { root } => {
                let store = DiskStore::open(root, signer()?).await.map_err(|error| about("STORE_URL", error))?;
                (Arc::new(store), None)
            }
            StoreConfig::S3(s3) => {
                let store = S3Store::open(s3, &config.uploads).map_err(|error| about("STORE_URL", error))?;
                (Arc::new(store), (config.signed_urls == SignedUrls::Server).then(signer).transpose()?)
            }
        };
        Self::with_store(config, clock, store, signer, link_key).await
    }

    /// Opens the database and the store to serve. On SQLite, a lock makes sure that this is the only server; then it
    /// expires the leases of the previous process and aborts its incomplete uploads.
    ///
    /// # Errors
    /// [`Error::Setup`] as for [`App::open`], and if another server runs on the same SQLite database.
    pub async fn open_for_serving(config: Config, clock: Clock) -> Result<Arc<Self>> {
        create_data_dir(&config)?;
        // Before the database is opened: its migrations must not run while another server uses it.
        let is_only_server = db::acquire_instance_lock(config.database_url.expose_secret())?;
        let app = Self::open(config, clock).await?;
        if is_only_server {
            let grace = match &app.config.store {
                StoreConfig::Disk { .. } => Duration::ZERO,
                // Requests of the previous process may still be in transit to the bucket.
                StoreConfig::S3(_) => IN_FLIGHT,
            };
            app.db.expire_all_leases(grace).await?;
            app.db.become_only_instance().await?;
            if let StoreConfig::Disk { .. } = &app.config.store {
                app.abort_incomplete_uploads().await?;
            }
        }
        Ok(app)
    }

    /// The signer of URLs that this server serves; `None` if the bucket signs its own.
    pub fn url_signer(&self) -> Option<&UrlSigner> {
        self.signer.as_ref().or(self.store.url_signer())
    }

    /// Aborts incomplete uploads, so that a signed URL whose upload was interrupted can be used again. Resumable
    /// uploads are kept. Only if no other server runs, and before uploads are accepted.
    async fn abort_incomplete_uploads(&self) -> Result<()> {
        let uploads: Vec<_> = self.store.list_uploads(None).try_collect().await?;
        for upload in uploads.into_iter().filter_map(Listed::known) {
            if !self.db.is_resumable(upload.key.as_str()).await? {
                self.store.abort(&upload.key, upload.id.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// Opens only the database, for commands on accounts: they must work when the store does not.
    /// The store of this app is [`NoStore`].
    ///
    /// # Errors
    /// [`Error::Setup`] if the database cannot be opened.
    pub async fn open_database_only(config: Config, clock: Clock) -> Result<Arc<Self>> {
        Self::with_store(config, clock, Arc::new(NoStore), None, None).await
    }

    async fn with_store(
        config: Config,
        clock: Clock,
        store: Arc<dyn Store>,
        signer: Option<UrlSigner>,
        link_key: Option<LinkKey>,
    ) -> Result<Arc<Self>> {
        create_data_dir(&config)?;
        let url = config.database_url.expose_secret();
        let db = Db::open(url, config.database_connections).await.map_err(|error| about("DATABASE_URL", error))?;
        let db = db.with_caller_cache(config.auth.session_cache_ttl).with_statement_timeout(config.statement_timeout);
        let passwords = Passwords::new(config.auth.password_hash_concurrency);
        let half = config.limits.request_memory / 2;
        let memory = Arc::new(MemoryBudget::new(half, MEMORY_TIMEOUT));
        let streams = Arc::new(StreamMemory::new(half, config.uploads.stall_timeout));
        let events = Recorder::new(db.clone(), clock.clone());
        let changes = ChangeFeed::new(db.clone());
        let change_waiters = Slots::new(config.changes.waiters, config.changes.waiters_per_account);
        let (attempts, health, exports) =
            (PendingAttempts::default(), Health::default(), Slots::new(config.limits.exports, 1));
        let archives = Slots::new(config.limits.archives, config.limits.archives.div_ceil(4));
        Ok(Arc::new(Self {
            config,
            clock,
            db,
            store,
            memory,
            streams,
            passwords,
            attempts,
            health,
            link_key,
            signer,
            events,
            changes,
            exports,
            change_waiters,
            archives,
        }))
    }
}

/// Creates the directory in which an SQLite database is by default.
fn create_data_dir(config: &Config) -> Result<()> {
    if !config.database_url.expose_secret().starts_with("sqlite:") {
        return Ok(());
    }
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
    created.map_err(|error| Error::Setup(format!("STRONGROOM_DATA_DIR: {}: {error}", config.data_dir.display())))
}

/// An error of opening a component, with the setting that it is about. The text of the cause is kept, because an
/// operator reads it.
fn about(setting: &str, error: Error) -> Error {
    let why = error.cause();
    match why.starts_with(setting) {
        true => Error::Setup(why),
        false => Error::Setup(format!("{setting}: {why}")),
    }
}
