//! The trash: files that are on no list and occupy no location, and that can be restored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::blobs::mark_for_deletion;
use super::changes::{ChangeKind, record, record_deletion};
use super::events::{EventRow, insert_event};
use super::file_row::{FileRow, file_columns, file_tables};
use super::files::{FileLocation, delete, end_signed_puts, update_location};
use super::folders::{check_no_folder, folder_for_file};
use super::replace::{InTheWayRow, clear_the_way, unchanged};
use super::usage::{UsageDelta, apply_usage};
use super::{Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

statements! {
    TRASH_FILE = "UPDATE files SET trashed_at = $4, revision = revision + 1
        WHERE id = $1 AND space_id = $2 AND blob_id = $3 AND trashed_at IS NULL
            AND EXISTS (SELECT 1 FROM folders d WHERE d.id = folder_id AND d.trashed_at IS NULL)";
    FIND_TRASHED_FILE = concat!("SELECT ", file_columns!(), ", f.trashed_at FROM ", file_tables!(), "
        WHERE f.id = $1 AND f.trashed_at IS NOT NULL AND COALESCE(d.trashed_at, 1) <> 0");
    LIST_TRASH = concat!("SELECT ", file_columns!(), ", f.trashed_at FROM ", file_tables!(), "
        WHERE f.space_id = $1 AND f.trashed_at IS NOT NULL AND COALESCE(d.trashed_at, 1) <> 0 AND (f.trashed_at, f.id) < ($2, $3)
        ORDER BY f.trashed_at DESC, f.id DESC LIMIT $4");
    RESTORE_FILE = "UPDATE files
        SET trashed_at = NULL, folder_id = $7, name = $4, search = $5, sort_key = $6, revision = revision + 1
        WHERE id = $1 AND space_id = $2 AND revision = $3 AND trashed_at IS NOT NULL";
    FIND_DUE_FOLDER = "SELECT id, space_id FROM folders WHERE trash_id = id AND trashed_at <= $1
        ORDER BY trashed_at, id LIMIT 1";
    FIND_DUE_FOLDER_OF_SPACE = "SELECT id, space_id FROM folders
        WHERE trash_id = id AND space_id = $2 AND trashed_at <= $1 ORDER BY trashed_at, id LIMIT 1";
    /// The lowest folder on one way down.
    FIND_LOWEST = "WITH RECURSIVE down (id, depth) AS (SELECT id, 0 FROM folders WHERE id = $1
            UNION ALL
            SELECT (SELECT c.id FROM folders c WHERE c.parent_id = down.id LIMIT 1), depth + 1
            FROM down WHERE down.id IS NOT NULL)
        SELECT id FROM down WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1";
    FIND_IN_FOLDER = "SELECT id, space_id, blob_id FROM files WHERE folder_id = $1 LIMIT $2";
    DELETE_ANY_FILE = "DELETE FROM files WHERE id = $1 AND blob_id = $2 RETURNING metadata";
    DELETE_FOLDER = "DELETE FROM folders WHERE id = $1";
    FIND_DUE = "SELECT id, space_id, blob_id FROM files WHERE trashed_at IS NOT NULL AND trashed_at <= $1
        ORDER BY trashed_at, id LIMIT $2";
    FIND_DUE_OF_SPACE = "SELECT id, space_id, blob_id FROM files
        WHERE space_id = $3 AND trashed_at IS NOT NULL AND trashed_at <= $1 ORDER BY trashed_at, id LIMIT $2";
}

/// A file in the trash.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TrashedFileRow {
    /// The file.
    #[sqlx(flatten)]
    pub file: FileRow,
    /// When it was moved to the trash.
    pub trashed_at: Micros,
}

/// A file in the trash that is to be deleted permanently.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct DueRow {
    id: Uuid,
    space_id: Uuid,
    blob_id: Uuid,
}

/// The result of one batch of [`Db::purge_trash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Files that were due.
    pub found: u64,
    /// Files that were deleted; the others were restored in between.
    pub deleted: u64,
}

impl Db {
    /// Moves a file to the trash and ends its signed uploads, in one transaction.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the file no longer has `blob`, or is in the trash already.
    pub async fn trash_file(&self, space: Uuid, id: Uuid, blob: Uuid, now: Timestamp, event: &EventRow) -> Result<()> {
        self.ending(async |tx| {
            let ended = end_signed_puts(tx, space, id).await?;
            trash(tx, space, id, blob, now).await?;
            apply_usage(tx, space, ended).await?;
            record(tx, event, ChangeKind::FileTrashed, id).await
        })
        .await
    }

