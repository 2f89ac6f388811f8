//! Files and the operations on them. Every protocol ends here; [`access`](crate::access) decides who may.
//!
//! A [`File`] or a [`Folder`](folders::Folder) comes with the [`Permit`] that it was found with: the holder of one has the
//! right that it was asked for. Functions take their arguments in the order app, who, what, how. The nouns with functions of their own are
//! modules: [`avatar`], [`folders`], [`links`], [`signed_urls`], [`trash`], [`uploads`].
//!
//! ```
//! use strongroom::files::{FileName, FolderPath};
//!
//! # fn main() -> strongroom::error::Result<()> {
//! // Names and paths are checked once, where they arrive; the second argument locates them in the request.
//! let folder = FolderPath::new("/2026/reports/", "/path")?;
//! let name = FileName::new("q3.pdf", "/name")?;
//! assert_eq!(folder.as_str(), "2026/reports");
//! // Of two files with one name, the second gets a number.
//! assert_eq!(name.numbered(1).as_str(), "q3 (1).pdf");
//! assert!(FileName::new("../q3.pdf", "/name").is_err());
//! # Ok(())
//! # }
//! ```

pub mod archive;
pub mod avatar;
mod change;
mod changes;
mod check;
mod conflict;
mod delete;
mod disposition;
mod download;
mod events;
mod export;
pub mod folders;
mod labels;
mod lifetime;
mod list;
mod name;
mod right;
mod sharing;
mod sniff;
pub mod spaces;
pub mod trash;
pub mod uploads;
mod zip;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::access::{Permit, Right, Subject, Target, Tree, permit};
use crate::app::App;
use crate::db::{ContentRow, FileRow, Micros, ReplacedAtRow, ReplacedRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::hex::hex;
use crate::store::Key;

pub use archive::{self as archives, Archive, ArchiveItem, archive};
pub use change::{Change, change};
pub use changes::{Change as LoggedChange, Changes, Wait, changes, follow, wait_for_changes};
pub use check::{Checked, CheckedFile, check};
pub use conflict::{Conflict, OnConflict, Placed};
pub use delete::{Deletion, delete};
pub use disposition::content_disposition;
pub use download::read;
pub use events::events;
pub use export::export;
pub use labels::Labels;
pub use list::{Direction, List, Order, Sort, list};
pub use name::{FileName, FolderPath};
pub use right::{TransferRight, Watch, watched};
pub use sharing::{AccessEntry, EndedBy, access, grants, links, signed_urls};
pub use sniff::{is_inline, is_picture};
pub use uploads::{Body, IdempotencyKey, NewFile, replace, upload, upload_with_late_location};

/// A file that a subject was permitted to find.
#[derive(Debug, Clone)]
pub struct File {
    /// The id, which stays the same for as long as the file exists.
    pub id: Uuid,
    /// The space that it is in.
    pub space_id: Uuid,
    /// The id of the folder.
    pub folder_id: Uuid,
    /// The path of the folder, without slashes at its ends; empty for the top folder.
    pub path: String,
    /// The name.
    pub name: String,
    /// Metadata of its users: a JSON object.
    pub metadata: Box<RawValue>,
    /// Tags: a JSON array of texts.
    pub tags: Box<RawValue>,
    /// When the file was created.
    pub created_at: Timestamp,
    /// When the file was last changed, its content included.
    pub updated_at: Timestamp,
    /// The content.
    pub content: Content,
    /// What the subject may do with it.
    pub permit: Permit,
    /// Guards changes of the content.
    blob_id: Uuid,
    /// Guards other changes: their number.
    revision: i64,
    signed: SigningState,
}

/// The state of the signed URLs of a file.
#[derive(Debug, Clone, Copy, Default)]
struct SigningState {
    until: Micros,
    generation: i64,
    revoked_at: Micros,
}

/// Published content: durable bytes that never change.
#[derive(Debug, Clone)]
pub struct Content {
    key: Key,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256.
    pub sha256: Vec<u8>,
    /// The detected content type.
    pub content_type: String,
    /// When it was published.
    pub modified_at: Timestamp,
}

impl Content {
    /// The ETag, a strong validator (RFC 9110, section 8.8.3): the same ETag means the same bytes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.sha256_hex())
    }

    /// The SHA-256 as lower-case hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// The content that a file must have before it is changed (RFC 9110, section 13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Any content.
    Anything,
    /// Content with one of these ETags.
    OneOf(Vec<String>),
}

