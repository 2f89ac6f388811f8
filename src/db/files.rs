//! Files: a name in a folder that refers to one ready blob. Every query is scoped to the space.

use jiff::Timestamp;
use uuid::Uuid;

use super::attributes::{Attribute, NewAttributes, insert_attributes, replace_attributes};
use super::blobs::{BlobFacts, make_ready, mark_for_deletion};
use super::changes::{ChangeKind, DeletedFile, record, record_deletion};
use super::errors::is_unique_violation;
use super::events::EventRow;
use super::file_row::{FileRow, file_columns, file_tables};
use super::folders::{Place, check_no_folder, folder_for_file};
use super::idempotency::{KeyResponse, store_response};
use super::pool::Arguments;
use super::replace::{InTheWayRow, clear_the_way, unchanged};
use super::resumable::{EndedUpload, finish_upload};
use super::usage::{ReservedRow, UsageDelta, apply_usage, settle_usage};
use super::{ByteCount, Db, Micros, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};
use crate::faults;

statements! {
    FIND_FILE = concat!("SELECT ", file_columns!(), " FROM ", file_tables!(), "
        WHERE f.id = $1 AND f.trashed_at IS NULL AND d.trashed_at IS NULL");
    FIND_FILE_AT = concat!("SELECT ", file_columns!(), " FROM ", file_tables!(), "
        WHERE d.space_id = $1 AND d.place = substr($2, 1, 600) AND d.location = $2 AND d.trashed_at IS NULL
            AND f.name = $3 AND f.trashed_at IS NULL");
    INSERT_FILE = "INSERT INTO files
            (id, space_id, folder_id, name, search, sort_key, blob_id, size, metadata, tags, created_at, updated_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $11, $10, $10
        WHERE NOT EXISTS (SELECT 1 FROM folders WHERE parent_id = $3 AND name = $4 AND trashed_at IS NULL)
        ON CONFLICT (folder_id, name) WHERE trashed_at IS NULL DO NOTHING";
    UPDATE_FILE = "UPDATE files
        SET folder_id = $3, name = $4, search = $5, sort_key = $6, metadata = $7, tags = $10, updated_at = $8,
            revision = revision + 1
        WHERE id = $1 AND space_id = $2 AND revision = $9 AND trashed_at IS NULL";
    END_SIGNED_PUTS = "UPDATE blobs SET state = 'deleting'
        WHERE state = 'pending' AND id IN (SELECT blob_id FROM signed_puts WHERE file_id = $1 AND space_id = $2)
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    /// $4 is 0 for a file that is not in the trash; otherwise the file must have been moved to the trash by then.
    DELETE_FILE = "DELETE FROM files WHERE id = $1 AND space_id = $2 AND blob_id = $3
        AND (trashed_at IS NULL AND $4 = 0 OR trashed_at <= $4) RETURNING metadata, folder_id, name";
}

/// The location of a file.
#[derive(Debug, Clone)]
pub struct FileLocation {
    /// The folder.
    pub place: Place,
    /// The name in the folder.
    pub name: String,
    /// The name, folded for search.
    pub search: String,
    /// The name in the form whose order by bytes is the natural one.
    pub sort_key: String,
}

/// A file that is about to be inserted.
#[derive(Debug, Clone)]
pub struct NewFileRow {
    /// The id of the file.
    pub id: Uuid,
    /// The account that it belongs to.
    pub space: Uuid,
    /// Metadata of the client, as JSON.
    pub metadata: String,
    /// Tags, as JSON.
    pub tags: String,
    /// What the file is found by.
    pub attributes: Vec<Attribute>,
    /// The quotas that metadata must fit into.
    pub quotas: Quotas,
    /// The time of creation.
    pub now: Timestamp,
}

/// A change of a file's location or metadata.
#[derive(Debug, Clone)]
pub struct ChangedFileRow {
    /// The id of the file.
    pub id: Uuid,
    /// The account that it belongs to.
    pub space: Uuid,
    /// The revision that the change is based on.
    pub revision: i64,
    /// Metadata of the client, as JSON.
    pub metadata: String,
    /// The metadata of that revision.
    pub old_metadata: String,
    /// Whether it is moved, or only its metadata changed.
    pub kind: ChangeKind,
    /// Tags, as JSON.
    pub tags: String,
    /// What the file is found by; `None` if that does not change.
    pub attributes: Option<NewAttributes>,
    /// The time of the change.
    pub now: Timestamp,
}

impl Db {
    /// The file with this id, if it is not in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn file(&self, id: Uuid) -> Result<Option<FileRow>> {
        self.read.fetch_optional(FIND_FILE, (id,)).await
    }

    /// The file with this name in the folder at this location, if the space has one.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn file_at(&self, space: Uuid, location: &str, name: &str) -> Result<Option<FileRow>> {
        self.read.fetch_optional(FIND_FILE_AT, (space, location, name)).await
    }

    /// Publishes a file: creates what is missing of its folder, makes its pending blob ready, inserts the file, stores the
    /// response of the request's idempotency key, and finishes the resumable upload that the content came from, in one
    /// transaction. The response depends on the id of the folder, which is returned.
    ///
    /// # Errors
    /// [`Error::PathTaken`] if there is a file or a folder at this location; [`Error::NotAFolder`];
    /// [`Error::QuotaExceeded`] if there is no room for the metadata; [`Error::UploadGone`] if the lease of the blob, the
    /// idempotency key or the claim of the upload was lost.
    pub async fn publish(
        &self,
        new: &NewFileRow,
        location: &FileLocation,
        blob: &BlobFacts,
        response: &(dyn Fn(Uuid) -> Result<Option<KeyResponse>> + Sync),
        upload: Option<&EndedUpload>,
        event: &EventRow,
    ) -> Result<Uuid> {
        self.transaction(async |tx| {
            let folder = folder_for_file(tx, new.space, &location.place).await.map_err(|error| match error {
                // The account is being deleted, and has no top folder any more.
                Error::NotFound => Error::UploadGone,
                error => error,
            })?;
            let mut usage = UsageDelta::one_file();
            // The upload before its blob, the order in which appends lock the rows.
            if let Some(upload) = upload {
                usage += finish_upload(tx, upload, new.id, blob.id).await?;
            }
            usage += make_ready(tx, blob).await?;
            insert_file(tx, new, folder, location, blob).await?;
            usage += UsageDelta::metadata(&new.metadata);
            settle_usage(tx, new.space, usage, &new.quotas).await?;
            if let Some(response) = response(folder)? {
                store_response(tx, blob.id, &response).await?;
            }
            record(tx, event, ChangeKind::FileCreated, new.id).await?;
            faults::point("K10");
            Ok(folder)
        })
        .await
    }

    /// Changes the location or the metadata of a file, and returns the id of its folder; `None` if the file is no longer at
    /// the expected revision. A file in its way is deleted in the same transaction.
    ///
    /// # Errors
    /// [`Error::PathTaken`] if something else is at the new location; [`Error::NotFound`] if the folder does not exist any
    /// more; [`Error::NotAFolder`]; [`Error::QuotaExceeded`] if there is no room for
    /// longer metadata; [`Error::PreconditionFailed`] if the file in its way has changed.
    pub async fn change_file(
        &self,
        changed: &ChangedFileRow,
        location: &FileLocation,
        in_the_way: Option<&InTheWayRow>,
        quotas: &Quotas,
        event: &EventRow,
    ) -> Result<Option<Uuid>> {
        let ChangedFileRow { id, space, revision, metadata, old_metadata, tags, attributes, kind, now } = changed;
        let FileLocation { place, name, search, sort_key } = location;
        self.ending(async |tx| {
            let freed = clear_the_way(tx, *space, in_the_way).await?;
            let folder = folder_for_file(tx, *space, place).await?;
            check_no_folder(tx, folder, name).await?;
            let row = (id, space, folder, name, search, sort_key, metadata, Micros::from(*now), revision, tags);
            if !update_location(tx, UPDATE_FILE, row).await? {
                return unchanged(in_the_way);
            }
            let growth = freed + UsageDelta::metadata(metadata) + -UsageDelta::metadata(old_metadata);
            if let Some(attributes) = attributes {
                replace_attributes(tx, *space, *id, attributes).await?;
            }
            settle_usage(tx, *space, growth, quotas).await?;
            record(tx, event, *kind, *id).await?;
            Ok(Some(folder))
        })
        .await
    }

    /// Deletes a file, its signed uploads, and its blob, in one transaction. With a time, the file must have been
    /// moved to the trash by then; without, it must not be in the trash.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the file no longer has `blob`, or was moved to the trash or out of it.
    pub async fn delete_file(
        &self,
        space: Uuid,
        id: Uuid,
        blob: Uuid,
        trashed_by: Option<Timestamp>,
        event: &EventRow,
    ) -> Result<()> {
        self.ending(async |tx| {
            let ended = end_signed_puts(tx, space, id).await?;
            let deleted = delete(tx, space, id, blob, trashed_by).await?;
            let (freed, deleted) = deleted.ok_or(Error::PreconditionFailed)?;
            apply_usage(tx, space, ended + freed).await?;
            record_deletion(tx, event, id, &deleted).await
        })
        .await
    }
}

async fn insert_file(
    tx: &mut Tx<'_>,
    new: &NewFileRow,
    folder: Uuid,
    location: &FileLocation,
    blob: &BlobFacts,
) -> Result<()> {
    let FileLocation { name, search, sort_key, .. } = location;
    let (size, now) = (ByteCount(blob.size), Micros::from(new.now));
    let row = (new.id, new.space, folder, name, search, sort_key, blob.id, size, &new.metadata, now, &new.tags);
    match tx.execute(INSERT_FILE, row).await? {
        1 => insert_attributes(tx, new.space, new.id, &new.attributes).await,
        _ => Err(Error::PathTaken),
    }
}

/// Ends the signed uploads to a file, and returns the change of its space's usage.
pub(super) async fn end_signed_puts(tx: &mut Tx<'_>, space: Uuid, file: Uuid) -> Result<UsageDelta> {
    let ended: Vec<ReservedRow> = tx.fetch_all(END_SIGNED_PUTS, (file, space)).await?;
    Ok(ended.iter().map(ReservedRow::released).sum())
}

/// Deletes a file whose signed uploads have ended, marks its blob for deletion, and returns the change of its space's
/// usage and what is to be recorded of it; `None` if the file is not in the expected state. For `trashed_by` see
/// [`Db::delete_file`].
pub(super) async fn delete(
    tx: &mut Tx<'_>,
    space: Uuid,
    id: Uuid,
    blob: Uuid,
    trashed_by: Option<Timestamp>,
) -> Result<Option<(UsageDelta, DeletedFile)>> {
    let trashed_by = trashed_by.map_or(Micros(0), Micros::from);
    let deleted: Option<(String, Uuid, String)> = tx.fetch_optional(DELETE_FILE, (id, space, blob, trashed_by)).await?;
    let Some((metadata, folder_id, name)) = deleted else { return Ok(None) };
    let freed = mark_for_deletion(tx, blob).await? + -UsageDelta::one_file() + -UsageDelta::metadata(&metadata);
    Ok(Some((freed, DeletedFile { folder_id, name })))
}

/// Runs an update that may change the location of a file; `false` if the file is not in the expected state.
///
/// # Errors
/// [`Error::PathTaken`] if another file is at the new location.
pub(super) async fn update_location(
    tx: &mut Tx<'_>,
    statement: &'static str,
    arguments: impl Arguments,
) -> Result<bool> {
    match tx.try_execute(statement, arguments).await {
        Err(error) if is_unique_violation(&error) => Err(Error::PathTaken),
        updated => Ok(updated? == 1),
    }
}