    /// The file with this id, if it is in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn trashed_file(&self, id: Uuid) -> Result<Option<TrashedFileRow>> {
        self.read.fetch_optional(FIND_TRASHED_FILE, (id,)).await
    }

    /// At most `limit` files of this space's trash before the given time and id, the latest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_trash(&self, space: Uuid, before: (Micros, Uuid), limit: usize) -> Result<Vec<TrashedFileRow>> {
        self.read.fetch_all(LIST_TRASH, (space, before.0, before.1, Count::from(limit))).await
    }

    /// Restores a file to its folder, or if that is not there any more, to a folder at its location; with the name of
    /// `location`. Returns the id of the folder; `None` if the file is no longer in the trash at this revision. A file in
    /// its way is deleted in the same transaction.
    ///
    /// # Errors
    /// [`Error::PathTaken`] if something else is at the location; [`Error::NotAFolder`]; [`Error::PreconditionFailed`] if
    /// the file in its way has changed.
    pub async fn restore_file(
        &self,
        space: Uuid,
        id: Uuid,
        revision: i64,
        location: &FileLocation,
        in_the_way: Option<&InTheWayRow>,
        event: &EventRow,
    ) -> Result<Option<Uuid>> {
        let FileLocation { place, name, search, sort_key } = location;
        self.transaction(async |tx| {
            let freed = clear_the_way(tx, space, in_the_way).await?;
            let folder = folder_for_file(tx, space, place).await?;
            check_no_folder(tx, folder, name).await?;
            if !update_location(tx, RESTORE_FILE, (id, space, revision, name, search, sort_key, folder)).await? {
                return unchanged(in_the_way);
            }
            apply_usage(tx, space, freed).await?;
            record(tx, event, ChangeKind::FileRestored, id).await?;
            Ok(Some(folder))
        })
        .await
    }

    /// Permanently deletes at most `limit` files that were moved to the trash by `until`, of one space or of all.
    /// `event` creates the event of one deletion, from the space and the id of the file.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_trash(
        &self,
        space: Option<Uuid>,
        until: Timestamp,
        limit: usize,
        event: &(dyn Fn(Uuid, Uuid) -> EventRow + Sync),
    ) -> Result<Purged> {
        self.transaction(async |tx| {
            let due = find_due(tx, space, until, limit).await?;
            let mut usage: BTreeMap<_, UsageDelta> = BTreeMap::new();
            let mut events = Vec::new();
            for file in &due {
                let usage = usage.entry(file.space_id).or_default();
                *usage += end_signed_puts(tx, file.space_id, file.id).await?;
                let deleted = delete(tx, file.space_id, file.id, file.blob_id, Some(until)).await?;
                if let Some((freed, deleted)) = deleted {
                    *usage += freed;
                    events.push((event(file.space_id, file.id), file.id, deleted));
                }
            }
            for (space, delta) in usage {
                apply_usage(tx, space, delta).await?;
            }
            for (event, id, deleted) in &events {
                record_deletion(tx, event, *id, deleted).await?;
            }
            Ok(Purged { found: due.len() as u64, deleted: events.len() as u64 })
        })
        .await
    }
}

/// A folder that is to be deleted permanently.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct DueFolderRow {
    /// The id of the folder.
    pub id: Uuid,
    /// The account that it belongs to.
    pub space_id: Uuid,
}

impl Db {
    /// A folder that was moved to the trash by `until` or is marked for permanent deletion, of one space or of all.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn due_folder(&self, space: Option<Uuid>, until: Timestamp) -> Result<Option<DueFolderRow>> {
        let until = Micros::from(until);
        match space {
            Some(space) => self.write.fetch_optional(FIND_DUE_FOLDER_OF_SPACE, (until, space)).await,
            None => self.write.fetch_optional(FIND_DUE_FOLDER, (until,)).await,
        }
    }

    /// Deletes at most `limit` files and folders of a folder that is marked for permanent deletion, from below. `event`
    /// creates the event of one file. Returns how many files were deleted, and whether the folder itself is.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_folder(
        &self,
        folder: DueFolderRow,
        limit: usize,
        event: &(dyn Fn(Uuid, Uuid) -> EventRow + Sync),
    ) -> Result<(u64, bool)> {
        self.unpermitted(async |tx| {
            let (mut usage, mut events, mut left) = (UsageDelta::default(), Vec::new(), limit);
            let mut is_done = false;
            while left > 0 && !is_done {
                let lowest: Option<(Uuid,)> = tx.fetch_optional(FIND_LOWEST, (folder.id,)).await?;
                let Some((lowest,)) = lowest else {
                    is_done = true;
                    break;
                };
                let files: Vec<DueRow> = tx.fetch_all(FIND_IN_FOLDER, (lowest, Count::from(left))).await?;
                for file in &files {
                    usage += end_signed_puts(tx, file.space_id, file.id).await?;
                    let deleted: Option<(String,)> =
                        tx.fetch_optional(DELETE_ANY_FILE, (file.id, file.blob_id)).await?;
                    if let Some((metadata,)) = deleted {
                        usage += mark_for_deletion(tx, file.blob_id).await?;
                        usage += -UsageDelta::one_file() + -UsageDelta::metadata(&metadata);
                        events.push(event(file.space_id, file.id));
                    }
                }
                if files.len() < left {
                    tx.execute(DELETE_FOLDER, (lowest,)).await?;
                    is_done = lowest == folder.id;
                }
                left -= (files.len() + 1).min(left);
            }
            apply_usage(tx, folder.space_id, usage).await?;
            for event in &events {
                insert_event(tx, event).await?;
            }
            Ok((events.len() as u64, is_done))
        })
        .await
    }
}

/// Moves a file whose signed uploads have ended to the trash.
///
/// # Errors
/// [`Error::PreconditionFailed`] if the file no longer has `blob`, or is in the trash already.
pub(super) async fn trash(tx: &mut Tx<'_>, space: Uuid, id: Uuid, blob: Uuid, now: Timestamp) -> Result<()> {
    match tx.execute(TRASH_FILE, (id, space, blob, Micros::from(now))).await? {
        1 => Ok(()),
        _ => Err(Error::PreconditionFailed),
    }
}

async fn find_due(tx: &mut Tx<'_>, space: Option<Uuid>, until: Timestamp, limit: usize) -> Result<Vec<DueRow>> {
    match space {
        Some(space) => tx.fetch_all(FIND_DUE_OF_SPACE, (Micros::from(until), Count::from(limit), space)).await,
        None => tx.fetch_all(FIND_DUE, (Micros::from(until), Count::from(limit))).await,
    }
}
