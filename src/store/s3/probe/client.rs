//! Requests that the object-store library has no method for, and responses with what it hides.

use std::time::Duration;

use bytes::BytesMut;
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::chain;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The lifetime of a URL that is used immediately.
const URL_LIFETIME: Duration = Duration::from_secs(60);
/// The largest response that is read, in bytes.
const MAX_RESPONSE: usize = 1024 * 1024;

pub(super) type Headers<'a> = &'a [(&'static str, &'a str)];

/// Sends the requests of a probe.
pub(super) struct ProbeClient {
    signer: AmazonS3,
    http: reqwest::Client,
}

/// A complete response.
pub(super) struct ProbeResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl ProbeClient {
    /// # Errors
    /// Why no client could be created.
    pub fn new(signer: AmazonS3) -> Result<Self, String> {
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).timeout(REQUEST_TIMEOUT);
        let http = http.user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION"))).build();
        Ok(Self { signer, http: http.map_err(describe)? })
    }

    /// Sends a request that is signed with the credentials of the server.
    ///
    /// # Errors
    /// Why there was no response.
    pub async fn signed(
        &self,
        method: Method,
        path: &Path,
        query: &[(&str, &str)],
        headers: Headers<'_>,
        body: &'static [u8],
    ) -> Result<ProbeResponse, String> {
        let mut options = SignedUrlOptions::new().with_query(query.iter().copied());
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(describe)?;
            options = options.with_signed_header(HeaderName::from_static(name), value);
        }
        let url = self.signer.signed_url_opts(method.clone(), path, URL_LIFETIME, &options).await;
        self.plain(method, url.map_err(describe)?.as_str(), headers, body).await
    }

    /// The host and port of the proxy that the environment puts in front of the store, if there is one.
    pub async fn proxy(&self) -> Option<String> {
        let options = SignedUrlOptions::new();
        let url = self.signer.signed_url_opts(Method::GET, &Path::default(), URL_LIFETIME, &options).await.ok()?;
        let proxy = Matcher::from_env().intercept(&url.as_str().parse().ok()?)?;
        // Not the whole URL, which may have a password.
        Some(
            proxy.uri().host()?.to_owned() + &proxy.uri().port_u16().map(|port| format!(":{port}")).unwrap_or_default(),
        )
    }

    /// Sends an anonymous request.
    ///
    /// # Errors
    /// Why there was no response.
    pub async fn plain(
        &self,
        method: Method,
        url: &str,
        headers: Headers<'_>,
        body: &'static [u8],
    ) -> Result<ProbeResponse, String> {
        let url: Url = url.parse().map_err(describe)?;
        let mut request = self.http.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Errors may be logged, and the URL may contain a signature.
        let mut response = request.send().await.map_err(|error| describe(error.without_url()))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| describe(error.without_url()))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_RESPONSE {
                return Err(format!("{status} with more than {MAX_RESPONSE} bytes"));
            }
        }
        Ok(ProbeResponse { status, headers, body: body.into() })
    }
}

impl ProbeResponse {
    /// Whether the status is in the range 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the store does not support the request, as opposed to being busy, failing or denying access.
    pub fn is_unknown(&self) -> bool {
        matches!(self.status, 400 | 405 | 501)
    }

    /// The value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the list in a header contains this item or `*`.
    pub fn lists(&self, header: &str, item: &str) -> bool {
        let mut values = self.headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
        values
            .any(|value| value.split(',').map(str::trim).any(|found| found == "*" || found.eq_ignore_ascii_case(item)))
    }

    /// The body, if it is XML of this type.
    pub fn xml<T: DeserializeOwned>(&self) -> Option<T> {
        quick_xml::de::from_reader(self.body.as_slice()).ok()
    }

    /// The time of the store's clock.
    pub fn date(&self) -> Option<Timestamp> {
        jiff::fmt::rfc2822::parse(self.header("date")).ok().map(|date| date.timestamp())
    }

    /// S3's error code; empty if there is none.
    pub fn code(&self) -> String {
        self.error().code
    }

    /// The region of the bucket, if the response names it.
    pub fn region(&self) -> Option<String> {
        let regions = [self.header("x-amz-bucket-region").to_owned(), self.error().region];
        regions.into_iter().find(|region| !region.is_empty())
    }

    /// The status, and the store's error if there is one.
    pub fn describe(&self) -> String {
        let ErrorBody { code, message, .. } = self.error();
        match (code.as_str(), self.is_success()) {
            ("", true) => format!("{}, but not a response of S3", self.status),
            ("", false) => self.status.to_string(),
            _ => format!("{} {code}: {message}", self.status),
        }
    }

    fn error(&self) -> ErrorBody {
        self.xml().unwrap_or_default()
    }
}

/// The body of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename = "Error", rename_all = "PascalCase", default)]
struct ErrorBody {
    code: String,
    message: String,
    region: String,
}

/// An error with its causes.
pub(super) fn describe(error: impl std::error::Error) -> String {
    chain(&error)
}
