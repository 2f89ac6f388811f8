//! Object storage: the only module that knows directories, buckets and object-store types. A store
//! knows keys, not names or owners; what a user may do is decided in `files`.
//!
//! # Examples
//!
//! ```
//! use futures_util::{TryStreamExt, stream};
//! use strongroom::store::{Key, MemoryStore, Store};
//! # use strongroom::error::Result;
//! # struct Row;
//! # #[async_trait::async_trait]
//! # impl strongroom::store::MultipartObserver for Row {
//! #     async fn multipart_opened(&self, _: &str) -> Result<()> { Ok(()) }
//! #     fn owner(&self) -> uuid::Uuid { uuid::Uuid::nil() }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//!
//! let (store, key) = (MemoryStore::default(), Key::random());
//! let body = stream::iter([Ok("hello ".into()), Ok("world".into())]);
//! assert_eq!(store.put(&key, None, Box::pin(body), &Row).await?, 11);
//!
//! let content: Vec<bytes::Bytes> = store.get(&key, 6..11).await?.try_collect().await?;
//! assert_eq!(content.concat(), b"world");
//!
//! store.delete(&key, None).await?;
//! assert_eq!(store.size(&key).await?, None);
//! # Ok(())
//! # }
//! ```

mod append;
mod blocks;
mod disk;
mod key;
mod listing;
mod memory;
mod none;
mod s3;
mod sign;
mod url_signer;

use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use url::Url;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};

pub use append::{AppendObserver, AppendRequest, PartObserver, Persisted};
pub use disk::{DiskStore, probe_disk};
pub use key::{InvalidKey, Key};
pub use listing::{ListStream, Listed, Object, OpenUpload, StoredPart};
#[doc(hidden)]
pub use memory::MemoryStore;
pub use none::NoStore;
pub use s3::S3Store;
pub use sign::{Operation, PartTarget, SignRequest, SignedUrl};
pub use url_signer::{Grant, UrlSigner};

/// The smallest part that S3 accepts, except for the last one, in bytes.
pub const SMALLEST_PART: u64 = 5 * 1024 * 1024;
/// The largest number of parts that S3 assembles into one object.
pub const MAX_PARTS: u64 = 10_000;

/// Content in transit. An error ends the stream. [`Error::BodyBroken`] and [`Error::BodyStalled`] are
/// the client's, all others are the server's.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Records what must be known before the first byte exists, so that a crash at any moment leaves
/// nothing in the store without a row. Implemented by the row of an upload.
#[async_trait]
pub trait MultipartObserver: Send + Sync {
    /// A multipart upload was created. Its first part is sent after this returns.
    ///
    /// # Errors
    /// Any error cancels the upload.
    async fn multipart_opened(&self, upload_id: &str) -> Result<()>;

    /// The owner of the upload: the memory that uploads share is limited per owner.
    fn owner(&self) -> Uuid;
}

