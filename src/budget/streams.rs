//! The memory of content in transit to clients. Open streams get equal parts of it, so that none waits for another, and
//! what they hold together does not depend on their number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::{Error, Result};

/// Maximum number of bytes that one stream holds; enough for the fastest clients.
const LARGEST_PART: usize = 256 * 1024;
/// Minimum number of bytes per stream, even if all streams together then exceed the memory.
const SMALLEST_PART: usize = 8 * 1024;
/// How long a client may read nothing while every stream is down to the minimum.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(10);

/// The memory of all streams.
#[derive(Debug)]
pub struct StreamMemory {
    bytes: usize,
    open: AtomicUsize,
    send_timeout: Duration,
}

impl StreamMemory {
    /// `bytes` is the memory of all streams together, `send_timeout` how long a client may read nothing.
    pub fn new(bytes: u64, send_timeout: Duration) -> Self {
        Self { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), open: AtomicUsize::new(0), send_timeout }
    }

    /// Counts a stream until the returned value is dropped.
    pub fn open(self: &Arc<Self>) -> OpenStream {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenStream { memory: self.clone(), unsent: Arc::default() }
    }

    /// Bytes that each stream may hold.
    fn part(&self) -> usize {
        let open = self.open.load(Ordering::Relaxed).max(1);
        (self.bytes / open).clamp(SMALLEST_PART, LARGEST_PART)
    }
}

/// One stream.
#[derive(Debug)]
pub struct OpenStream {
    memory: Arc<StreamMemory>,
    unsent: Arc<Unsent>,
}

/// What a stream has passed on, and its connection has not sent yet.
#[derive(Debug, Default)]
struct Unsent {
    bytes: AtomicUsize,
    sent: Notify,
}

impl OpenStream {
    /// Bytes to read at a time: two such blocks are what the stream may hold.
    pub fn block(&self) -> usize {
        self.memory.part() / 2
    }

    /// Waits until the stream may hold more.
    ///
    /// # Errors
    /// [`Error::BodyStalled`] if the client reads nothing for too long.
    pub async fn ready(&self) -> Result<()> {
        while self.unsent.bytes.load(Ordering::Acquire) >= self.memory.part() {
            let timeout = match self.memory.part() {
                SMALLEST_PART => self.memory.send_timeout.min(CROWDED_TIMEOUT),
                _ => self.memory.send_timeout,
            };
            let sent = tokio::time::timeout(timeout, self.unsent.sent.notified()).await;
            sent.map_err(|_| Error::BodyStalled)?;
        }
        Ok(())
    }

    /// The chunk, which counts until it is sent.
    pub fn pass(&self, chunk: Bytes) -> Bytes {
        self.unsent.bytes.fetch_add(chunk.len(), Ordering::AcqRel);
        Bytes::from_owner(UnsentChunk { chunk, unsent: self.unsent.clone() })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.memory.open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct UnsentChunk {
    chunk: Bytes,
    unsent: Arc<Unsent>,
}

impl AsRef<[u8]> for UnsentChunk {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

impl Drop for UnsentChunk {
    fn drop(&mut self) {
        self.unsent.bytes.fetch_sub(self.chunk.len(), Ordering::AcqRel);
        self.unsent.sent.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn streams_hold_equal_parts_of_the_memory() {
        let memory = Arc::new(StreamMemory::new(1024 * 1024, Duration::from_millis(5)));
        let stream = memory.open();
        assert_eq!(stream.block(), LARGEST_PART / 2);
        let first = stream.pass(Bytes::from(vec![7; stream.block()]));
        stream.ready().now_or_never().expect("half is left").expect("ready");
        let second = stream.pass(Bytes::from(vec![7; stream.block()]));
        assert!(matches!(stream.ready().await, Err(Error::BodyStalled)));
        drop(first);
        stream.ready().await.expect("the first is sent");
        drop(second);

        let others: Vec<_> = (0..31).map(|_| memory.open()).collect();
        assert_eq!(stream.block(), 16 * 1024);
        let held = stream.pass(Bytes::from(vec![7; 32 * 1024]));
        assert!(stream.ready().now_or_never().is_none());
        drop(others);
        stream.ready().await.expect("the others have ended");
        drop(held);
    }
}
