//! `App`: everything a request, a job or a command works with. The only place that wires.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use secrecy::ExposeSecret;

use crate::clock::Clock;
use crate::config::{Config, SignedUrls, StoreConfig};
use crate::db::{self, Db, JobLease};
use crate::error::{Error, Result};
use crate::events::Recorder;
use crate::health::Health;
use crate::keys;
use crate::store::{DiskStore, Listed, NoStore, S3Store, Store, UrlSigner};
use crate::users::Passwords;

/// How long a bucket may still carry out what a server had sent it before it died.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// The parts, put together from a [`Config`]; shared by the server, the jobs, the commands and the tests.
#[derive(Debug)]
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub db: Db,
    pub store: Arc<dyn Store>,
    pub passwords: Passwords,
    pub health: Health,
    /// For a bucket whose files are to be read through this server's own signed URLs.
    signer: Option<UrlSigner>,
    pub events: Recorder,
}

impl App {
    /// Opens the database and the store.
    ///
    /// # Errors
    /// What [`Db::open`] and the store's opening fail with, and the setting that it is about.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>> {
        let signer =
            || Ok::<_, Error>(UrlSigner::new(&keys::secret(&config)?, config.public_url.clone(), clock.clone()));
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
        Self::with_store(config, clock, store, signer).await
    }

    /// Opens the database and the store to serve. On SQLite one server runs alone; as soon as it knows
    /// that it does, what the process before had under way is over.
    ///
    /// # Errors
    /// As [`App::open`]; [`Error::Setup`] if another server runs on the same SQLite database.
    pub async fn open_for_serving(config: Config, clock: Clock) -> Result<Arc<Self>> {
        prepare_folder(&config)?;
        // Before the database is opened: nobody else's server is to find it migrated.
        let alone = db::acquire_instance_lock(config.database_url.expose_secret())?;
        let app = Self::open(config, clock).await?;
        if alone {
            let grace = match &app.config.store {
                StoreConfig::Disk { .. } => Duration::ZERO,
                // Requests of the dead process may be on their way to the bucket yet.
                StoreConfig::S3(_) => IN_FLIGHT,
            };
            app.db.expire_all_leases(grace).await?;
            app.db.expire_all_claims(grace).await?;
            // A command may be reaping; then there are two at it for once, which does no harm.
            app.db.expire_job_lease(JobLease::Reaper).await?;
            if let StoreConfig::Disk { .. } = &app.config.store {
                app.abort_incomplete_uploads().await?;
            }
        }
        Ok(app)
    }

    /// What signs URLs that this server serves; `None` if the bucket's own are given out.
    pub fn url_signer(&self) -> Option<&UrlSigner> {
        self.signer.as_ref().or(self.store.url_signer())
    }

    /// Takes away what lies half written, so that a signed URL whose upload broke off can be used
    /// again; but not what comes in pieces, which goes on. Only for whoever knows that nobody writes.
    async fn abort_incomplete_uploads(&self) -> Result<()> {
        let half: Vec<_> = self.store.list_uploads(None).try_collect().await?;
        for upload in half.into_iter().filter_map(Listed::ours) {
            if !self.db.is_resumable(upload.key.as_str()).await? {
                self.store.abort(&upload.key, upload.id.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// Opens the database only, for commands on accounts: they must work when the store does not.
    /// The store of this app is [`NoStore`].
    ///
    /// # Errors
    /// What [`Db::open`] fails with.
    pub async fn open_database_only(config: Config, clock: Clock) -> Result<Arc<Self>> {
        Self::with_store(config, clock, Arc::new(NoStore), None).await
    }

    async fn with_store(
        config: Config,
        clock: Clock,
        store: Arc<dyn Store>,
        signer: Option<UrlSigner>,
    ) -> Result<Arc<Self>> {
        prepare_folder(&config)?;
        let url = config.database_url.expose_secret();
        let db = Db::open(url, config.database_connections).await.map_err(|error| about("DATABASE_URL", error))?;
        let db = db.with_caller_cache(config.auth.session_cache_ttl);
        let passwords = Passwords::new(config.auth.password_hash_concurrency);
        let events = Recorder::new(db.clone(), clock.clone());
        Ok(Arc::new(Self { config, clock, db, store, passwords, health: Health::default(), signer, events }))
    }
}

/// Makes the folder where an SQLite database is by default.
fn prepare_folder(config: &Config) -> Result<()> {
    if !config.database_url.expose_secret().starts_with("sqlite:") {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
    made.map_err(|error| Error::Setup(format!("STRONGROOM_DATA_DIR: {}: {error}", config.data_dir.display())))
}

/// Names the setting that something could not be opened with. The text of the cause is kept: at
/// the start it is for the operator.
fn about(setting: &str, error: Error) -> Error {
    let why = error.cause();
    match why.starts_with(setting) {
        true => Error::Setup(why),
        false => Error::Setup(format!("{setting}: {why}")),
    }
}