/// An object store: content under keys. Every method may be repeated after an error.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Writes the whole stream under a new key; returns the number of bytes once they are durable.
    /// `size` is the length in bytes if it is known. After an error nothing is visible under the
    /// key, and what was written is deleted if the store responds.
    ///
    /// # Errors
    /// The error of the stream; [`Error::PreconditionFailed`] if the key has an object already;
    /// [`Error::TooLarge`]; [`Error::StorageFull`]; [`Error::Unavailable`].
    async fn put(&self, key: &Key, size: Option<u64>, body: ByteStream, row: &dyn MultipartObserver) -> Result<u64>;

    /// The part size of a resumable upload in bytes. `size` is that of the whole upload, if it is known.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the store cannot take such an upload.
    fn part_size(&self, size: Option<u64>) -> Result<u64>;

    /// Prepares a resumable upload under a new key.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::Unavailable`].
    async fn begin(&self, key: &Key) -> Result<()>;

    /// Prepares a direct upload under a new key: its parts come through signed URLs, in any order.
    /// Repeating it before the first part has no effect.
    ///
    /// # Errors
    /// The error of the observer; [`Error::StorageFull`]; [`Error::Unavailable`].
    async fn begin_parts(&self, key: &Key, row: &dyn MultipartObserver) -> Result<()>;

    /// The parts of a direct upload, ordered by number; `None` if they come through this server and
    /// the database has the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn parts(&self, key: &Key, multipart_id: Option<&str>) -> Result<Option<Vec<StoredPart>>>;

    /// Writes the stream as the part of a direct upload that starts at byte `offset`. The observer is
    /// called before the first byte and when all are durable. Other parts may be written at the same
    /// time. Another server may even write the same part; the hash of the whole reveals that.
    ///
    /// # Errors
    /// The error of the stream or the observer; [`Error::UploadGone`]; [`Error::UploadBusy`] if this
    /// part is being written or the upload is being assembled; [`Error::NotFound`] if parts do not
    /// come through this server; [`Error::StorageFull`]; [`Error::Unavailable`].
    async fn write_part(&self, key: &Key, offset: u64, body: ByteStream, row: &mut dyn PartObserver) -> Result<()>;

    /// Appends the stream to a resumable upload. The observer is called whenever bytes have become
    /// durable. What was received of an interrupted body is kept, unless the request is all or
    /// nothing. Nothing is visible under the key.
    ///
    /// # Errors
    /// The error of the stream or the observer; [`Error::UploadBusy`] if there is another writer;
    /// [`Error::TooLarge`]; [`Error::StorageFull`]; [`Error::Unavailable`].
    async fn append(&self, at: &AppendRequest<'_>, body: ByteStream, row: &mut dyn AppendObserver) -> Result<()>;

    /// Makes a resumable or direct upload of `size` bytes visible under its key. `receipts` are those
    /// of its parts, in order. Repeating it has no effect.
    ///
    /// # Errors
    /// [`Error::UploadBusy`]; [`Error::StorageFull`]; [`Error::Unavailable`]; [`Error::Internal`] if
    /// the object has another size.
    async fn assemble(&self, key: &Key, multipart_id: Option<&str>, receipts: Vec<String>, size: u64) -> Result<()>;

    /// Verifies and makes durable an object that was assembled by a process that may have crashed.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Internal`] if it does not have `size` bytes.
    async fn confirm(&self, key: &Key, size: u64) -> Result<()>;

    /// Reads the bytes in `range` (in bytes, end exclusive, not empty).
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such object; [`Error::Internal`] if it is shorter;
    /// [`Error::Unavailable`].
    async fn get(&self, key: &Key, range: Range<u64>) -> Result<ByteStream>;

    /// The same in blocks of at most `block` bytes, if the store decides how large they are.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    async fn get_in_blocks(&self, key: &Key, range: Range<u64>, block: usize) -> Result<ByteStream> {
        let _ = block;
        self.get(key, range).await
    }

    /// The size of an object in bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn size(&self, key: &Key) -> Result<Option<u64>>;

    /// All objects; those of this store are ordered by key. The list is read page by page, and need
    /// not reflect changes made meanwhile. Its error is [`Error::Unavailable`].
    fn list(&self) -> ListStream<Object>;

    /// All incomplete uploads in any order: multipart uploads and staged files. With a key, only
    /// those of that key. Its error is [`Error::Unavailable`].
    fn list_uploads(&self, key: Option<&Key>) -> ListStream<OpenUpload>;

    /// Aborts one upload of [`list_uploads`](Self::list_uploads). One that has ended is a success.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn abort(&self, key: &Key, upload_id: Option<&str>) -> Result<()>;

    /// Deletes the object, what is staged under its key, and the multipart upload with this id. An
    /// object that does not exist is a success.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn delete(&self, key: &Key, multipart_id: Option<&str>) -> Result<()>;

    /// A URL that permits one operation on one key until it expires.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the store would accept a second PUT to the URL; [`Error::Unavailable`]
    /// if there are no credentials to sign with.
    async fn sign(&self, request: &SignRequest<'_>) -> Result<SignedUrl>;

    /// The signer of this server's own signed URLs; `None` if the store signs them.
    fn url_signer(&self) -> Option<&UrlSigner>;

    /// The URL of the bucket as clients use it; `None` if all content goes through this server.
    fn public_bucket(&self) -> Option<&Url>;

    /// Checks that the store responds.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn ping(&self) -> Result<()>;

    /// Checks everything that the server requires of the store, with objects that it deletes again,
    /// and adapts the store to the results. Takes seconds if the store is slow.
    async fn probe(&self, options: &ProbeOptions) -> Vec<Check>;
}

/// The content of an upload does not have the size that its row says.
fn wrong_size() -> Error {
    Error::internal("the size of an upload differs from its row")
}
