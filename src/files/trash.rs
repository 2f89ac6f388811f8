//! Deleting files: into the trash, out of it again, or for good.

use jiff::Timestamp;
use uuid::Uuid;

use super::name::place;
use super::uploads::whole::free_name;
use super::{Expected, File, FileName, FolderPath};
use crate::app::App;
use crate::clock::from_micros;
use crate::cursor;
use crate::db::TrashedFileRow;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::faults;
use crate::users::User;

/// How a file is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Into the trash, unless the settings have none.
    Trash,
    /// For good, at once.
    Permanent,
}

/// A file in the trash.
#[derive(Debug, Clone)]
pub struct TrashedFile {
    pub file: File,
    pub trashed_at: Timestamp,
    /// When it goes for good, to the next pass of the reaper.
    pub purge_at: Timestamp,
}

/// Some files of the trash, and where to go on.
#[derive(Debug)]
pub struct TrashPage {
    pub files: Vec<TrashedFile>,
    pub next_cursor: Option<String>,
}

/// Files that are deleted for good in one transaction.
const BATCH: i64 = 100;

/// Deletes a file of this user. From now on it is not there; what is deleted for good the reaper
/// takes away with its bytes.
///
/// # Errors
/// `NotFound`; `PreconditionFailed` if the file is not as `expected`.
pub async fn delete(app: &App, user: &User, id: Uuid, expected: &Expected, removal: Removal) -> Result<()> {
    loop {
        let file = super::find(app, user, id).await?;
        expected.check(&file)?;
        faults::point("D1");
        let done = match removal {
            Removal::Trash if !app.config.trash_retention.is_zero() => {
                let event = file.event(EventKind::FileTrashed).row(&app.clock);
                app.db.trash_file(user.id, id, file.blob_id, app.clock.now().as_microsecond(), &event).await
            }
            _ => {
                let event = file.event(EventKind::FileDeleted).row(&app.clock);
                app.db.delete_file(user.id, id, file.blob_id, None, &event).await
            }
        };
        match done {
            // It got new bytes in between, or was deleted: it is judged anew.
            Err(Error::PreconditionFailed) => {}
            done => {
                faults::point("D2");
                return done;
            }
        }
    }
}

/// One page of this user's trash, what came last first.
///
/// # Errors
/// `BadCursor`; `Invalid` if the limit is out of bounds.
pub async fn list_trash(app: &App, user: &User, limit: Option<u32>, cursor: Option<&str>) -> Result<TrashPage> {
    let limit = app.config.limits.on_page(limit)?;
    let before = cursor.map_or(Ok((i64::MAX, Uuid::max())), cursor::decode)?;
    let rows = app.db.list_trash(user.id, before, limit as i64 + 1).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |last| cursor::encode(last.trashed_at, last.file.id));
    let files = rows.into_iter().map(|row| trashed(app, row)).collect::<Result<_>>()?;
    Ok(TrashPage { files, next_cursor })
}

/// Takes a file out of this user's trash, to where it was. If its place was taken meanwhile its name
/// gets a number.
///
/// # Errors
/// `NotFound` if it is not in the trash, or not any more.
pub async fn restore(app: &App, user: &User, id: Uuid) -> Result<File> {
    loop {
        let row = app.db.trashed_file(user.id, id).await?.ok_or(Error::NotFound)?;
        let mut file = File::try_from(row.file)?;
        let (path, wished) = (FolderPath::new(&file.path, "/path")?, FileName::new(&file.name, "/name")?);
        let mut name = wished.clone();
        let restored = loop {
            name.as_str().clone_into(&mut file.name);
            let event = file.event(EventKind::FileRestored).row(&app.clock);
            match app.db.restore_file(user.id, id, file.revision, &place(&path, &name), &event).await {
                // Somebody may take the free name first; then the search goes on.
                Err(Error::PathTaken) => name = free_name(app, user, &path, &wished).await?,
                restored => break restored?,
            }
        };
        if restored {
            return Ok(File { revision: file.revision + 1, ..file });
        }
    }
}

/// Finds a file in this user's trash.
///
/// # Errors
/// `NotFound` if there is none with this id.
pub(super) async fn find_in_trash(app: &App, user: &User, id: Uuid) -> Result<File> {
    app.db.trashed_file(user.id, id).await?.ok_or(Error::NotFound)?.file.try_into()
}

/// Deletes a file in this user's trash for good.
///
/// # Errors
/// `NotFound` if it is not in the trash.
pub async fn delete_from_trash(app: &App, user: &User, id: Uuid) -> Result<()> {
    let row = app.db.trashed_file(user.id, id).await?.ok_or(Error::NotFound)?;
    let file = File::try_from(row.file)?;
    let event = file.event(EventKind::FileDeleted).row(&app.clock);
    match app.db.delete_file(user.id, id, file.blob_id, Some(row.trashed_at), &event).await {
        // Somebody restored it, or was quicker.
        Err(Error::PreconditionFailed) => Err(Error::NotFound),
        deleted => deleted,
    }
}

/// Deletes for good what is in this user's trash; tells how many files.
pub async fn empty_trash(app: &App, user: &User) -> Result<u64> {
    // What comes into it meanwhile stays.
    purge(app, Some(user.id), app.clock.now().as_microsecond()).await
}

/// Deletes for good what was in anybody's trash for long enough; tells how many files.
///
/// # Errors
/// `Unavailable`, deadline which the rest is for the next time.
pub async fn purge_trash(app: &App) -> Result<u64> {
    let retention = app.config.trash_retention.as_micros() as i64;
    purge(app, None, app.clock.now().as_microsecond() - retention).await
}

async fn purge(app: &App, owner: Option<Uuid>, until: i64) -> Result<u64> {
    let event = |owner: Uuid, file: Uuid| Event::new(EventKind::FileDeleted, owner).file(file).row(&app.clock);
    let mut deleted = 0;
    loop {
        let purged = app.db.purge_trash(owner, until, BATCH, &event).await?;
        deleted += purged.deleted;
        if purged.found < BATCH as u64 {
            return Ok(deleted);
        }
    }
}

fn trashed(app: &App, row: TrashedFileRow) -> Result<TrashedFile> {
    let retention = app.config.trash_retention.as_micros() as i64;
    Ok(TrashedFile {
        trashed_at: from_micros(row.trashed_at),
        purge_at: from_micros(row.trashed_at.saturating_add(retention)),
        file: row.file.try_into()?,
    })
}
