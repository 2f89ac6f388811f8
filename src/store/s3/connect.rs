//! The HTTP clients of the bucket, configured from the settings.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::path::Path;
use object_store::{ClientOptions, HeaderValue, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::quirks::Quirks;
use super::retry::{attempts, is_missing, unavailable};
use crate::config::{Encryption, S3Config};
use crate::error::{Error, Result};
use crate::net::is_loopback;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a response may pause.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for requests that send content: the response comes after the whole part has been sent,
/// which takes a while on a slow connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// Environment variables that are used if no credentials are configured. Nothing else is taken from
/// the environment: an endpoint or a bucket there would silently override the settings.
const CREDENTIAL_VARIABLES: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_IMDSV1_FALLBACK",
];

/// Request headers, with names in lower case.
type Headers = Vec<(&'static str, String)>;

/// The clients of one bucket, with one set of credentials.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// For requests without content, and for downloads.
    pub reader: AmazonS3,
    /// For objects and parts, with checksums and without.
    checked: AmazonS3,
    unchecked: AmazonS3,
    /// The headers that encrypt new objects as configured.
    pub encryption: Arc<Headers>,
    pub quirks: Arc<Quirks>,
    bucket: Url,
}

impl Clients {
    /// # Errors
    /// [`Error::Setup`] if the settings make no client.
    pub fn connect(config: &S3Config) -> Result<Self> {
        let unchecked = encrypted(builder(config, WRITE_TIMEOUT)?, config).build().map_err(setup)?;
        let credentials = unchecked.credentials();
        let checked = encrypted(builder(config, WRITE_TIMEOUT)?, config).with_credentials(credentials.clone());
        // Without the headers for encryption: they are for new objects, and stores refuse them on
        // other requests, such as the one to abort an upload.
        let reader = builder(config, READ_TIMEOUT)?.with_credentials(credentials.clone());
        Ok(Self {
            reader: reader.build().map_err(setup)?,
            checked: checked.with_checksum_algorithm(Checksum::CRC64NVME).build().map_err(setup)?,
            unchecked,
            encryption: Arc::new(encryption_headers(config)),
            quirks: Arc::default(),
            bucket: bucket_url(config, config.endpoint.as_ref())?,
        })
    }

    /// The client for objects and parts. A multipart upload must use the same one from start to end.
    pub fn writer(&self) -> &AmazonS3 {
        if self.quirks.checksums() { &self.checked } else { &self.unchecked }
    }

    /// The client for direct uploads, whose parts clients send without checksums.
    pub fn unchecked_writer(&self) -> &AmazonS3 {
        &self.unchecked
    }

    /// The URL of the bucket, as this server uses it.
    pub fn bucket(&self) -> &Url {
        &self.bucket
    }

