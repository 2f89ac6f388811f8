//! Every setting: where it comes from, what it may be, and what the program runs with.
//!
//! `settings` is the table that everything else is made from (flags, variables, keys of the file,
//! defaults, help, the example file); `layers` puts the sources on top of each other; `resolve`
//! checks the texts and turns them into a [`Config`].

mod layers;
mod places;
mod resolve;
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

use crate::error::{Error, Result};

pub use layers::Settings;
pub use resolve::{is_loopback, is_unreachable, network};
pub use settings::{SETTINGS, Setting};
pub use text::{example, redacted_url};
pub use value::ConfigError;

/// Things on a page when the request does not say.
const USUAL_PAGE: u32 = 100;

/// What the program runs with, once defaults, file, environment and flags are put together and
/// checked. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// The base of every URL that is given out; its path ends with a slash. Never taken from a request.
    pub public_url: Url,
    /// Whether people may register by themselves.
    pub registration: Registration,
    /// Where keys, and on the embedded default the database and the files, are kept.
    pub data_dir: PathBuf,
    /// `sqlite:...` or `postgres://...`
    pub database_url: SecretString,
    /// Connections to the database that are open at most (SQLite: readers; one more writes).
    pub database_connections: u32,
    pub store: StoreConfig,
    /// What our own signed URLs are derived from, 32 bytes at least; made and kept in `data_dir` when absent.
    pub secret_key: Option<SecretSlice<u8>>,
    pub tls: Option<TlsConfig>,
    pub limits: Limits,
    pub quotas: Quotas,
    pub uploads: Uploads,
    pub auth: Auth,
    pub links: Links,
    pub signed_urls: SignedUrls,
    /// How content is delivered when the request does not say.
    pub download_via: Via,
    /// Proxies in front: `X-Forwarded-For` counts only when it comes from these networks.
    pub trusted_proxies: Vec<IpNet>,
    /// The time between two passes of the reaper.
    pub reap_interval: Duration,
    /// How long deleted files can be restored; zero for no trash.
    pub trash_retention: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
    pub fsck: Fsck,
    /// How long transfers may go on deadline the order to stop.
    pub shutdown_deadline: Duration,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// A level for our own code, or directives of `tracing_subscriber`'s `EnvFilter`.
    pub log: String,
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Through this server.
    Proxy,
    /// By a redirect to a signed URL of the store.
    Redirect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Where the bytes are.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    Disk { root: PathBuf },
    S3(Box<S3Config>),
}

#[derive(Debug, Clone)]
pub struct S3Config {
    pub bucket: String,
    /// Before every key, without slashes at its ends; may be empty.
    pub prefix: String,
    pub region: String,
    /// Absent: the credential chain of the environment (web identity, container, instance).
    pub credentials: Option<S3Credentials>,
    /// Absent: AWS.
    pub endpoint: Option<Url>,
    /// The endpoint as people reach it; the base of signed URLs. Absent: `endpoint`.
    pub public_endpoint: Option<Url>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    pub encryption: Option<Encryption>,
}

#[derive(Debug, Clone)]
pub struct S3Credentials {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: Option<SecretString>,
}

/// Encryption by the store itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// SSE-S3.
    Aes256,
    /// SSE-KMS; without a key id, the account's default key.
    Kms { key_id: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one file.
    pub file_size: u64,
    /// What files may be.
    pub allowed_types: AllowedTypes,
    /// Bytes in one avatar.
    pub avatar_size: u64,
    /// Bytes in one JSON body.
    pub json_body: usize,
    /// Bytes in one file's metadata, as JSON.
    pub metadata: usize,
    /// Files on one page of a list.
    pub page: u32,
    /// Files in one batch.
    pub batch: usize,
    /// Parts in the answer to one range request.
    pub ranges: usize,
    /// Connections that are open at once.
    pub connections: usize,
    /// Live API tokens of one account.
    pub tokens: u32,
    /// Life of a signed URL when the request does not say.
    pub signed_url_default: Duration,
    /// Longest life of a signed URL.
    pub signed_url_max: Duration,
}

/// Types of content such as `image/*` or `application/pdf`, in lower case; none means any.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AllowedTypes(pub Vec<String>);

impl AllowedTypes {
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a content of this type is one of them. Parameters, as of `text/plain; charset=utf-8`, do not matter.
    pub fn admit(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let matches = |allowed: &String| match allowed.strip_suffix('*') {
            Some(family) => essence.starts_with(family),
            None => essence == *allowed,
        };
        self.is_any() || self.0.iter().any(matches)
    }
}

/// What one account may use; its own row may say otherwise of bytes and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Absent: without a limit.
    pub bytes: Option<u64>,
    /// Absent: without a limit.
    pub files: Option<u64>,
    /// Uploads under way at once.
    pub open_uploads: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// Memory for bytes on their way to the store, for the whole process.
    pub memory: u64,
    /// Size of one part of a multipart upload to S3.
    pub part_size: u64,
    /// Parts of one upload that are on their way at once.
    pub part_concurrency: usize,
    /// How long a writer may be silent before its upload counts as dead.
    pub lease: Duration,
    /// How long an upload in pieces waits for its next byte.
    pub expiry: Duration,
    /// How long a client may send nothing.
    pub stall_timeout: Duration,
}

/// Who signs the URLs that are given out to read from S3. On disk it is always this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedUrls {
    Store,
    Ours,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    pub delivery: Via,
    /// Links of one account.
    pub limit: u32,
    /// How long the password need not be given again.
    pub unlock: Duration,
    /// How long a download that broke off keeps its use.
    pub resume: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fsck {
    /// The time between two passes that make themselves; zero for none.
    pub interval: Duration,
    /// Bytes that a full pass reads in a second.
    pub rate: u64,
    /// How long bytes that no row knows stay in quarantine before they are removed.
    pub quarantine: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub session_lifetime: Duration,
    /// How long callers are remembered without asking the database.
    pub session_cache: Duration,
    /// Passwords that are hashed at the same time.
    pub password_hashers: usize,
    /// The window in which the attempts below are counted.
    pub attempt_window: Duration,
    pub logins_per_account: u32,
    pub logins_per_address: u32,
    pub registrations_per_address: u32,
}

impl Config {
    /// The URL of a path, which begins with a slash, as people reach it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

impl Limits {
    /// How many things are on a page of which so many were asked for.
    ///
    /// # Errors
    /// `Invalid` at `/limit` if there may not be so many.
    pub fn on_page(&self, wanted: Option<u32>) -> Result<usize> {
        let limit = wanted.unwrap_or(USUAL_PAGE.min(self.page));
        if !(1..=self.page).contains(&limit) {
            return Err(Error::invalid_parameter("limit", "out_of_range", format!("from 1 to {}", self.page)));
        }
        Ok(limit as usize)
    }
}

impl Default for Config {
    /// What runs when nothing is set at all.
    fn default() -> Self {
        Settings::default().resolve().expect("the defaults in the table are accepted, as a test shows")
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
