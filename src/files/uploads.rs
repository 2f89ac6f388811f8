//! Uploads of every kind by their id alone, whichever wire they began on.

use std::sync::Arc;

use uuid::Uuid;

use super::resumable::{self, PartClaim, Upload, upload_status};
use super::{File, signed};
use crate::app::App;
use crate::error::{Error, Result};
use crate::users::User;

/// Uploads under way, in the order in which they began.
#[derive(Debug)]
pub struct UploadPage {
    pub uploads: Vec<Upload>,
    /// The last upload of this page, if there may be another page.
    pub last: Option<Uuid>,
}

/// The uploads of this user that wait for bytes, after the one with this id.
///
/// # Errors
/// `Invalid` if the limit is out of bounds; `Unavailable`.
pub async fn open_uploads(user: &User, app: &App, after: Option<Uuid>, limit: Option<u32>) -> Result<UploadPage> {
    let limit = app.config.limits.on_page(limit)?;
    let now = app.clock.now().as_microsecond();
    let rows = app.db.open_resumables(user.id, now, after.unwrap_or_default(), limit as i64).await?;
    let last = rows.last().filter(|_| rows.len() == limit).map(|row| row.id);
    Ok(UploadPage { uploads: rows.iter().map(Upload::from).collect(), last })
}

/// Makes what has arrived the file: the parts of a direct upload, the bytes that came through a
/// signed URL. One whose bytes come in order became a file with the last of them.
///
/// # Errors
/// `NotFound`; `UploadGone`; `UploadIncomplete`; what [`resumable::complete`] and
/// [`signed::complete_upload`] fail with.
pub async fn complete_any(user: &User, app: &Arc<App>, id: Uuid, claims: Vec<PartClaim>) -> Result<File> {
    match upload_status(user, app, id).await {
        Err(Error::NotFound) => signed::complete_upload(user, app, id).await,
        Ok(Upload { file_id: Some(file), .. }) => super::find(user, app, file).await,
        Ok(Upload { is_direct: true, .. }) => resumable::complete(user, app, id, claims).await,
        Ok(_) => Err(Error::UploadIncomplete),
        Err(error) => Err(error),
    }
}

/// Ends an upload, and gives back what it held. A file that it became is none of its business.
///
/// # Errors
/// `NotFound`; `UploadGone` if it is a file by now, or over.
pub async fn give_up_any(user: &User, app: &App, id: Uuid) -> Result<()> {
    match resumable::terminate(user, app, id).await {
        Err(Error::NotFound) => signed::give_up_upload(user, app, id).await,
        outcome => outcome,
    }
}
