//! Archives of files and folders: stored ZIP entries whose sizes and CRCs are known beforehand, so that the length of an
//! archive and each of its bytes are known before it is sent. A download can be resumed anywhere, and content that it skips
//! is not read.
//!
//! What the archive consists of is listed first, in a temporary file, and read from there. When the turn of a file comes it
//! must still be what was listed. Otherwise the transfer ends with an error: an archive has the bytes that its length and
//! its ETag promise, or is not complete.

mod content;
mod entries;
mod url;

use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use self::entries::{Entries, EntryList};
use super::folders::Folder;
use super::{File, name};
use crate::app::App;
use crate::budget::{Party, Slot};
use crate::db::{ArchiveRow, locations_below};
use crate::error::{Error, Result};
use crate::hex::hex;

pub use url::{ArchiveUrlDownload, OpenedArchiveUrl, Selection, create, open};

/// Rows of one page of the list.
const PAGE: usize = 1000;

/// What goes into an archive: the caller was allowed to find it.
#[derive(Debug, Clone)]
pub enum ArchiveItem {
    /// A file.
    File(Box<File>),
    /// A folder with all below it.
    Folder(Folder),
}

/// An archive that was listed, and can be read.
#[derive(Debug)]
pub struct Archive {
    app: Arc<App>,
    /// Bytes.
    pub size: u64,
    /// Files and folders.
    pub entries: u64,
    /// The SHA-256 of what it consists of: archives with the same one have the same bytes.
    digest: Vec<u8>,
    roots: Vec<Root>,
    /// Taken by the one who reads it.
    list: Mutex<Option<EntryList>>,
    _slot: Slot,
}

/// Where an item of an archive is.
#[derive(Debug)]
struct Root {
    space: Uuid,
    /// The location of the folder: the files are in it or below it.
    from: String,
    /// The first location after all of those.
    before: String,
}

impl ArchiveItem {
    /// The space that it is in.
    pub fn space_id(&self) -> Uuid {
        match self {
            ArchiveItem::File(file) => file.space_id,
            ArchiveItem::Folder(folder) => folder.space_id,
        }
    }
}

impl Archive {
    /// The ETag, a strong validator.
    pub fn etag(&self) -> String {
        format!("\"{}\"", hex(&self.digest))
    }

    fn take_list(&self) -> Option<EntryList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Lists what an archive of these items consists of. `party` is who downloads it.
///
/// # Errors
/// [`Error::TooManyArchives`] if the party, or others, download as many as they may; [`Error::TooManyEntries`];
/// [`Error::NotFound`] if an item was deleted in the meantime.
pub async fn archive(app: &Arc<App>, party: Party, items: &[ArchiveItem]) -> Result<Archive> {
    let slot = app.archives.take(party).map_err(|_| Error::TooManyArchives)?;
    let mut listing = Listing { app, entries: Entries::new(app.config.limits.archive_entries), folder: None };
    let mut roots = Vec::new();
    for item in items {
        let number = roots.len();
        roots.push(match item {
            ArchiveItem::File(file) => listing.file(number, file).await?,
            ArchiveItem::Folder(folder) => listing.folder(number, folder).await?,
        });
    }
    let (list, size, digest) = listing.entries.finish()?;
    let (entries, list) = (list.count, Mutex::new(Some(list)));
    Ok(Archive { app: app.clone(), size, entries, digest, roots, list, _slot: slot })
}

struct Listing<'a> {
    app: &'a App,
    entries: Entries,
    /// The folder of the last row.
    folder: Option<Uuid>,
}

impl Listing<'_> {
    async fn file(&mut self, root: usize, file: &File) -> Result<Root> {
        let row = self.app.db.archived_file(file.space_id, file.id).await?.ok_or(Error::NotFound)?;
        self.entries.file(root, "", &row)?;
        // No name contains a control character, so that this folder alone is in between.
        let before = format!("{}\u{1}", row.location);
        Ok(Root { space: file.space_id, from: row.location, before })
    }

    async fn folder(&mut self, root: usize, folder: &Folder) -> Result<Root> {
        let (start, before) = locations_below(&name::location(&folder.path));
        // The path of an entry begins with the name of the folder itself.
        let skipped = start.len() - name::location(&folder.name).len();
        let mut from = start.clone();
        loop {
            let page = self.app.db.archived_below(folder.space_id, &from, &before, PAGE).await?;
            let Some(end) = page.last().cloned().filter(|_| page.len() == PAGE) else {
                self.add(root, skipped, page)?;
                return Ok(Root { space: folder.space_id, from: start, before });
            };
            self.add(root, skipped, page)?;
            // The page may have ended in the middle of a folder.
            let mut after = end.name;
            while let Some(name) = after {
                let rest = self.app.db.archived_in_folder(end.folder_id, &name, PAGE).await?;
                after = rest.last().filter(|_| rest.len() == PAGE).and_then(|last| last.name.clone());
                self.add(root, skipped, rest)?;
            }
            // No name contains a control character, so that the next location is not before this.
            from = format!("{}\u{1}", end.location);
        }
    }

    fn add(&mut self, root: usize, skipped: usize, rows: Vec<ArchiveRow>) -> Result<()> {
        for row in rows {
            let path = name::path(row.location.get(skipped..).unwrap_or_default());
            if self.folder != Some(row.folder_id) {
                self.folder = Some(row.folder_id);
                self.entries.folder(path, &row)?;
            }
            if row.id.is_some() {
                self.entries.file(root, path, &row)?;
            }
        }
        Ok(())
    }
}
