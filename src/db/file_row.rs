//! The row of a file with its blob, and its columns: one list for the struct, for rows and for SQLite's JSON.

use serde::{Deserialize, Deserializer};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use super::{ByteCount, Micros};
use crate::hex::unhex;

/// The tables that the columns of a [`FileRow`] come from.
macro_rules! file_tables {
    () => {
        "files f JOIN blobs b ON b.id = f.blob_id JOIN folders d ON d.id = f.folder_id"
    };
}

/// Declares [`FileRow`] with the columns of its fields, as columns of a row and as elements of the JSON array that
/// SQLite packs a file into. JSON cannot contain bytes.
macro_rules! file_row {
    (
        $(#[$struct_attribute:meta])*
        struct FileRow {
            $(#[$first_attribute:meta])* $first:ident: $first_type:ty = $first_column:literal, $first_json:literal;
            $($(#[$attribute:meta])* $field:ident: $type:ty = $column:literal, $json:literal;)*
        }
    ) => {
        $(#[$struct_attribute])*
        pub struct FileRow {
            $(#[$first_attribute])* pub $first: $first_type,
            $($(#[$attribute])* pub $field: $type,)*
        }

        /// By index and not by name, because lists are long.
        impl<'r, R> FromRow<'r, R> for FileRow
        where
            R: Row,
            usize: ColumnIndex<R>,
            Uuid: Decode<'r, R::Database> + Type<R::Database>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
            Micros: Decode<'r, R::Database> + Type<R::Database>,
            ByteCount: Decode<'r, R::Database> + Type<R::Database>,
            Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                let mut rest = 1..;
                Ok(Self { $first: row.try_get(0)?, $($field: row.try_get(rest.next().unwrap_or_default())?,)* })
            }
        }

        /// The columns of a [`FileRow`].
        macro_rules! file_columns {
            () => { concat!($first_column $(, ", ", $column)*) };
        }

        /// The columns of a [`FileRow`] as one JSON text.
        macro_rules! file_columns_as_json {
            () => { concat!("json_array(", $first_json $(, ", ", $json)*, ")") };
        }
    };
}

file_row! {
    /// A file and its blob.
    #[derive(Debug, Clone, Deserialize)]
    struct FileRow {
        /// The id of the file.
        id: Uuid = "f.id", "hex(f.id)";
        /// The account that it belongs to.
        space_id: Uuid = "f.space_id", "hex(f.space_id)";
        /// The id of its folder.
        folder_id: Uuid = "f.folder_id", "hex(f.folder_id)";
        /// The location of its folder: names, each followed by a slash.
        folder: String = "d.location", "d.location";
        /// The name of the file in its folder.
        name: String = "f.name", "f.name";
        /// Metadata of the client, as JSON.
        metadata: String = "f.metadata", "f.metadata";
        /// Its tags, a JSON array of texts.
        tags: String = "f.tags", "f.tags";
        /// Incremented by every change.
        revision: i64 = "f.revision", "f.revision";
        /// When it was created.
        created_at: Micros = "f.created_at", "f.created_at";
        /// When it was last changed.
        updated_at: Micros = "f.updated_at", "f.updated_at";
        /// The id of its blob.
        blob_id: Uuid = "f.blob_id", "hex(f.blob_id)";
        /// The latest expiry of a URL that was signed for it; zero if there is none.
        signed_urls_expire_at: Micros = "f.signed_urls_expire_at", "f.signed_urls_expire_at";
        /// Part of what its signed URLs cover; incremented to revoke them.
        signed_url_generation: i64 = "f.signed_url_generation", "f.signed_url_generation";
        /// When its signed URLs were last revoked.
        signed_urls_revoked_at: Micros = "f.signed_urls_revoked_at", "f.signed_urls_revoked_at";
        /// The key of its object in the store.
        key: String = "b.key", "b.key";
        /// The size of its content.
        size: ByteCount = "b.size", "b.size";
        /// The digest of its content, 32 bytes.
        #[serde(deserialize_with = "hexadecimal")]
        sha256: Vec<u8> = "b.sha256", "hex(b.sha256)";
        /// The detected type of its content.
        content_type: String = "b.content_type", "b.content_type";
        /// When its content was completed.
        ready_at: Micros = "b.ready_at", "b.ready_at";
    }
}
pub(super) use {file_columns, file_columns_as_json, file_tables};

fn hexadecimal<'de, D: Deserializer<'de>>(text: D) -> std::result::Result<Vec<u8>, D::Error> {
    unhex(&String::deserialize(text)?).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
}
