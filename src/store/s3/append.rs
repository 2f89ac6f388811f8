//! Resumable uploads, without state in memory between two requests. Full parts go into a
//! multipart upload; what does not fill a part is an object of its own, the tail, until more arrives.
//!
//! All parts but the last have the same size, so that the same bytes always are the same part. A
//! stale writer, whose lease has expired, can only repeat a part, or, if the client sent something
//! else, change its ETag, so that the store refuses to assemble the upload.

use bytes::Bytes;
use object_store::PutPayload;
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use uuid::Uuid;

use super::retry::{attempts, unavailable};
use super::upload;
use super::{S3Store, download};
use crate::budget::Reserved;
use crate::error::{Error, Result};
use crate::faults;
use crate::store::blocks::{Block, Blocks};
use crate::store::{AppendObserver, AppendRequest, ByteStream, Key, MAX_PARTS, MultipartObserver, Persisted};

/// An append in progress. Holds one part in memory.
struct Append<'a> {
    store: &'a S3Store,
    at: &'a AppendRequest<'a>,
    owner: Uuid,
    body: Blocks,
    /// The store's id of the multipart upload, once there is one.
    multipart_id: Option<String>,
    /// The tail that the next part starts with.
    tail: Option<&'a Key>,
    /// The offset after the last byte read.
    end: u64,
}

/// The next part, or the bytes of it that the request has.
struct NextPart {
    block: Block,
    /// The chunks of the block that are not from the tail.
    fresh: Vec<Bytes>,
    is_full: bool,
    /// Whether the upload is complete with it.
    is_last: bool,
    interruption: Option<Error>,
    memory: Reserved,
}

impl Append<'_> {
    async fn read(&mut self) -> Result<NextPart> {
        let (store, at) = (self.store, self.at);
        let held = if self.tail.is_some() { at.tail_length() } else { 0 };
        let left = at.announced.map(|announced| held + (at.offset + announced).saturating_sub(self.end));
        let memory = store.budget.reserve(self.owner, at.part_size, left).await?;
        let mut block = store.read_tail(self.tail, held, at.part_size).await?;
        let before = block.chunks().len();
        let read = store.budget.fill(self.body.fill(&mut block, at.part_size as usize)).await;
        block.close();

        let fresh = block.chunks()[before..].to_vec();
        self.end = self.end - held + block.len() as u64;
        let (is_full, is_last) = (block.len() as u64 == at.part_size, at.size == Some(self.end));
        // A client that sends too much is refused before the upload is complete.
        let read = if is_last && read.is_ok() { self.body.is_over().await.map(drop) } else { read };
        Ok(NextPart { interruption: at.interruption(read)?, block, fresh, is_full, is_last, memory })
    }

    /// Persists a part; returns the error that interrupted the body after it.
    async fn persist(&mut self, next: NextPart, row: &mut dyn AppendObserver) -> Result<Option<Error>> {
        let (store, at) = (self.store, self.at);
        let NextPart { block, fresh, is_full, is_last, interruption, memory } = next;
        // An upload of at most one part needs no multipart upload: its tail is the whole object.
        if self.multipart_id.is_some() && is_last && block.len() > 0 || is_full && !is_last {
            let id = match self.multipart_id.take() {
                Some(id) => id,
                None => store.open_multipart(store.clients.writer(), at.key, row).await?,
            };
            let part = store.put_part(at, &id, self.end.div_ceil(at.part_size), block).await?;
            report(row, &fresh, part).await?;
            (self.multipart_id, self.tail) = (Some(id), None);
        } else if !fresh.is_empty() || is_last && at.tail.is_none() && self.multipart_id.is_none() {
            let key = row.tail_key().await?;
            faults::point("T3");
            store.put_whole(&store.path(&key), block).await?;
            report(row, &fresh, Persisted::Tail).await?;
        }
        drop(memory);
        Ok(interruption)
    }
}

impl S3Store {
    /// Implements [`Store::append`](crate::store::Store::append).
    pub(super) async fn append(
        &self,
        at: &AppendRequest<'_>,
        body: ByteStream,
        row: &mut dyn AppendObserver,
    ) -> Result<()> {
        let mut append = Append {
            store: self,
            at,
            owner: row.owner(),
            body: Blocks::new(body, None),
            multipart_id: at.multipart_id.map(str::to_owned),
            tail: at.tail,
            end: at.offset,
        };
        loop {
            let next = append.read().await?;
            let is_done = next.is_last || !next.is_full;
            match append.persist(next, row).await? {
                Some(error) => return Err(error),
                None if is_done => return Ok(()),
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

    /// Reads the tail back: the start of the next part.
    async fn read_tail(&self, key: Option<&Key>, length: u64, part_size: u64) -> Result<Block> {
        let mut block = Block::default();
        if let Some(key) = key.filter(|_| length > 0) {
            let object = download::open(self.clients.reader.clone(), self.path(key), 0..length).await?;
            Blocks::new(object, Some(length)).fill(&mut block, part_size as usize).await?;
        }
        Ok(block)
    }

    /// Creates a multipart upload that outlives this request.
    pub(super) async fn open_multipart(
        &self,
        writer: &AmazonS3,
        key: &Key,
        row: &dyn MultipartObserver,
    ) -> Result<String> {
        let opened = self.open_upload(writer, key, 1).await?;
        faults::point("M2");
        match row.multipart_opened(opened.id()).await {
            Ok(()) => {
                faults::point("M3");
                Ok(opened.into_id())
            }
            Err(error) => {
                opened.abort().await;
                Err(error)
            }
        }
    }

    /// Implements [`Store::assemble`](crate::store::Store::assemble).
    pub(super) async fn assemble_parts(&self, key: &Key, id: &str, receipts: Vec<String>, size: u64) -> Result<()> {
        let parts = receipts.into_iter().map(|content_id| PartId { content_id }).collect();
        upload::complete(&self.clients, self.clients.writer(), &self.path(key), &id.to_owned(), parts, size).await
    }
}

async fn report(row: &mut dyn AppendObserver, fresh: &[Bytes], how: Persisted) -> Result<()> {
    faults::point("T1");
    row.written(fresh).await;
    row.persisted(how).await
}
