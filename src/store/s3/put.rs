//! Uploads that arrive in one request: a single PUT, or a multipart upload.

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutPayload};

use super::S3Store;
use super::retry::{attempts, unavailable};
use super::upload::Upload;
use crate::budget::Reserved;
use crate::error::{Error, Result};
use crate::faults;
use crate::store::blocks::{Block, Blocks};
use crate::store::{ByteStream, Key, MAX_PARTS, MultipartObserver, Store};

impl S3Store {
    /// Implements [`Store::put`].
    pub(super) async fn put(
        &self,
        key: &Key,
        size: Option<u64>,
        body: ByteStream,
        row: &dyn MultipartObserver,
    ) -> Result<u64> {
        let part_size = self.budget.part_size(size)?;
        let mut body = Blocks::new(body, size);
        let memory = self.budget.reserve(row.owner(), part_size, size).await?;
        let filling = async { Ok((body.next(part_size as usize).await?, body.is_over().await?)) };
        let (first, whole) = self.budget.fill(filling).await?;
        if whole {
            self.put_whole(&self.path(key), first).await
        } else {
            self.put_parts(key, (first, memory), body, part_size, row).await
        }
    }

    /// Sends an object of at most one part, unless the key has an object.
    pub(super) async fn put_whole(&self, path: &Path, block: Block) -> Result<u64> {
        let length = block.len() as u64;
        let payload = PutPayload::from_iter(block.into_chunks());
        let mode = match self.clients.quirks.conditions() {
            true => PutMode::Create,
            // Without conditional writes: keys are random and used once, so there is no other writer.
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
                // It may be this object: an earlier attempt succeeded and its response was lost.
                let ours = tries > 1 && self.clients.size(path).await? == Some(length);
                if ours { Ok(length) } else { Err(Error::PreconditionFailed) }
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Sends a body in parts of `part_size` bytes, of which the first has been read.
    async fn put_parts(
        &self,
        key: &Key,
        first: (Block, Reserved),
        body: Blocks,
        part_size: u64,
        row: &dyn MultipartObserver,
    ) -> Result<u64> {
        if self.clients.size(&self.path(key)).await?.is_some() {
            return Err(Error::PreconditionFailed);
        }
        let mut upload = self.open_upload(self.clients.writer(), key, self.part_concurrency).await?;
        let outcome = self.fill(&mut upload, first, body, part_size, row).await;
        if outcome.is_err() {
            upload.abort().await;
        }
        outcome
    }

    pub(super) async fn open_upload(&self, writer: &AmazonS3, key: &Key, part_concurrency: usize) -> Result<Upload> {
        // In a task of its own: if the caller is canceled now, the response with the id still
        // arrives, and dropping the upload aborts it.
        let opening = Upload::open(self.clients.clone(), writer.clone(), self.path(key), part_concurrency);
        let opening = tokio::spawn(opening);
        let upload = opening.await.map_err(Error::internal)??;
        if upload.may_have_duplicate() {
            self.abort_duplicates(key, upload.id()).await;
        }
        Ok(upload)
    }

    /// Aborts all uploads of this key but one. The reaper aborts those of blobs that never become
    /// ready; nothing else would abort a second upload of a blob that does.
    async fn abort_duplicates(&self, key: &Key, kept: &str) {
        let aborted = self.list_uploads(Some(key)).try_for_each(async |found| match found.known() {
            Some(upload) if upload.id.as_deref() != Some(kept) => self.abort(key, upload.id.as_deref()).await,
            _ => Ok(()),
        });
        if let Err(error) = aborted.await {
            tracing::warn!(%error, %key, "could not abort a duplicate upload; fsck will report it");
        }
    }

    async fn fill(
        &self,
        upload: &mut Upload,
        first: (Block, Reserved),
        mut body: Blocks,
        part_size: u64,
        row: &dyn MultipartObserver,
    ) -> Result<u64> {
        faults::point("M2");
        row.multipart_opened(upload.id()).await?;
        faults::point("M3");
        let (mut block, mut memory) = first;
        loop {
            upload.send(block, memory).await?;
            if body.is_over().await? {
                break;
            }
            if upload.is_full() {
                return Err(Error::TooLarge { limit: MAX_PARTS * part_size });
            }
            memory = self.budget.reserve(row.owner(), part_size, body.left()).await?;
            block = self.budget.fill(body.next(part_size as usize)).await?;
        }
        upload.complete(body.received()).await?;
        Ok(body.received())
    }
}
