//! Folders: created, renamed, moved, moved to the trash, restored and deleted with all below them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use std::time::Duration;
use uuid::Uuid;

use super::conflict::free_name;
use super::name::{LIMITS, location, path};
use super::trash::{permit_trash, purge_folder};
use super::{Conflict, Deletion, FileName, FolderPath, OnConflict, Placed, abridged};
use crate::access::{Permit, Right, Subject, Target, Tree, permit};
use crate::app::App;
use crate::clock::before;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{DueFolderRow, FolderRow, FolderSum, FolderTarget, Micros, Place};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// How old the sum of all below a folder may be.
const SUM_AGE: Duration = Duration::from_secs(60);
/// The time within which a deletion is completed before its response, if it can be; the reaper completes the others.
const DELETION_TIME: Duration = Duration::from_secs(5);

/// A folder that a subject was permitted to find.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The id, which stays the same for as long as the folder exists.
    pub id: Uuid,
    /// The space that it is in.
    pub space_id: Uuid,
    /// The folder that it is in; absent for the top folder.
    pub parent_id: Option<Uuid>,
    /// The name; empty for the top folder.
    pub name: String,
    /// The whole path, as files in the folder have it.
    pub path: String,
    /// What the subject may do with it.
    pub permit: Permit,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last renamed or moved.
    pub updated_at: Timestamp,
}

/// A folder in the trash.
#[derive(Debug, Clone)]
pub struct TrashedFolder {
    /// The folder, with the path that it had.
    pub folder: Folder,
    /// When it was deleted.
    pub trashed_at: Timestamp,
    /// When its retention expires; the next run of the reaper deletes it permanently.
    pub purge_at: Timestamp,
}

/// What a folder contains.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    /// What lies directly in it.
    pub directly: FolderSum,
    /// What lies in it at any depth.
    pub below: FolderSum,
    /// The time for which that is correct.
    pub below_at: Timestamp,
}

/// A change of a folder.
#[derive(Debug, Clone)]
pub enum FolderChange {
    /// A new name, a folder to move it to, or both.
    Fields(Option<FileName>, Option<Uuid>),
    /// Its new path; what is missing above it is created.
    Path(FolderPath),
}

impl Folder {
    /// The path as the subject sees it.
    pub fn visible_path(&self) -> &str {
        self.permit.visible(&self.path)
    }

    /// The folder that it is in, if the subject sees that.
    pub fn visible_parent(&self) -> Option<Uuid> {
        let is_root = self.permit.root.as_ref().is_some_and(|root| root.folder_id == self.id);
        self.parent_id.filter(|_| !is_root)
    }

    fn permitted(row: FolderRow, permit: Permit) -> Self {
        Self {
            id: row.id,
            space_id: row.space_id,
            parent_id: row.parent_id,
            name: row.name,
            path: path(&row.location).to_owned(),
            permit,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }

    /// An event about this folder, for the audit log.
    pub fn event(&self, kind: EventKind) -> Event {
        let path = &*abridged(&self.path);
        Event::new(kind, self.space_id).with("folder_id", self.id.to_string()).with("path", path)
    }
}

/// An event about a folder, for the audit log.
fn event_of(row: &FolderRow, kind: EventKind) -> Event {
    let path = &*abridged(path(&row.location));
    Event::new(kind, row.space_id).with("folder_id", row.id.to_string()).with("path", path)
}

/// Lists the folders that are directly in this one, by name.
///
/// # Errors
/// [`Error::NotFound`] if there is no such folder; [`Error::BadCursor`] if the cursor is not one of this list;
/// [`Error::Invalid`] if the limit is out of range.
pub async fn folders(
    app: &App,
    tree: &Tree,
    inside: &FolderPath,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<Folder>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let after = cursor.map(decode).transpose()?.unwrap_or_default();
    let folder = app.db.folder_at(tree.space_id(), &tree.absolute(&inside.location())).await?.ok_or(Error::NotFound)?;
    let permit = tree.require(app, Right::List, &inside.location()).await?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(after.as_str(), |last: &FolderRow| last.name.as_str());
        page.add(app.db.folders_in(folder.id, after, count).await?, bytes_of);
    }
    Ok(page.finish(|last| BASE64_URL_SAFE_NO_PAD.encode(&last.name)).map(|row| Folder::permitted(row, permit.clone())))
}

fn bytes_of(row: &FolderRow) -> usize {
    const THE_REST: usize = 256;
    THE_REST + row.name.len() + row.location.len()
}

fn decode(cursor: &str) -> Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|name| !name.contains(['/', '\0']));
    name.ok_or(Error::BadCursor)
}

/// Finds a folder to which the subject has this right.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist, or the subject does not see it; [`Error::RightRequired`].
pub async fn find(app: &App, subject: &Subject, right: Right, id: Uuid) -> Result<Folder> {
    let row = app.db.folder(id).await?.ok_or(Error::NotFound)?;
    let target = Target { space_id: row.space_id, folder_id: id, location: &row.location, file_id: None };
    let permit = permit(app, subject, right, &target).await?;
    Ok(Folder::permitted(row, permit))
}

