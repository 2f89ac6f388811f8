//! The entries of an archive, in their order: in a temporary file, because there may be many.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::db::ArchiveRow;
use crate::error::{Error, Result};
use crate::files::zip::paths::Paths;
use crate::files::zip::records::{self, Method};
use crate::files::zip::spool::{Spool, Spooled};

/// Bytes of an entry in the list after its path.
const RECORD: usize = 4 + 8 + 4 + 8 + 16 + 16;

/// Collects the entries of an archive.
pub(super) struct Entries {
    limit: u64,
    paths: Paths,
    spool: Spool,
    /// Of all that the bytes of the archive depend on.
    hash: Sha256,
    count: u64,
    /// Bytes of the entries, and of the central directory.
    bytes: (u64, u64),
}

/// The list of the entries of an archive.
#[derive(Debug)]
pub(super) struct EntryList {
    spooled: Spooled,
    /// Their number.
    pub count: u64,
    /// Where the central directory begins, and its bytes.
    pub directory: (u64, u64),
}

/// An entry of an archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The path, with slashes; that of a folder ends with one.
    pub path: String,
    /// The number of the item that it comes from.
    pub root: usize,
    /// Bytes of its content.
    pub size: u64,
    /// The CRC-32 of its content.
    pub crc: u32,
    /// When the content was completed.
    pub modified_at: Timestamp,
    /// The ids of the file and of its content.
    pub file: Uuid,
    pub blob: Uuid,
}

impl Entries {
    /// At most `limit` entries.
    pub fn new(limit: u64) -> Self {
        let hash = Sha256::new().chain_update(b"strongroom archive v1");
        Self { limit, paths: Paths::default(), spool: Spool::new(), hash, count: 0, bytes: (0, 0) }
    }

    /// Adds a folder, unless it has the path of another one.
    ///
    /// # Errors
    /// [`Error::TooManyEntries`].
    pub fn folder(&mut self, path: &str, row: &ArchiveRow) -> Result<()> {
        // The top folder is the whole archive.
        let Some(placed) =
            Some(path).filter(|path| !path.is_empty()).and_then(|path| self.paths.place_folder("", path))
        else {
            return Ok(());
        };
        let (modified_at, none) = (row.updated_at.into(), Uuid::nil());
        self.add(&Entry { path: format!("{placed}/"), root: 0, size: 0, crc: 0, modified_at, file: none, blob: none })
    }

    /// Adds a file in the folder with this path.
    ///
    /// # Errors
    /// [`Error::TooManyEntries`]; [`Error::Internal`] if the row has no file.
    pub fn file(&mut self, root: usize, path: &str, row: &ArchiveRow) -> Result<()> {
        let ArchiveRow { id: Some(file), name: Some(name), blob_id: Some(blob), size: Some(size), .. } = row else {
            return Err(Error::internal("a file without content"));
        };
        let crc = row.crc32.and_then(|crc| u32::try_from(crc).ok());
        let crc = crc.ok_or_else(|| Error::internal(format!("the content {blob} has no CRC")))?;
        let modified_at = row.ready_at.unwrap_or_default().into();
        let path = self.paths.place("", path, name, *file);
        self.add(&Entry { path, root, size: size.0, crc, modified_at, file: *file, blob: *blob })
    }

    fn add(&mut self, entry: &Entry) -> Result<()> {
        if self.count == self.limit {
            return Err(Error::TooManyEntries { limit: self.limit });
        }
        self.count += 1;
        let record = entry.at(self.bytes.0);
        self.bytes.0 += record.local_header().len() as u64 + entry.size;
        self.bytes.1 += record.central_header().len() as u64;
        let fixed = [
            &(entry.root as u32).to_be_bytes()[..],
            &entry.size.to_be_bytes(),
            &entry.crc.to_be_bytes(),
            &entry.modified_at.as_microsecond().to_be_bytes(),
            entry.file.as_bytes(),
            entry.blob.as_bytes(),
        ]
        .concat();
        // The path is followed by a character that no path contains.
        self.hash.update(&entry.path);
        self.hash.update([0]);
        self.hash.update(&fixed);
        self.spool.text(&entry.path)?;
        self.spool.write(&fixed)
    }

    /// The list, the bytes of the whole archive, and a digest of what these depend on.
    ///
    /// # Errors
    /// [`Error::Internal`] if the temporary file cannot be read.
    pub fn finish(self) -> Result<(EntryList, u64, Vec<u8>)> {
        let (count, directory) = (self.count, self.bytes);
        let end = records::end(count, directory.1, directory.0).len() as u64;
        let list = EntryList { spooled: self.spool.rewind()?, count, directory };
        Ok((list, directory.0 + directory.1 + end, self.hash.finalize().to_vec()))
    }
}

impl EntryList {
    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Internal`] if the temporary file cannot be read.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let Some(path) = self.spooled.text()? else { return Ok(None) };
        let mut record = [0; RECORD];
        self.spooled.fill(&mut record)?;
        let mut rest = record.as_slice();
        let mut take = |bytes: usize| {
            let (head, tail) = rest.split_at(bytes);
            rest = tail;
            head.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        Ok(Some(Entry {
            path,
            root: take(4) as usize,
            size: take(8) as u64,
            crc: take(4) as u32,
            modified_at: Timestamp::from_microsecond(take(8) as i64).map_err(Error::internal)?,
            file: Uuid::from_u128(take(16)),
            blob: Uuid::from_u128(take(16)),
        }))
    }

    /// Begins again.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub fn rewind(&mut self) -> Result<()> {
        self.spooled.rewind()
    }
}

impl Entry {
    /// The entry in an archive, whose local header is at this offset.
    pub fn at(&self, offset: u64) -> records::Entry<'_> {
        records::Entry {
            name: &self.path,
            modified_at: self.modified_at,
            is_large: false,
            crc: self.crc,
            size: self.size,
            method: Method::Stored,
            offset,
        }
    }
}
