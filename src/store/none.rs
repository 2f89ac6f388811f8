//! A store that fails every call, for commands that open only the database.

use std::ops::Range;

use async_trait::async_trait;
use futures_util::stream;
use url::Url;

use super::{
    AppendObserver, AppendRequest, ByteStream, Key, ListStream, MultipartObserver, Object, OpenUpload, PartObserver,
    SignRequest, SignedUrl, Store, StoredPart, UrlSigner,
};
use crate::error::{Error, Result};
use crate::health::check::{Check, ProbeOptions};

/// Fails with [`Error::Internal`]: a command that needs content must open the real store.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStore;

fn not_open<T>() -> Result<T> {
    Err(Error::internal("this command has not opened the store"))
}

#[async_trait]
impl Store for NoStore {
    async fn put(&self, _: &Key, _: Option<u64>, _: ByteStream, _: &dyn MultipartObserver) -> Result<u64> {
        not_open()
    }

    fn part_size(&self, _: Option<u64>) -> Result<u64> {
        not_open()
    }

    async fn begin(&self, _: &Key) -> Result<()> {
        not_open()
    }

    async fn begin_parts(&self, _: &Key, _: &dyn MultipartObserver) -> Result<()> {
        not_open()
    }

    async fn parts(&self, _: &Key, _: Option<&str>) -> Result<Option<Vec<StoredPart>>> {
        not_open()
    }

    async fn write_part(&self, _: &Key, _: u64, _: ByteStream, _: &mut dyn PartObserver) -> Result<()> {
        not_open()
    }

    async fn append(&self, _: &AppendRequest<'_>, _: ByteStream, _: &mut dyn AppendObserver) -> Result<()> {
        not_open()
    }

    async fn assemble(&self, _: &Key, _: Option<&str>, _: Vec<String>, _: u64) -> Result<()> {
        not_open()
    }

    async fn confirm(&self, _: &Key, _: u64) -> Result<()> {
        not_open()
    }

    async fn get(&self, _: &Key, _: Range<u64>) -> Result<ByteStream> {
        not_open()
    }

    async fn size(&self, _: &Key) -> Result<Option<u64>> {
        not_open()
    }

    fn list(&self) -> ListStream<Object> {
        Box::pin(stream::iter([not_open()]))
    }

    fn list_uploads(&self, _: Option<&Key>) -> ListStream<OpenUpload> {
        Box::pin(stream::iter([not_open()]))
    }

    async fn abort(&self, _: &Key, _: Option<&str>) -> Result<()> {
        not_open()
    }

    async fn delete(&self, _: &Key, _: Option<&str>) -> Result<()> {
        not_open()
    }

    async fn sign(&self, _: &SignRequest<'_>) -> Result<SignedUrl> {
        not_open()
    }

    fn url_signer(&self) -> Option<&UrlSigner> {
        None
    }

    fn public_bucket(&self) -> Option<&Url> {
        None
    }

    async fn ping(&self) -> Result<()> {
        not_open()
    }

    async fn probe(&self, _: &ProbeOptions) -> Vec<Check> {
        vec![Check::skipped("store.reach", "use the store", "this command has not opened the store")]
    }
}