/// What a folder contains.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn contents(app: &App, folder: &Folder) -> Result<Contents> {
    let now = app.clock.now();
    let directly = app.db.count_directly(folder.id).await?;
    let (below, at) = app.db.count_below(folder.id, before(now, SUM_AGE), now).await?;
    Ok(Contents { directly, below, below_at: at.into() })
}

/// Creates a folder at a path below another one, with what is missing in between.
///
/// # Errors
/// [`Error::NotFound`] if the other folder does not exist; [`Error::PathTaken`]; [`Error::NotAFolder`];
/// [`Error::TooDeep`]; [`Error::Invalid`] if the path is empty.
pub async fn create(app: &App, subject: &Subject, parent: Option<Uuid>, path: &FolderPath) -> Result<Folder> {
    let parent = find(app, subject, Right::Create, parent.unwrap_or(subject.actor)).await?;
    let target = target(app, parent.id, path)?;
    let event = |row: &FolderRow| event_of(row, EventKind::FolderCreated).row(&app.clock);
    let (id, now) = (app.clock.new_id(), app.clock.now());
    let created = app.db.create_folder(parent.space_id, id, &target, LIMITS, now, &event).await?;
    Ok(Folder::permitted(created, parent.permit))
}

/// Renames a folder, which the subject may update, moves it, or both: at once, however much is in it. One that is skipped because the name
/// is taken stays where it is; folders are not merged, and never replace anything.
///
/// # Errors
/// [`Error::NotFound`] if it or the folder to move it to does not exist; [`Error::IntoItself`]; [`Error::PathTaken`];
/// [`Error::TooDeep`]; [`Error::Invalid`] for the top folder.
pub async fn change(
    app: &App,
    subject: &Subject,
    folder: &Folder,
    change: &FolderChange,
    on_conflict: OnConflict,
) -> Result<Placed<Folder>> {
    let parent = not_top(folder)?;
    let mut target = match change {
        FolderChange::Path(path) => {
            let tree = tree_of(app, subject, folder).await?;
            let (above, name) = split(path)?;
            FolderTarget { into: tree.place(app, Right::Create, &above).await?.0, name }
        }
        FolderChange::Fields(name, parent_id) => {
            if let Some(parent_id) = parent_id {
                let into = find(app, subject, Right::Create, *parent_id).await?;
                if into.space_id != folder.space_id {
                    return Err(Error::invalid("/parent_id", "unsupported", "a folder of the same space"));
                }
            }
            let name = name.as_ref().map_or(folder.name.as_str(), FileName::as_str).to_owned();
            FolderTarget { into: Place::Folder(parent_id.unwrap_or(parent)), name }
        }
    };
    let event = |old: &FolderRow, new: &FolderRow| {
        let was = abridged(path(&old.location)).into_owned();
        event_of(new, EventKind::FolderChanged).with("was", was).row(&app.clock)
    };
    let requested = FileName::new(&target.name, "/name")?;
    loop {
        match app.db.move_folder(folder.space_id, folder.id, &target, LIMITS, app.clock.now(), &event).await {
            Err(Error::PathTaken) if on_conflict == OnConflict::Skip => {
                return find(app, subject, Right::List, folder.id).await.map(Placed::skipped);
            }
            // Another request may take the free name first; then the search continues.
            Err(Error::PathTaken) if on_conflict == OnConflict::Number => {
                let inside = location_of(app, &target.into).await?;
                target.name = free_name(app, folder.space_id, &inside, &requested).await?.as_str().to_owned();
            }
            moved => {
                let moved = Folder::permitted(moved?, folder.permit.clone());
                let conflict = (target.name != requested.as_str()).then_some(Conflict::Numbered);
                return Ok(Placed { item: moved, conflict });
            }
        }
    }
}

/// The location of the folder at this place.
async fn location_of(app: &App, place: &Place) -> Result<String> {
    let of = async |id| Ok(app.db.folder(id).await?.ok_or(Error::NotFound)?.location);
    match place {
        Place::Folder(id) => of(*id).await,
        Place::Location(location, _) => Ok(location.clone()),
        Place::Below(id, below, _) => Ok(of(*id).await? + below),
    }
}

/// The tree in which the subject sees a folder.
async fn tree_of(app: &App, subject: &Subject, folder: &Folder) -> Result<Tree> {
    Tree::of(app, subject, folder.permit.root.as_ref().map(|root| root.folder_id)).await
}

