//! An archive on its way to its reader: it is sent in chunks while it is written, and holds no more than one of them.

use bytes::Bytes;
use crc32fast::Hasher;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::files::zip::records::{self, BLOCK, Entry, Method};
use crate::files::zip::spool::Spool;

/// An archive that is being written.
pub struct Archive {
    sink: mpsc::Sender<Result<Bytes>>,
    /// Bytes that were sent.
    sent: u64,
    /// What is not sent yet.
    unsent: Vec<u8>,
    open: Option<OpenEntry>,
    entries: u64,
    directory: Spool,
}

/// The entry that is being written.
struct OpenEntry {
    name: String,
    modified_at: Timestamp,
    is_large: bool,
    offset: u64,
    crc: Hasher,
    size: u64,
    /// Where the content begins.
    content: u64,
    /// Content of the next block.
    block: Vec<u8>,
}

impl Archive {
    /// An empty archive, whose bytes go to the sink.
    pub fn new(sink: mpsc::Sender<Result<Bytes>>) -> Self {
        Self { sink, sent: 0, unsent: Vec::new(), open: None, entries: 0, directory: Spool::new() }
    }

    /// Starts an entry whose content has `size` bytes, if that is known.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn start_file(&mut self, name: &str, size: Option<u64>, modified_at: Timestamp) -> Result<()> {
        self.end_file().await?;
        let (offset, is_large) = (self.position(), size.is_some_and(records::is_large));
        self.unsent.extend(records::local_header(name, modified_at, is_large));
        self.open = Some(OpenEntry {
            name: name.to_owned(),
            modified_at,
            is_large,
            offset,
            crc: Hasher::new(),
            size: 0,
            content: self.position(),
            block: Vec::new(),
        });
        Ok(())
    }

    /// Writes content of the entry that was started last, and waits until there is room for more.
    ///
    /// # Errors
    /// [`Error::BodyBroken`] if the reader has disconnected.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(open) = &mut self.open
            && !bytes.is_empty()
        {
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - open.block.len()));
            open.crc.update(head);
            open.size += head.len() as u64;
            open.block.extend_from_slice(head);
            bytes = rest;
            if open.block.len() == BLOCK {
                self.end_block();
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Writes text of the entry that was started last.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn text(&mut self, text: &str) -> Result<()> {
        self.write(text.as_bytes()).await
    }

    /// Ends the last entry and writes the central directory, which completes the archive.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn finish(mut self) -> Result<()> {
        self.end_file().await?;
        self.send().await?;
        let (offset, directory) = (self.sent, std::mem::replace(&mut self.directory, Spool::new()));
        let size = directory.bytes();
        let mut directory = directory.rewind()?;
        let mut buffer = vec![0; BLOCK];
        loop {
            match directory.read(&mut buffer)? {
                [] => break,
                read => self.unsent.extend_from_slice(read),
            }
            self.send().await?;
        }
        self.unsent.extend(records::end(self.entries, size, offset));
        self.send().await
    }

    /// Ends the open entry, if there is one.
    async fn end_file(&mut self) -> Result<()> {
        self.end_block();
        let Some(open) = self.open.take() else { return Ok(()) };
        self.unsent.extend(records::LAST_BLOCK);
        let entry = Entry {
            name: &open.name,
            modified_at: open.modified_at,
            is_large: open.is_large,
            crc: open.crc.finalize(),
            size: open.size,
            method: Method::Deflated { size: self.position() - open.content },
            offset: open.offset,
        };
        self.unsent.extend(entry.data_descriptor());
        self.directory.write(&entry.central_header())?;
        self.entries += 1;
        if self.unsent.len() >= BLOCK { self.send().await } else { Ok(()) }
    }

    /// Ends the block of the open entry, if it has content.
    fn end_block(&mut self) {
        if let Some(open) = &mut self.open
            && !open.block.is_empty()
        {
            self.unsent.extend(records::block_header(open.block.len()));
            self.unsent.append(&mut open.block);
        }
    }

    /// Bytes of the archive so far.
    fn position(&self) -> u64 {
        self.sent + self.unsent.len() as u64
    }

    async fn send(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.unsent);
        if bytes.is_empty() {
            return Ok(());
        }
        self.sent += bytes.len() as u64;
        self.sink
            .send(Ok(bytes.into()))
            .await
            .map_err(|_| Error::BodyBroken("the reader of the archive has disconnected".into()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use ::zip::ZipArchive;

    use super::*;

    async fn archived(files: &[(&str, Option<u64>, &[u8])]) -> Vec<u8> {
        let (sink, mut source) = mpsc::channel(1000);
        let mut archive = Archive::new(sink);
        for (name, size, bytes) in files {
            archive.start_file(name, *size, Timestamp::UNIX_EPOCH).await.expect("a reader");
            archive.write(bytes).await.expect("a reader");
        }
        archive.finish().await.expect("a reader");
        let mut whole = Vec::new();
        while let Some(chunk) = source.recv().await {
            whole.extend_from_slice(&chunk.expect("bytes"));
        }
        whole
    }

    fn read(zip: &mut ZipArchive<Cursor<&Vec<u8>>>, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        zip.by_name(name).expect("a file").read_to_end(&mut bytes).expect("bytes");
        bytes
    }

    #[tokio::test]
    async fn contents_of_any_size_are_read_again() {
        let contents: Vec<Vec<u8>> =
            [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK].map(|size| vec![b'x'; size]).to_vec();
        let names: Vec<String> = contents.iter().map(|content| content.len().to_string()).collect();
        let files: Vec<_> =
            names.iter().zip(&contents).map(|(name, bytes)| (&**name, Some(bytes.len() as u64), &**bytes)).collect();
        let whole = archived(&files).await;
        let mut zip = ZipArchive::new(Cursor::new(&whole)).expect("an archive");
        for (name, content) in names.iter().zip(&contents) {
            assert!(read(&mut zip, name) == *content, "{name}");
        }
    }

    #[tokio::test]
    async fn only_large_files_have_zip64_sizes() {
        let whole = archived(&[("small", Some(5), b"small"), ("large", Some(u32::MAX.into()), b"as if it were")]).await;
        let mut zip = ZipArchive::new(Cursor::new(&whole)).expect("an archive");
        assert_eq!(read(&mut zip, "large"), b"as if it were");
        // After the content and the last block of five bytes, the data descriptor has eight bytes for each size, or four.
        let after =
            |text: &[u8]| whole.windows(text.len()).position(|window| window == text).expect("bytes") + text.len() + 5;
        assert_eq!(whole[after(b"as if it were") + 16..][..8], 13_u64.to_le_bytes());
        assert_eq!(whole[after(b"as if it were") + 24..][..2], *b"PK");
        assert_eq!(whole[after(b"small\x01\0\0\xff\xff") - 5 + 16..][..2], *b"PK");
    }

    #[tokio::test]
    async fn more_entries_than_16_bits_count_are_found() {
        let names: Vec<String> = (0..66_000).map(|number| number.to_string()).collect();
        let files: Vec<_> = names.iter().map(|name| (&**name, Some(0), &b""[..])).collect();
        let whole = archived(&files).await;
        assert_eq!(ZipArchive::new(Cursor::new(&whole)).expect("an archive").len(), names.len());
    }
}
