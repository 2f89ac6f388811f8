//! The part of a space that a request with paths is about.

use uuid::Uuid;

use super::{Permit, Right, Root, Subject, Target, permit};
use crate::app::App;
use crate::db::{FolderRow, Place};
use crate::error::{Error, Result};

/// The folders of a space that a subject sees, from a root down. The paths of a request are relative to it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Who sees it.
    pub subject: Subject,
    /// Where it begins.
    pub root: Root,
    permit: Permit,
}

impl Tree {
    /// The tree that this folder is in; without one, the own space of the subject.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the subject does not see the folder.
    pub async fn of(app: &App, subject: &Subject, folder: Option<Uuid>) -> Result<Self> {
        match folder.filter(|id| *id != subject.actor) {
            None => {
                let root = Root { folder_id: subject.actor, location: String::new() };
                Ok(Self { subject: *subject, root, permit: Permit::everything(subject.actor) })
            }
            Some(id) => {
                let row = app.db.folder(id).await?.ok_or(Error::NotFound)?;
                let target = Target { space_id: row.space_id, folder_id: id, location: &row.location, file_id: None };
                let seen = match permit(app, subject, Right::List, &target).await {
                    // One that only takes uploads.
                    Err(Error::RightRequired { .. }) => permit(app, subject, Right::Create, &target).await?,
                    seen => seen?,
                };
                let root = seen.root.clone().ok_or(Error::NotFound)?;
                Ok(Self { subject: *subject, root, permit: seen })
            }
        }
    }

    /// The space.
    pub fn space_id(&self) -> Uuid {
        self.permit.space_id
    }

    /// Whether it is the own space of the subject, in which it has all rights.
    pub fn is_own(&self) -> bool {
        self.space_id() == self.subject.actor
    }

    /// The permit that the tree was found with.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The location in the space of a location in the tree.
    pub fn absolute(&self, location: &str) -> String {
        format!("{}{location}", self.root.location)
    }

    /// Requires a right to the folder at this location, or to the deepest one above it that exists.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the subject does not see that folder; [`Error::RightRequired`].
    pub async fn require(&self, app: &App, right: Right, location: &str) -> Result<Permit> {
        if self.is_own() {
            return Ok(self.permit.clone());
        }
        let (folder, _) = self.deepest(app, location).await?;
        self.permit_on(app, right, &folder).await
    }

    /// Where to put a file into the folder at this location; what is missing of it is created. With the permit for the
    /// folder, or for the deepest one above it that exists.
    ///
    /// # Errors
    /// As [`Tree::require`].
    pub async fn place(&self, app: &App, right: Right, location: &str) -> Result<(Place, Permit)> {
        if self.is_own() {
            return Ok((Place::Location(location.to_owned(), app.clock.clone()), self.permit.clone()));
        }
        let (folder, rest) = self.deepest(app, location).await?;
        let permit = self.permit_on(app, right, &folder).await?;
        // By id: the folder may be moved until then.
        let place = match rest.is_empty() {
            true => Place::Folder(folder.folder_id),
            false => Place::Below(folder.folder_id, rest, app.clock.clone()),
        };
        Ok((place, permit))
    }

    /// The deepest folder that exists on the way to a location, and the rest of the way.
    async fn deepest(&self, app: &App, location: &str) -> Result<(Root, String)> {
        let whole = self.absolute(location);
        let FolderRow { id: folder_id, location: found, .. } =
            app.db.deepest_folder(self.space_id(), &whole).await?.ok_or(Error::NotFound)?;
        if found.len() < self.root.location.len() {
            return Err(Error::NotFound);
        }
        let rest = whole[found.len()..].to_owned();
        Ok((Root { folder_id, location: found }, rest))
    }

    async fn permit_on(&self, app: &App, right: Right, folder: &Root) -> Result<Permit> {
        let Root { folder_id, location } = folder;
        let target = Target { space_id: self.space_id(), folder_id: *folder_id, location, file_id: None };
        permit(app, &self.subject, right, &target).await
    }
}
