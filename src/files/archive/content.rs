//! The bytes of an archive, from any of them on. What a range skips is not read from the store.

use std::collections::HashMap;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::Archive;
use super::entries::{Entry, EntryList};
use crate::app::App;
use crate::db::{ARCHIVE_BATCH, ArchiveBatch};
use crate::error::{Error, Result};
use crate::files::download::read_key;
use crate::files::zip::records;
use crate::store::{ByteStream, Key};

/// Files that are read ahead of their turn, if they are small.
const AHEAD: usize = 8;
/// Bytes of a small file.
const SMALL: u64 = 64 * 1024;
/// Bytes that are sent at a time, at least, as far as there are any.
const BLOCK: usize = 64 * 1024;

impl Archive {
    /// Reads a range of the archive, once. `block` is the size of the blocks in bytes, at most, as far as the store decides
    /// it.
    ///
    /// # Errors
    /// [`Error::Internal`] if it was read before. The stream ends with [`Error::NotFound`] at a file that has been changed,
    /// moved or deleted since the archive was listed, and with [`Error::Internal`] at content that is not what was stored.
    pub fn read(self: &Arc<Self>, range: Range<u64>, block: usize) -> Result<ByteStream> {
        let list = self.take_list().ok_or_else(|| Error::internal("an archive was read twice"))?;
        let walk = Walk { archive: self.clone(), list, range, offset: 0, phase: Phase::Contents };
        // The next files are looked for when these are sent: one that was changed meanwhile must not be sent.
        let contents =
            stream::try_unfold((walk, self.app.clone()), move |(mut walk, app): (Walk, Arc<App>)| async move {
                let Some(sections) = walk.next().await? else { return Ok(None) };
                let opening = sections.into_iter().map({
                    let app = app.clone();
                    move |section| section.open(app.clone(), block)
                });
                let opened = stream::iter(opening).buffered(AHEAD).try_flatten();
                Ok::<_, Error>(Some((opened, (walk, app))))
            });
        let contents = contents.try_flatten();
        Ok(in_blocks(Box::pin(contents), BLOCK.min(block)))
    }
}

/// A walk through the entries of an archive.
struct Walk {
    archive: Arc<Archive>,
    list: EntryList,
    /// The bytes of the archive that are wanted.
    range: Range<u64>,
    /// Where the next entry is.
    offset: u64,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    Contents,
    /// The central directory; of its next record the offset in it.
    Directory(u64),
    End,
}

/// Bytes of an archive: a part of its own records, and then a part of the content of a file.
struct Section {
    head: Bytes,
    content: Option<Part>,
}

/// A part of the content of a file.
struct Part {
    key: Key,
    range: Range<u64>,
    /// The CRC-32, of a whole content.
    crc: Option<u32>,
}

impl Walk {
    /// The next sections; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Section>>> {
        match self.phase {
            Phase::Contents => self.contents().await.map(Some),
            Phase::Directory(at) => self.directory(at).map(Some),
            Phase::End => Ok(None),
        }
    }

    /// Some of the entries: small files, or up to a large one.
    async fn contents(&mut self) -> Result<Vec<Section>> {
        let mut wanted: Vec<(u64, Entry)> = Vec::new();
        while wanted.len() < ARCHIVE_BATCH && self.offset < self.range.end {
            let Some(entry) = self.list.next()? else { break };
            let begins = self.offset;
            self.offset += entry.at(0).local_header().len() as u64 + entry.size;
            if self.offset > self.range.start {
                let is_large = entry.size > SMALL;
                wanted.push((begins, entry));
                if is_large {
                    break;
                }
            }
        }
        if wanted.is_empty() {
            self.list.rewind()?;
            self.offset = 0;
            let is_end = self.range.end <= self.list.directory.0;
            self.phase = if is_end { Phase::End } else { Phase::Directory(0) };
            return Ok(Vec::new());
        }
        let keys = self.keys(&wanted).await?;
        wanted.iter().map(|(begins, entry)| self.section(*begins, entry, &keys)).collect()
    }

    /// The keys of the contents of these entries, by the ids of the files and of the contents.
    async fn keys(&self, entries: &[(u64, Entry)]) -> Result<HashMap<(Uuid, Uuid), String>> {
        let mut keys = HashMap::new();
        let roots: Vec<usize> = entries.iter().map(|(_, entry)| entry.root).collect();
        for (number, root) in self.archive.roots.iter().enumerate().filter(|(number, _)| roots.contains(number)) {
            let of_root = entries.iter().filter(|(_, entry)| entry.root == number && !entry.file.is_nil());
            let files: Vec<Uuid> = of_root.map(|(_, entry)| entry.file).collect();
            if files.is_empty() {
                continue;
            }
            let batch = ArchiveBatch { space: root.space, locations: (&root.from, &root.before), files };
            let found = self.archive.app.db.archived_contents(&batch).await?;
            keys.extend(found.into_iter().map(|(file, blob, key)| ((file, blob), key)));
        }
        Ok(keys)
    }

    /// What is wanted of an entry.
    fn section(&self, begins: u64, entry: &Entry, keys: &HashMap<(Uuid, Uuid), String>) -> Result<Section> {
        let header = entry.at(0).local_header();
        let content_begins = begins + header.len() as u64;
        let head = self.wanted(begins, header);
        if entry.file.is_nil() {
            return Ok(Section { head, content: None });
        }
        let key = keys.get(&(entry.file, entry.blob)).ok_or(Error::NotFound)?;
        let within = |at: u64| at.saturating_sub(content_begins).min(entry.size);
        let range = within(self.range.start)..within(self.range.end);
        let content = (!range.is_empty()).then(|| {
            let crc = (range == (0..entry.size)).then_some(entry.crc);
            Ok::<_, Error>(Part { key: key.parse().map_err(Error::internal)?, range, crc })
        });
        Ok(Section { head, content: content.transpose()? })
    }

    /// Some of the central directory, or the end.
    fn directory(&mut self, mut at: u64) -> Result<Vec<Section>> {
        let (start, size) = self.list.directory;
        let mut records = Vec::new();
        let first = at;
        while records.len() < BLOCK {
            let Some(entry) = self.list.next()? else {
                self.phase = Phase::End;
                let end = records::end(self.list.count, size, start);
                let sections = [self.wanted(start + first, records), self.wanted(start + size, end)];
                return Ok(sections.map(|head| Section { head, content: None }).into());
            };
            let record = entry.at(self.offset).central_header();
            self.offset += entry.at(0).local_header().len() as u64 + entry.size;
            at += record.len() as u64;
            records.extend_from_slice(&record);
        }
        self.phase = Phase::Directory(at);
        Ok(vec![Section { head: self.wanted(start + first, records), content: None }])
    }

    /// What is wanted of these bytes, which begin here.
    fn wanted(&self, begins: u64, bytes: Vec<u8>) -> Bytes {
        let within = |at: u64| usize::try_from(at.saturating_sub(begins)).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (within(self.range.start), within(self.range.end));
        Bytes::from(bytes).slice(from..to.max(from))
    }
}

