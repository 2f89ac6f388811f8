//! Counts and hashes the bytes of an upload as they pass.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use std::time::Duration;
use uuid::Uuid;

use super::content_hash::ContentHash;
use super::type_filter::{Detected, detect};
use crate::app::App;
use crate::chunks::{ChunkObserver, observed};
use crate::db::BlobFacts;
use crate::error::{Error, Result};
use crate::faults;
use crate::store::{ByteStream, Key};

/// Counts and hashes bytes, up to a limit.
pub struct Meter {
    limit: u64,
    size: u64,
    hash: ContentHash,
    expected: Option<Vec<u8>>,
}

impl Meter {
    /// A meter of at most `limit` bytes, which must have the SHA-256 `expected` if there is one.
    pub fn new(limit: u64, expected: Option<Vec<u8>>) -> Self {
        Self { limit, size: 0, hash: ContentHash::default(), expected }
    }

    /// Records the next chunk.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(in crate::files) fn record(&mut self, chunk: &[u8]) -> Result<()> {
        faults::point(if self.size == 0 { "K3" } else { "K4" });
        self.size += chunk.len() as u64;
        if self.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.hash.update(chunk);
        Ok(())
    }

    /// The hashes of the bytes so far.
    pub(in crate::files) fn hash(&self) -> ContentHash {
        self.hash.clone()
    }

    fn check_digest(&self) -> Result<()> {
        match self.expected.as_deref() {
            Some(expected) if expected != self.hash.sha256() => Err(Error::DigestMismatch),
            _ => Ok(()),
        }
    }

    /// The values of the blob's row, once the stream has ended.
    pub fn facts(&self, id: Uuid, content_type: String, ready_at: Timestamp) -> BlobFacts {
        BlobFacts {
            id,
            size: self.size,
            sha256: self.hash.sha256(),
            crc32: self.hash.crc32(),
            content_type,
            keep_for: Duration::ZERO,
            ready_at,
        }
    }
}

/// A meter that the stream and its reader share.
pub type SharedMeter = Arc<Mutex<Meter>>;

/// Locks a shared meter.
pub(in crate::files) fn locked(meter: &SharedMeter) -> MutexGuard<'_, Meter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stream, metered. Its digest is checked before it ends, so that the store never completes an object with a wrong
/// one.
pub fn metered(stream: ByteStream, meter: SharedMeter) -> ByteStream {
    observed(stream, meter)
}

impl ChunkObserver for SharedMeter {
    async fn chunk(&mut self, chunk: &Bytes) -> Result<()> {
        locked(self).record(chunk)
    }

    async fn end(&mut self) -> Result<()> {
        faults::point("K5");
        locked(self).check_digest()
    }
}

/// Reads an object of `size` bytes back from the store: its meter, and its content type.
///
/// # Errors
/// Those of the store.
pub(super) async fn read_back(app: &App, key: &Key, size: u64) -> Result<(Meter, String)> {
    let mut meter = Meter::new(size, None);
    let stored: ByteStream = match size {
        0 => Box::pin(futures_util::stream::empty()),
        size => app.store.get(key, 0..size).await?,
    };
    let Detected { content_type, mut stream, .. } = detect(stored, None).await?;
    while let Some(chunk) = stream.try_next().await? {
        meter.record(&chunk)?;
    }
    Ok((meter, content_type))
}
