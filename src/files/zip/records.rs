//! The records of a ZIP archive (APPNOTE.TXT 6.3.10) that is sent while it is written. Its entries are not compressed, as
//! most files are compressed already.
//!
//! If the size and the CRC of an entry are known before its content, it is stored. Otherwise they follow the content, and
//! readers that stream, such as Java's `ZipInputStream`, find the end of an entry in its compressed data: a stored entry
//! has no such end. So it is deflated then, in blocks that are not compressed (RFC 1951, section 3.2.4).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Maximum size of a stored block, in bytes.
pub const BLOCK: usize = 65_535;
/// Bytes before the content of a block.
const BLOCK_HEADER: u64 = 5;

/// From this number on, a size, an offset or a count is in the ZIP64 form.
const LARGE: u64 = u32::MAX as u64;
const VERSION: u16 = 20;
const VERSION_WITH_ZIP64: u16 = 45;
/// The name is UTF-8.
const UTF_8: u16 = 1 << 11;
/// The sizes follow the data as well.
const FLAGS: u16 = 1 << 3 | UTF_8;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Permissions of Unix, with the type of the entry.
const FILE: u32 = 0o100_644 << 16;
/// The same, and the attribute of MS-DOS.
const FOLDER: u32 = 0o40_755 << 16 | 0x10;

/// How the content of an entry is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// In blocks, with the sizes behind it.
    Deflated {
        /// Bytes of the content in blocks.
        size: u64,
    },
}

/// An entry whose size and CRC are known. It is a folder if its name ends with a slash.
#[derive(Debug)]
pub struct Entry<'e> {
    /// The path, with slashes.
    pub name: &'e str,
    /// When the content was published.
    pub modified_at: Timestamp,
    /// Whether the local header announces the ZIP64 form of sizes.
    pub is_large: bool,
    /// The CRC-32 of the content.
    pub crc: u32,
    /// Bytes of the content.
    pub size: u64,
    /// How the content is in the archive.
    pub method: Method,
    /// Where the local header is.
    pub offset: u64,
}

/// Little-endian numbers and bytes, one after the other.
macro_rules! record {
    ($($part:expr),* $(,)?) => { [$(&$part.to_le_bytes()[..]),*].concat() };
}

/// Whether a content of `size` bytes needs the ZIP64 form of sizes.
pub fn is_large(size: u64) -> bool {
    size + (size.div_ceil(BLOCK as u64) + 1) * BLOCK_HEADER >= LARGE
}

/// The header of a block that is not the last one; at most [`BLOCK`] bytes follow.
pub fn block_header(length: usize) -> [u8; 5] {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let [[a, b], [c, d]] = [length.to_le_bytes(), (!length).to_le_bytes()];
    [0, a, b, c, d]
}

/// The last block, which is empty.
pub const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// What precedes the content of an entry.
pub fn local_header(name: &str, modified_at: Timestamp, is_large: bool) -> Vec<u8> {
    let (version, size) = if is_large { (VERSION_WITH_ZIP64, u32::MAX) } else { (VERSION, 0) };
    let extra = if is_large { record!(1_u16, 16_u16, 0_u64, 0_u64) } else { Vec::new() };
    let (date, time) = date_and_time(modified_at);
    let head = record!(0x0403_4b50_u32, version, FLAGS, DEFLATED, time, date, 0_u32, size, size);
    [head, record!(name.len() as u16, extra.len() as u16), name.as_bytes().to_vec(), extra].concat()
}

