//! The connections to the bucket.

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

const CONNECT: Duration = Duration::from_secs(5);
/// Silence that a reader puts up with.
const READ: Duration = Duration::from_secs(30);
/// A writer hears nothing until all of its part has arrived; on a slow line that takes a while.
const WRITE: Duration = Duration::from_secs(300);

/// Where credentials may come from when none are configured. Nothing else is taken from the
/// environment: an endpoint or a bucket there would silently override the settings.
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

/// Headers of a request.
type Headers = Vec<(&'static str, String)>;

/// The clients of one bucket, with one set of credentials.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// For what is answered soon, and for streams that come in.
    pub reader: AmazonS3,
    /// For objects and parts that go out: with checksums, and without.
    checked: AmazonS3,
    unchecked: AmazonS3,
    /// What objects have to be sent with to be encrypted as the settings say.
    pub encryption: Arc<Headers>,
    pub quirks: Arc<Quirks>,
    bucket: Url,
}

impl Clients {
    /// # Errors
    /// [`Error::Setup`] if the settings make no client.
    pub fn connect(config: &S3Config) -> Result<Self> {
        let unchecked = encrypted(builder(config, WRITE)?, config).build().map_err(setup)?;
        let credentials = unchecked.credentials();
        let checked = encrypted(builder(config, WRITE)?, config).with_credentials(credentials.clone());
        // Without the encryption's headers: they are for new objects, and stores refuse them on
        // requests like the one to abort an upload.
        let reader = builder(config, READ)?.with_credentials(credentials.clone());
        Ok(Self {
            reader: reader.build().map_err(setup)?,
            checked: checked.with_checksum_algorithm(Checksum::CRC64NVME).build().map_err(setup)?,
            unchecked,
            encryption: Arc::new(encryption_headers(config)),
            quirks: Arc::default(),
            bucket: bucket_url(config, config.endpoint.as_ref())?,
        })
    }

    /// For objects and parts that go out. An upload keeps to the one that it began with.
    pub fn writer(&self) -> &AmazonS3 {
        if self.quirks.checksums() { &self.checked } else { &self.unchecked }
    }

    /// For uploads whose parts others send, without checksums.
    pub fn unchecked_writer(&self) -> &AmazonS3 {
        &self.unchecked
    }

    /// The bucket as the server reaches it.
    pub fn bucket(&self) -> &Url {
        &self.bucket
    }

    /// The size of the object in bytes, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn size(&self, path: &Path) -> Result<Option<u64>> {
        match attempts(|| self.reader.head(path)).await {
            Ok(object) => Ok(Some(object.size)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// A client for requests that are put together by hand, with the manners of the others.
///
/// # Errors
/// [`Error::Setup`] if the settings make no client.
pub(super) fn plain_client(bucket: &Url) -> Result<HttpClient> {
    ReqwestConnector::default().connect(&client_options(bucket, READ)).map_err(setup)
}

/// The URL of the bucket at `endpoint`, or at AWS.
///
/// # Errors
/// [`Error::Setup`] if the bucket's name cannot be put before the host.
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
        false => Err(Error::Setup(format!("{url} cannot have a bucket before its host: use path style"))),
    }
}

/// What has to be sent with a PUT to a signed URL. A key is never overwritten, not even by
/// whoever has a URL to write it.
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

fn builder(config: &S3Config, silence: Duration) -> Result<AmazonS3Builder> {
    let url = bucket_url(config, config.endpoint.as_ref())?;
    let retries_are_ours = RetryConfig { max_retries: 0, ..Default::default() };
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_endpoint(url.as_str().trim_end_matches('/'))
        // Tells the library that the bucket is in the endpoint already, wherever it is there.
        .with_virtual_hosted_style_request(true)
        .with_unsigned_payload(is_safe_from_tampering(&url))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_retry(retries_are_ours)
        .with_client_options(client_options(&url, silence));
    Ok(with_credentials(builder, config))
}

fn client_options(url: &Url, silence: Duration) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(url.scheme() == "http")
        .with_user_agent(HeaderValue::from_static(concat!("strongroom/", env!("CARGO_PKG_VERSION"))))
        // The library's limit covers the whole body and would cut every long transfer.
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(silence)
}

/// Hashing every part for the signature doubles the work of an upload. TLS protects the bytes as
/// well, and nobody sits in the middle of the loopback; on any other plain line they are signed.
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

/// Sets what the library knows under the name of a variable.
fn with_setting(builder: AmazonS3Builder, variable: &str, value: String) -> AmazonS3Builder {
    match variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
        Ok(key) => builder.with_config(key, value),
        Err(_) => builder,
    }
}

/// The kind of encryption in S3's words, and the id of the key.
fn encryption(config: &S3Config) -> Option<(&'static str, Option<&str>)> {
    match config.encryption.as_ref()? {
        Encryption::Aes256 => Some(("AES256", None)),
        Encryption::Kms { key_id } => Some(("aws:kms", key_id.as_deref())),
    }
}

fn setup(error: impl std::fmt::Display) -> Error {
    Error::Setup(error.to_string())
}
