//! The bytes: the only object-store types, paths and buckets. A store knows keys, not names or
//! owners; who may do what is decided in `files/`.

mod append;
mod blocks;
mod disk;
mod key;
mod listing;
mod memory;
mod none;
mod s3;
mod url_signer;

use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use url::Url;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};

pub use append::{AppendObserver, AppendRequest, PartObserver, Persisted};
pub use disk::{DiskStore, probe_disk};
pub use key::Key;
pub use listing::{ListStream, Listed, Object, OpenUpload, StoredPart};
#[doc(hidden)]
pub use memory::MemoryStore;
pub use none::NoStore;
pub use s3::S3Store;
pub use url_signer::{Grant, UrlSigner};

/// S3's least size of a part in bytes, but for the last one, and the most parts that make one object.
pub const SMALLEST_PART: u64 = 5 * 1024 * 1024;
pub const MAX_PARTS: u64 = 10_000;

/// Bytes on their way. An error ends the stream and tells whose fault it was: `BodyBroken` and its
/// like are the client's, everything else is ours.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Where a store writes down what must be known before bytes may exist, so that a crash at any
/// moment leaves nothing that no row knows of.
#[async_trait]
pub trait MultipartObserver: Send + Sync {
    /// A multipart upload was opened under this id; its first part is sent deadline this returns.
    async fn multipart_opened(&self, upload_id: &str) -> Result<()>;

    /// Whose upload this is: nobody gets all of what uploads share.
    fn owner(&self) -> Uuid;
}

/// A place that keeps bytes under keys. Every method may be repeated.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Writes the whole stream under a new key; returns the bytes' count once they are durable.
    /// `size` is the length in bytes when it is known beforehand. On an error nothing is visible
    /// under the key, and what lay half done was given up as far as the store could be reached.
    ///
    /// # Errors
    /// What the stream failed with; `PreconditionFailed` if the key has bytes already;
    /// `StorageFull`; `Unavailable`.
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, intent: &dyn MultipartObserver) -> Result<u64>;

    /// The size of the parts of an upload in pieces, in bytes; `size` is that of the whole, if it is known.
    ///
    /// # Errors
    /// `TooLarge` if the store cannot take so much in pieces.
    fn part_size(&self, size: Option<u64>) -> Result<u64>;

    /// Gets ready to take in pieces under a new key.
    ///
    /// # Errors
    /// `StorageFull`; `Unavailable`.
    async fn begin(&self, key: &Key) -> Result<()>;

    /// Gets ready to take parts under a new key that come through signed URLs, in any order. Doing it
    /// again before the first part is the same as once.
    ///
    /// # Errors
    /// What the intent failed with; `StorageFull`; `Unavailable`.
    async fn begin_parts(&self, key: &Key, intent: &dyn MultipartObserver) -> Result<()>;

    /// The parts that are there, in the order of their numbers; `None` if they came through this
    /// server, so that their rows tell.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn parts(&self, key: &Key, multipart_id: Option<&str>) -> Result<Option<Vec<StoredPart>>>;

    /// Writes the stream as the part that begins at byte `offset` of the whole, and tells the ledger
    /// before the first byte and when all are durable. Others may write other parts meanwhile; on
    /// another server even the same one, which is found out when the whole is read back.
    ///
    /// # Errors
    /// What the stream or the ledger failed with; `UploadGone`; `UploadBusy` if this part is being
    /// written or the parts are being put together; `NotFound` if parts never come this way;
    /// `StorageFull`; `Unavailable`.
    async fn write_part(&self, key: &Key, offset: u64, body: ByteStream, ledger: &mut dyn PartObserver) -> Result<()>;

    /// Appends the stream to an upload in pieces, and tells the ledger as soon as bytes are durable.
    /// Of a body that breaks off all is kept that came, unless it is to count all together. Nothing
    /// is visible under the key.
    ///
    /// # Errors
    /// What the stream or the ledger failed with; `UploadBusy` if somebody else appends; `TooLarge`;
    /// `StorageFull`; `Unavailable`.
    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, ledger: &mut dyn AppendObserver) -> Result<()>;

    /// Makes the `size` bytes of an upload in pieces visible under its key, all of them having been
    /// kept in their place or as parts. Doing it twice is the same as once.
    ///
    /// # Errors
    /// `UploadBusy`; `StorageFull`; `Unavailable`; `Internal` if it came out with another size.
    async fn assemble(&self, key: &Key, multipart_id: Option<&str>, receipts: Vec<String>, size: u64) -> Result<()>;

    /// Makes sure of `size` bytes that were assembled by somebody who may not have got to the end of it.
    ///
    /// # Errors
    /// `Unavailable`; `Internal` if there are none, or they came out with another size.
    async fn confirm(&self, key: &Key, size: u64) -> Result<()>;

    /// Opens the bytes in `range` (end exclusive, within the content; never empty).
    ///
    /// # Errors
    /// `NotFound` if there are no bytes under the key; `Internal` if they are fewer than that; `Unavailable`.
    async fn get(&self, key: &Key, range: Range<u64>) -> Result<ByteStream>;

    /// The count of bytes under the key, or `None` if there are none.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn size(&self, key: &Key) -> Result<Option<u64>>;

    /// Every object there is, ours in the order of their keys. Read page by page, as it is taken
    /// from; what comes or goes meanwhile may be told or not. Fails with `Unavailable`.
    fn list(&self) -> ListStream<Object>;

    /// Everything that lies half written, in no order: multipart uploads that are open, files that
    /// are not published. With a key, what is half written under that key alone. Fails with `Unavailable`.
    fn list_uploads(&self, key: Option<&Key>) -> ListStream<OpenUpload>;

    /// Takes away one upload of [`list_uploads`](Self::list_uploads). One that is over is a success.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn abort(&self, key: &Key, upload_id: Option<&str>) -> Result<()>;

    /// Takes away the bytes, what lies half written, and the multipart upload if there is one. A
    /// key without bytes is a success.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn delete(&self, key: &Key, multipart_id: Option<&str>) -> Result<()>;

    /// A URL by which anybody may do one thing to one key until it expires.
    ///
    /// # Errors
    /// `Invalid` if the store would let a URL to write with be used twice; `Unavailable` if the
    /// credentials to sign with cannot be had.
    async fn sign(&self, request: &SignRequest<'_>) -> Result<SignedUrl>;

    /// The signer of our own signed URLs, where the store cannot sign by itself.
    fn url_signer(&self) -> Option<&UrlSigner>;

    /// The bucket as people reach it; nothing where all bytes come through this server.
    fn public_bucket(&self) -> Option<&Url>;

    /// Asks the store for a sign of life.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn ping(&self) -> Result<()>;

    /// Tries what the store is needed for, with bytes of its own that it takes away again, and
    /// keeps to what it learned from then on. Takes seconds if the store is slow.
    async fn probe(&self, probing: &ProbeOptions) -> Vec<Check>;
}

