//! A store in a directory of the local filesystem. Files are staged, synced and renamed; reads that
//! the page cache can serve do not leave their thread.

mod append;
mod layout;
mod probe;
mod reader;
mod staged;
mod walk;

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use self::append::{ActiveWrites, AppendFile};
use self::layout::{Layout, blocking, io_error, no_follow, remove, sync_directory};
use self::staged::StagedFile;
use super::{
    AppendObserver, AppendRequest, ByteStream, Key, ListStream, MultipartObserver, Object, OpenUpload, PartObserver,
    Persisted, SignRequest, SignedUrl, Store, StoredPart, UrlSigner,
};
use crate::error::{Error, Result};
use crate::faults;
use crate::health::check::{Check, ProbeOptions};
use crate::store::blocks::{Block, Blocks};

pub use probe::probe_disk;

/// Bytes per write, and the memory that one upload holds.
const BLOCK: usize = 256 * 1024;
/// Bytes of a resumable upload between two syncs.
const PART: u64 = 16 * 1024 * 1024;

/// Stores objects as files in a directory that nothing else uses.
#[derive(Debug)]
pub struct DiskStore {
    layout: Arc<Layout>,
    signer: UrlSigner,
    /// Parts that this process is writing.
    writing: ActiveWrites,
}

impl DiskStore {
    /// Opens the store in the directory `root` and creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error::Setup`] if `root` or a directory in it is a symbolic link, is not a directory, or is
    /// on another filesystem; [`Error::StorageFull`]; [`Error::Unavailable`] if the directory cannot be used.
    pub async fn open(root: &Path, signer: UrlSigner) -> Result<Self> {
        let layout = Arc::new(Layout::new(root));
        let prepared = layout.clone();
        blocking(move || prepared.prepare()).await?;
        Ok(Self { layout, signer, writing: ActiveWrites::default() })
    }

    async fn create_append_file(&self, key: &Key) -> Result<()> {
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || AppendFile::create(&layout, &key)).await
    }
}

