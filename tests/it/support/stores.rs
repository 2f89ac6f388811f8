//! Stores under test: a bucket of their own, content, and uploads to them.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use jiff::Timestamp;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::{Client, StatusCode};
use strongroom::clock::Clock;
use strongroom::config::{S3Config, Uploads};
use strongroom::error::{Error, Result};
use strongroom::store::{Key, MultipartObserver, Operation, S3Store, SignRequest, Store, UrlSigner};

use super::bucket_proxy::{BucketProxy, Script};
use super::client::bucket;
use super::s3_config;

/// The minimum size of a part on S3.
pub const PART: usize = 5 * 1024 * 1024;

/// Finds the incomplete uploads that a store has left.
#[async_trait]
pub trait Leftovers: Sync {
    async fn exist(&self, key: &Key) -> bool;
}

/// The bucket of the S3 server, with a unique prefix.
pub struct Bucket {
    pub config: S3Config,
    pub client: AmazonS3,
}

impl Bucket {
    pub fn new() -> Self {
        Self::of(S3Config { prefix: format!("store tests/{}", Key::random()), ..s3_config() })
    }

    pub fn of(config: S3Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { client: bucket(&config), config }
    }

    pub fn config(&self) -> S3Config {
        self.config.clone()
    }

    pub fn store(&self) -> S3Store {
        S3Store::open(&self.config(), &uploads()).unwrap()
    }
}

#[async_trait]
impl Leftovers for Bucket {
    /// Whether an upload of this key is open.
    async fn exist(&self, key: &Key) -> bool {
        let query = [("uploads", ""), ("prefix", &format!("{}/{key}", self.config.prefix))];
        let options = SignedUrlOptions::default().with_query(query);
        let minute = Duration::from_secs(60);
        let bucket = Path::default();
        let url = self.client.signed_url_opts(http::Method::GET, &bucket, minute, &options).await.unwrap();
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap().contains("<UploadId>")
    }
}

/// Records the id of the multipart upload, as a row does.
#[derive(Default)]
pub struct Recorded(pub Mutex<Option<String>>);

#[async_trait]
impl MultipartObserver for Recorded {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        let before = self.0.lock().unwrap().replace(upload_id.to_owned());
        assert_eq!(before, None, "an upload is created once");
        Ok(())
    }

    fn owner(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}

pub async fn put(store: &dyn Store, key: &Key, bytes: &[u8], declared: bool) -> Result<u64> {
    let size = declared.then_some(bytes.len() as u64);
    store.put(key, size, Box::pin(chunks(bytes)), &Recorded::default()).await
}

pub async fn get(store: &dyn Store, key: &Key, range: std::ops::Range<usize>) -> Result<Vec<u8>> {
    let body = store.get(key, range.start as u64..range.end as u64).await?;
    let chunks: Vec<Bytes> = body.try_collect().await?;
    Ok(chunks.concat())
}

pub fn chunks(bytes: &[u8]) -> impl futures_util::Stream<Item = Result<Bytes>> + Send + use<> {
    let bytes = Bytes::copy_from_slice(bytes);
    let starts = (0..bytes.len()).step_by(100_000);
    stream::iter(starts.map(move |start| Ok(bytes.slice(start..(start + 100_000).min(bytes.len())))))
}

/// Content without repetitions, so that a part in the wrong place is noticed.
pub fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|place| (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

pub const DISPOSITION: &str = "attachment; filename=\"test.txt\"; filename*=UTF-8''t%C3%A9st.txt";

/// A request for a URL that expires in ten minutes.
pub fn request(operation: Operation, key: &Key) -> SignRequest<'_> {
    let reading = operation != Operation::Put;
    SignRequest {
        operation,
        key,
        now: Timestamp::now(),
        expires_in: Duration::from_secs(600),
        disposition: reading.then_some(DISPOSITION),
        content_type: reading.then_some("text/x-test; charset=utf-8"),
        part: None,
        generation: 0,
    }
}

/// A store in a bucket behind a proxy that follows the script.
pub async fn store_behind(script: Script) -> (S3Store, Bucket, BucketProxy) {
    let bucket = Bucket::new();
    let mut config = bucket.config();
    let proxy = BucketProxy::before(config.endpoint.as_ref().unwrap()).await;
    config.endpoint = Some(proxy.url.clone());
    proxy.follow(script);
    (S3Store::open(&config, &uploads()).unwrap(), bucket, proxy)
}

pub fn unavailable<T>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Error::Unavailable { what: "store", .. }))
}

pub fn client() -> Client {
    Client::new()
}

pub fn url_signer() -> UrlSigner {
    UrlSigner::new(&[1; 32], "http://127.0.0.1:3000".parse().unwrap(), Clock::default())
}

pub fn uploads() -> Uploads {
    Uploads { memory: 20 * 1024 * 1024, part_size: PART as u64, part_concurrency: 3, ..Uploads::default() }
}
