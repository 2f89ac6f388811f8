//! Deleting files: into the trash, or permanently.

use super::{Expected, File, find};
use crate::access::{Right, Subject};
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::faults;

/// The kind of deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Into the trash; permanently if the settings have none.
    Trash,
    /// Immediately and permanently.
    Permanent,
}

/// Deletes a file, which the subject may delete. It is not found from now on; the content of a file that is deleted permanently is
/// removed by the reaper.
///
/// # Errors
/// [`Error::NotFound`] if the file was deleted in the meantime; [`Error::PreconditionFailed`] if its content is not as
/// `expected`.
pub async fn delete(app: &App, subject: &Subject, file: File, expected: &Expected, deletion: Deletion) -> Result<()> {
    let mut file = file;
    loop {
        expected.check(&file)?;
        faults::point("D1");
        match try_delete(app, &file, deletion).await {
            // Its content was replaced in the meantime, or it was deleted: check again.
            Err(Error::PreconditionFailed) => file = find(app, subject, Right::Delete, file.id).await?,
            done => {
                faults::point("D2");
                return done;
            }
        }
    }
}

async fn try_delete(app: &App, file: &File, deletion: Deletion) -> Result<()> {
    match deletion {
        Deletion::Trash if !app.config.trash_retention.is_zero() => {
            let event = file.event(EventKind::FileTrashed).row(&app.clock);
            app.db.trash_file(file.space_id, file.id, file.blob_id, app.clock.now(), &event).await
        }
        Deletion::Trash | Deletion::Permanent => {
            let event = file.event(EventKind::FileDeleted).row(&app.clock);
            app.db.delete_file(file.space_id, file.id, file.blob_id, None, &event).await
        }
    }
}
