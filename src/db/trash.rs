//! The trash: files that are on no list and at no place, and can still be had back.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::files::{END_FILES_UPLOADS, FileLocation, FileRow, delete_file, file_columns, resolve_location};
use super::usage::{ReservedRow, UsageDelta, by_owner, count};
use super::{Db, on, statements, transaction};
use crate::error::{Error, Result};

statements! {
    END_UPLOADS = END_FILES_UPLOADS;
    TRASH = "UPDATE files SET trashed_at = $4, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND blob_id = $3 AND trashed_at IS NULL";
    BY_ID = concat!("SELECT ", file_columns!(), ", f.trashed_at FROM files f JOIN blobs b ON b.id = f.blob_id
        WHERE f.id = $1 AND f.owner_id = $2 AND f.trashed_at IS NOT NULL");
    PAGE = concat!("SELECT ", file_columns!(), ", f.trashed_at FROM files f JOIN blobs b ON b.id = f.blob_id
        WHERE f.owner_id = $1 AND f.trashed_at IS NOT NULL AND (f.trashed_at, f.id) < ($2, $3)
        ORDER BY f.trashed_at DESC, f.id DESC LIMIT $4");
    RESTORE = "UPDATE files SET trashed_at = NULL, name = $4, search = $5, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND revision = $3 AND trashed_at IS NOT NULL";
    DUE = "SELECT id, owner_id, blob_id FROM files WHERE trashed_at IS NOT NULL AND trashed_at <= $1
        ORDER BY trashed_at, id LIMIT $2";
    DUE_OF = "SELECT id, owner_id, blob_id FROM files WHERE owner_id = $3 AND trashed_at IS NOT NULL AND trashed_at <= $1
        ORDER BY trashed_at, id LIMIT $2";
}

/// A file in the trash.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TrashedFileRow {
    #[sqlx(flatten)]
    pub file: FileRow,
    pub trashed_at: i64,
}

/// A file in the trash that is to go for good.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct DueRow {
    id: Uuid,
    owner_id: Uuid,
    blob_id: Uuid,
}

impl Db {
    /// Moves a file into the trash, and dooms what was to replace its bytes, in one transaction.
    ///
    /// # Errors
    /// `PreconditionFailed` if the file does not point at `blob` any more, or is in the trash already.
    pub async fn trash_file(&self, owner: Uuid, id: Uuid, blob: Uuid, now: i64, event: &EventRow) -> Result<()> {
        transaction!(self, |tx| {
            let ended: Vec<ReservedRow> = sqlx::query_as(END_UPLOADS).bind(id).bind(owner).fetch_all(&mut *tx).await?;
            let trashed = sqlx::query(TRASH).bind(id).bind(owner).bind(blob).bind(now);
            if trashed.execute(&mut *tx).await?.rows_affected() != 1 {
                return Err(Error::PreconditionFailed);
            }
            count!(tx, owner, by_owner(&ended).remove(&owner).unwrap_or_default());
            insert_event!(tx, event);
            Ok(())
        })
    }

    /// The file with this id, if it is in this owner's trash.
    pub async fn trashed_file(&self, owner: Uuid, id: Uuid) -> Result<Option<TrashedFileRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_ID).bind(id).bind(owner).fetch_optional(p).await)?)
    }

    /// At most so many files of this owner's trash before the given time and id, the latest first.
    pub async fn list_trash(&self, owner: Uuid, before: (i64, Uuid), limit: i64) -> Result<Vec<TrashedFileRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(PAGE)
            .bind(owner)
            .bind(before.0)
            .bind(before.1)
            .bind(limit)
            .fetch_all(p)
            .await)?)
    }

    /// Takes a file out of the trash, to where it was but with the name of `place`; `false` if it is
    /// not there at this revision any more.
    ///
    /// # Errors
    /// `PathTaken` if another file is at the place.
    pub async fn restore_file(
        &self,
        owner: Uuid,
        id: Uuid,
        revision: i64,
        place: &FileLocation,
        event: &EventRow,
    ) -> Result<bool> {
        transaction!(self, |tx| {
            let change = sqlx::query(RESTORE).bind(id).bind(owner).bind(revision).bind(&place.name).bind(&place.search);
            if !resolve_location!(tx, change) {
                return Ok(false);
            }
            insert_event!(tx, event);
            Ok(true)
        })
    }

    /// Deletes for good what came into the trash by `until`, of one owner or of all, at most so many
    /// files. `event` tells of the deletion of one, by its owner and id.
    pub async fn purge_trash(
        &self,
        owner: Option<Uuid>,
        until: i64,
        limit: i64,
        event: &(dyn Fn(Uuid, Uuid) -> EventRow + Sync),
    ) -> Result<Purged> {
        transaction!(self, |tx| {
            let due = match owner {
                Some(owner) => sqlx::query_as(DUE_OF).bind(until).bind(limit).bind(owner),
                None => sqlx::query_as(DUE).bind(until).bind(limit),
            };
            let due: Vec<DueRow> = due.fetch_all(&mut *tx).await?;
            let mut rooms = BTreeMap::new();
            let mut events = Vec::new();
            for file in &due {
                // If not, whoever restored it was quicker.
                let (is_deleted, freed) = delete_file!(tx, file.owner_id, file.id, file.blob_id, Some(until));
                let room: &mut UsageDelta = rooms.entry(file.owner_id).or_default();
                *room = *room + freed;
                if is_deleted {
                    events.push(event(file.owner_id, file.id));
                }
            }
            for (owner, room) in rooms {
                count!(tx, owner, room);
            }
            for event in &events {
                insert_event!(tx, event);
            }
            Ok(Purged { found: due.len() as u64, deleted: events.len() as u64 })
        })
    }
}

/// What became of a part of the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    pub found: u64,
    pub deleted: u64,
}
