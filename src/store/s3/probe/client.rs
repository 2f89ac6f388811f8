//! Requests that the object-store library has no method for, and answers with what it hides.

use std::time::Duration;

use bytes::BytesMut;
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
const PATIENCE: Duration = Duration::from_secs(5);
/// The life of a URL that is used at once.
const AT_ONCE: Duration = Duration::from_secs(60);
/// No answer that a probe reads is longer, in bytes.
const LONGEST: usize = 1024 * 1024;

pub(super) type Headers<'a> = &'a [(&'static str, &'a str)];

pub(super) struct ProbeClient {
    signer: AmazonS3,
    http: reqwest::Client,
}

/// An answer, read to its end.
pub(super) struct ProbeResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl ProbeClient {
    /// # Errors
    /// Why there can be no client.
    pub fn new(signer: AmazonS3) -> Result<Self, String> {
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).timeout(PATIENCE);
        let http = http.user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION"))).build();
        Ok(Self { signer, http: http.map_err(describe)? })
    }

    /// Sends a request as the server does, signed with its credentials.
    ///
    /// # Errors
    /// Why there was no answer.
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
        let url = self.signer.signed_url_opts(method.clone(), path, AT_ONCE, &options).await;
        self.plain(method, url.map_err(describe)?.as_str(), headers, body).await
    }

    /// Sends a request as anybody can.
    ///
    /// # Errors
    /// Why there was no answer.
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
        // The URL may have a signature in it, and what is describe may be logged.
        let mut answer = request.send().await.map_err(|error| describe(error.without_url()))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| describe(error.without_url()))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(format!("{status}, and more than {LONGEST} bytes"));
            }
        }
        Ok(ProbeResponse { status, headers, body: body.into() })
    }
}

impl ProbeResponse {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether this is how a store refuses what it does not know or take, rather than one that is busy,
    /// in trouble, or to be asked by somebody else.
    pub fn is_unknown(&self) -> bool {
        matches!(self.status, 400 | 405 | 501)
    }

    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether a header that is a list has this word, or all of them.
    pub fn lists(&self, header: &str, word: &str) -> bool {
        let mut values = self.headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
        values
            .any(|value| value.split(',').map(str::trim).any(|found| found == "*" || found.eq_ignore_ascii_case(word)))
    }

    /// The body, if it is this kind of XML.
    pub fn xml<T: DeserializeOwned>(&self) -> Option<T> {
        quick_xml::de::from_reader(self.body.as_slice()).ok()
    }

    /// The store's clock.
    pub fn date(&self) -> Option<Timestamp> {
        jiff::fmt::rfc2822::parse(self.header("date")).ok().map(|date| date.timestamp())
    }

    /// S3's name for what is wrong; empty if there is none.
    pub fn code(&self) -> String {
        self.refusal().code
    }

    /// The region that the store wants to be asked in.
    pub fn region(&self) -> Option<String> {
        let describe = [self.header("x-amz-bucket-region").to_owned(), self.refusal().region];
        describe.into_iter().find(|region| !region.is_empty())
    }

    /// The status, and what the store says to it.
    pub fn describe(&self) -> String {
        let Refusal { code, message, .. } = self.refusal();
        match (code.as_str(), self.is_success()) {
            ("", true) => format!("{}, but not what S3 answers", self.status),
            ("", false) => self.status.to_string(),
            _ => format!("{} {code}: {message}", self.status),
        }
    }

    fn refusal(&self) -> Refusal {
        self.xml().unwrap_or_default()
    }
}

/// How S3 says no.
#[derive(Debug, Default, Deserialize)]
#[serde(rename = "Error", rename_all = "PascalCase", default)]
struct Refusal {
    code: String,
    message: String,
    region: String,
}

/// An error with its causes.
pub(super) fn describe(error: impl std::error::Error) -> String {
    chain(&error)
}