/// What a signed URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Get,
    Head,
    Put,
}

impl Operation {
    /// The HTTP method, as it is signed.
    pub fn method(self) -> &'static str {
        match self {
            Operation::Get => "GET",
            Operation::Head => "HEAD",
            Operation::Put => "PUT",
        }
    }

    /// The name in our own signed URLs.
    fn name(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::Head => "head",
            Operation::Put => "put",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Operation::Get, Operation::Head, Operation::Put].into_iter().find(|operation| operation.name() == name)
    }
}

/// A wish for a signed URL.
#[derive(Debug)]
pub struct SignRequest<'a> {
    pub operation: Operation,
    pub key: &'a Key,
    /// The instant of signing. In lists it is rounded down, so that the same file gives the same
    /// URL for a while and caches work.
    pub now: Timestamp,
    /// The life of the URL: whole seconds, at least one and at most seven days.
    pub expires_in: Duration,
    /// The Content-Disposition that the answer shall carry (get and head).
    pub disposition: Option<&'a str>,
    /// The Content-Type that the answer shall carry (get and head).
    pub content_type: Option<&'a str>,
    /// The one part that may be written (put).
    pub part: Option<PartTarget<'a>>,
    /// Our own URLs die when this changes; a bucket's do not know it.
    pub generation: i64,
}

/// A part of an upload whose parts come through signed URLs.
#[derive(Debug, Clone, Copy)]
pub struct PartTarget<'a> {
    /// From 1.
    pub number: u64,
    pub multipart_id: Option<&'a str>,
}

impl SignRequest<'_> {
    const WEEK: u64 = 7 * 24 * 60 * 60;

    /// The life of the URL in seconds.
    fn lifetime(&self) -> u64 {
        self.expires_in.as_secs().clamp(1, Self::WEEK)
    }

    /// The end of that life, counted from the second of signing.
    fn expiry(&self) -> Timestamp {
        let seconds = self.now.as_second().saturating_add_unsigned(self.lifetime());
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    }
}

/// A signed URL, and what has to be sent along with it.
#[derive(Debug, Clone)]
pub struct SignedUrl {
    pub url: String,
    pub method: &'static str,
    /// Headers that the request must carry exactly so.
    pub headers: Vec<(&'static str, String)>,
    pub expires_at: Timestamp,
}

/// Maps an I/O error of the disk to the domain's words.
fn io_error(error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::StorageFull,
        // A disk that is gone, read-only or failing: the same request may go well on a better day.
        _ => Error::store_unavailable(error),
    }
}