impl Section {
    /// Opens the content: reads all of a small one, and leaves the others to the reader.
    async fn open(self, app: Arc<App>, block: usize) -> Result<ByteStream> {
        let Some(Part { key, range, crc }) = self.content else {
            return Ok(Box::pin(stream::once(ready(Ok(self.head)))));
        };
        if range.end - range.start <= SMALL {
            let mut bytes = BytesMut::from(&self.head[..]);
            let mut content = read_key(&app, &key, range, block).await?;
            while let Some(chunk) = content.try_next().await? {
                bytes.extend_from_slice(&chunk);
            }
            let content = &bytes[self.head.len()..];
            check(&key, crc, || crc32fast::hash(content))?;
            return Ok(Box::pin(stream::once(ready(Ok(bytes.freeze())))));
        }
        let open = async move {
            let content = read_key(&app, &key, range, block).await?;
            Ok::<_, Error>(checked(key, content, crc))
        };
        Ok(Box::pin(stream::once(ready(Ok(self.head))).chain(stream::once(open).try_flatten())))
    }
}

/// The content, which ends with an error if it is not what was stored.
fn checked(key: Key, content: ByteStream, crc: Option<u32>) -> ByteStream {
    let state = Some((key, content, crc32fast::Hasher::new()));
    Box::pin(stream::try_unfold(state, move |state| async move {
        let Some((key, mut content, mut hash)) = state else { return Ok(None) };
        match content.try_next().await? {
            Some(chunk) => {
                if crc.is_some() {
                    hash.update(&chunk);
                }
                Ok(Some((chunk, Some((key, content, hash)))))
            }
            None => check(&key, crc, || hash.finalize()).map(|()| None),
        }
    }))
}

/// # Errors
/// [`Error::Internal`] if the CRC is known, and another one.
fn check(key: &Key, expected: Option<u32>, crc: impl FnOnce() -> u32) -> Result<()> {
    match expected {
        Some(expected) if expected != crc() => {
            Err(Error::internal(format!("the object {key} is not what was stored: its CRC differs")))
        }
        _ => Ok(()),
    }
}

/// The same bytes in chunks of at least this size, as far as there are so many. One chunk for each of many small files
/// would cost more than reading them.
fn in_blocks(bytes: ByteStream, block: usize) -> ByteStream {
    let state = (bytes, BytesMut::new(), None::<Bytes>);
    Box::pin(stream::try_unfold(state, move |(mut bytes, mut gathered, waiting)| async move {
        if let Some(chunk) = waiting {
            return Ok(Some((chunk, (bytes, gathered, None))));
        }
        while gathered.len() < block {
            let Some(chunk) = bytes.try_next().await? else { break };
            if chunk.len() < block {
                gathered.extend_from_slice(&chunk);
            } else if gathered.is_empty() {
                return Ok(Some((chunk, (bytes, gathered, None))));
            } else {
                return Ok(Some((gathered.split().freeze(), (bytes, gathered, Some(chunk)))));
            }
        }
        let chunk = gathered.split().freeze();
        Ok((!chunk.is_empty()).then_some((chunk, (bytes, gathered, None))))
    }))
}