impl Expected {
    fn check(&self, file: &File) -> Result<()> {
        match self {
            Expected::Anything => Ok(()),
            Expected::OneOf(etags) if etags.contains(&file.content.etag()) => Ok(()),
            Expected::OneOf(_) => Err(Error::PreconditionFailed),
        }
    }
}

impl File {
    /// An event about this file, for the audit log.
    pub fn event(&self, kind: EventKind) -> Event {
        let event = Event::new(kind, self.space_id).file(self.id);
        event.with("path", &*abridged(&self.path)).with("name", &*self.name).with("size", self.content.size)
    }
}

impl File {
    /// The file as a row whose content is replaced, found by its folder and name or by its id.
    fn replaced(&self, now: Timestamp, at: Option<ReplacedAtRow>) -> ReplacedRow {
        ReplacedRow { id: self.id, space: self.space_id, old_blob: self.blob_id, at, now }
    }
}

/// The end of a path, as much as a name has: the audit log need not repeat all of it with each change.
fn abridged(path: &str) -> Cow<'_, str> {
    const BYTES: usize = 255;
    match path.len().checked_sub(BYTES) {
        None | Some(0) => path.into(),
        Some(excess) => format!("…{}", &path[path.ceil_char_boundary(excess)..]).into(),
    }
}

/// Finds a file to which the subject has this right.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist, or the subject does not see it; [`Error::RightRequired`].
pub async fn find(app: &App, subject: &Subject, right: Right, id: Uuid) -> Result<File> {
    let row = app.db.file(id).await?.ok_or(Error::NotFound)?;
    permitted(app, subject, right, row).await
}

/// Finds the file with this path and name in a tree, to which its subject has this right.
///
/// # Errors
/// [`Error::NotFound`] if there is none, or the subject does not see it; [`Error::RightRequired`].
pub async fn find_at(app: &App, tree: &Tree, right: Right, path: &FolderPath, name: &FileName) -> Result<File> {
    let inside = tree.absolute(&path.location());
    let row = app.db.file_at(tree.space_id(), &inside, name.as_str()).await?.ok_or(Error::NotFound)?;
    permitted(app, &tree.subject, right, row).await
}

/// The file of a row, if the subject has this right to it.
async fn permitted(app: &App, subject: &Subject, right: Right, row: FileRow) -> Result<File> {
    let FileRow { id, space_id, folder_id, folder, .. } = &row;
    let target = Target { space_id: *space_id, folder_id: *folder_id, location: folder, file_id: Some(*id) };
    let permit = permit(app, subject, right, &target).await?;
    File::permitted(row, permit)
}

impl File {
    /// The path of its folder as the subject sees it.
    pub fn visible_path(&self) -> &str {
        self.permit.visible(&self.path)
    }

    fn permitted(row: FileRow, permit: Permit) -> Result<Self> {
        Ok(Self {
            permit,
            id: row.id,
            space_id: row.space_id,
            folder_id: row.folder_id,
            path: name::path(&row.folder).to_owned(),
            name: row.name,
            metadata: RawValue::from_string(row.metadata).map_err(Error::internal)?,
            tags: RawValue::from_string(row.tags).map_err(Error::internal)?,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            content: Content {
                key: row.key.parse().map_err(Error::internal)?,
                size: row.size.0,
                sha256: row.sha256,
                content_type: row.content_type,
                modified_at: row.ready_at.into(),
            },
            blob_id: row.blob_id,
            revision: row.revision,
            signed: SigningState {
                until: row.signed_urls_expire_at,
                generation: row.signed_url_generation,
                revoked_at: row.signed_urls_revoked_at,
            },
        })
    }
}

impl TryFrom<ContentRow> for Content {
    type Error = Error;

    fn try_from(row: ContentRow) -> Result<Self> {
        Ok(Self {
            key: row.key.parse().map_err(Error::internal)?,
            size: row.size.0,
            sha256: row.sha256,
            content_type: row.content_type,
            modified_at: row.ready_at.into(),
        })
    }
}
