//! Reading a file of the disk. What the kernel has in memory is read where it is wanted, without a
//! trip to a blocking thread; a trip is made for the rest.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{blocking, no_follow};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::{ByteStream, io_error};

/// Bytes that are read at once.
const BLOCK: usize = 128 * 1024;
/// Blocks deadline which others get their turn.
const AT_ONCE: u32 = 8;
/// Blocks of one download that wait to be used again; about what a connection holds unsent.
const SPARE: usize = 4;

/// Opens the bytes of a file in `range` (never empty).
///
/// # Errors
/// `NotFound`; `Internal` if the file is shorter.
pub(super) async fn open(path: PathBuf, range: Range<u64>) -> Result<ByteStream> {
    let reader = match in_memory::open(&path) {
        Some(file) => Reader::over(file, range)?,
        None => blocking(move || Reader::over(no_follow().read(true).open(&path).map_err(not_opened)?, range)).await?,
    };
    // The first block comes with the opening: an error is an honest status still.
    let (first, reader) = reader.next().await?;
    let others = stream::try_unfold((1, reader), |(number, reader)| async move {
        // The head of the answer goes out with the first block, whatever becomes of the second; and whoever
        // only reads must not keep everybody else waiting as long as the kernel has bytes in memory.
        if number % AT_ONCE == 1 {
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

/// An open file, somewhere in the range that is wanted.
struct Reader {
    file: File,
    left: Range<u64>,
    spare: Arc<BufferPool>,
}

impl Reader {
    fn over(file: File, range: Range<u64>) -> Result<Self> {
        if file.metadata().map_err(io_error)?.len() < range.end {
            return Err(Error::internal("a blob is shorter than its row says"));
        }
        let size = (range.end - range.start).min(BLOCK as u64) as usize;
        Ok(Self { file, left: range, spare: Arc::new(BufferPool { size, blocks: Mutex::default() }) })
    }

    /// The next bytes, none at the end.
    async fn next(mut self) -> Result<(Option<Bytes>, Self)> {
        if self.left.is_empty() {
            return Ok((None, self));
        }
        faults::io("disk_read").map_err(io_error)?;
        let mut block = PooledBuffer::of(&self.spare);
        let wanted = (self.left.end - self.left.start).min(block.bytes.len() as u64) as usize;
        block.length = match in_memory::read(&self.file, &mut block.bytes[..wanted], self.left.start) {
            Some(length) => length,
            None => {
                (block, self) = blocking(move || {
                    let read = self.file.read_exact_at(&mut block.bytes[..wanted], self.left.start);
                    match read {
                        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                            Err(Error::internal("a blob became shorter while it was read"))
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

/// Blocks that were sent and can be filled again: fresh memory costs more than what is read into it.
struct BufferPool {
    /// Of one block; less than usual if there is no more to read.
    size: usize,
    blocks: Mutex<Vec<Box<[u8]>>>,
}

/// A block on its way to the client. It comes back when it is sent.
struct PooledBuffer {
    bytes: Box<[u8]>,
    length: usize,
    home: Arc<BufferPool>,
}

impl PooledBuffer {
    fn of(home: &Arc<BufferPool>) -> Self {
        let spare = home.blocks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.unwrap_or_else(|| vec![0; home.size].into());
        Self { bytes, length: 0, home: home.clone() }
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut spare = self.home.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// What can be done without waiting for a disk. Nothing comes of it if it cannot, or if the system or
/// the filesystem does not know how; whatever else is wrong shows when it is tried for real.
#[cfg(target_os = "linux")]
mod in_memory {
    use std::fs::File;
    use std::io::IoSliceMut;
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::{ReadWriteFlags, preadv2};

    pub fn open(path: &Path) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
    }

    /// The count of bytes that were read, at least one.
    pub fn read(file: &File, bytes: &mut [u8], offset: u64) -> Option<usize> {
        preadv2(file, &mut [IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT).ok().filter(|read| *read > 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod in_memory {
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

    /// What hashes a file that is in memory would otherwise keep a worker until the end of it.
    #[tokio::test]
    async fn whoever_reads_lets_others_in_between() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let size = 5 * BLOCK as u64 * u64::from(AT_ONCE);
        std::fs::write(&path, vec![7; size as usize]).expect("a file");
        let mut stream = open(path, 0..size).await.expect("a stream");
        let (mut read, mut in_a_row) = (0, 0);
        while read < size {
            match poll!(stream.next()) {
                std::task::Poll::Ready(block) => {
                    read += block.expect("more").expect("bytes").len() as u64;
                    in_a_row += 1;
                    assert!(in_a_row <= AT_ONCE, "{in_a_row} blocks at once");
                }
                std::task::Poll::Pending => {
                    in_a_row = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
