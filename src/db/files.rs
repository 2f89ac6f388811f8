//! Files: a path and a name that point at one ready blob. Whose they are is part of every query.

use serde::{Deserialize, Deserializer};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use super::blobs::{BlobFacts, MARK_FOR_DELETION, READY, make_ready, mark_for_deletion};
use super::events::{EventRow, insert_event};
use super::idempotency::{KeyResponse, answer_key};
use super::resumable::{EndedUpload, end_upload};
use super::usage::{UsageDelta, count};
use super::{Db, on, statements, transaction};
use crate::error::{Error, Result};
use crate::faults;
use crate::hex::unhex;

/// The columns of a [`FileRow`], in its order.
macro_rules! file_columns {
    () => {
        "f.id, f.owner_id, f.path, f.name, f.metadata, f.revision, f.created_at, f.updated_at,
         f.blob_id, f.signed_urls_expire_at, f.signed_url_generation, f.signed_urls_revoked_at,
         b.key, b.size, b.sha256, b.content_type, b.ready_at"
    };
}
pub(super) use file_columns;

statements! {
    BY_ID = concat!("SELECT ", file_columns!(), " FROM files f JOIN blobs b ON b.id = f.blob_id
        WHERE f.id = $1 AND f.owner_id = $2 AND f.trashed_at IS NULL");
    BY_LOCATION = "SELECT COUNT(*) FROM files WHERE owner_id = $1 AND location = $2 AND trashed_at IS NULL";
    INSERT = "INSERT INTO files (id, owner_id, path, name, search, blob_id, size, metadata, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        ON CONFLICT (owner_id, location) WHERE trashed_at IS NULL DO NOTHING";
    REPLACE = "UPDATE files SET blob_id = $4, size = $5, updated_at = $6, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND blob_id = $3 AND trashed_at IS NULL";
    CHANGE = "UPDATE files SET path = $3, name = $4, search = $5, metadata = $6, updated_at = $7, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND revision = $8 AND trashed_at IS NULL";
    END_UPLOADS = END_FILES_UPLOADS;
    DELETE = DELETE_FILE;
    MAKE_READY = READY;
    DOOM_BLOB = MARK_FOR_DELETION;
}

/// What was to become the file's bytes has nowhere to go.
pub(super) const END_FILES_UPLOADS: &str = "UPDATE blobs SET state = 'deleting'
    WHERE state = 'pending' AND id IN (SELECT blob_id FROM signed_puts WHERE file_id = $1 AND owner_id = $2)
    RETURNING owner_id, reserved_bytes, reserved_files, reserved_uploads";

/// Without a time, which is 0, only a file that is not in the trash; with one, only a file that came
/// into the trash by then.
pub(super) const DELETE_FILE: &str = "DELETE FROM files WHERE id = $1 AND owner_id = $2 AND blob_id = $3
    AND (trashed_at IS NULL AND $4 = 0 OR trashed_at <= $4)";

/// The same as one JSON text, in the words of SQLite, whose JSON holds no bytes.
macro_rules! file_columns_as_json {
    () => {
        "json_array(hex(f.id), hex(f.owner_id), f.path, f.name, f.metadata, f.revision, f.created_at, f.updated_at,
         hex(f.blob_id), f.signed_urls_expire_at, f.signed_url_generation, f.signed_urls_revoked_at,
         b.key, b.size, hex(b.sha256), b.content_type, b.ready_at)"
    };
}
pub(super) use file_columns_as_json;

/// A file and the blob that it points at.
#[derive(Debug, Clone, Deserialize)]
pub struct FileRow {
    pub id: Uuid,
    pub owner_id: Uuid,
    pub path: String,
    pub name: String,
    pub metadata: String,
    pub revision: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub blob_id: Uuid,
    pub signed_urls_expire_at: i64,
    pub signed_url_generation: i64,
    pub signed_urls_revoked_at: i64,
    pub key: String,
    pub size: i64,
    #[serde(deserialize_with = "hexadecimal")]
    pub sha256: Vec<u8>,
    pub content_type: String,
    pub ready_at: i64,
}

