//! Bytes on the local disk: `blobs/<2 digits>/<key>`, and `tmp/<key>` while they are written.
//! Every folder is there from the start, so that no file ever waits for a new folder to be durable.

mod append;
mod probe;
mod reader;
mod staged;
mod walk;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use self::append::{ActiveWrites, AppendFile};
use self::staged::StagedFile;
use super::{
    AppendObserver, AppendRequest, ByteStream, Key, ListStream, MultipartObserver, Object, OpenUpload, PartObserver,
    Persisted, SignRequest, SignedUrl, Store, StoredPart, UrlSigner, io_error,
};
use crate::error::{Error, Result};
use crate::faults;
use crate::health::check::{Check, ProbeOptions};
use crate::store::blocks::{Block, Blocks};

pub use probe::probe_disk;

/// Written at once; an upload holds one of them in memory.
const BLOCK: usize = 256 * 1024;
/// Bytes of an upload in pieces between two of its states that are durable.
const PART: u64 = 16 * 1024 * 1024;

/// Keeps bytes in a folder that is ours alone.
#[derive(Debug)]
pub struct DiskStore {
    layout: Arc<Layout>,
    signer: UrlSigner,
    /// Parts that this server is writing.
    writing: ActiveWrites,
}

impl DiskStore {
    /// Opens the store in the folder `root`, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Setup`] if `root` or a folder in it is a symbolic link, is no folder, or lies on another
    /// filesystem; `StorageFull`; `Internal` if the folder cannot be used.
    pub async fn open(root: &Path, signer: UrlSigner) -> Result<Self> {
        let layout = Arc::new(Layout { root: root.to_owned() });
        let prepared = layout.clone();
        blocking(move || prepared.prepare()).await?;
        Ok(Self { layout, signer, writing: ActiveWrites::default() })
    }
}

