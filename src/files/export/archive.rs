//! A ZIP archive that is sent while it is written. Files are stored, not compressed: most files are compressed already,
//! and the export need not wait for a processor.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::error::{Error, Result};

/// Bytes that are sent together.
const CHUNK: usize = 64 * 1024;
/// From this many bytes on a file needs the ZIP64 form of sizes.
const LARGE: u64 = u32::MAX as u64;

/// An archive on its way to its reader. It is written into memory and sent in chunks.
pub struct Archive {
    zip: ZipWriter<StreamWriter<Buffer>>,
    written: Buffer,
    sink: mpsc::Sender<Result<Bytes>>,
}

impl Archive {
    /// An empty archive, whose bytes go to the sink.
    pub fn new(sink: mpsc::Sender<Result<Bytes>>) -> Self {
        let written = Buffer::default();
        Self { zip: ZipWriter::new_stream(written.clone()), written, sink }
    }

    /// Starts a file of `size` bytes, if that is known.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is a file of this name.
    pub fn start_file(&mut self, path: &str, size: Option<u64>, modified_at: Timestamp) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(size.is_none_or(|size| size >= LARGE))
            .last_modified_time(date(modified_at));
        self.zip.start_file(path, options).map_err(Error::internal)
    }

    /// Writes bytes of the file that was started last, and waits until there is room for more.
    ///
    /// # Errors
    /// [`Error::BodyBroken`] if the reader has disconnected.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.zip.write_all(bytes).map_err(Error::internal)?;
        if self.written.len() >= CHUNK { self.send().await } else { Ok(()) }
    }

    /// Writes text of the file that was started last.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn text(&mut self, text: &str) -> Result<()> {
        self.write(text.as_bytes()).await
    }

    /// Writes the central directory, which completes the archive.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn finish(mut self) -> Result<()> {
        let zip = std::mem::replace(&mut self.zip, ZipWriter::new_stream(Buffer::default()));
        zip.finish().map_err(Error::internal)?;
        self.send().await
    }

    async fn send(&mut self) -> Result<()> {
        let bytes = self.written.take();
        self.sink
            .send(Ok(bytes.into()))
            .await
            .map_err(|_| Error::BodyBroken("the reader of the archive has disconnected".into()))
    }
}

/// The time as ZIP stores it: from 1980 on, to two seconds, without a time zone; here it is UTC.
fn date(at: Timestamp) -> DateTime {
    let at = at.to_zoned(TimeZone::UTC);
    let [month, day, hour, minute, second] =
        [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(|part| part as u8);
    DateTime::from_date_and_time(at.year() as u16, month, day, hour, minute, second).unwrap_or_default()
}

/// What was written and not sent yet.
#[derive(Debug, Default, Clone)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    async fn archived(files: &[(&str, Option<u64>, &[u8])]) -> Vec<u8> {
        let (sink, mut source) = mpsc::channel(1000);
        let mut archive = Archive::new(sink);
        for (name, size, bytes) in files {
            archive.start_file(name, *size, Timestamp::UNIX_EPOCH).expect("a new name");
            archive.write(bytes).await.expect("a reader");
        }
        archive.finish().await.expect("a reader");
        let mut whole = Vec::new();
        while let Some(chunk) = source.recv().await {
            whole.extend_from_slice(&chunk.expect("bytes"));
        }
        whole
    }

    #[tokio::test]
    async fn large_files_have_the_long_form_of_sizes_and_small_ones_not() {
        let whole = archived(&[("small", Some(5), b"small"), ("large", Some(LARGE), b"as if it were")]).await;
        let mut zip = zip::ZipArchive::new(io::Cursor::new(&whole)).expect("an archive");
        let names: Vec<_> = zip.file_names().map(|name| name.expect("a name").into_owned()).collect();
        assert_eq!(names, ["small", "large"]);
        let mut text = String::new();
        zip.by_name("large").expect("a file").read_to_string(&mut text).expect("text");
        assert_eq!(text, "as if it were");
        // The data descriptor after the bytes has eight bytes for each size, or four.
        let after =
            |text: &[u8]| whole.windows(text.len()).position(|window| window == text).expect("bytes") + text.len();
        let size = |at: usize, length: usize| &whole[at + 8..at + 8 + length];
        assert_eq!(size(after(b"as if it were"), 8), 13_u64.to_le_bytes());
        assert_eq!(whole[after(b"as if it were") + 24..][..2], *b"PK");
        assert_eq!(whole[after(b"smallsmall") + 16..][..2], *b"PK");
    }
}