/// By place instead of by name: lists are long.
impl<'r, R> FromRow<'r, R> for FileRow
where
    R: Row,
    usize: ColumnIndex<R>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            owner_id: row.try_get(1)?,
            path: row.try_get(2)?,
            name: row.try_get(3)?,
            metadata: row.try_get(4)?,
            revision: row.try_get(5)?,
            created_at: row.try_get(6)?,
            updated_at: row.try_get(7)?,
            blob_id: row.try_get(8)?,
            signed_urls_expire_at: row.try_get(9)?,
            signed_url_generation: row.try_get(10)?,
            signed_urls_revoked_at: row.try_get(11)?,
            key: row.try_get(12)?,
            size: row.try_get(13)?,
            sha256: row.try_get(14)?,
            content_type: row.try_get(15)?,
            ready_at: row.try_get(16)?,
        })
    }
}

fn hexadecimal<'de, D: Deserializer<'de>>(text: D) -> std::result::Result<Vec<u8>, D::Error> {
    unhex(&String::deserialize(text)?).ok_or_else(|| serde::de::Error::custom("no hexadecimal digits"))
}

/// Where a file is, and what is derived from that.
#[derive(Debug, Clone)]
pub struct FileLocation {
    pub path: String,
    pub name: String,
    /// The location in lower case.
    pub search: String,
}

/// A file that is about to appear.
#[derive(Debug, Clone)]
pub struct NewFileRow {
    pub id: Uuid,
    pub owner: Uuid,
    pub metadata: String,
    pub now: i64,
}

/// A file that is about to change its place or its metadata.
#[derive(Debug, Clone)]
pub struct ChangedFileRow {
    pub id: Uuid,
    pub owner: Uuid,
    /// The revision that the change was decided on.
    pub revision: i64,
    pub metadata: String,
    pub now: i64,
}

/// Deletes a file within a transaction, dooms its blob and what was to replace it. Gives whether the
/// file was as it should be, and the difference that this makes to what its owner uses, for `count!`:
/// the uploads to it have ended in either case.
macro_rules! delete_file {
    ($tx:ident, $owner:expr, $id:expr, $blob:expr, $trashed_by:expr) => {{
        use $crate::db::files::{DELETE_FILE, END_FILES_UPLOADS};
        let ended: Vec<$crate::db::usage::ReservedRow> =
            sqlx::query_as(END_FILES_UPLOADS).bind($id).bind($owner).fetch_all(&mut *$tx).await?;
        let mut usage_delta: $crate::db::usage::UsageDelta =
            $crate::db::usage::by_owner(&ended).remove(&$owner).unwrap_or_default();
        let trashed_by: Option<i64> = $trashed_by;
        let delete = sqlx::query(DELETE_FILE).bind($id).bind($owner).bind($blob).bind(trashed_by.unwrap_or(0));
        match delete.execute(&mut *$tx).await?.rows_affected() {
            1 => {
                usage_delta = usage_delta + $crate::db::blobs::mark_for_deletion!($tx, $blob);
                (true, usage_delta + $crate::db::usage::UsageDelta { files: -1, ..Default::default() })
            }
            _ => (false, usage_delta),
        }
    }};
}
pub(super) use delete_file;

/// Runs within a transaction what gives a file a place. `false` if the file is not as it should be;
/// returns `PathTaken` if another one is at that place.
macro_rules! resolve_location {
    ($tx:ident, $change:expr) => {
        match $change.execute(&mut *$tx).await {
            Err(error) if $crate::db::is_unique_violation(&error) => return Err($crate::error::Error::PathTaken),
            done => done?.rows_affected() == 1,
        }
    };
}
pub(super) use resolve_location;

