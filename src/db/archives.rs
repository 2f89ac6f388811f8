//! What archives contain: the folders below one and their files, in an order that does not change, and the content of
//! each file when its turn comes.

use sqlx::error::BoxDynError;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::list::successor;
use super::pool::{Arguments, Parameters};
use super::{ByteCount, Count, Db, Micros, statements};
use crate::error::Result;

/// Files that one statement looks for.
pub const ARCHIVE_BATCH: usize = 64;

/// The columns of an [`ArchiveRow`].
macro_rules! archive_columns {
    () => {
        "d.id AS folder_id, d.location, d.updated_at, f.id, f.name, f.blob_id, b.size, b.crc32, b.sha256, b.ready_at"
    };
}

statements! {
    ARCHIVED_FILE = concat!("SELECT ", archive_columns!(), "
        FROM files f JOIN folders d ON d.id = f.folder_id JOIN blobs b ON b.id = f.blob_id
        WHERE f.id = $2 AND f.space_id = $1 AND f.trashed_at IS NULL AND d.trashed_at IS NULL");
    ARCHIVED_IN_FOLDER = concat!("SELECT ", archive_columns!(), "
        FROM folders d JOIN files f ON f.folder_id = d.id JOIN blobs b ON b.id = f.blob_id
        WHERE d.id = $1 AND d.trashed_at IS NULL AND f.folder_id = $1 AND f.trashed_at IS NULL AND f.name > $2
        ORDER BY f.name LIMIT $3");
    /// A folder without files is a row as well.
    ARCHIVED_BELOW = concat!("SELECT ", archive_columns!(), "
        FROM folders d LEFT JOIN files f ON f.folder_id = d.id AND f.trashed_at IS NULL
        LEFT JOIN blobs b ON b.id = f.blob_id
        WHERE d.space_id = $1 AND d.trashed_at IS NULL AND d.place >= substr($2, 1, 600)
            AND d.place <= substr($3, 1, 600) AND d.location >= $2 AND d.location < $3
        ORDER BY d.place, d.location, f.name LIMIT $4");
}

/// A folder in an archive, with one of its files.
#[derive(Debug, Clone, FromRow)]
pub struct ArchiveRow {
    /// The id of the folder.
    pub folder_id: Uuid,
    /// The location of the folder: names, each followed by a slash.
    pub location: String,
    /// When the folder was last changed.
    pub updated_at: Micros,
    /// The id of the file; `None` if the folder has none.
    pub id: Option<Uuid>,
    /// The name of the file.
    pub name: Option<String>,
    /// The id of its content.
    pub blob_id: Option<Uuid>,
    /// Bytes.
    pub size: Option<ByteCount>,
    /// The CRC-32.
    pub crc32: Option<i64>,
    /// The digest, 32 bytes.
    pub sha256: Option<Vec<u8>>,
    /// When the content was completed.
    pub ready_at: Option<Micros>,
}

/// The locations that begin with this one: from one on, and before another.
pub fn locations_below(location: &str) -> (String, String) {
    match location {
        "" => (String::new(), char::MAX.to_string()),
        location => (location.to_owned(), successor(location)),
    }
}

/// Files of an archive whose turn has come: the space, the locations of their folders from one on and before another,
/// and of each file the id.
#[derive(Debug)]
pub struct ArchiveBatch<'a> {
    /// The space that they belong to.
    pub space: Uuid,
    /// The location that those of their folders begin with, and the first one after all of these.
    pub locations: (&'a str, &'a str),
    /// The ids of the files, at most [`ARCHIVE_BATCH`].
    pub files: Vec<Uuid>,
}

impl Db {
    /// A file of this space for an archive, if it exists and is not in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn archived_file(&self, space: Uuid, id: Uuid) -> Result<Option<ArchiveRow>> {
        self.read.fetch_optional(ARCHIVED_FILE, (space, id)).await
    }

    /// At most `limit` files of a folder whose names come after this one, by name.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn archived_in_folder(&self, folder: Uuid, after: &str, limit: usize) -> Result<Vec<ArchiveRow>> {
        self.read.fetch_all(ARCHIVED_IN_FOLDER, (folder, after, Count::from(limit))).await
    }

    /// At most `limit` folders and files of this space whose folders have locations from one on and before another, by
    /// location.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn archived_below(&self, space: Uuid, from: &str, before: &str, limit: usize) -> Result<Vec<ArchiveRow>> {
        self.read.fetch_all(ARCHIVED_BELOW, (space, from, before, Count::from(limit))).await
    }

    /// Of each file of the batch that still exists in its place and is not in the trash: its id, that of its content, and
    /// the key of that.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn archived_contents(&self, batch: &ArchiveBatch<'_>) -> Result<Vec<(Uuid, Uuid, String)>> {
        self.read.fetch_all(AssertSqlSafe(contents_statement()), batch).await
    }
}

fn contents_statement() -> String {
    let ids: Vec<String> = (4..ARCHIVE_BATCH + 4).map(|number| format!("${number}")).collect();
    format!(
        "SELECT f.id, f.blob_id, b.key FROM files f JOIN folders d ON d.id = f.folder_id JOIN blobs b ON b.id = f.blob_id
        WHERE f.id IN ({}) AND f.space_id = $1 AND f.trashed_at IS NULL AND d.trashed_at IS NULL
            AND d.location >= $2 AND d.location < $3",
        ids.join(", ")
    )
}

/// Every statement that is composed here.
pub(super) fn every_statement() -> Vec<String> {
    vec![contents_statement()]
}

impl Arguments for &ArchiveBatch<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        to.add(self.space)?;
        to.add(self.locations.0)?;
        to.add(self.locations.1)?;
        // Ids that are repeated are found once.
        for id in self.files.iter().chain(std::iter::repeat(&self.files[0])).take(ARCHIVE_BATCH) {
            to.add(*id)?;
        }
        Ok(())
    }
}
