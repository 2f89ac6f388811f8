//! Uploads of every kind by their id alone, whichever wire they began on.

use std::sync::Arc;

use uuid::Uuid;

mod direct;
mod idempotency;
pub(super) mod pending;
mod reserve;
mod resumable;
pub mod signed_put;
pub(super) mod type_filter;
pub(super) mod whole;

use super::File;
use crate::app::App;
use crate::cursor;
use crate::error::{Error, Result};
use crate::users::User;

pub use direct::{PartClaim, PartLayout, SignedPart, parts, public_bucket, receive_part, sign_parts};
pub use idempotency::IdempotencyKey;
pub use pending::Body;
#[doc(hidden)] // For the benchmarks.
pub use pending::{Meter, metered};
pub use resumable::{Append, Checksum, NewUpload, Upload, UploadProtocol, append, create, status, terminate};
pub use whole::{NewFile, OnConflict, replace, upload};

/// Some uploads under way, and where to go on.
#[derive(Debug)]
pub struct UploadPage {
    pub uploads: Vec<Upload>,
    pub next_cursor: Option<String>,
}

/// One page of the uploads of this user that wait for bytes, in the order in which they began.
///
/// # Errors
/// `BadCursor`; `Invalid` if the limit is out of bounds.
pub async fn list(app: &App, user: &User, limit: Option<u32>, cursor: Option<&str>) -> Result<UploadPage> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let now = app.clock.now().as_microsecond();
    let deadline = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let rows = app.db.open_resumables(user.id, now, deadline, limit as i64 + 1).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |last| cursor::encode_id(last.id));
    Ok(UploadPage { uploads: rows.iter().map(Upload::from).collect(), next_cursor })
}

/// Makes what has arrived the file: the parts of a direct upload, the bytes that came through a
/// signed URL. One whose bytes come in order became a file with the last of them.
///
/// # Errors
/// `NotFound`; `UploadGone`; `UploadIncomplete`; what [`resumable::complete`] and
/// [`signed_put::complete`] fail with.
pub async fn complete(app: &Arc<App>, user: &User, id: Uuid, claims: Vec<PartClaim>) -> Result<File> {
    match status(app, user, id).await {
        Err(Error::NotFound) => signed_put::complete(app, user, id).await,
        Ok(Upload { file_id: Some(file), .. }) => crate::files::find(app, user, file).await,
        Ok(Upload { is_direct: true, .. }) => direct::complete(app, user, id, claims).await,
        Ok(_) => Err(Error::UploadIncomplete),
        Err(error) => Err(error),
    }
}

/// Ends an upload, and gives back what it held. A file that it became is none of its business.
///
/// # Errors
/// `NotFound`; `UploadGone` if it is a file by now, or over.
pub async fn cancel(app: &App, user: &User, id: Uuid) -> Result<()> {
    match resumable::terminate(app, user, id).await {
        Err(Error::NotFound) => signed_put::cancel(app, user, id).await,
        outcome => outcome,
    }
}
