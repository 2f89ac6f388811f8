//! Taken names: what to do if there is a file or a folder where a file or a folder is to be put.

use uuid::Uuid;

use super::name::location;
use super::{File, FileName};
use crate::access::{Permit, Right};
use crate::app::App;
use crate::db::InTheWayRow;
use crate::error::{Error, Result};
use crate::events::EventKind;

/// What to do if a path and name are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// `report.pdf` becomes `report (1).pdf`.
    Number,
    /// New content becomes the content of the file that is there; a file that is moved takes its place, and that file is
    /// deleted as by a request. A folder is never replaced, and replaces nothing.
    Replace,
    /// What is there stays, and nothing is done.
    Skip,
    /// The operation fails with [`Error::PathTaken`].
    Fail,
    /// The operation fails with [`Error::PreconditionFailed`].
    Refuse,
}

impl OnConflict {
    /// The stable name, as rows and idempotency keys have it.
    pub fn as_str(self) -> &'static str {
        match self {
            OnConflict::Number => "number",
            OnConflict::Replace => "replace",
            OnConflict::Skip => "skip",
            OnConflict::Fail => "fail",
            OnConflict::Refuse => "refuse",
        }
    }

    /// Parses a choice of a client.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Number, Self::Replace, Self::Skip, Self::Fail].into_iter().find(|known| known.as_str() == text)
    }

    /// Requires the right to what an upload may find in its place: to replace it or to see it.
    ///
    /// # Errors
    /// [`Error::RightRequired`].
    pub(super) fn check_rights(self, permit: &Permit) -> Result<()> {
        match self {
            OnConflict::Replace => permit.require(Right::Update),
            OnConflict::Skip => permit.require(Right::List),
            OnConflict::Number | OnConflict::Fail | OnConflict::Refuse => Ok(()),
        }
    }

    /// The error of a name that is taken by something that cannot be replaced or skipped.
    pub(super) fn error(self) -> Error {
        if self == OnConflict::Refuse { Error::PreconditionFailed } else { Error::PathTaken }
    }
}

/// What was done about a name that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The name got a number.
    Numbered,
    /// What was there was replaced.
    Replaced,
    /// Nothing was done.
    Skipped,
}

impl Conflict {
    /// The stable name, as responses have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Conflict::Numbered => "numbered",
            Conflict::Replaced => "replaced",
            Conflict::Skipped => "skipped",
        }
    }

    /// Parses a stable name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Numbered, Self::Replaced, Self::Skipped].into_iter().find(|known| known.as_str() == text)
    }

    /// Whether another name than the requested one is a conflict.
    pub(super) fn of_name(name: &FileName, requested: &FileName) -> Option<Self> {
        (name != requested).then_some(Self::Numbered)
    }
}

/// A file or a folder after an operation that gives it a name.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The file or the folder. If the content of an upload was skipped, the file that is there; if another operation was
    /// skipped, the one that it was for, unchanged.
    pub item: T,
    /// What was done if the name was taken; otherwise `None`.
    pub conflict: Option<Conflict>,
}

impl<T> Placed<T> {
    /// Of an operation that was skipped.
    pub(super) fn skipped(item: T) -> Self {
        Self { item, conflict: Some(Conflict::Skipped) }
    }
}

/// An operation without a conflict.
impl<T> From<T> for Placed<T> {
    fn from(item: T) -> Self {
        Self { item, conflict: None }
    }
}

/// What has a name.
pub(super) enum Occupant {
    File(Box<File>),
    Folder,
}

/// What has this name in the folder at this location, which the permit is for, if anything.
pub(super) async fn occupant(app: &App, permit: &Permit, inside: &str, name: &str) -> Result<Option<Occupant>> {
    if let Some(file) = app.db.file_at(permit.space_id, inside, name).await? {
        return Ok(Some(Occupant::File(Box::new(File::permitted(file, permit.clone())?))));
    }
    let folder = app.db.folder_at(permit.space_id, &location(&format!("{inside}{name}"))).await?;
    Ok(folder.map(|_| Occupant::Folder))
}

/// The deletion of a file in whose place another one comes: as by a request, into the trash if there is one.
pub(super) fn in_the_way(app: &App, file: &File) -> InTheWayRow {
    let trashed_at = (!app.config.trash_retention.is_zero()).then(|| app.clock.now());
    let kind = if trashed_at.is_some() { EventKind::FileTrashed } else { EventKind::FileDeleted };
    InTheWayRow { id: file.id, blob: file.blob_id, trashed_at, event: file.event(kind).row(&app.clock) }
}

/// What to do about a name that a file or a folder could not get.
pub(super) enum Resolution {
    /// Try the name again: what had it is gone.
    Retry,
    /// Try another name.
    Rename(FileName),
    /// Take the place of this file.
    Replace(Box<File>),
    /// Do nothing.
    Skip,
}

/// Resolves the conflict of a file (`id`) that cannot get its name in the folder at this location, which the permit is
/// for.
///
/// # Errors
/// [`Error::PathTaken`]; [`Error::RightRequired`] if what is there may not be deleted.
pub(super) async fn resolve(
    app: &App,
    permit: &Permit,
    id: Uuid,
    inside: &str,
    name: &FileName,
    on_conflict: OnConflict,
) -> Result<Resolution> {
    match on_conflict {
        OnConflict::Number => Ok(Resolution::Rename(free_name(app, permit.space_id, inside, name).await?)),
        OnConflict::Skip => Ok(Resolution::Skip),
        OnConflict::Replace => match occupant(app, permit, inside, name.as_str()).await? {
            Some(Occupant::Folder) => Err(Error::PathTaken),
            Some(Occupant::File(file)) if file.id != id => {
                permit.require(Right::Delete)?;
                Ok(Resolution::Replace(file))
            }
            _ => Ok(Resolution::Retry),
        },
        OnConflict::Fail | OnConflict::Refuse => Err(on_conflict.error()),
    }
}

/// The name with a number that nothing in the folder at this location has. It takes few steps even among many thousands:
/// the number is doubled until it is free, then the end of the taken ones is found by bisection.
pub(super) async fn free_name(app: &App, space: Uuid, location: &str, name: &FileName) -> Result<FileName> {
    let taken = |number| async move { app.db.location_is_taken(space, location, name.numbered(number).as_str()).await };
    let (mut last_taken, mut free) = (0, 1);
    while taken(free).await? {
        (last_taken, free) = (free, free * 2);
    }
    while free - last_taken > 1 {
        let middle = last_taken + (free - last_taken) / 2;
        if taken(middle).await? { last_taken = middle } else { free = middle }
    }
    Ok(name.numbered(free))
}

/// The outcome of an upload before its content is read: the file to skip to, or `None` if the content is needed. Another
/// request may still take the name.
///
/// # Errors
/// [`Error::PathTaken`] or [`Error::PreconditionFailed`], as `on_conflict` says; [`Error::RightRequired`].
pub(super) async fn before_content(
    app: &App,
    permit: &Permit,
    inside: &str,
    name: &FileName,
    on_conflict: OnConflict,
) -> Result<Option<File>> {
    on_conflict.check_rights(permit)?;
    if on_conflict == OnConflict::Number {
        return Ok(None);
    }
    match (occupant(app, permit, inside, name.as_str()).await?, on_conflict) {
        (None, _) | (Some(Occupant::File(_)), OnConflict::Replace) => Ok(None),
        (Some(Occupant::File(file)), OnConflict::Skip) => Ok(Some(*file)),
        (Some(_), _) => Err(on_conflict.error()),
    }
}
