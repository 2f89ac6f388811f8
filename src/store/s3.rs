//! A store in a bucket of Amazon S3 or of a compatible server.

mod append;
mod budget;
mod connect;
mod download;
mod list;
mod presign;
mod probe;
mod put;
mod quirks;
mod retry;
mod upload;
mod xml;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use object_store::ObjectStoreExt;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use url::Url;

use self::budget::Budget;
use self::connect::Clients;
use self::list::Lister;
use self::presign::Presigner;
use self::retry::{attempts, is_missing, unavailable};
use super::{
    AppendObserver, AppendRequest, ByteStream, Key, ListStream, MultipartObserver, Object, OpenUpload, Operation,
    PartObserver, SignRequest, SignedUrl, Store, StoredPart, UrlSigner, wrong_size,
};
use crate::config::{S3Config, Uploads};
use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};

/// How long the response to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Stores objects in one bucket, below one prefix.
#[derive(Debug)]
pub struct S3Store {
    clients: Clients,
    lister: Lister,
    presigner: Presigner,
    prefix: String,
    budget: Budget,
    part_concurrency: usize,
}

impl S3Store {
    /// Configures the clients; sends no request yet.
    ///
    /// # Errors
    /// [`Error::Setup`] if the settings contradict each other: an endpoint that cannot carry the
    /// bucket's name, parts below S3's minimum of 5 MiB, or less memory than one part needs.
    pub fn open(config: &S3Config, uploads: &Uploads) -> Result<Self> {
        Path::parse(&config.prefix).map_err(|error| Error::Setup(format!("the prefix: {error}")))?;
        let public_endpoint = config.public_endpoint.as_ref().or(config.endpoint.as_ref());
        let bucket = connect::bucket_url(config, public_endpoint)?;
        let clients = Clients::connect(config)?;
        Ok(Self {
            lister: Lister::connect(config, clients.reader.credentials().clone())?,
            clients,
            presigner: Presigner::new(bucket, config.region.clone(), connect::put_headers(config)),
            prefix: config.prefix.trim_matches('/').to_owned(),
            budget: Budget::new(uploads.memory, uploads.part_size, uploads.stall_timeout)?,
            part_concurrency: uploads.part_concurrency.max(1),
        })
    }

    fn path(&self, key: &Key) -> Path {
        self.path_of(key.as_str())
    }

    fn path_of(&self, name: &str) -> Path {
        Path::from_iter(self.prefix.split('/').filter(|part| !part.is_empty()).chain([name]))
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, row: &dyn MultipartObserver) -> Result<u64> {
        self.put(key, size, body, row).await
    }

    fn part_size(&self, size: Option<u64>) -> Result<u64> {
        self.budget.part_size(size)
    }

    /// Sends nothing: the first full part creates a multipart upload, if there is one.
    async fn begin(&self, _: &Key) -> Result<()> {
        Ok(())
    }

    async fn begin_parts(&self, key: &Key, row: &dyn MultipartObserver) -> Result<()> {
        // Clients do not send checksums with their parts.
        self.open_multipart(self.clients.unchecked_writer(), key, row).await.map(drop)
    }

    async fn parts(&self, key: &Key, multipart_id: Option<&str>) -> Result<Option<Vec<StoredPart>>> {
        match multipart_id {
            Some(id) => self.lister.parts(key, id).await.map(Some),
            None => Ok(Some(Vec::new())),
        }
    }

    async fn write_part(&self, _: &Key, _: u64, _: ByteStream, _: &mut dyn PartObserver) -> Result<()> {
        Err(Error::NotFound)
    }

    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, row: &mut dyn AppendObserver) -> Result<()> {
        self.append(at, body, row).await
    }

    async fn assemble(&self, key: &Key, multipart_id: Option<&str>, receipts: Vec<String>, size: u64) -> Result<()> {
        let id = multipart_id.ok_or_else(|| Error::internal("an upload without an id cannot be assembled"))?;
        self.assemble_parts(key, id, receipts, size).await
    }

    async fn confirm(&self, key: &Key, size: u64) -> Result<()> {
        match self.size(key).await? == Some(size) {
            true => Ok(()),
            false => Err(wrong_size()),
        }
    }

    async fn get(&self, key: &Key, range: Range<u64>) -> Result<ByteStream> {
        download::open(self.clients.reader.clone(), self.path(key), range).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        self.clients.size(&self.path(key)).await
    }

    fn list(&self) -> ListStream<Object> {
        self.lister.objects()
    }

    fn list_uploads(&self, key: Option<&Key>) -> ListStream<OpenUpload> {
        self.lister.uploads(key.cloned())
    }

    async fn abort(&self, key: &Key, upload_id: Option<&str>) -> Result<()> {
        let Some(id) = upload_id.map(str::to_owned) else { return Ok(()) };
        let path = self.path(key);
        ignore_missing(attempts(|| self.clients.reader.abort_multipart(&path, &id)).await)
    }

    async fn delete(&self, key: &Key, multipart_id: Option<&str>) -> Result<()> {
        // In this order: an upload that is completed in between leaves an object, which is then deleted.
        self.abort(key, multipart_id).await?;
        let path = self.path(key);
        ignore_missing(attempts(|| self.clients.reader.delete(&path)).await)
    }

    async fn sign(&self, request: &SignRequest<'_>) -> Result<SignedUrl> {
        let is_whole = request.operation == Operation::Put && request.part.is_none();
        if is_whole && !self.clients.quirks.conditions() {
            // Such a URL could overwrite the content of a file that is complete.
            let why = "the bucket does not support conditional writes; replace the content through this server";
            return Err(Error::invalid("/operation", "unsupported", why));
        }
        let credential = self.clients.reader.credentials().get_credential().await.map_err(unavailable)?;
        Ok(self.presigner.sign(&credential, self.path(request.key).as_ref(), request))
    }

    fn url_signer(&self) -> Option<&UrlSigner> {
        None
    }

    fn public_bucket(&self) -> Option<&Url> {
        Some(self.presigner.bucket())
    }

    async fn ping(&self) -> Result<()> {
        // A list, because the response to a HEAD does not distinguish a missing key from a missing bucket.
        let options = PaginatedListOptions { max_keys: Some(1), ..Default::default() };
        let prefix = (!self.prefix.is_empty()).then_some(self.prefix.as_str());
        let response = tokio::time::timeout(PING_TIMEOUT, self.clients.reader.list_paginated(prefix, options));
        response.await.map_err(Error::store_unavailable)?.map_err(unavailable).map(drop)
    }

    async fn probe(&self, options: &ProbeOptions) -> Vec<Check> {
        probe::run(self, options).await
    }
}

/// Treats the deletion of something that does not exist as a success.
fn ignore_missing(outcome: object_store::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if !is_missing(&error) => Err(unavailable(error)),
        _ => Ok(()),
    }
}
