//! The trash: files that are on no list and occupy no location, and that can be restored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::file_row::{FileRow, file_columns};
use super::files::{FileLocation, delete, end_signed_puts, update_location};
use super::usage::{UsageDelta, apply_usage};
use super::{Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

statements! {
    TRASH_FILE = "UPDATE files SET trashed_at = $4, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND blob_id = $3 AND trashed_at IS NULL";
    FIND_TRASHED_FILE = concat!("SELECT ", file_columns!(), ", f.trashed_at
        FROM files f JOIN blobs b ON b.id = f.blob_id
        WHERE f.id = $1 AND f.owner_id = $2 AND f.trashed_at IS NOT NULL");
    LIST_TRASH = concat!("SELECT ", file_columns!(), ", f.trashed_at FROM files f JOIN blobs b ON b.id = f.blob_id
        WHERE f.owner_id = $1 AND f.trashed_at IS NOT NULL AND (f.trashed_at, f.id) < ($2, $3)
        ORDER BY f.trashed_at DESC, f.id DESC LIMIT $4");
    RESTORE_FILE = "UPDATE files SET trashed_at = NULL, name = $4, search = $5, sort_key = $6, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND revision = $3 AND trashed_at IS NOT NULL";
    FIND_DUE = "SELECT id, owner_id, blob_id FROM files WHERE trashed_at IS NOT NULL AND trashed_at <= $1
        ORDER BY trashed_at, id LIMIT $2";
    FIND_DUE_OF_OWNER = "SELECT id, owner_id, blob_id FROM files
        WHERE owner_id = $3 AND trashed_at IS NOT NULL AND trashed_at <= $1 ORDER BY trashed_at, id LIMIT $2";
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
    owner_id: Uuid,
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
    pub async fn trash_file(&self, owner: Uuid, id: Uuid, blob: Uuid, now: Timestamp, event: &EventRow) -> Result<()> {
        self.transaction(async |tx| {
            let ended = end_signed_puts(tx, owner, id).await?;
            if tx.execute(TRASH_FILE, (id, owner, blob, Micros::from(now))).await? != 1 {
                return Err(Error::PreconditionFailed);
            }
            apply_usage(tx, owner, ended).await?;
            insert_event(tx, event).await
        })
        .await
    }

    /// The file with this id, if it is in this owner's trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn trashed_file(&self, owner: Uuid, id: Uuid) -> Result<Option<TrashedFileRow>> {
        self.read.fetch_optional(FIND_TRASHED_FILE, (id, owner)).await
    }

    /// At most `limit` files of this owner's trash before the given time and id, the latest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_trash(&self, owner: Uuid, before: (Micros, Uuid), limit: usize) -> Result<Vec<TrashedFileRow>> {
        self.read.fetch_all(LIST_TRASH, (owner, before.0, before.1, Count::from(limit))).await
    }

    /// Restores a file to its former path, with the name of `location`; `false` if it is no longer in the trash at
    /// this revision.
    ///
    /// # Errors
    /// [`Error::PathTaken`] if another file is at the location.
    pub async fn restore_file(
        &self,
        owner: Uuid,
        id: Uuid,
        revision: i64,
        location: &FileLocation,
        event: &EventRow,
    ) -> Result<bool> {
        self.transaction(async |tx| {
            let row = (id, owner, revision, &location.name, &location.search, &location.sort_key);
            if !update_location(tx, RESTORE_FILE, row).await? {
                return Ok(false);
            }
            insert_event(tx, event).await?;
            Ok(true)
        })
        .await
    }

    /// Permanently deletes at most `limit` files that were moved to the trash by `until`, of one owner or of all.
    /// `event` creates the event of one deletion, from the owner and the id of the file.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_trash(
        &self,
        owner: Option<Uuid>,
        until: Timestamp,
        limit: usize,
        event: &(dyn Fn(Uuid, Uuid) -> EventRow + Sync),
    ) -> Result<Purged> {
        self.transaction(async |tx| {
            let due = find_due(tx, owner, until, limit).await?;
            let mut usage: BTreeMap<_, UsageDelta> = BTreeMap::new();
            let mut events = Vec::new();
            for file in &due {
                let usage = usage.entry(file.owner_id).or_default();
                *usage += end_signed_puts(tx, file.owner_id, file.id).await?;
                if let Some(freed) = delete(tx, file.owner_id, file.id, file.blob_id, Some(until)).await? {
                    *usage += freed;
                    events.push(event(file.owner_id, file.id));
                }
            }
            for (owner, delta) in usage {
                apply_usage(tx, owner, delta).await?;
            }
            for event in &events {
                insert_event(tx, event).await?;
            }
            Ok(Purged { found: due.len() as u64, deleted: events.len() as u64 })
        })
        .await
    }
}

async fn find_due(tx: &mut Tx<'_>, owner: Option<Uuid>, until: Timestamp, limit: usize) -> Result<Vec<DueRow>> {
    match owner {
        Some(owner) => tx.fetch_all(FIND_DUE_OF_OWNER, (Micros::from(until), Count::from(limit), owner)).await,
        None => tx.fetch_all(FIND_DUE, (Micros::from(until), Count::from(limit))).await,
    }
}
