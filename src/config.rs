//! The configuration: sources, validation, and the effective values.
//!
//! `settings` is the table from which everything else is generated (flags, variables, keys of the file, defaults, help,
//! the example file); `layers` merges the sources; `resolve` validates the texts and turns them into
//! a [`Config`].

mod container;
mod layers;
mod locations;
mod log_filter;
mod resolve;
mod setting;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{SecretSlice, SecretString};
use url::Url;

use crate::media::canonical;

pub use container::ContainerLimits;
pub use layers::Settings;
pub use log_filter::log_filter;
pub use setting::Setting;
pub use settings::SETTINGS;
pub use text::{example, redacted_url};
pub use value::ConfigError;

/// The configuration: defaults, file, environment and flags, merged and validated. Sizes are in bytes.
///
/// # Examples
/// ```
/// use strongroom::config::Config;
///
/// let config = Config::default();
/// assert_eq!(config.url("/v1/files"), "http://127.0.0.1:3000/v1/files");
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that settings were read from, if there is one.
    pub settings_file: Option<PathBuf>,
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Base of every URL in a response; its path ends with a slash. Never taken from a request.
    pub public_url: Url,
    /// Origins of pages that may call the API with a token, such as `https://app.example.org`, in lower case.
    pub allowed_origins: Vec<String>,
    /// Whether users may register themselves.
    pub registration: Registration,
    /// Directory for keys and, unless configured otherwise, the database and the files.
    pub data_dir: PathBuf,
    /// `sqlite:...` or `postgres://...`
    pub database_url: SecretString,
    /// Maximum number of database connections (SQLite: readers; one more connection writes).
    pub database_connections: u32,
    /// Time that the database may take for a statement that reads for a request.
    pub statement_timeout: Duration,
    /// Where content is stored.
    pub store: StoreConfig,
    /// At least 32 bytes, from which the keys of server-signed URLs and of share links are derived; generated
    /// and stored in `data_dir` when absent.
    pub secret_key: Option<SecretSlice<u8>>,
    /// Certificate and key for HTTPS; absent: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Limits of one request, and of one account beside its quota.
    pub limits: Limits,
    /// Default quota of an account.
    pub quotas: Quotas,
    /// How content is received.
    pub uploads: Uploads,
    /// Sessions, passwords, and limits on attempts.
    pub auth: Auth,
    /// Share links.
    pub links: Links,
    /// Shared spaces, and grants.
    pub spaces: Spaces,
    /// Who signs URLs to read from S3.
    pub signed_urls: SignedUrls,
    /// Whether browsers may keep the content of files, to revalidate it before each use.
    pub browser_cache: bool,
    /// Default delivery of content.
    pub download_via: Via,
    /// How long browsers must use only HTTPS (HSTS); zero to disable.
    pub hsts: Duration,
    /// Networks of trusted reverse proxies: `X-Forwarded-For` is used only if it comes from them.
    pub trusted_proxies: Vec<IpNet>,
    /// Interval of garbage collection.
    pub reap_interval: Duration,
    /// How long deleted files can be restored; zero: there is no trash.
    pub trash_retention: Duration,
    /// How long events of the audit log are kept.
    pub audit_log_retention: Duration,
    /// The change log.
    pub changes: Changes,
    /// Checks of database and store.
    pub fsck: Fsck,
    /// Time that transfers may continue after a shutdown signal.
    pub shutdown_deadline: Duration,
    /// Further hosts that the server answers for, in addition to the public URL's, in lower case.
    pub allowed_hosts: Vec<String>,
    /// Time a client may take to send the request headers.
    pub header_timeout: Duration,
    /// Time that a connection may have no request.
    pub idle_timeout: Duration,
    /// Time for which the rest of a body is read after an early response.
    pub drain_timeout: Duration,
    /// A level for Strongroom's own code, or directives of `tracing_subscriber`'s `EnvFilter`.
    pub log: String,
    /// Format of log lines.
    pub log_format: LogFormat,
}

/// Whether users may register themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Everyone who reaches the server may register.
    Open,
    /// Only the operator creates accounts.
    Closed,
}

/// How content is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Through this server.
    Proxy,
    /// By a redirect to a signed URL of the store.
    Redirect,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where content is stored.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// A directory of this machine.
    Disk {
        /// The directory.
        root: PathBuf,
    },
    /// A bucket.
    S3(Box<S3Config>),
}

/// A bucket, and how to reach it.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Region of the bucket.
    pub region: String,
    /// Absent: the credential chain of the environment (web identity, container, instance).
    pub credentials: Option<S3Credentials>,
    /// S3 endpoint; absent: AWS.
    pub endpoint: Option<Url>,
    /// Public endpoint, the base of signed URLs; absent: `endpoint`.
    pub public_endpoint: Option<Url>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Server-side encryption by the bucket; absent: none is requested.
    pub encryption: Option<Encryption>,
}

/// An access key.
#[derive(Debug, Clone)]
pub struct S3Credentials {
    /// Id of the key.
    pub access_key_id: String,
    /// Secret of the key.
    pub secret_access_key: SecretString,
    /// Session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// Server-side encryption by the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// SSE-S3.
    Aes256,
    /// SSE-KMS.
    Kms {
        /// Absent: the default key of the AWS account.
        key_id: Option<String>,
    },
}

/// Certificate and key for HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificate chain, in PEM.
    pub certificate: PathBuf,
    /// Private key of the certificate, in PEM.
    pub key: PathBuf,
}

