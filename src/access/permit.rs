//! The predicate.

use uuid::Uuid;

use super::{Right, Rights, Subject};
use crate::app::App;
use crate::db::{GrantedRow, Need, Permit as HeldPermit};
use crate::error::{Error, Result};

/// What a right is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The space that it is in.
    pub space_id: Uuid,
    /// The folder: itself, or the one that the file is in.
    pub folder_id: Uuid,
    /// The location of that folder.
    pub location: &'a str,
    /// The file, if it is one.
    pub file_id: Option<Uuid>,
}

/// The rights of a subject to a file or a folder.
#[derive(Debug, Clone)]
pub struct Permit {
    /// The space that the file or folder is in.
    pub space_id: Uuid,
    /// What the subject may do with it.
    pub rights: Rights,
    /// Where the part of the space begins that the subject sees; `None` if that is the file alone.
    pub root: Option<Root>,
}

/// The topmost folder that a subject sees of a space. Paths are relative to it: the names above it are not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The id of the folder.
    pub folder_id: Uuid,
    /// Its location in the space.
    pub location: String,
}

impl Permit {
    /// All rights in a space.
    pub fn everything(space_id: Uuid) -> Self {
        Self { space_id, rights: Rights::ALL, root: Some(Root { folder_id: space_id, location: String::new() }) }
    }

    /// The part of a path or location in the space that the subject sees.
    pub fn visible<'p>(&self, path: &'p str) -> &'p str {
        match &self.root {
            Some(root) => path.get(root.location.len()..).unwrap_or_default(),
            None => "",
        }
    }

    /// Requires a right.
    ///
    /// # Errors
    /// [`Error::RightRequired`] if the subject does not have it.
    pub fn require(&self, right: Right) -> Result<()> {
        if self.rights.contains(right) { Ok(()) } else { Err(Error::RightRequired { right: right.as_str() }) }
    }
}

/// Asks for a right.
///
/// # Errors
/// [`Error::NotFound`] if the subject does not even see the target; [`Error::RightRequired`] if it sees it and does not
/// have the right; [`Error::Unavailable`].
pub async fn permit(app: &App, subject: &Subject, right: Right, target: &Target<'_>) -> Result<Permit> {
    let permit = match target.space_id == subject.actor {
        true => Permit::everything(target.space_id),
        false => granted(app, subject, target).await?,
    };
    let seen = match target.file_id {
        Some(_) => [Right::List, Right::Read, Right::Preview].as_slice(),
        None => [Right::List, Right::Create].as_slice(),
    };
    if !seen.iter().any(|right| permit.rights.contains(*right)) {
        return Err(Error::NotFound);
    }
    permit.require(right)?;
    if target.space_id != subject.actor {
        let Target { folder_id, file_id, .. } = *target;
        let bit = Rights::of(&[right]).bits();
        HeldPermit::add_need(Need { actor: subject.actor, folder_id, file_id, rights: bit });
    }
    Ok(permit)
}

/// The rights from grants.
async fn granted(app: &App, subject: &Subject, target: &Target<'_>) -> Result<Permit> {
    let rows = app.db.granted(subject.actor, target.folder_id, target.file_id, app.clock.now()).await?;
    let rights = rows.iter().fold(Rights::NONE, |rights, row| rights.or(Rights::from_bits(row.rights)));
    // The topmost folder that is listed; of one that takes uploads only, the topmost of those.
    let topmost = |right| {
        let rows = rows.iter().filter(move |row| Rights::from_bits(row.rights).contains(right));
        rows.filter_map(root_of).min_by_key(|root| root.location.len())
    };
    let root = topmost(Right::List).or_else(|| topmost(Right::Create).filter(|_| target.file_id.is_none()));
    Ok(Permit { space_id: target.space_id, rights, root })
}

fn root_of(row: &GrantedRow) -> Option<Root> {
    row.folder_id.map(|folder_id| Root { folder_id, location: row.location.clone().unwrap_or_default() })
}