impl Db {
    /// The file with this id, if it is this owner's.
    pub async fn file(&self, owner: Uuid, id: Uuid) -> Result<Option<FileRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_ID).bind(id).bind(owner).fetch_optional(p).await)?)
    }

    /// Whether the owner has a file at this location.
    pub async fn location_is_taken(&self, owner: Uuid, location: &str) -> Result<bool> {
        let count: i64 =
            on!(self.read, |p| sqlx::query_scalar(BY_LOCATION).bind(owner).bind(location).fetch_one(p).await)?;
        Ok(count > 0)
    }

    /// Makes a pending blob ready and the file that points at it visible, gives the request's key
    /// its answer, and ends the upload in pieces that the bytes came from, in one transaction.
    ///
    /// # Errors
    /// `PathTaken` if a file is at this place; `UploadGone` if the lease of the blob, the key or the
    /// upload was lost.
    pub async fn publish(
        &self,
        new: &NewFileRow,
        place: &FileLocation,
        blob: &BlobFacts,
        answer: Option<&KeyResponse>,
        upload: Option<&EndedUpload>,
        event: &EventRow,
    ) -> Result<()> {
        transaction!(self, |tx| {
            // Before the blob's, as whoever appends takes their rows.
            let given_back = match upload {
                Some(upload) => end_upload!(tx, upload, new.id, blob.id),
                None => UsageDelta::default(),
            };
            let settled = given_back + make_ready!(tx, blob);
            let inserted = sqlx::query(INSERT)
                .bind(new.id)
                .bind(new.owner)
                .bind(&place.path)
                .bind(&place.name)
                .bind(&place.search)
                .bind(blob.id)
                .bind(blob.size)
                .bind(&new.metadata)
                .bind(new.now)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if inserted != 1 {
                return Err(Error::PathTaken);
            }
            count!(tx, new.owner, settled + UsageDelta { files: 1, ..UsageDelta::default() });
            if let Some(answer) = answer {
                answer_key!(tx, new.owner, blob.id, answer);
            }
            insert_event!(tx, event);
            faults::point("K10");
            Ok(())
        })
    }

    /// Makes a pending blob ready, points the file at it instead of at `old_blob`, and dooms that one,
    /// in one transaction.
    ///
    /// # Errors
    /// `PreconditionFailed` if the file does not point at `old_blob` any more; `UploadGone` if the
    /// blob's lease was lost.
    pub async fn replace(
        &self,
        owner: Uuid,
        file: Uuid,
        old_blob: Uuid,
        blob: &BlobFacts,
        now: i64,
        event: &EventRow,
    ) -> Result<()> {
        transaction!(self, |tx| {
            let settled = make_ready!(tx, blob);
            let replaced = sqlx::query(REPLACE)
                .bind(file)
                .bind(owner)
                .bind(old_blob)
                .bind(blob.id)
                .bind(blob.size)
                .bind(now)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if replaced != 1 {
                return Err(Error::PreconditionFailed);
            }
            let freed = mark_for_deletion!(tx, old_blob);
            count!(tx, owner, settled + freed);
            insert_event!(tx, event);
            faults::point("K10");
            Ok(())
        })
    }

    /// Gives a file another place or other metadata, if it is still at the same revision; `false` if not.
    ///
    /// # Errors
    /// `PathTaken` if another file is at the new place.
    pub async fn change_file(&self, changed: &ChangedFileRow, place: &FileLocation, event: &EventRow) -> Result<bool> {
        transaction!(self, |tx| {
            let change = sqlx::query(CHANGE)
                .bind(changed.id)
                .bind(changed.owner)
                .bind(&place.path)
                .bind(&place.name)
                .bind(&place.search)
                .bind(&changed.metadata)
                .bind(changed.now)
                .bind(changed.revision);
            if !resolve_location!(tx, change) {
                return Ok(false);
            }
            insert_event!(tx, event);
            Ok(true)
        })
    }

    /// Takes a file away, and dooms its blob and what was to replace it, in one transaction. With a
    /// time it is a file that came into the trash by then.
    ///
    /// # Errors
    /// `PreconditionFailed` if the file does not point at `blob` any more, or was put into the trash
    /// or out of it.
    pub async fn delete_file(
        &self,
        owner: Uuid,
        id: Uuid,
        blob: Uuid,
        trashed_by: Option<i64>,
        event: &EventRow,
    ) -> Result<()> {
        transaction!(self, |tx| {
            let (deleted, freed) = delete_file!(tx, owner, id, blob, trashed_by);
            if !deleted {
                return Err(Error::PreconditionFailed);
            }
            count!(tx, owner, freed);
            insert_event!(tx, event);
            Ok(())
        })
    }
}