/// Limits of one request, and of one account beside its quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_size: u64,
    /// Content types that files may have.
    pub allowed_types: AllowedTypes,
    /// Bytes of one avatar.
    pub avatar_size: u64,
    /// Bytes of one JSON body.
    pub json_body: usize,
    /// Bytes of the metadata of one file, as JSON.
    pub metadata: usize,
    /// Items on one page of a list.
    pub page: u32,
    /// Files in one batch.
    pub batch: usize,
    /// Ranges in one request.
    pub ranges: usize,
    /// Bytes that requests hold while they wait for their clients, for the whole process.
    pub request_memory: u64,
    /// Open connections.
    pub connections: usize,
    /// Bytes of a body that are read after an early response.
    pub drain_size: u64,
    /// Active API tokens of one account.
    pub tokens: u32,
    /// Events of one account that are kept.
    pub events: u64,
    /// Idempotency keys of one account that are kept.
    pub idempotency_keys: u64,
    /// Sessions of one account.
    pub sessions: u32,
    /// Exports that the server writes at the same time.
    pub exports: usize,
    /// Archives in progress on this server; an account, or the clients at one address, have a quarter of them.
    pub archives: usize,
    /// Files and folders of one archive.
    pub archive_entries: u64,
    /// Default lifetime of a signed URL.
    pub signed_url_lifetime: Duration,
    /// Maximum lifetime of a signed URL.
    pub signed_url_max_lifetime: Duration,
}

/// Content types such as `image/*` or `application/pdf`, in lower case; empty: any.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AllowedTypes(pub Vec<String>);

impl AllowedTypes {
    /// Whether every content type is allowed.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether content of this type is allowed, by whichever of its names. Parameters, as in `text/plain; charset=utf-8`,
    /// are ignored.
    pub fn admit(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let matches = |allowed: &String| match allowed.strip_suffix('*') {
            Some(family) => essence.starts_with(family),
            None => canonical(&essence) == canonical(allowed),
        };
        self.is_any() || self.0.iter().any(matches)
    }
}

/// Default quota of an account; bytes and files can be overridden for each account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes; absent: unlimited.
    pub bytes: Option<u64>,
    /// Files; absent: unlimited.
    pub files: Option<u64>,
    /// Open uploads.
    pub open_uploads: u32,
}

/// How content is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// Bytes of memory for content in transit to the store, for the whole process.
    pub memory: u64,
    /// Bytes of one part of a multipart upload to S3.
    pub part_size: u64,
    /// Bytes of one request that clients are offered.
    pub chunk_size: u64,
    /// Parts of one upload that are sent concurrently.
    pub part_concurrency: usize,
    /// Time without a heartbeat after which an upload is abandoned.
    pub lease: Duration,
    /// Time without new bytes after which a resumable upload expires.
    pub expiry: Duration,
    /// Time that a client may send nothing before its upload is aborted.
    pub stall_timeout: Duration,
    /// Bytes per second that a client must send on average; 0 for any.
    pub min_rate: u64,
}

/// Who signs URLs to read from S3. On disk it is always this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedUrls {
    /// The bucket, which then serves the content.
    Store,
    /// This server, which can revoke the URLs and proxies the content.
    Server,
}

/// Share links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// Delivery of content through links.
    pub delivery: Via,
    /// Links of one account, including those revoked in the last 30 days.
    pub limit: u32,
    /// How long a link with a password stays unlocked.
    pub unlock_lifetime: Duration,
    /// How long an interrupted download can continue without counting again.
    pub resume_window: Duration,
}

/// Shared spaces, and grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spaces {
    /// Who may create shared spaces.
    pub creators: SpaceCreators,
    /// Shared spaces that one user who is not an admin may create.
    pub limit: u32,
    /// How long a deleted space can be restored.
    pub grace: Duration,
    /// Grants to one file or folder.
    pub grants: u64,
}

/// Who may create shared spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceCreators {
    /// Admins only.
    Admins,
    /// Every user.
    Users,
}

/// The change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// How long changes are kept.
    pub retention: Duration,
    /// Changes that are kept, the latest ones.
    pub limit: u64,
    /// The longest time that a request waits for a change.
    pub longest_wait: Duration,
    /// Requests that wait for changes or follow them.
    pub waiters: usize,
    /// Such requests of one account.
    pub waiters_per_account: usize,
}

/// Checks of database and store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fsck {
    /// Interval of automatic runs; zero for none.
    pub interval: Duration,
    /// Bytes per second that a full run reads.
    pub rate: u64,
    /// How long orphaned objects stay in quarantine before they are deleted.
    pub quarantine: Duration,
}

/// Sessions, passwords, and limits on attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Lifetime of a session.
    pub session_lifetime: Duration,
    /// Time without use after which a session ends; zero for no limit.
    pub session_idle: Duration,
    /// How long sessions and tokens are cached before the database is asked again; zero disables the cache.
    pub session_cache_ttl: Duration,
    /// How often a transfer checks again that what it was allowed by is valid.
    pub access_check_interval: Duration,
    /// Maximum number of concurrent password hashes.
    pub password_hash_concurrency: usize,
    /// Time window in which the attempts below are counted.
    pub attempt_window: Duration,
    /// Failed sign-ins to one account, and failed passwords of one share link.
    pub logins_per_account: u32,
    /// Failed sign-ins and share link passwords from one address, and new passwords of one account.
    pub logins_per_address: u32,
    /// Registrations from one address.
    pub registrations_per_address: u32,
}

impl Config {
    /// The public URL of a path that starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

impl Default for Config {
    /// The configuration without any setting.
    fn default() -> Self {
        Settings::default().resolve().expect("the defaults of the table are valid, as a test shows")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Config::default().limits
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Config::default().uploads
    }
}

impl Default for Auth {
    fn default() -> Self {
        Config::default().auth
    }
}
