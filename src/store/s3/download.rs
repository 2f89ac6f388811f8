//! A download that resumes where the connection was interrupted.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};

use super::retry::{attempts, is_missing, unavailable};
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// Interruptions in a row, without a byte between them, after which a download fails.
const MAX_INTERRUPTIONS: u32 = 3;

/// Requests the bytes in `range`.
///
/// # Errors
/// [`Error::NotFound`] if there is no such object; [`Error::Unavailable`].
pub(super) async fn open(client: AmazonS3, path: Path, range: Range<u64>) -> Result<ByteStream> {
    let mut download =
        Download { client, path, left: range, etag: None, body: stream::empty().boxed(), interruptions: 0 };
    download.request().await?;
    Ok(Box::pin(stream::try_unfold(download, |mut download| async move {
        Ok(download.next().await?.map(|bytes| (bytes, download)))
    })))
}

struct Download {
    client: AmazonS3,
    path: Path,
    left: Range<u64>,
    etag: Option<String>,
    body: BoxStream<'static, object_store::Result<Bytes>>,
    interruptions: u32,
}

impl Download {
    async fn request(&mut self) -> Result<()> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.left.clone())),
            if_match: self.etag.clone(),
            ..Default::default()
        };
        let outcome = attempts(|| self.client.get_opts(&self.path, options.clone())).await;
        let response = outcome.map_err(|error| match is_missing(&error) {
            true => Error::NotFound,
            false => unavailable(error),
        })?;
        self.etag = response.meta.e_tag.clone();
        self.body = response.into_stream();
        Ok(())
    }

    /// The next bytes. An end before the end of the range counts as an interruption.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.left.is_empty() {
            match self.body.next().await {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.advance(bytes.len() as u64)?;
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => self.resume(unavailable(error)).await?,
                None => self.resume(Error::store_unavailable("the store sent less than its Content-Length")).await?,
            }
        }
        Ok(None)
    }

    fn advance(&mut self, count: u64) -> Result<()> {
        self.interruptions = 0;
        self.left.start += count;
        if self.left.start > self.left.end {
            return Err(Error::internal("the store sent more than was requested"));
        }
        Ok(())
    }

    async fn resume(&mut self, error: Error) -> Result<()> {
        self.interruptions += 1;
        if self.interruptions > MAX_INTERRUPTIONS {
            return Err(error);
        }
        tracing::debug!(%error, at = self.left.start, "a download was interrupted, resuming");
        self.request().await
    }
}
