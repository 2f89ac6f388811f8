//! Collects a stream into blocks for a store to write. Large chunks are passed on as they are; small
//! ones are copied together, so that a million chunks of one byte take one megabyte of memory.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::ByteStream;
use crate::error::{Error, Result};

/// A body that is read block by block, and that must have its declared size.
pub(super) struct Blocks {
    body: ByteStream,
    declared: Option<u64>,
    received: u64,
    ahead: Bytes,
    ended: bool,
}

impl Blocks {
    /// `declared` is the size in bytes, if it is known.
    pub fn new(body: ByteStream, declared: Option<u64>) -> Self {
        Self { body, declared, received: 0, ahead: Bytes::new(), ended: false }
    }

    /// The next `limit` bytes, or fewer at the end of the body.
    ///
    /// # Errors
    /// The error of the stream; [`Error::BodyBroken`] if it is longer or shorter than declared.
    pub async fn next(&mut self, limit: usize) -> Result<Block> {
        let mut block = Block::default();
        self.fill(&mut block, limit).await?;
        Ok(block)
    }

    /// Fills the block up to `limit` bytes or to the end of the body. After an error the block has
    /// the bytes before it.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn fill(&mut self, block: &mut Block, limit: usize) -> Result<()> {
        let mut filled = Ok(());
        while filled.is_ok() && block.len < limit {
            match self.is_over().await {
                Ok(true) => break,
                Ok(false) => {
                    let fitting = self.ahead.len().min(limit - block.len);
                    block.push(self.ahead.split_to(fitting), limit);
                }
                Err(error) => filled = Err(error),
            }
        }
        block.close();
        filled
    }

    /// Whether the body has ended. Reads ahead if necessary.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn is_over(&mut self) -> Result<bool> {
        while self.ahead.is_empty() && !self.ended {
            match self.body.next().await.transpose()? {
                Some(bytes) => {
                    self.received += bytes.len() as u64;
                    self.ahead = bytes;
                }
                None => self.ended = true,
            }
            self.check_size()?;
        }
        Ok(self.ahead.is_empty())
    }

    /// The number of bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The number of bytes that [`next`](Self::next) has yet to return, if the size was declared.
    pub fn left(&self) -> Option<u64> {
        self.declared.map(|declared| declared.saturating_sub(self.received) + self.ahead.len() as u64)
    }

    fn check_size(&self) -> Result<()> {
        match self.declared {
            Some(declared) if self.received > declared => {
                Err(Error::BodyBroken(format!("more than the declared {declared} bytes")))
            }
            Some(declared) if self.ended && self.received < declared => {
                Err(Error::BodyBroken(format!("after {} of {declared} bytes", self.received)))
            }
            _ => Ok(()),
        }
    }
}

/// Consecutive bytes in memory.
#[derive(Default)]
pub(super) struct Block {
    chunks: Vec<Bytes>,
    small: BytesMut,
    len: usize,
}

impl Block {
    /// Chunks of at least this size are kept as they are. Smaller ones are copied, since each could
    /// keep alive a buffer that is much larger than itself.
    const MIN_KEPT: usize = 16 * 1024;
    /// The size of a buffer for small chunks.
    const BUFFER: usize = 64 * 1024;

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes, once the block is [closed](Self::close).
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The bytes.
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    fn push(&mut self, bytes: Bytes, limit: usize) {
        self.len += bytes.len();
        if bytes.len() >= Self::MIN_KEPT {
            self.close();
            self.chunks.push(bytes);
            return;
        }
        if self.small.capacity() - self.small.len() < bytes.len() {
            self.close();
            self.small = BytesMut::with_capacity(Self::BUFFER.min(limit));
        }
        self.small.extend_from_slice(&bytes);
    }

    /// Ends the buffer for small chunks, so that [`chunks`](Self::chunks) returns everything. Its
    /// remaining capacity is used for the next one.
    pub fn close(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(chunks: Vec<Vec<u8>>) -> ByteStream {
        Box::pin(stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk)))))
    }

    #[tokio::test]
    async fn small_chunks_are_copied_together_and_large_ones_are_not_copied() {
        let big = Bytes::from(vec![7; 40_000]);
        let chunks = (0..100_000).map(|_| Ok(Bytes::from_static(b"x"))).chain([Ok(big.clone())]);
        let mut blocks = Blocks::new(Box::pin(stream::iter(chunks)), None);

        let block = blocks.next(1_000_000).await.unwrap();

        assert_eq!(block.len(), 140_000);
        assert_eq!(block.chunks().len(), 3);
        assert_eq!(block.chunks()[2].as_ptr(), big.as_ptr());
    }

    #[tokio::test]
    async fn all_blocks_but_the_last_are_full() {
        let mut blocks = Blocks::new(body(vec![vec![1; 25_000], vec![], vec![2; 5]]), Some(25_005));
        let mut lengths = Vec::new();
        while !blocks.is_over().await.unwrap() {
            lengths.push((blocks.left(), blocks.next(10_000).await.unwrap().len()));
        }
        assert_eq!(lengths, [(Some(25_005), 10_000), (Some(15_005), 10_000), (Some(5_005), 5_005)]);
    }

    #[tokio::test]
    async fn a_body_of_another_size_than_declared_is_broken() {
        for declared in [9, 11] {
            let outcome = Blocks::new(body(vec![vec![0; 10]]), Some(declared)).next(100).await;
            assert!(matches!(outcome, Err(Error::BodyBroken(_))));
        }
    }
}
