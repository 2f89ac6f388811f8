//! Cuts a stream into blocks for a store to write: big pieces are passed on as they are, small
//! ones are copied together, so that a million pieces of one byte cost a megabyte and no more.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::ByteStream;
use crate::error::{Error, Result};

/// A body that is read block by block and that keeps to its declared size, or breaks.
pub(super) struct Blocks {
    body: ByteStream,
    declared: Option<u64>,
    received: u64,
    ahead: Bytes,
    ended: bool,
}

impl Blocks {
    pub fn new(body: ByteStream, declared: Option<u64>) -> Self {
        Self { body, declared, received: 0, ahead: Bytes::new(), ended: false }
    }

    /// The next `limit` bytes, or fewer if the body ends before.
    ///
    /// # Errors
    /// What the stream fails with; `BodyBroken` if it is longer or shorter than declared.
    pub async fn next(&mut self, limit: usize) -> Result<Block> {
        let mut block = Block::default();
        self.fill(&mut block, limit).await?;
        Ok(block)
    }

    /// Fills the block up to `limit` bytes, or until the body ends. After an error the block holds
    /// what came before it.
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

    /// Whether nothing follows; looks ahead to know.
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

    /// The bytes that came until now.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What [`next`](Self::next) has yet to return, if the size was declared.
    pub fn left(&self) -> Option<u64> {
        self.declared.map(|declared| declared.saturating_sub(self.received) + self.ahead.len() as u64)
    }

    fn check_size(&self) -> Result<()> {
        match self.declared {
            Some(declared) if self.received > declared => {
                Err(Error::BodyBroken(format!("more than the {declared} bytes announced")))
            }
            Some(declared) if self.ended && self.received < declared => {
                Err(Error::BodyBroken(format!("ended deadline {} of {declared} bytes", self.received)))
            }
            _ => Ok(()),
        }
    }
}

/// Some bytes in a row, in memory.
#[derive(Default)]
pub(super) struct Block {
    chunks: Vec<Bytes>,
    small: BytesMut,
    len: usize,
}

impl Block {
    /// Pieces of this size are worth keeping as they are; smaller ones could hold on to a buffer
    /// much bigger than themselves.
    const WORTH_KEEPING: usize = 16 * 1024;
    const GATHERED: usize = 64 * 1024;

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    fn push(&mut self, bytes: Bytes, limit: usize) {
        self.len += bytes.len();
        if bytes.len() >= Self::WORTH_KEEPING {
            self.close();
            self.chunks.push(bytes);
            return;
        }
        if self.small.capacity() - self.small.len() < bytes.len() {
            self.close();
            self.small = BytesMut::with_capacity(Self::GATHERED.min(limit));
        }
        self.small.extend_from_slice(&bytes);
    }

    /// Ends the gathered piece, so that [`chunks`](Self::chunks) are all there is; also deadline a filling
    /// that was broken off. What is left of its memory serves the next one.
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

    fn body(pieces: Vec<Vec<u8>>) -> ByteStream {
        Box::pin(stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))))
    }

    #[tokio::test]
    async fn small_pieces_become_few_and_big_ones_are_not_copied() {
        let big = Bytes::from(vec![7; 40_000]);
        let pieces = (0..100_000).map(|_| Ok(Bytes::from_static(b"x"))).chain([Ok(big.clone())]);
        let mut blocks = Blocks::new(Box::pin(stream::iter(pieces)), None);

        let block = blocks.next(1_000_000).await.unwrap();

        assert_eq!(block.len(), 140_000);
        assert_eq!(block.chunks().len(), 3);
        assert_eq!(block.chunks()[2].as_ptr(), big.as_ptr());
    }

    #[tokio::test]
    async fn blocks_are_full_but_for_the_last() {
        let mut blocks = Blocks::new(body(vec![vec![1; 25_000], vec![], vec![2; 5]]), Some(25_005));
        let mut lengths = Vec::new();
        while !blocks.is_over().await.unwrap() {
            lengths.push((blocks.left(), blocks.next(10_000).await.unwrap().len()));
        }
        assert_eq!(lengths, [(Some(25_005), 10_000), (Some(15_005), 10_000), (Some(5_005), 5_005)]);
    }

    #[tokio::test]
    async fn a_body_keeps_to_its_declared_size() {
        for declared in [9, 11] {
            let outcome = Blocks::new(body(vec![vec![0; 10]]), Some(declared)).next(100).await;
            assert!(matches!(outcome, Err(Error::BodyBroken(_))));
        }
    }
}
