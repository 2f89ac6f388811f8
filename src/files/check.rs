//! Which files of a list are new, before any of them is uploaded.

use uuid::Uuid;

use super::labels::text_of;
use super::{FileName, FolderPath};
use crate::access::{Right, Tree};
use crate::app::App;
use crate::error::{Error, Result};

/// A file as a client has it.
#[derive(Debug, Clone)]
pub struct CheckedFile {
    /// The folder.
    pub path: FolderPath,
    /// The name.
    pub name: FileName,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256, if the client knows it.
    pub sha256: Option<Vec<u8>>,
    /// When its content was last changed, in any form: as the member `mtime` of metadata.
    pub mtime: Option<serde_json::Value>,
}

/// What there is at the path and name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Nothing.
    New,
    /// A file with the same content.
    Identical(Uuid),
    /// A file with other content, or with content that is not known to be the same.
    Differs(Uuid),
    /// A folder.
    Folder,
}

/// Compares a list of files with those of a tree, in the order of the list. A file is identical if size and SHA-256
/// are the same; without a SHA-256, if size and `mtime` are the same and the content is the one that was sent with it.
///
/// # Errors
/// [`Error::Invalid`] if there are too many; [`Error::RightRequired`] if the files of the tree may not be listed;
/// [`Error::Unavailable`].
pub async fn check(app: &App, tree: &Tree, files: &[CheckedFile]) -> Result<Vec<Checked>> {
    tree.permit().require(Right::List)?;
    let maximum = app.config.limits.batch;
    if files.len() > maximum {
        return Err(Error::invalid("/files", "too_many", format!("at most {maximum} files")));
    }
    let mtime = |file: &CheckedFile| file.mtime.as_ref().and_then(text_of).unwrap_or_default();
    let places: Vec<_> =
        files.iter().map(|file| (tree.absolute(&file.path.location()), file.name.as_str(), mtime(file))).collect();
    let (found, folders) = app.db.check_places(tree.space_id(), &places).await?;
    let mut checked = vec![Checked::New; files.len()];
    let at = |index: i64| usize::try_from(index).ok().filter(|index| *index < files.len());
    for row in &found {
        let Some(index) = at(row.index) else { continue };
        let file = &files[index];
        let is_same = match &file.sha256 {
            Some(sha256) => *sha256 == row.sha256,
            None => !places[index].2.is_empty() && row.same_mtime > 0,
        };
        let is_same = is_same && file.size == row.size.0;
        checked[index] = if is_same { Checked::Identical(row.id) } else { Checked::Differs(row.id) };
    }
    for index in folders.into_iter().filter_map(at) {
        checked[index] = Checked::Folder;
    }
    Ok(checked)
}