#[async_trait]
impl Store for DiskStore {
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, _: &dyn MultipartObserver) -> Result<u64> {
        let mut body = Blocks::new(body, size);
        let mut block = body.next(BLOCK).await?;
        let (layout, key) = (self.layout.clone(), key.clone());
        if body.is_over().await? {
            // Most files are small: one blocking call does everything.
            blocking(move || {
                let mut file = StagedFile::create(&layout, &key)?;
                file.write(&block)?;
                file.publish()
            })
            .await?;
            return Ok(body.received());
        }
        let mut file = blocking(move || StagedFile::create(&layout, &key)).await?;
        loop {
            file = blocking(move || file.write(&block).map(|()| file)).await?;
            if body.is_over().await? {
                break;
            }
            block = body.next(BLOCK).await?;
        }
        blocking(move || file.publish()).await?;
        Ok(body.received())
    }

    fn part_size(&self, _: Option<u64>) -> Result<u64> {
        Ok(PART)
    }

    async fn begin(&self, key: &Key) -> Result<()> {
        self.create_append_file(key).await
    }

    async fn begin_parts(&self, key: &Key, _: &dyn MultipartObserver) -> Result<()> {
        self.create_append_file(key).await
    }

    async fn parts(&self, _: &Key, _: Option<&str>) -> Result<Option<Vec<StoredPart>>> {
        Ok(None)
    }

    async fn write_part(&self, key: &Key, offset: u64, body: ByteStream, row: &mut dyn PartObserver) -> Result<()> {
        let _guard = self.writing.enter((key.clone(), offset)).ok_or(Error::UploadBusy)?;
        let (layout, key) = (self.layout.clone(), key.clone());
        let mut file = blocking(move || AppendFile::open_shared(&layout, &key, offset)).await?;
        row.part_started().await?;
        let mut body = Blocks::new(body, None);
        loop {
            let block = body.next(BLOCK).await?;
            let over = body.is_over().await?;
            file = blocking(move || file.write_and_sync(&block, over).map(|()| file)).await?;
            if over {
                return row.part_persisted(body.received()).await;
            }
        }
    }

    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, row: &mut dyn AppendObserver) -> Result<()> {
        let (layout, key, offset) = (self.layout.clone(), at.key.clone(), at.offset);
        let mut file = blocking(move || AppendFile::open(&layout, &key, offset)).await?;
        let (mut body, mut end, mut durable) = (Blocks::new(body, None), offset, offset);
        loop {
            let mut block = Block::default();
            let filled = body.fill(&mut block, BLOCK).await;
            end += block.len() as u64;
            let over = block.len() < BLOCK || at.size == Some(end);
            // A client that sends too much is refused before the upload is complete.
            let filled = if over && filled.is_ok() { body.is_over().await.map(drop) } else { filled };
            let broken = at.interruption(filled)?;
            let sync = over || end - durable >= at.part_size;
            (file, block) = blocking(move || file.write_and_sync(&block, sync).map(|()| (file, block))).await?;
            row.written(block.chunks()).await;
            if sync {
                faults::point("T1");
                row.persisted(Persisted::InPlace).await?;
                durable = end;
            }
            match broken {
                Some(error) => return Err(error),
                None if over => return Ok(()),
                None => {}
            }
        }
    }

    async fn assemble(&self, key: &Key, _: Option<&str>, _: Vec<String>, size: u64) -> Result<()> {
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || AppendFile::finish(&layout, &key, size)).await
    }

    async fn confirm(&self, key: &Key, size: u64) -> Result<()> {
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || append::confirm(&layout, &key, size)).await
    }

    async fn get(&self, key: &Key, range: Range<u64>) -> Result<ByteStream> {
        self.get_in_blocks(key, range, reader::BLOCK).await
    }

    async fn get_in_blocks(&self, key: &Key, range: Range<u64>, block: usize) -> Result<ByteStream> {
        match reader::open(self.layout.blob(key), range, block.min(reader::BLOCK)).await {
            // One missing file is `NotFound`; if the sentinel is missing too, the disk is.
            Err(Error::NotFound) if !self.layout.exists().await? => Err(gone()),
            opened => opened,
        }
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let (path, sentinel) = (self.layout.blob(key), self.layout.sentinel());
        blocking(move || match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Err(Error::internal("an entry among the blobs is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound && sentinel.exists() => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(gone()),
            Err(error) => Err(io_error(error)),
        })
        .await
    }

    fn list(&self) -> ListStream<Object> {
        walk::objects(self.layout.clone())
    }

    fn list_uploads(&self, key: Option<&Key>) -> ListStream<OpenUpload> {
        walk::uploads(self.layout.clone(), key.cloned())
    }

    async fn abort(&self, key: &Key, _: Option<&str>) -> Result<()> {
        let path = self.layout.staged(key);
        blocking(move || remove(&path).map_err(io_error)).await
    }

    async fn delete(&self, key: &Key, _: Option<&str>) -> Result<()> {
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || {
            // In this order: a writer that publishes in between either has lost its staged file or
            // has its published one deleted here.
            remove(&layout.staged(&key)).map_err(io_error)?;
            remove(&layout.blob(&key)).map_err(io_error)?;
            sync_directory(&layout.shard(&key))
        })
        .await
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
        let sentinel = self.layout.sentinel();
        blocking(move || {
            // Opening for writing also fails if the disk has become read-only.
            no_follow().write(true).open(sentinel).map(drop).map_err(Error::store_unavailable)
        })
        .await
    }

    async fn probe(&self, options: &ProbeOptions) -> Vec<Check> {
        let (layout, level) = (self.layout.clone(), options.level);
        blocking(move || Ok(probe_disk(layout.root(), level))).await.unwrap_or_else(|error| {
            vec![Check::failed("store.write", "check the disk", error.cause(), "report this as a bug")]
        })
    }
}

fn gone() -> Error {
    Error::store_unavailable("the store's directory does not exist")
}
