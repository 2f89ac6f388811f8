//! A store in memory, for tests and examples.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use jiff::Timestamp;
use url::Url;

use super::blocks::{Block, Blocks};
use super::{
    AppendObserver, AppendRequest, ByteStream, Key, ListStream, Listed, MultipartObserver, Object, OpenUpload,
    PartObserver, Persisted, SignRequest, SignedUrl, Store, StoredPart, UrlSigner, wrong_size,
};
use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};

/// Loses everything when it is dropped. It cannot sign URLs.
#[derive(Debug, Default)]
pub struct MemoryStore {
    blobs: Mutex<HashMap<Key, Bytes>>,
    uploads: Mutex<HashMap<Key, BytesMut>>,
}

impl MemoryStore {
    fn blobs(&self) -> MutexGuard<'_, HashMap<Key, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uploads that are not assembled yet.
    fn uploads(&self) -> MutexGuard<'_, HashMap<Key, BytesMut>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, _: &dyn MultipartObserver) -> Result<u64> {
        let mut body = Blocks::new(body, size);
        let mut bytes = BytesMut::new();
        while !body.is_over().await? {
            body.next(1 << 20).await?.chunks().iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        }
        match self.blobs().entry(key.clone()) {
            Entry::Occupied(_) => Err(Error::PreconditionFailed),
            Entry::Vacant(entry) => {
                entry.insert(bytes.freeze());
                Ok(body.received())
            }
        }
    }

    fn part_size(&self, _: Option<u64>) -> Result<u64> {
        Ok(1 << 20)
    }

    async fn begin(&self, key: &Key) -> Result<()> {
        self.uploads().insert(key.clone(), BytesMut::new());
        Ok(())
    }

    async fn begin_parts(&self, key: &Key, _: &dyn MultipartObserver) -> Result<()> {
        self.uploads().entry(key.clone()).or_default();
        Ok(())
    }

    async fn parts(&self, _: &Key, _: Option<&str>) -> Result<Option<Vec<StoredPart>>> {
        Ok(None)
    }

    async fn write_part(&self, key: &Key, offset: u64, body: ByteStream, row: &mut dyn PartObserver) -> Result<()> {
        row.part_started().await?;
        let block = Blocks::new(body, None).next(usize::MAX).await?;
        let (start, end) = (offset as usize, offset as usize + block.len());
        match self.uploads().get_mut(key) {
            None => return Err(Error::UploadGone),
            Some(bytes) => {
                let length = bytes.len().max(end);
                bytes.resize(length, 0);
                bytes[start..end].copy_from_slice(&block.chunks().concat());
            }
        }
        row.part_persisted(block.len() as u64).await
    }

    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, row: &mut dyn AppendObserver) -> Result<()> {
        let mut block = Block::default();
        let read = Blocks::new(body, None).fill(&mut block, usize::MAX).await;
        let interruption = at.interruption(read)?;
        if let Some(bytes) = self.uploads().get_mut(at.key) {
            bytes.truncate(at.offset as usize);
            block.chunks().iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        }
        row.written(block.chunks()).await;
        row.persisted(Persisted::InPlace).await?;
        interruption.map_or(Ok(()), Err)
    }

    async fn assemble(&self, key: &Key, _: Option<&str>, _: Vec<String>, size: u64) -> Result<()> {
        let Some(bytes) = self.uploads().remove(key) else { return Ok(()) };
        if bytes.len() as u64 != size {
            return Err(wrong_size());
        }
        self.blobs().insert(key.clone(), bytes.freeze());
        Ok(())
    }

    async fn confirm(&self, key: &Key, size: u64) -> Result<()> {
        match self.size(key).await? == Some(size) {
            true => Ok(()),
            false => Err(wrong_size()),
        }
    }

    async fn get(&self, key: &Key, range: Range<u64>) -> Result<ByteStream> {
        let bytes = self.blobs().get(key).cloned();
        let bytes = bytes.ok_or(Error::NotFound)?;
        if bytes.len() as u64 >= range.end {
            let part = bytes.slice(range.start as usize..range.end as usize);
            return Ok(Box::pin(stream::once(async { Ok(part) })));
        }
        Err(Error::internal("a blob is shorter than its row says"))
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.blobs().get(key).map(|bytes| bytes.len() as u64))
    }

    fn list(&self) -> ListStream<Object> {
        let blobs = self.blobs();
        let objects = blobs.iter().map(|(key, bytes)| Object {
            key: key.clone(),
            size: bytes.len() as u64,
            modified_at: Timestamp::UNIX_EPOCH,
        });
        let mut objects: Vec<_> = objects.collect();
        objects.sort_by(|one, other| one.key.as_str().cmp(other.key.as_str()));
        Box::pin(stream::iter(objects.into_iter().map(|object| Ok(Listed::Ours(object)))))
    }

    fn list_uploads(&self, _: Option<&Key>) -> ListStream<OpenUpload> {
        Box::pin(stream::empty())
    }

    async fn abort(&self, _: &Key, _: Option<&str>) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, key: &Key, _: Option<&str>) -> Result<()> {
        self.uploads().remove(key);
        self.blobs().remove(key);
        Ok(())
    }

    async fn sign(&self, _: &SignRequest<'_>) -> Result<SignedUrl> {
        Err(Error::internal("a store in memory cannot sign URLs"))
    }

    fn url_signer(&self) -> Option<&UrlSigner> {
        None
    }

    fn public_bucket(&self) -> Option<&Url> {
        None
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn probe(&self, _: &ProbeOptions) -> Vec<Check> {
        Vec::new()
    }
}
