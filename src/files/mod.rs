//! The heart: what a file is and what may be done with it. Every door comes here, and here alone
//! it is decided who may see and change what.
//!
//! Whatever gives a [`File`] or a [`Content`] takes who is asking first, so whoever holds one has
//! been allowed to see it.

pub mod avatar;
mod change;
mod delete;
mod disposition;
mod download;
mod events;
mod export;
mod folders;
mod lifetime;
mod list;
mod name;
mod sharing;
mod sniff;
pub mod trash;
pub mod uploads;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::app::App;
use crate::clock::from_micros;
use crate::db::{ContentRow, FileRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::hex::hex;
use crate::store::Key;
use crate::users::User;

pub use change::{Change, change};
pub use delete::{Removal, delete};
pub use disposition::content_disposition;
pub use download::read;
pub use events::events;
pub use export::export;
pub use folders::folders;
pub use list::{Direction, List, Order, Page, Sort, list};
pub use name::{FileName, FolderPath};
pub use sharing::{
    AccessEntry, EndedBy, Link, LinkDownload, LinkOptions, LinkPage, LinkState, LinkVisitor, OpenedLink, Part,
    UnlockToken, access, change_link, create_link, link, list_every_link, list_links, open_link, redirect_link,
    revoke_link, rotate_link, signed_urls, unlock_link,
};
pub use sniff::{is_inline, is_picture};
pub use uploads::{Body, IdempotencyKey, NewFile, OnConflict, replace, upload};
#[doc(hidden)] // For the benchmarks.
pub use uploads::{Meter, metered};

/// A file as its owner sees it.
#[derive(Debug, Clone)]
pub struct File {
    pub id: Uuid,
    pub owner_id: Uuid,
    /// The folder, without slashes at its ends; empty at the top.
    pub path: String,
    pub name: String,
    /// What the owner keeps beside the bytes: a JSON object.
    pub metadata: Box<RawValue>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub content: Content,
    /// What changes are guarded by: the blob, and the count of changes.
    blob_id: Uuid,
    revision: i64,
    signed: Signing,
}

/// What is known of the signed URLs of a file. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
struct Signing {
    until: i64,
    generation: i64,
    revoked_at: i64,
}

/// Bytes that are there for good, and what is known of them.
#[derive(Debug, Clone)]
pub struct Content {
    key: Key,
    /// Bytes.
    pub size: u64,
    pub sha256: Vec<u8>,
    /// Sniffed from the bytes.
    pub content_type: String,
    /// When these bytes became this content.
    pub modified_at: Timestamp,
}

impl Content {
    /// The strong validator (RFC 9110, section 8.8.3): two contents with one ETag are the same bytes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.sha256_hex())
    }

    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// What the caller demands of the state of a file before it is changed (RFC 9110, section 13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Anything,
    /// `If-Match: *` is `Anything`; a list of ETags is this.
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
    /// Something that was done with this file, for the trail.
    pub fn event(&self, kind: EventKind) -> Event {
        let event = Event::new(kind, self.owner_id).file(self.id);
        event.with("path", &*self.path).with("name", &*self.name).with("size", self.content.size)
    }
}

/// What is kept beside the bytes when nobody said anything.
fn no_metadata() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

/// Finds a file of this user.
///
/// # Errors
/// `NotFound` if there is none with this id, or if it is somebody else's.
pub async fn find(app: &App, user: &User, id: Uuid) -> Result<File> {
    app.db.file(user.id, id).await?.ok_or(Error::NotFound)?.try_into()
}

impl TryFrom<FileRow> for File {
    type Error = Error;

    fn try_from(row: FileRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            owner_id: row.owner_id,
            path: row.path,
            name: row.name,
            metadata: RawValue::from_string(row.metadata).map_err(Error::internal)?,
            created_at: from_micros(row.created_at),
            updated_at: from_micros(row.updated_at),
            content: Content {
                key: row.key.parse().map_err(Error::internal)?,
                size: row.size as u64,
                sha256: row.sha256,
                content_type: row.content_type,
                modified_at: from_micros(row.ready_at),
            },
            blob_id: row.blob_id,
            revision: row.revision,
            signed: Signing {
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
            size: row.size as u64,
            sha256: row.sha256,
            content_type: row.content_type,
            modified_at: from_micros(row.ready_at),
        })
    }
}
