//! Uploads that come in pieces, and of which nothing is remembered between two requests: whole parts
//! go into a multipart upload, and what does not fill a part is an object of its own until more comes.
//!
//! All parts are of one size but the last, so that the same bytes are always the same part. A writer
//! that slept past its lease can only send again what is there, or, if the client sent something
//! else, break the receipt by which the store puts the parts together.

use bytes::Bytes;
use object_store::PutPayload;
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};

use super::retry::{attempts, unavailable};
use super::upload;
use super::{S3Store, download};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::blocks::{Block, Blocks};
use crate::store::{AppendObserver, AppendRequest, ByteStream, Key, MAX_PARTS, MultipartObserver, Persisted};

impl S3Store {
    /// As [`Store::append`](crate::store::Store::append). Holds one part in memory.
    pub(super) async fn append(
        &self,
        at: &AppendRequest<'_>,
        body: ByteStream,
        ledger: &mut dyn AppendObserver,
    ) -> Result<()> {
        let share = self.budget.share(ledger.owner());
        let mut body = Blocks::new(body, None);
        let mut multipart = at.multipart_id.map(str::to_owned);
        let (mut tail, mut end) = (at.tail, at.offset);
        loop {
            let held = if tail.is_some() { at.tail_length() } else { 0 };
            let left = at.coming.map(|coming| held + (at.offset + coming).saturating_sub(end));
            let memory = self.budget.reserve(&share, at.part_size, left).await?;
            let mut block = self.tail(tail, held, at.part_size).await?;
            let before = block.chunks().len();
            let filled = self.budget.fill(body.fill(&mut block, at.part_size as usize)).await;
            block.close();

            let fresh = block.chunks()[before..].to_vec();
            end = end - held + block.len() as u64;
            let (full, last) = (block.len() as u64 == at.part_size, at.size == Some(end));
            // Whoever sends more than the whole shall hear of it before the whole is kept.
            let filled = if last && filled.is_ok() { body.is_over().await.map(drop) } else { filled };
            let broken = filled.err();
            if let Some(error) = broken.as_ref().filter(|error| !at.survives(error)) {
                tracing::debug!(%error, "a piece is not kept");
                return broken.map_or(Ok(()), Err);
            }

            // What fits in one part needs no multipart upload: as a tail it is whole.
            if multipart.is_some() && last && block.len() > 0 || full && !last {
                let id = match multipart.take() {
                    Some(id) => id,
                    None => self.open_multipart(self.clients.writer(), at.key, ledger).await?,
                };
                let kept = self.put_part(at, &id, end.div_ceil(at.part_size), block).await?;
                keep(ledger, &fresh, kept).await?;
                (multipart, tail) = (Some(id), None);
            } else if !fresh.is_empty() || last && at.tail.is_none() && multipart.is_none() {
                let key = ledger.tail_key().await?;
                faults::point("T3");
                self.put_whole(&self.path(&key), block).await?;
                keep(ledger, &fresh, Persisted::Tail).await?;
            }
            drop(memory);
            match broken {
                Some(error) => return Err(error),
                None if last || !full => return Ok(()),
                None => {}
            }
        }
    }

    async fn put_part(&self, at: &AppendRequest<'_>, id: &str, number: u64, block: Block) -> Result<Persisted> {
        if number > MAX_PARTS {
            return Err(Error::TooLarge { limit: MAX_PARTS * at.part_size });
        }
        let (path, id, payload) = (self.path(at.key), id.to_owned(), PutPayload::from_iter(block.into_chunks()));
        let put = attempts(|| self.clients.writer().put_part(&path, &id, number as usize - 1, payload.clone()));
        let receipt = put.await.map_err(unavailable)?.content_id;
        Ok(Persisted::Part { number, receipt })
    }

    /// The bytes that did not fill a part when they came.
    async fn tail(&self, key: Option<&Key>, length: u64, part_size: u64) -> Result<Block> {
        let mut block = Block::default();
        if let Some(key) = key.filter(|_| length > 0) {
            let object = download::open(self.clients.reader.clone(), self.path(key), 0..length).await?;
            Blocks::new(object, Some(length)).fill(&mut block, part_size as usize).await?;
        }
        Ok(block)
    }

    /// Opens a multipart upload that outlives this request.
    pub(super) async fn open_multipart(
        &self,
        writer: &AmazonS3,
        key: &Key,
        intent: &dyn MultipartObserver,
    ) -> Result<String> {
        let opened = self.open_upload(writer, key, 1).await?;
        faults::point("M2");
        match intent.multipart_opened(opened.id()).await {
            Ok(()) => {
                faults::point("M3");
                Ok(opened.into_id())
            }
            Err(error) => {
                opened.give_up().await;
                Err(error)
            }
        }
    }

    /// As [`Store::assemble`](crate::store::Store::assemble).
    pub(super) async fn assemble_parts(&self, key: &Key, id: &str, receipts: Vec<String>, size: u64) -> Result<()> {
        let parts = receipts.into_iter().map(|content_id| PartId { content_id }).collect();
        upload::complete(&self.clients, self.clients.writer(), &self.path(key), &id.to_owned(), parts, size).await
    }
}

async fn keep(ledger: &mut dyn AppendObserver, fresh: &[Bytes], how: Persisted) -> Result<()> {
    faults::point("T1");
    ledger.written(fresh).await;
    ledger.kept(how).await
}