    /// The size of an object in bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn size(&self, path: &Path) -> Result<Option<u64>> {
        match attempts(|| self.reader.head(path)).await {
            Ok(object) => Ok(Some(object.size)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// A client for requests that the object-store library has no method for, with the same timeouts.
///
/// # Errors
/// [`Error::Setup`] if the settings make no client.
pub(super) fn plain_client(bucket: &Url) -> Result<HttpClient> {
    ReqwestConnector::default().connect(&client_options(bucket, READ_TIMEOUT)).map_err(setup)
}

/// The URL of the bucket at `endpoint`, or at AWS.
///
/// # Errors
/// [`Error::Setup`] if the bucket's name is not valid in a host name.
pub(super) fn bucket_url(config: &S3Config, endpoint: Option<&Url>) -> Result<Url> {
    let mut url = match endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("https://s3.{}.amazonaws.com", config.region).parse().map_err(setup)?,
    };
    let named = match (config.path_style, url.host()) {
        (true, _) => {
            let path = url.path_segments_mut();
            path.map(|mut path| _ = path.pop_if_empty().push(&config.bucket)).is_ok()
        }
        (false, Some(Host::Domain(host))) => {
            let host = format!("{}.{host}", config.bucket);
            url.set_host(Some(&host)).is_ok()
        }
        (false, _) => false,
    };
    match named {
        true => Ok(url),
        false => Err(Error::Setup(format!("{url} cannot have a bucket name before its host; use path style"))),
    }
}

/// The headers that a PUT to a signed URL must carry. An object is never overwritten, not even by a
/// client with a signed URL.
pub(super) fn put_headers(config: &S3Config) -> Headers {
    let mut headers = vec![("if-none-match", "*".to_owned())];
    headers.extend(encryption_headers(config));
    headers
}

fn encryption_headers(config: &S3Config) -> Headers {
    let kind = encryption(config).map(|(kind, _)| ("x-amz-server-side-encryption", kind.to_owned()));
    let key = encryption(config).and_then(|(_, key)| key);
    let key = key.map(|key| ("x-amz-server-side-encryption-aws-kms-key-id", key.to_owned()));
    kind.into_iter().chain(key).collect()
}

fn builder(config: &S3Config, timeout: Duration) -> Result<AmazonS3Builder> {
    let url = bucket_url(config, config.endpoint.as_ref())?;
    let no_retries = RetryConfig { max_retries: 0, ..Default::default() };
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_endpoint(url.as_str().trim_end_matches('/'))
        // The endpoint includes the bucket already, before its host or in its path.
        .with_virtual_hosted_style_request(true)
        .with_unsigned_payload(is_safe_from_tampering(&url))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_retry(no_retries)
        .with_client_options(client_options(&url, timeout));
    Ok(with_credentials(builder, config))
}

fn client_options(url: &Url, timeout: Duration) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(url.scheme() == "http")
        .with_user_agent(HeaderValue::from_static(concat!("strongroom/", env!("CARGO_PKG_VERSION"))))
        // The library's timeout covers the whole body and would interrupt every long transfer.
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(timeout)
}

/// Whether content may be sent unsigned. Hashing every part for the signature doubles the work of an
/// upload. TLS protects the content as well, and loopback traffic cannot be tampered with; over any
/// other plain HTTP connection the content is signed.
fn is_safe_from_tampering(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

fn with_credentials(builder: AmazonS3Builder, config: &S3Config) -> AmazonS3Builder {
    let Some(credentials) = &config.credentials else {
        let present = CREDENTIAL_VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        return present.fold(builder, |builder, (name, value)| with_setting(builder, name, value));
    };
    let builder = builder
        .with_access_key_id(&credentials.access_key_id)
        .with_secret_access_key(credentials.secret_access_key.expose_secret());
    match &credentials.session_token {
        Some(token) => builder.with_token(token.expose_secret()),
        None => builder,
    }
}

fn encrypted(builder: AmazonS3Builder, config: &S3Config) -> AmazonS3Builder {
    let Some((kind, key)) = encryption(config) else {
        return builder;
    };
    let builder = with_setting(builder, "AWS_SERVER_SIDE_ENCRYPTION", kind.to_owned());
    match key {
        Some(key) => with_setting(builder, "AWS_SSE_KMS_KEY_ID", key.to_owned()),
        None => builder,
    }
}

/// Sets the option that the library reads from this environment variable.
fn with_setting(builder: AmazonS3Builder, variable: &str, value: String) -> AmazonS3Builder {
    match variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
        Ok(key) => builder.with_config(key, value),
        Err(_) => builder,
    }
}

/// S3's name of the encryption, and the id of the key.
fn encryption(config: &S3Config) -> Option<(&'static str, Option<&str>)> {
    match config.encryption.as_ref()? {
        Encryption::Aes256 => Some(("AES256", None)),
        Encryption::Kms { key_id } => Some(("aws:kms", key_id.as_deref())),
    }
}

fn setup(error: impl std::fmt::Display) -> Error {
    Error::Setup(error.to_string())
}
