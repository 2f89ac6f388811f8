//! Bytes in a bucket of Amazon S3 or of a store that speaks its language.

mod append;
mod budget;
mod connect;
mod download;
mod list;
pub(super) mod presign;
mod probe;
mod quirks;
mod retry;
mod upload;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use url::Url;

use self::budget::{Budget, Reserved};
use self::connect::Clients;
use self::list::Lister;
use self::presign::Presigner;
use self::retry::{attempts, is_missing, unavailable};
use self::upload::Upload;
use super::blocks::{Block, Blocks};
use super::{
    AppendObserver, AppendRequest, ByteStream, Key, ListStream, MAX_PARTS, MultipartObserver, Object, OpenUpload,
    Operation, PartObserver, SignRequest, SignedUrl, Store, StoredPart, UrlSigner,
};

use crate::config::{S3Config, Uploads};
use crate::error::{Error, Result};
use crate::faults;
use crate::health::check::{Check, ProbeOptions};

/// How long a sign of life may take.
const PING: Duration = Duration::from_secs(5);

/// Keeps bytes in one bucket, below one prefix.
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
    /// Gets ready; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Setup`] if the settings contradict each other: an endpoint that cannot carry the
    /// bucket's name, parts below S3's minimum of 5 MiB, or less memory than one part needs.
    pub fn open(config: &S3Config, uploads: &Uploads) -> Result<Self> {
        Path::parse(&config.prefix).map_err(|error| Error::Setup(format!("the prefix: {error}")))?;
        let reached_by_people = config.public_endpoint.as_ref().or(config.endpoint.as_ref());
        let bucket = connect::bucket_url(config, reached_by_people)?;
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

    /// Sends what fits in one part, if there is nothing under the key.
    async fn put_whole(&self, path: &Path, block: Block) -> Result<u64> {
        let length = block.len() as u64;
        let payload = PutPayload::from_iter(block.into_chunks());
        let mode = match self.clients.quirks.conditions() {
            true => PutMode::Create,
            // The next best: keys are random and used once, so that nobody puts in between.
            false if self.clients.size(path).await?.is_some() => return Err(Error::PreconditionFailed),
            false => PutMode::Overwrite,
        };
        let mut tries = 0;
        faults::point("K6");
        let outcome = attempts(|| {
            tries += 1;
            self.clients.writer().put_opts(path, payload.clone(), mode.clone().into())
        })
        .await;
        faults::point("K7");
        match outcome {
            Ok(_) => Ok(length),
            Err(object_store::Error::AlreadyExists { .. }) => {
                // Our own bytes, if an earlier try arrived and its answer was lost.
                let ours = tries > 1 && self.clients.size(path).await? == Some(length);
                if ours { Ok(length) } else { Err(Error::PreconditionFailed) }
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Sends the body in parts of `part_size` bytes, of which the first is at hand.
    async fn put_parts(
        &self,
        key: &Key,
        first: (Block, Reserved),
        body: Blocks,
        part_size: u64,
        intent: &dyn MultipartObserver,
    ) -> Result<u64> {
        if self.clients.size(&self.path(key)).await?.is_some() {
            return Err(Error::PreconditionFailed);
        }
        let mut upload = self.open_upload(self.clients.writer(), key, self.part_concurrency).await?;
        let outcome = self.fill(&mut upload, first, body, part_size, intent).await;
        if outcome.is_err() {
            upload.give_up().await;
        }
        outcome
    }

    async fn open_upload(&self, writer: &AmazonS3, key: &Key, part_concurrency: usize) -> Result<Upload> {
        // As a task of its own: if the caller goes away right now, the answer with the id still
        // arrives, and the upload, dropped unseen, aborts itself.
        let opening = Upload::open(self.clients.clone(), writer.clone(), self.path(key), part_concurrency);
        let opening = tokio::spawn(opening);
        let upload = opening.await.map_err(Error::internal)??;
        if upload.may_have_duplicate() {
            self.end_twins(key, upload.id()).await;
        }
        Ok(upload)
    }

    /// Ends the uploads of this key but for one. Those of bytes that come to nothing are the
    /// reaper's; those beside bytes that become ready nobody would miss.
    async fn end_twins(&self, key: &Key, kept: &str) {
        let ended = self.list_uploads(Some(key)).try_for_each(async |found| match found.ours() {
            Some(upload) if upload.id.as_deref() != Some(kept) => self.abort(key, upload.id.as_deref()).await,
            _ => Ok(()),
        });
        if let Err(error) = ended.await {
            tracing::warn!(%error, %key, "a second upload may stay open until fsck finds it");
        }
    }

    async fn fill(
        &self,
        upload: &mut Upload,
        first: (Block, Reserved),
        mut body: Blocks,
        part_size: u64,
        intent: &dyn MultipartObserver,
    ) -> Result<u64> {
        faults::point("M2");
        intent.multipart_opened(upload.id()).await?;
        faults::point("M3");
        let share = self.budget.share(intent.owner());
        let (mut block, mut memory) = first;
        loop {
            upload.send(block, memory).await?;
            if body.is_over().await? {
                break;
            }
            if upload.is_full() {
                return Err(Error::TooLarge { limit: MAX_PARTS * part_size });
            }
            memory = self.budget.reserve(&share, part_size, body.left()).await?;
            block = self.budget.fill(body.next(part_size as usize)).await?;
        }
        upload.complete(body.received()).await?;
        Ok(body.received())
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, intent: &dyn MultipartObserver) -> Result<u64> {
        let part_size = self.budget.part_size(size)?;
        let mut body = Blocks::new(body, size);
        let share = self.budget.share(intent.owner());
        let memory = self.budget.reserve(&share, part_size, size).await?;
        let filling = async { Ok((body.next(part_size as usize).await?, body.is_over().await?)) };
        let (first, whole) = self.budget.fill(filling).await?;
        if whole {
            self.put_whole(&self.path(key), first).await
        } else {
            self.put_parts(key, (first, memory), body, part_size, intent).await
        }
    }

    fn part_size(&self, size: Option<u64>) -> Result<u64> {
        self.budget.part_size(size)
    }

    /// Nothing: the first part opens a multipart upload, if there ever is one.
    async fn begin(&self, _: &Key) -> Result<()> {
        Ok(())
    }

    async fn begin_parts(&self, key: &Key, intent: &dyn MultipartObserver) -> Result<()> {
        // Whoever sends the parts sends no checksums of ours with them.
        self.open_multipart(self.clients.unchecked_writer(), key, intent).await.map(drop)
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

    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, ledger: &mut dyn AppendObserver) -> Result<()> {
        self.append(at, body, ledger).await
    }

    async fn assemble(&self, key: &Key, multipart_id: Option<&str>, receipts: Vec<String>, size: u64) -> Result<()> {
        let id = multipart_id.ok_or_else(|| Error::internal("there are no parts to put together"))?;
        self.assemble_parts(key, id, receipts, size).await
    }

    async fn confirm(&self, key: &Key, size: u64) -> Result<()> {
        match self.size(key).await? == Some(size) {
            true => Ok(()),
            false => Err(Error::internal("an upload has another size than its row says")),
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
        gone(attempts(|| self.clients.reader.abort_multipart(&path, &id)).await)
    }

    async fn delete(&self, key: &Key, multipart_id: Option<&str>) -> Result<()> {
        // In this order: an upload that is completed in between leaves an object to delete.
        self.abort(key, multipart_id).await?;
        let path = self.path(key);
        gone(attempts(|| self.clients.reader.delete(&path)).await)
    }

    async fn sign(&self, request: &SignRequest<'_>) -> Result<SignedUrl> {
        let whole = request.operation == Operation::Put && request.part.is_none();
        if whole && !self.clients.quirks.conditions() {
            // Such a URL would be good for other bytes under the key of a file that is complete.
            let why = "this bucket would take bytes a second time: replace the content through this server";
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
        // A list, because the answer to a HEAD cannot tell a missing key from a missing bucket.
        let options = PaginatedListOptions { max_keys: Some(1), ..Default::default() };
        let prefix = (!self.prefix.is_empty()).then_some(self.prefix.as_str());
        let answer = tokio::time::timeout(PING, self.clients.reader.list_paginated(prefix, options));
        answer.await.map_err(Error::store_unavailable)?.map_err(unavailable).map(drop)
    }

    async fn probe(&self, probing: &ProbeOptions) -> Vec<Check> {
        probe::run(self, probing).await
    }
}

/// What was to go and is not there is gone.
fn gone(outcome: object_store::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if !is_missing(&error) => Err(unavailable(error)),
        _ => Ok(()),
    }
}
