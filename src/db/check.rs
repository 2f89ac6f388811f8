//! Which files of a list exist: two statements for the whole list.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::list::Shape;
use super::{ByteCount, Db};
use crate::error::{Error, Result};

/// A file at one of the places of a list.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct CheckedRow {
    /// The index of the place in the list, from 0.
    pub index: i64,
    /// The id of the file.
    pub id: Uuid,
    /// The size of its content.
    pub size: ByteCount,
    /// The digest of its content, 32 bytes.
    pub sha256: Vec<u8>,
    /// 1 if its content was sent with the `mtime` of the list, otherwise 0.
    pub same_mtime: i64,
}

impl Db {
    /// The files at these places, and the indexes of places that are folders. A place is the location of a folder, a name
    /// in it, and an `mtime`, empty if it has none.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn check_places(
        &self,
        space: Uuid,
        places: &[(String, &str, String)],
    ) -> Result<(Vec<CheckedRow>, Vec<i64>)> {
        let (shape, places) = (self.list_shape(), serde_json::to_string(places).map_err(Error::internal)?);
        let files = self.read.fetch_all(AssertSqlSafe(files_statement(shape)), (space, &places)).await?;
        let folders: Vec<(i64,)> =
            self.read.fetch_all(AssertSqlSafe(folders_statement(shape)), (space, &places)).await?;
        Ok((files, folders.into_iter().map(|(index,)| index).collect()))
    }
}

const SAME_MTIME: &str = "(SELECT COUNT(*) FROM file_attributes m WHERE m.space_id = $1 AND m.key = 'mtime'
    AND m.value = part.value ->> 2 AND m.file_id = f.id) AS same_mtime";

fn files_statement(shape: Shape) -> String {
    match shape {
        // The subquery ends with the one row that there can be, so that the indexes are used for each place.
        Shape::Rows => format!(
            "SELECT part.number - 1 AS index, f.id, f.size, f.sha256, {SAME_MTIME} \
             FROM json_array_elements(CAST($2 AS JSON)) WITH ORDINALITY AS part (value, number) \
             CROSS JOIN LATERAL (SELECT g.id, g.size, b.sha256 FROM folders d JOIN files g ON g.folder_id = d.id \
             JOIN blobs b ON b.id = g.blob_id WHERE d.space_id = $1 \
             AND d.place = substr((part.value ->> 0) COLLATE \"C\", 1, 600) AND d.location = (part.value ->> 0) COLLATE \"C\" \
             AND d.trashed_at IS NULL AND g.name = (part.value ->> 1) COLLATE \"C\" AND g.trashed_at IS NULL LIMIT 1) AS f"
        ),
        Shape::Packed => format!(
            "SELECT part.key AS \"index\", f.id, f.size, b.sha256, {SAME_MTIME} FROM json_each($2) AS part \
             CROSS JOIN folders d ON d.space_id = $1 AND d.place = substr(part.value ->> 0, 1, 600) \
             AND d.location = part.value ->> 0 AND d.trashed_at IS NULL \
             CROSS JOIN files f ON f.folder_id = d.id AND f.name = part.value ->> 1 AND f.trashed_at IS NULL \
             CROSS JOIN blobs b ON b.id = f.blob_id"
        ),
    }
}

fn folders_statement(shape: Shape) -> String {
    match shape {
        Shape::Rows => "SELECT part.number - 1 \
             FROM json_array_elements(CAST($2 AS JSON)) WITH ORDINALITY AS part (value, number) \
             CROSS JOIN LATERAL (SELECT d.id FROM folders d WHERE d.space_id = $1 \
             AND d.place = substr((part.value ->> 0) || (part.value ->> 1) || '/', 1, 600) COLLATE \"C\" \
             AND d.location = ((part.value ->> 0) || (part.value ->> 1) || '/') COLLATE \"C\" \
             AND d.trashed_at IS NULL LIMIT 1) AS f"
            .to_owned(),
        Shape::Packed => "SELECT part.key FROM json_each($2) AS part CROSS JOIN folders d ON d.space_id = $1 \
             AND d.place = substr((part.value ->> 0) || (part.value ->> 1) || '/', 1, 600) \
             AND d.location = (part.value ->> 0) || (part.value ->> 1) || '/' AND d.trashed_at IS NULL"
            .to_owned(),
    }
}

/// Every statement that is composed here.
pub(super) fn every_statement(shape: Shape) -> Vec<String> {
    vec![files_statement(shape), folders_statement(shape)]
}
