//! Bytes in memory, for tests.

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
    PartObserver, Persisted, SignRequest, SignedUrl, Store, StoredPart, UrlSigner,
};

use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};

/// Forgets everything when it is dropped.
#[derive(Debug)]
pub struct MemoryStore {
    blobs: Mutex<HashMap<Key, Bytes>>,
    growing: Mutex<HashMap<Key, BytesMut>>,
    signer: UrlSigner,
}

impl MemoryStore {
    pub fn new(signer: UrlSigner) -> Self {
        Self { blobs: Mutex::default(), growing: Mutex::default(), signer }
    }

    fn blobs(&self) -> MutexGuard<'_, HashMap<Key, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn growing(&self) -> MutexGuard<'_, HashMap<Key, BytesMut>> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.growing().insert(key.clone(), BytesMut::new());
        Ok(())
    }

    async fn begin_parts(&self, key: &Key, _: &dyn MultipartObserver) -> Result<()> {
        self.growing().entry(key.clone()).or_default();
        Ok(())
    }

    async fn parts(&self, _: &Key, _: Option<&str>) -> Result<Option<Vec<StoredPart>>> {
        Ok(None)
    }

    async fn write_part(&self, key: &Key, offset: u64, body: ByteStream, ledger: &mut dyn PartObserver) -> Result<()> {
        ledger.begins().await?;
        let mut block = Block::default();
        Blocks::new(body, None).fill(&mut block, usize::MAX).await?;
        let (start, end) = (offset as usize, offset as usize + block.len());
        match self.growing().get_mut(key) {
            None => return Err(Error::UploadGone),
            Some(bytes) => {
                let length = bytes.len().max(end);
                bytes.resize(length, 0);
                bytes[start..end].copy_from_slice(&block.chunks().concat());
            }
        }
        ledger.written(block.len() as u64).await
    }

    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, ledger: &mut dyn AppendObserver) -> Result<()> {
        let mut block = Block::default();
        let filled = Blocks::new(body, None).fill(&mut block, usize::MAX).await;
        if let Err(error) = &filled
            && !at.survives(error)
        {
            return filled;
        }
        if let Some(bytes) = self.growing().get_mut(at.key) {
            bytes.truncate(at.offset as usize);
            block.chunks().iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        }
        ledger.written(block.chunks()).await;
        ledger.kept(Persisted::InPlace).await?;
        filled
    }

    async fn assemble(&self, key: &Key, _: Option<&str>, _: Vec<String>, size: u64) -> Result<()> {
        let Some(bytes) = self.growing().remove(key) else { return Ok(()) };
        if bytes.len() as u64 != size {
            return Err(Error::internal("an upload has another size than its row says"));
        }
        self.blobs().insert(key.clone(), bytes.freeze());
        Ok(())
    }

    async fn confirm(&self, key: &Key, size: u64) -> Result<()> {
        match self.size(key).await? == Some(size) {
            true => Ok(()),
            false => Err(Error::internal("an upload has another size than its row says")),
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
        self.growing().remove(key);
        self.blobs().remove(key);
        Ok(())
    }

    async fn sign(&self, request: &SignRequest<'_>) -> Result<SignedUrl> {
        Ok(self.signer.sign(request))
    }

    fn url_signer(&self) -> Option<&UrlSigner> {
        Some(&self.signer)
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
