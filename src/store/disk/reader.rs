//! Reads a file. What is in the page cache is read on the calling thread; only the rest goes to a
//! blocking thread.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::layout::{blocking, io_error, no_follow};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::ByteStream;

/// Bytes per read, at most.
pub(super) const BLOCK: usize = 128 * 1024;
/// Blocks after which the task yields.
const BLOCKS_PER_TURN: u32 = 8;
/// Buffers that one download keeps for reuse; about what a connection buffers unsent.
const MAX_SPARE: usize = 4;

/// Opens the bytes in `range`, which must not be empty, to be read in blocks of `block` bytes.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Internal`] if the file is shorter; [`Error::Unavailable`].
pub(super) async fn open(path: PathBuf, range: Range<u64>, block: usize) -> Result<ByteStream> {
    let reader = match page_cache::open(&path) {
        Some(file) => Reader::new(file, range, block)?,
        None => {
            let opened = move || no_follow().read(true).open(&path).map_err(not_opened);
            blocking(move || Reader::new(opened()?, range, block)).await?
        }
    };
    // The first block is read here, so that an error can still become a status.
    let (first, reader) = reader.next().await?;
    let others = stream::try_unfold((1, reader), |(number, reader)| async move {
        // After the first block, so that it is sent with the headers whatever happens to the second one; and
        // regularly, so that reading cached files does not block other tasks.
        if number % BLOCKS_PER_TURN == 1 {
            tokio::task::yield_now().await;
        }
        let (block, reader) = reader.next().await?;
        Ok(block.map(|block| (block, (number + 1, reader))))
    });
    Ok(Box::pin(stream::iter(first.map(Ok)).chain(others)))
}

fn not_opened(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound,
        _ => io_error(error),
    }
}

/// An open file, and the part of the range that is left to read.
struct Reader {
    file: File,
    left: Range<u64>,
    buffers: Arc<BufferPool>,
}

impl Reader {
    fn new(file: File, range: Range<u64>, block: usize) -> Result<Self> {
        if file.metadata().map_err(io_error)?.len() < range.end {
            return Err(Error::internal("a blob is shorter than its row says"));
        }
        let size = (range.end - range.start).min(block as u64) as usize;
        Ok(Self { file, left: range, buffers: Arc::new(BufferPool { size, spare: Mutex::default() }) })
    }

    /// The next block; `None` at the end.
    async fn next(mut self) -> Result<(Option<Bytes>, Self)> {
        if self.left.is_empty() {
            return Ok((None, self));
        }
        faults::io("disk_read").map_err(io_error)?;
        let mut block = PooledBuffer::take(&self.buffers);
        let wanted = (self.left.end - self.left.start).min(block.bytes.len() as u64) as usize;
        block.length = match page_cache::read(&self.file, &mut block.bytes[..wanted], self.left.start) {
            Some(length) => length,
            None => {
                (block, self) = blocking(move || {
                    let read = self.file.read_exact_at(&mut block.bytes[..wanted], self.left.start);
                    match read {
                        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                            Err(Error::internal("a blob was truncated while it was read"))
                        }
                        read => read.map_err(io_error).map(|()| (block, self)),
                    }
                })
                .await?;
                wanted
            }
        };
        self.left.start += block.length as u64;
        Ok((Some(Bytes::from_owner(block)), self))
    }
}

/// Buffers for reuse: allocating and zeroing a new one costs more than reading into it.
struct BufferPool {
    /// Bytes per buffer: a block, or less if the range is shorter.
    size: usize,
    spare: Mutex<Vec<Box<[u8]>>>,
}

/// A buffer that returns to its pool when it has been sent.
struct PooledBuffer {
    bytes: Box<[u8]>,
    length: usize,
    pool: Arc<BufferPool>,
}

impl PooledBuffer {
    fn take(pool: &Arc<BufferPool>) -> Self {
        let spare = pool.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.unwrap_or_else(|| vec![0; pool.size].into());
        Self { bytes, length: 0, pool: pool.clone() }
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut spare = self.pool.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Opens and reads without waiting for the disk. Returns `None` if that is not possible, or not
/// supported by the system or the filesystem; other errors show when the blocking call fails.
#[cfg(target_os = "linux")]
mod page_cache {
    use std::fs::File;
    use std::io::IoSliceMut;
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::{ReadWriteFlags, preadv2};

    pub fn open(path: &Path) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
    }

    /// The number of bytes read, at least one.
    pub fn read(file: &File, bytes: &mut [u8], offset: u64) -> Option<usize> {
        preadv2(file, &mut [IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT).ok().filter(|read| *read > 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod page_cache {
    use std::fs::File;
    use std::path::Path;

    pub fn open(_: &Path) -> Option<File> {
        None
    }

    pub fn read(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, poll};

    use super::*;

    /// Otherwise hashing a cached file would occupy a worker thread until its end.
    #[tokio::test]
    async fn reading_a_cached_file_yields_to_other_tasks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let size = 5 * BLOCK as u64 * u64::from(BLOCKS_PER_TURN);
        std::fs::write(&path, vec![7; size as usize]).expect("a file");
        let mut stream = open(path, 0..size, BLOCK).await.expect("a stream");
        let (mut read, mut in_a_row) = (0, 0);
        while read < size {
            match poll!(stream.next()) {
                std::task::Poll::Ready(block) => {
                    read += block.expect("more").expect("bytes").len() as u64;
                    in_a_row += 1;
                    assert!(in_a_row <= BLOCKS_PER_TURN, "{in_a_row} blocks at once");
                }
                std::task::Poll::Pending => {
                    in_a_row = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