impl Entry<'_> {
    /// What precedes the content of a stored entry.
    pub fn local_header(&self) -> Vec<u8> {
        let (version, flags, method) = self.format();
        let is_large = self.size >= LARGE;
        let extra = if is_large { record!(1_u16, 16_u16, self.size, self.size) } else { Vec::new() };
        let size = self.size.min(LARGE) as u32;
        let (date, time) = date_and_time(self.modified_at);
        let head = record!(0x0403_4b50_u32, version, flags, method, time, date, self.crc, size, size);
        [head, record!(self.name.len() as u16, extra.len() as u16), self.name.as_bytes().to_vec(), extra].concat()
    }

    fn compressed(&self) -> u64 {
        match self.method {
            Method::Stored => self.size,
            Method::Deflated { size } => size,
        }
    }

    /// The version that a reader needs, unless an offset is large; the flags and the method.
    fn format(&self) -> (u16, u16, u16) {
        match self.method {
            Method::Stored => (if self.size >= LARGE { VERSION_WITH_ZIP64 } else { VERSION }, UTF_8, STORED),
            Method::Deflated { .. } => (if self.is_large { VERSION_WITH_ZIP64 } else { VERSION }, FLAGS, DEFLATED),
        }
    }

    /// The record after the content of the entry.
    pub fn data_descriptor(&self) -> Vec<u8> {
        let head = record!(0x0807_4b50_u32, self.crc);
        let sizes = match self.is_large || self.size.max(self.compressed()) > LARGE {
            true => record!(self.compressed(), self.size),
            false => record!(self.compressed() as u32, self.size as u32),
        };
        [head, sizes].concat()
    }

    /// The entry in the central directory.
    pub fn central_header(&self) -> Vec<u8> {
        let (version, flags, method) = self.format();
        let numbers = [self.size, self.compressed(), self.offset];
        let large: Vec<u8> = numbers.iter().filter(|number| **number >= LARGE).flat_map(|n| n.to_le_bytes()).collect();
        let extra = if large.is_empty() { Vec::new() } else { [record!(1_u16, large.len() as u16), large].concat() };
        let [size, deflated, offset] = numbers.map(|number| number.min(LARGE) as u32);
        let version = if extra.is_empty() { version } else { VERSION_WITH_ZIP64 };
        let attributes = if self.name.ends_with('/') { FOLDER } else { FILE };
        let (date, time) = date_and_time(self.modified_at);
        // Made on Unix, whose permissions are in the upper half of the attributes.
        let head = record!(0x0201_4b50_u32, 3 << 8 | version, version, flags, method, time, date, self.crc);
        let sizes = record!(deflated, size, self.name.len() as u16, extra.len() as u16, 0_u16, 0_u16, 0_u16);
        let tail = record!(attributes, offset);
        [head, sizes, tail, self.name.as_bytes().to_vec(), extra].concat()
    }
}

/// The records after the central directory, which has `entries` entries in `size` bytes from `offset` on.
pub fn end(entries: u64, size: u64, offset: u64) -> Vec<u8> {
    let version = VERSION_WITH_ZIP64;
    let short = entries.min(u16::MAX.into()) as u16;
    let [short_size, short_offset] = [size, offset].map(|number| number.min(LARGE) as u32);
    let plain = record!(0x0605_4b50_u32, 0_u16, 0_u16, short, short, short_size, short_offset, 0_u16);
    if entries < u16::MAX.into() && size < LARGE && offset < LARGE {
        return plain;
    }
    let head = record!(0x0606_4b50_u32, 44_u64, 3 << 8 | version, version, 0_u32, 0_u32);
    let numbers = record!(entries, entries, size, offset);
    let locator = record!(0x0706_4b50_u32, 0_u32, offset + size, 1_u32);
    [head, numbers, locator, plain].concat()
}

/// The time as ZIP stores it: from 1980 on, to two seconds, without a time zone; here it is UTC.
fn date_and_time(at: Timestamp) -> (u16, u16) {
    let at = at.to_zoned(TimeZone::UTC);
    let [month, day, hour, minute, second] =
        [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(|part| u16::from(part.unsigned_abs()));
    match u16::try_from(at.year() - 1980) {
        Ok(year @ 0..128) => (year << 9 | month << 5 | day, hour << 11 | minute << 5 | (second / 2)),
        _ => (1 << 5 | 1, 0),
    }
}
