//! Lists the directories of the store: its objects, its staged files, and foreign entries.

use std::fs::{self, DirEntry, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::layout::{Layout, blocking, io_error};
use crate::error::{Error, Result};
use crate::store::{Key, ListStream, Listed, Object, OpenUpload};

/// Every published file. One of the 256 directories is in memory at a time, to be sorted.
pub(super) fn objects(layout: Arc<Layout>) -> ListStream<Object> {
    let foreign_entries = stream::once({
        let layout = layout.clone();
        blocking(move || foreign_entries(&layout))
    });
    let shards = stream::iter(shards()).then(move |shard| {
        let layout = layout.clone();
        blocking(move || published(&layout, &shard))
    });
    let folders = foreign_entries.chain(shards);
    Box::pin(folders.map_ok(|found| stream::iter(found).map(Ok)).try_flatten())
}

/// Every staged file, or that of one key.
pub(super) fn uploads(layout: Arc<Layout>, key: Option<Key>) -> ListStream<OpenUpload> {
    let found = stream::once(blocking(move || match key {
        Some(key) => staged_under(&layout, key),
        None => staged(&layout),
    }));
    Box::pin(found.map_ok(|found| stream::iter(found).map(Ok)).try_flatten())
}

fn shards() -> impl Iterator<Item = String> {
    (0..=255).map(|shard| format!("{shard:02x}"))
}

/// Entries beside the directories of the store.
fn foreign_entries(layout: &Layout) -> Result<Vec<Listed<Object>>> {
    let mut found = Vec::new();
    for entry in entries(layout.root())? {
        let name = name(&entry);
        if !["blobs", "tmp", "writable"].contains(&name.as_str()) {
            found.push(Listed::Foreign(name));
        }
    }
    for entry in entries(&layout.root().join("blobs"))? {
        let name = name(&entry);
        if !shards().any(|shard| shard == name) {
            found.push(Listed::Foreign(format!("blobs/{name}")));
        }
    }
    Ok(found)
}

fn published(layout: &Layout, shard: &str) -> Result<Vec<Listed<Object>>> {
    let mut found = Vec::new();
    for entry in entries(&layout.root().join("blobs").join(shard))? {
        let key = name(&entry).parse::<Key>().ok().filter(|key| key.shard() == shard);
        match (key, metadata(&entry.path())?) {
            (_, None) => {}
            (Some(key), Some(file)) if file.is_file() => {
                found.push(Listed::Ours(Object { key, size: file.len(), modified_at: modified_at(&file) }));
            }
            _ => found.push(Listed::Foreign(format!("blobs/{shard}/{}", name(&entry)))),
        }
    }
    Ok(found)
}

fn staged(layout: &Layout) -> Result<Vec<Listed<OpenUpload>>> {
    let mut found = Vec::new();
    for entry in entries(&layout.root().join("tmp"))? {
        match (name(&entry).parse(), metadata(&entry.path())?) {
            (_, None) => {}
            (Ok(key), Some(file)) if file.is_file() => found.push(Listed::Ours(open_upload(key, &file))),
            _ => found.push(Listed::Foreign(format!("tmp/{}", name(&entry)))),
        }
    }
    Ok(found)
}

fn staged_under(layout: &Layout, key: Key) -> Result<Vec<Listed<OpenUpload>>> {
    let file = metadata(&layout.staged(&key))?;
    Ok(file.map(|file| Listed::Ours(open_upload(key, &file))).into_iter().collect())
}

fn open_upload(key: Key, file: &Metadata) -> OpenUpload {
    OpenUpload { key, id: None, started_at: modified_at(file) }
}

/// The entries of a directory, sorted by name.
fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    let entries = fs::read_dir(folder).map_err(|error| match error.kind() {
        // All directories exist from the start. A list without one would report all its blobs as missing.
        ErrorKind::NotFound => Error::store_unavailable("the store's directory does not exist"),
        _ => io_error(error),
    })?;
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(io_error)?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

fn name(entry: &DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}

/// The metadata of an entry itself; `None` if it no longer exists.
fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(error)),
    }
}

fn modified_at(file: &Metadata) -> Timestamp {
    file.modified().ok().and_then(|time| time.try_into().ok()).unwrap_or_default()
}
