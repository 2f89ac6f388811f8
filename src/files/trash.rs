//! The trash: deleted files that can be restored until their retention expires.

use jiff::Timestamp;
use uuid::Uuid;

use super::conflict::{Resolution, in_the_way, resolve};
use super::list::bytes_of;
use super::name::{file_location, location, path};
use super::{Conflict, File, FileName, OnConflict, Placed};
use crate::access::{Permit, Right, Subject, Target, permit};
use crate::app::App;
use crate::clock;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{DueFolderRow, Micros, Place, TrashedFileRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// A file in the trash.
#[derive(Debug, Clone)]
pub struct TrashedFile {
    /// The file, with the path and name that it had.
    pub file: File,
    /// When it was deleted.
    pub trashed_at: Timestamp,
    /// When its retention expires; the next run of the reaper deletes it permanently.
    pub purge_at: Timestamp,
}

/// The files that one transaction deletes permanently.
const BATCH: usize = 100;

/// The permit for the trash of a space: a subject that may delete everything in the space sees what others have deleted.
///
/// # Errors
/// [`Error::NotFound`] if the subject does not see the whole space; [`Error::RightRequired`].
pub(super) async fn permit_trash(app: &App, subject: &Subject, space: Uuid) -> Result<Permit> {
    let top = Target { space_id: space, folder_id: space, location: "", file_id: None };
    permit(app, subject, Right::Delete, &top).await
}

/// Lists the trash of a space, the file deleted last first. `limit` is a number of files.
///
/// # Errors
/// Those of a missing right; [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list(
    app: &App,
    subject: &Subject,
    space: Uuid,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<TrashedFile>> {
    let permit = permit_trash(app, subject, space).await?;
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let before = cursor.map_or(Ok((i64::MAX, Uuid::max())), cursor::decode)?;
    let before = (Micros(before.0), before.1);
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let before = page.last().map_or(before, |last: &TrashedFileRow| (last.trashed_at, last.file.id));
        page.add(app.db.list_trash(space, before, count).await?, |row| bytes_of(&row.file));
    }
    let page = page.finish(|last| cursor::encode(last.trashed_at.0, last.file.id));
    page.try_map(|row| trashed_file(app, row, permit.clone()))
}

/// Finds a file in the trash.
///
/// # Errors
/// [`Error::NotFound`] if it is not in a trash, or the subject does not see that; [`Error::RightRequired`].
pub async fn find(app: &App, subject: &Subject, id: Uuid) -> Result<TrashedFile> {
    let row = app.db.trashed_file(id).await?.ok_or(Error::NotFound)?;
    let permit = permit_trash(app, subject, row.file.space_id).await?;
    trashed_file(app, row, permit)
}

/// Restores a file to the folder that it was in. One that is skipped because its name is taken stays in the
/// trash.
///
/// # Errors
/// [`Error::NotFound`] if it is not in the trash, or was deleted permanently in the meantime; [`Error::PathTaken`] if
/// `on_conflict` says so.
pub async fn restore(app: &App, subject: &Subject, id: Uuid, on_conflict: OnConflict) -> Result<Placed<File>> {
    loop {
        let file = find(app, subject, id).await?.file;
        if let Some(restored) = try_restore(app, file, on_conflict).await? {
            return Ok(restored);
        }
    }
}