#[async_trait]
impl Store for DiskStore {
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, _: &dyn MultipartObserver) -> Result<u64> {
        let mut body = Blocks::new(body, size);
        let mut block = body.next(BLOCK).await?;
        let (layout, key) = (self.layout.clone(), key.clone());
        if body.is_over().await? {
            // Small files are many: one trip to a blocking thread does everything.
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
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || AppendFile::create(&layout, &key)).await
    }

    async fn begin_parts(&self, key: &Key, _: &dyn MultipartObserver) -> Result<()> {
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || AppendFile::create(&layout, &key)).await
    }

    async fn parts(&self, _: &Key, _: Option<&str>) -> Result<Option<Vec<StoredPart>>> {
        Ok(None)
    }

    async fn write_part(&self, key: &Key, offset: u64, body: ByteStream, ledger: &mut dyn PartObserver) -> Result<()> {
        let _alone = self.writing.enter((key.clone(), offset)).ok_or(Error::UploadBusy)?;
        let (layout, key) = (self.layout.clone(), key.clone());
        let mut file = blocking(move || AppendFile::share(&layout, &key, offset)).await?;
        ledger.begins().await?;
        let mut body = Blocks::new(body, None);
        loop {
            let block = body.next(BLOCK).await?;
            let over = body.is_over().await?;
            file = blocking(move || {
                file.write(&block)?;
                if over { file.sync() } else { Ok(()) }.map(|()| file)
            })
            .await?;
            if over {
                return ledger.written(body.received()).await;
            }
        }
    }

    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, ledger: &mut dyn AppendObserver) -> Result<()> {
        let (layout, key, offset) = (self.layout.clone(), at.key.clone(), at.offset);
        let mut file = blocking(move || AppendFile::open(&layout, &key, offset)).await?;
        let (mut body, mut end, mut durable) = (Blocks::new(body, None), offset, offset);
        loop {
            let mut block = Block::default();
            let filled = body.fill(&mut block, BLOCK).await;
            end += block.len() as u64;
            let over = block.len() < BLOCK || at.size == Some(end);
            // Whoever sends more than the whole shall hear of it before the whole is kept.
            let filled = if over && filled.is_ok() { body.is_over().await.map(drop) } else { filled };
            let broken = filled.err();
            if let Some(error) = broken.as_ref().filter(|error| !at.survives(error)) {
                tracing::debug!(%error, "a piece is not kept");
                return broken.map_or(Ok(()), Err);
            }
            let sync = over || end - durable >= at.part_size;
            (file, block) = blocking(move || {
                file.write(&block)?;
                if sync { file.sync() } else { Ok(()) }.map(|()| (file, block))
            })
            .await?;
            ledger.written(block.chunks()).await;
            if sync {
                faults::point("T1");
                ledger.kept(Persisted::InPlace).await?;
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
        match reader::open(self.layout.blob(key), range).await {
            // One blob can be missing; if everything is, the disk is not there.
            Err(Error::NotFound) if !self.layout.is_there().await? => {
                Err(Error::store_unavailable("the store's folder is gone"))
            }
            opened => opened,
        }
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let (path, probe) = (self.layout.blob(key), self.layout.probe());
        blocking(move || match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Err(Error::internal("something that is no file lies among the blobs")),
            Err(error) if error.kind() == ErrorKind::NotFound && probe.exists() => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::store_unavailable("the store's folder is gone"))
            }
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
        blocking(move || remove(&path)).await
    }

    async fn delete(&self, key: &Key, _: Option<&str>) -> Result<()> {
        let (layout, key) = (self.layout.clone(), key.clone());
        blocking(move || {
            // In this order: a writer that publishes in between is then either without its
            // staged file or finds its published one taken away.
            remove(&layout.staged(&key))?;
            remove(&layout.blob(&key))?;
            sync_folder(&layout.shard(&key))
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
        let probe = self.layout.probe();
        blocking(move || {
            // Opening to write finds a disk that is gone or that has become read-only.
            no_follow().write(true).open(probe).map(drop).map_err(Error::store_unavailable)
        })
        .await
    }

    async fn probe(&self, probing: &ProbeOptions) -> Vec<Check> {
        let (layout, level) = (self.layout.clone(), probing.level);
        blocking(move || Ok(probe_disk(&layout.root, level))).await.unwrap_or_else(|error| {
            vec![Check::failed("store.write", "look at the disk", error.cause(), "report this")]
        })
    }
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn staged(&self, key: &Key) -> PathBuf {
        self.root.join("tmp").join(key.as_str())
    }

    pub fn shard(&self, key: &Key) -> PathBuf {
        self.root.join("blobs").join(key.shard())
    }

    pub fn blob(&self, key: &Key) -> PathBuf {
        self.shard(key).join(key.as_str())
    }

    fn probe(&self) -> PathBuf {
        self.root.join("writable")
    }

    async fn is_there(&self) -> Result<bool> {
        let probe = self.probe();
        blocking(move || Ok(probe.exists())).await
    }

    fn prepare(&self) -> Result<()> {
        let (tmp, blobs) = (self.root.join("tmp"), self.root.join("blobs"));
        let device = private_folder(&self.root)?;
        if let Some(parent) = self.root.canonicalize().map_err(io_error)?.parent() {
            // Without the right to read the parent, its owner has to see to this.
            let _ = sync_folder(parent);
        }
        let shards = (0..=255).map(|shard| blobs.join(format!("{shard:02x}")));
        for folder in [tmp.clone(), blobs.clone()].into_iter().chain(shards) {
            if private_folder(&folder)? != device {
                let text = format!("{} is on another filesystem than the store", folder.display());
                return Err(Error::Setup(text));
            }
        }
        no_follow().write(true).create(true).truncate(false).mode(0o600).open(self.probe()).map_err(io_error)?;
        [&tmp, &blobs, &self.root].into_iter().try_for_each(|folder| sync_folder(folder))
    }
}

/// Makes the folder, for us alone, unless it is there; returns its filesystem.
fn private_folder(path: &Path) -> Result<u64> {
    match DirBuilder::new().recursive(false).mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error)?;
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io_error(error)),
        _ => {}
    }
    let metadata = fs::symlink_metadata(path).map_err(io_error)?;
    if !metadata.is_dir() {
        return Err(Error::Setup(format!("{} must be a folder, and no symbolic link", path.display())));
    }
    Ok(metadata.dev())
}

pub(super) fn no_follow() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW);
    options
}

/// Makes the folder's entries durable.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(error)),
        _ => Ok(()),
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
