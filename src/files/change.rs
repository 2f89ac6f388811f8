//! Renames, moves and describes files.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::conflict::{Resolution, in_the_way, resolve};
use super::labels::{MTIME, attributes, checked_tags, mentions_mtime, patched};
use super::name::file_location;
use super::{Conflict, Expected, File, FileName, FolderPath, OnConflict, Placed, abridged, find};
use crate::access::{Permit, Right, Subject, Tree};
use crate::app::App;
use crate::db::{ChangeKind, ChangedFileRow, NewAttributes, Place};
use crate::error::{Error, Result};
use crate::events::EventKind;

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Debug, Clone)]
pub struct Change {
    /// The folder to move the file to.
    pub path: Option<FolderPath>,
    /// The new name.
    pub name: Option<FileName>,
    /// A merge patch for the metadata (RFC 7396).
    pub metadata: Option<Value>,
    /// New tags instead of all others.
    pub tags: Option<Vec<String>>,
    /// What to do if the folder has something else of this name.
    pub on_conflict: OnConflict,
}

impl Default for Change {
    fn default() -> Self {
        Self { path: None, name: None, metadata: None, tags: None, on_conflict: OnConflict::Fail }
    }
}

impl Change {
    /// What the changed file is found by. Unless the change says something about `mtime`, it continues to describe the content,
    /// or not to.
    fn attributes(&self, file: &File) -> NewAttributes {
        let keep_mtime = !self.metadata.as_ref().is_some_and(mentions_mtime);
        let list = attributes(file.metadata.get(), file.tags.get()).into_iter();
        NewAttributes { list: list.filter(|attribute| !keep_mtime || attribute.key != MTIME).collect(), keep_mtime }
    }
}

/// Changes a file, which the subject may update. Concurrent changes are applied one after the other, and none is lost. A change that is
/// skipped because the name is taken leaves the file as it is.
///
/// # Errors
/// [`Error::NotFound`] if the file was deleted in the meantime; [`Error::PreconditionFailed`] if its content is not as
/// `expected`; [`Error::PathTaken`]; [`Error::Invalid`] if the metadata would be too large, or not an object;
/// [`Error::QuotaExceeded`] if longer metadata does not fit into the quota.
pub async fn change(
    app: &App,
    subject: &Subject,
    file: File,
    expected: &Expected,
    change: &Change,
) -> Result<Placed<File>> {
    let mut file = file;
    let mut numbered = None;
    let mut replaced: Option<Box<File>> = None;
    loop {
        expected.check(&file)?;
        let (place, permit) = match &change.path {
            Some(path) => destination(app, subject, &file, path).await?,
            None => (Place::Folder(file.folder_id), file.permit.clone()),
        };
        let original = file.clone();
        let requested = change.name.clone().map_or_else(|| FileName::new(&file.name, "/name"), Ok)?;
        let name = numbered.take().unwrap_or_else(|| requested.clone());
        let old_metadata = file.metadata.get().to_owned();
        if let Some(patch) = &change.metadata {
            file.metadata = patched(&app.config.limits, &file.metadata, patch)?;
        }
        if let Some(tags) = &change.tags {
            file.tags = RawValue::from_string(checked_tags(tags)?).map_err(Error::internal)?;
        }
        let attributes = (change.metadata.is_some() || change.tags.is_some()).then(|| change.attributes(&file));
        let now = app.clock.now();
        let is_moved =
            change.path.as_ref().is_some_and(|path| path.as_str() != file.path) || name.as_str() != file.name;
        let changed = ChangedFileRow {
            id: file.id,
            space: file.space_id,
            revision: file.revision,
            metadata: file.metadata.get().to_owned(),
            old_metadata,
            tags: file.tags.get().to_owned(),
            attributes,
            kind: if is_moved { ChangeKind::FileMoved } else { ChangeKind::FileUpdated },
            now,
        };
        let was = json!({"path": abridged(&file.path), "name": file.name});
        if let Some(path) = &change.path {
            file.path = absolute(&file, path);
        }
        name.as_str().clone_into(&mut file.name);
        let event = file.event(EventKind::FileChanged).with("was", was);
        let (location, event) = (file_location(place, &name), event.row(&app.clock));
        let in_the_way = replaced.take().map(|there| in_the_way(app, &there));
        let quotas = &app.config.quotas;
        match app.db.change_file(&changed, &location, in_the_way.as_ref(), quotas, &event).await {
            Ok(Some(folder_id)) => {
                let replaced = in_the_way.map(|_| Conflict::Replaced);
                let conflict = replaced.or_else(|| Conflict::of_name(&name, &requested));
                let item = File { folder_id, updated_at: now, revision: file.revision + 1, ..file };
                return Ok(Placed { item, conflict });
            }
            // If another request changed one of the files first, this change is applied to the result.
            Ok(None) | Err(Error::PreconditionFailed) => file = find(app, subject, Right::Update, file.id).await?,
            Err(Error::PathTaken) => {
                let inside = super::name::location(&file.path);
                match resolve(app, &permit, file.id, &inside, &requested, change.on_conflict).await? {
                    Resolution::Retry => {}
                    Resolution::Rename(free) => numbered = Some(free),
                    Resolution::Replace(there) => replaced = Some(there),
                    Resolution::Skip => return Ok(Placed::skipped(original)),
                }
                file = find(app, subject, Right::Update, file.id).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The folder at a path, to which files can be added.
///
/// # Errors
/// [`Error::NotFound`] if the subject sees no folder there; [`Error::RightRequired`].
async fn destination(app: &App, subject: &Subject, file: &File, path: &FolderPath) -> Result<(Place, Permit)> {
    // A subject that sees the file alone sees no folder to move it to.
    let root = file.permit.root.as_ref().ok_or(Error::RightRequired { right: Right::Create.as_str() })?;
    let tree = Tree::of(app, subject, Some(root.folder_id)).await?;
    tree.place(app, Right::Create, &path.location()).await
}

/// The path in the space.
fn absolute(file: &File, path: &FolderPath) -> String {
    let root = file.permit.root.as_ref().map_or("", |root| root.location.as_str());
    super::name::path(&format!("{root}{}", path.location())).to_owned()
}