/// Deletes a folder, which the subject may delete, with all below it: into the trash as one item, or permanently. From then on nothing of
/// it is found. Returns whether all of it is deleted; otherwise the reaper continues.
///
/// # Errors
/// [`Error::NotFound`] if it was deleted in the meantime; [`Error::Invalid`] for the top folder.
pub async fn delete(app: &App, folder: &Folder, deletion: Deletion) -> Result<bool> {
    not_top(folder)?;
    if deletion == Deletion::Trash && !app.config.trash_retention.is_zero() {
        let event = folder.event(EventKind::FolderTrashed).row(&app.clock);
        app.db.trash_folder(folder.space_id, folder.id, app.clock.now(), &event).await?;
        return Ok(true);
    }
    end(app, folder).await
}

async fn end(app: &App, folder: &Folder) -> Result<bool> {
    let event = folder.event(EventKind::FolderDeleted).row(&app.clock);
    app.db.end_folder(folder.space_id, folder.id, &event).await?;
    let due = DueFolderRow { id: folder.id, space_id: folder.space_id };
    match tokio::time::timeout(DELETION_TIME, purge_folder(app, due)).await {
        Ok(purged) => purged.map(|_| true),
        Err(_) => Ok(false),
    }
}

/// Lists the folders in the trash of a space, the one deleted last first. Those that were deleted with another are not
/// listed.
///
/// # Errors
/// Those of a missing right; [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn trashed(
    app: &App,
    subject: &Subject,
    space: Uuid,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<TrashedFolder>> {
    let permit = permit_trash(app, subject, space).await?;
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let first = cursor.map_or(Ok((i64::MAX, Uuid::max())), cursor::decode)?;
    let place = |row: &FolderRow| (row.trashed_at.unwrap_or_default(), row.id);
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let before = page.last().map_or((Micros(first.0), first.1), place);
        page.add(app.db.trashed_folders(space, before, count).await?, bytes_of);
    }
    let page = page.finish(|last| cursor::encode(place(last).0.0, last.id));
    Ok(page.map(|row| {
        let trashed_at = row.trashed_at.unwrap_or_default();
        let purge_at = (trashed_at + app.config.trash_retention).into();
        TrashedFolder { folder: Folder::permitted(row, permit.clone()), trashed_at: trashed_at.into(), purge_at }
    }))
}

/// Restores a folder with all that was deleted with it, to the folder that it was in. One that is skipped
/// because its name is taken stays in the trash; folders are not merged, and never replace anything.
///
/// # Errors
/// [`Error::NotFound`] if it is not in the trash; [`Error::PathTaken`]; [`Error::NotAFolder`] if a file has the name of a
/// folder that it was in.
pub async fn restore(app: &App, subject: &Subject, id: Uuid, on_conflict: OnConflict) -> Result<Placed<Folder>> {
    let row = app.db.trashed_folder(id).await?.ok_or(Error::NotFound)?;
    let (space, permit) = (row.space_id, permit_trash(app, subject, row.space_id).await?);
    let original = FileName::new(&row.name, "/name")?;
    let (mut name, event) =
        (original.clone(), |row: &FolderRow| event_of(row, EventKind::FolderRestored).row(&app.clock));
    loop {
        match app.db.restore_folder(space, id, name.as_str(), LIMITS, &app.clock, &event).await {
            Err(Error::PathTaken) if on_conflict == OnConflict::Skip => {
                return Ok(Placed::skipped(Folder::permitted(row, permit)));
            }
            // Another request may take the free name first; then the search continues.
            Err(Error::PathTaken) if on_conflict == OnConflict::Number => {
                let row = app.db.trashed_folder(id).await?.ok_or(Error::NotFound)?;
                let parent = match app.db.folder(row.parent_id.unwrap_or(space)).await? {
                    Some(parent) => parent.location,
                    None => super::name::folder_of(path(&row.location)).to_owned(),
                };
                name = free_name(app, space, &parent, &original).await?;
            }
            restored => {
                let conflict = Conflict::of_name(&name, &original);
                return Ok(Placed { item: Folder::permitted(restored?, permit), conflict });
            }
        }
    }
}

/// Permanently deletes a folder in the trash. Returns whether all of it is deleted; otherwise the reaper
/// continues.
///
/// # Errors
/// [`Error::NotFound`] if it is not in the trash.
pub async fn delete_trashed(app: &App, subject: &Subject, id: Uuid) -> Result<bool> {
    let row = app.db.trashed_folder(id).await?.ok_or(Error::NotFound)?;
    let permit = permit_trash(app, subject, row.space_id).await?;
    end(app, &Folder::permitted(row, permit)).await
}

/// The place at a path below a folder.
fn target(app: &App, below: Uuid, path: &FolderPath) -> Result<FolderTarget> {
    let (above, name) = split(path)?;
    Ok(FolderTarget { into: Place::Below(below, above, app.clock.clone()), name })
}

/// The location of the folder above a path, and the name in it.
fn split(path: &FolderPath) -> Result<(String, String)> {
    let (parent, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
    Ok((location(parent), FileName::new(name, "/path")?.as_str().to_owned()))
}

fn not_top(folder: &Folder) -> Result<Uuid> {
    folder.parent_id.ok_or_else(|| Error::invalid_parameter("id", "unsupported", "the top folder cannot be changed"))
}