/// Restores the file; `None` if its row has changed since it was read.
async fn try_restore(app: &App, mut file: File, on_conflict: OnConflict) -> Result<Option<Placed<File>>> {
    let original = FileName::new(&file.name, "/name")?;
    let mut name = original.clone();
    let mut replaced: Option<Box<File>> = None;
    loop {
        // Its folder, or if that is in the trash as well, a folder at its place.
        let place = match app.db.folder(file.folder_id).await? {
            Some(folder) => {
                path(&folder.location).clone_into(&mut file.path);
                Place::Folder(folder.id)
            }
            None => Place::Location(location(&file.path), app.clock.clone()),
        };
        name.as_str().clone_into(&mut file.name);
        let event = file.event(EventKind::FileRestored).row(&app.clock);
        let in_the_way = replaced.take().map(|there| in_the_way(app, &there));
        let (place, inside) = (file_location(place, &name), location(&file.path));
        match app.db.restore_file(file.space_id, file.id, file.revision, &place, in_the_way.as_ref(), &event).await {
            // Another request may take the free name first; then the search continues.
            Err(Error::PathTaken) => {
                match resolve(app, &file.permit, file.id, &inside, &original, on_conflict).await? {
                    Resolution::Retry => {}
                    Resolution::Rename(free) => name = free,
                    Resolution::Replace(there) => replaced = Some(there),
                    Resolution::Skip => return Ok(Some(Placed::skipped(file))),
                }
            }
            // Its folder was moved to the trash in between, or the file in its way has changed.
            Err(Error::NotFound | Error::PreconditionFailed) => return Ok(None),
            restored => {
                let revision = file.revision + 1;
                let replaced = in_the_way.map(|_| Conflict::Replaced);
                let conflict = replaced.or_else(|| Conflict::of_name(&name, &original));
                return Ok(restored?.map(|folder_id| Placed { item: File { folder_id, revision, ..file }, conflict }));
            }
        }
    }
}

/// Permanently deletes a file in the trash.
///
/// # Errors
/// [`Error::NotFound`] if it is not in the trash.
pub async fn delete(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    let TrashedFile { file, trashed_at, .. } = find(app, subject, id).await?;
    let event = file.event(EventKind::FileDeleted).row(&app.clock);
    match app.db.delete_file(file.space_id, id, file.blob_id, Some(trashed_at), &event).await {
        // Another request restored or deleted it first.
        Err(Error::PreconditionFailed) => Err(Error::NotFound),
        deleted => deleted,
    }
}

/// Permanently deletes what is in the trash of a space; returns the number of files. Files that are trashed in the
/// meantime stay.
///
/// # Errors
/// Those of a missing right; [`Error::Unavailable`], after which the rest is still in the trash.
pub async fn empty(app: &App, subject: &Subject, space: Uuid) -> Result<u64> {
    permit_trash(app, subject, space).await?;
    delete_trashed(app, Some(space), app.clock.now()).await
}

/// Permanently deletes the files of all spaces whose retention has expired; returns the number of files.
///
/// # Errors
/// [`Error::Unavailable`], after which the next run deletes the rest.
pub async fn purge(app: &App) -> Result<u64> {
    delete_trashed(app, None, clock::before(app.clock.now(), app.config.trash_retention)).await
}

/// Deletes what was trashed until then, in batches.
async fn delete_trashed(app: &App, space: Option<Uuid>, until: Timestamp) -> Result<u64> {
    let event = |space: Uuid, file: Uuid| Event::new(EventKind::FileDeleted, space).file(file).row(&app.clock);
    let mut deleted = 0;
    while let Some(folder) = app.db.due_folder(space, until).await? {
        deleted += purge_folder(app, folder).await?;
    }
    loop {
        let purged = app.db.purge_trash(space, until, BATCH, &event).await?;
        deleted += purged.deleted;
        if purged.found < BATCH as u64 {
            return Ok(deleted);
        }
    }
}

/// Permanently deletes a folder with all below it; returns the number of files.
pub(super) async fn purge_folder(app: &App, folder: DueFolderRow) -> Result<u64> {
    let event =
        Event::new(EventKind::FolderDeleted, folder.space_id).with("folder_id", folder.id.to_string()).row(&app.clock);
    match app.db.end_folder(folder.space_id, folder.id, &event).await {
        // It is marked already.
        Err(Error::NotFound) => {}
        ended => ended?,
    }
    let event = |space: Uuid, file: Uuid| Event::new(EventKind::FileDeleted, space).file(file).row(&app.clock);
    let mut deleted = 0;
    loop {
        let (files, is_done) = app.db.purge_folder(folder, BATCH, &event).await?;
        deleted += files;
        if is_done {
            return Ok(deleted);
        }
    }
}

fn trashed_file(app: &App, row: TrashedFileRow, permit: Permit) -> Result<TrashedFile> {
    Ok(TrashedFile {
        trashed_at: row.trashed_at.into(),
        purge_at: (row.trashed_at + app.config.trash_retention).into(),
        file: File::permitted(row.file, permit)?,
    })
}
