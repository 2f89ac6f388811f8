//! Bytes that are written once and then read once: in memory while they are few, afterwards in a temporary file without a
//! name. What grows with the number of files of an archive is kept here.

use std::io::{self, BufReader, Read, Seek, Write};

use tempfile::SpooledTempFile;

use crate::error::{Error, Result};

/// Bytes that are kept in memory.
const IN_MEMORY: usize = 1024 * 1024;

/// Bytes that are written. They go to the page cache and nobody waits for a disk, so that this is done where it occurs.
#[derive(Debug)]
pub struct Spool {
    file: SpooledTempFile,
    bytes: u64,
}

/// The bytes again, in order.
#[derive(Debug)]
pub struct Spooled(BufReader<SpooledTempFile>);

impl Spool {
    /// An empty spool.
    pub fn new() -> Self {
        Self { file: SpooledTempFile::new(IN_MEMORY), bytes: 0 }
    }

    /// The number of bytes that were written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] if the directory for temporary files does not exist, or is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(temporary)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes a text, to be read by [`Spooled::text`].
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn text(&mut self, text: &str) -> Result<()> {
        let length = u32::try_from(text.len()).map_err(Error::internal)?.to_le_bytes();
        self.write(&[&length, text.as_bytes()].concat())
    }

    /// Everything that was written.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn rewind(mut self) -> Result<Spooled> {
        self.file.rewind().map_err(temporary)?;
        Ok(Spooled(BufReader::new(self.file)))
    }
}

impl Spooled {
    /// The next bytes, as many as fit into the buffer; none at the end.
    ///
    /// # Errors
    /// [`Error::Internal`] if the temporary file cannot be read.
    pub fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let read = self.0.read(buffer).map_err(temporary)?;
        Ok(&buffer[..read])
    }

    /// Begins again.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn rewind(&mut self) -> Result<()> {
        self.0.rewind().map_err(temporary)
    }

    /// As many bytes as fit into the buffer.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and if there are fewer.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.0.read_exact(buffer).map_err(temporary)
    }

    /// The next text; `None` at the end.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn text(&mut self) -> Result<Option<String>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(temporary)?,
        }
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut text).map_err(temporary)?;
        String::from_utf8(text).map(Some).map_err(Error::internal)
    }
}

fn temporary(error: io::Error) -> Error {
    Error::internal(format!("the temporary file of an archive (see TMPDIR): {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_memory_is_read_again_as_well() {
        let mut spool = Spool::new();
        let texts = ["", "é", &"x".repeat(IN_MEMORY), "last"];
        texts.iter().for_each(|text| spool.text(text).expect("space"));
        assert_eq!(spool.bytes(), texts.iter().map(|text| text.len() as u64 + 4).sum::<u64>());
        let mut spooled = spool.rewind().expect("a file");
        for text in texts {
            assert!(spooled.text().expect("bytes").as_deref() == Some(text));
        }
        assert_eq!(spooled.text().expect("the end"), None);
    }
}
