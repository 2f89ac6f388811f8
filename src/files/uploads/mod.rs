//! Uploads: content on its way to becoming a file.
//!
//! A whole upload is one request ([`upload`], [`replace`]). A resumable upload takes as
//! many as necessary, in order by tus or as parts straight to the store; it has an id, and so has an upload through one
//! [signed PUT](signed_put). The functions of this module take any of these ids.

mod content_hash;
mod direct;
mod idempotency;
mod meter;
pub(super) mod pending;
mod reserve;
mod resumable;
pub mod signed_put;
pub(super) mod type_filter;
pub(super) mod whole;

use std::sync::Arc;

use uuid::Uuid;

use super::{File, Placed};
use crate::access::{Right, Subject};
use crate::app::App;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::ResumableRow;
use crate::error::{Error, Result};

pub use direct::{ExpectedPart, PartLayout, SignedPart, parts, public_bucket, receive_part, sign_parts};
pub use idempotency::IdempotencyKey;
#[doc(hidden)] // For the benchmarks.
pub use meter::{Meter, metered};
pub use pending::Body;
pub use resumable::{
    Append, Checksum, NewUpload, Upload, UploadProtocol, append, create, declared_type, status, terminate,
};
pub use whole::{NewFile, replace, upload, upload_with_late_location};

/// Lists the resumable uploads of the subject that are not complete, in the order of their creation. `limit` is a number
/// of uploads.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list(app: &App, subject: &Subject, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Upload>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let now = app.clock.now();
    let after = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(after, |last: &ResumableRow| last.id);
        let bytes_of = |row: &ResumableRow| 512 + row.path.len() + row.name.len() + row.upload_metadata.len();
        page.add(app.db.open_resumables(subject.actor, now, after, count).await?, bytes_of);
    }
    let page = page.finish(|last| cursor::encode_id(last.id));
    Ok(page.map(|row| Upload::from(&row)))
}

/// Completes an upload: assembles the parts of a direct upload, or publishes what arrived through a signed PUT. A tus
/// upload completes by itself with its last byte.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`]; [`Error::UploadIncomplete`], or [`Error::PartsMissing`] of a direct
/// upload; [`Error::UploadBusy`]; [`Error::TooLarge`]; [`Error::TypeRefused`]; [`Error::DigestMismatch`];
/// [`Error::QuotaExceeded`]; [`Error::PathTaken`]; [`Error::PreconditionFailed`] if the file of a signed PUT has changed;
/// [`Error::Unavailable`].
pub async fn complete(
    app: &Arc<App>,
    subject: &Subject,
    id: Uuid,
    expected: Vec<ExpectedPart>,
) -> Result<Placed<File>> {
    match status(app, subject, id).await {
        Err(Error::NotFound) => signed_put::complete(app, subject, id).await.map(Placed::from),
        Ok(Upload { file_id: Some(file), .. }) => super::find(app, subject, Right::List, file).await.map(Placed::from),
        Ok(Upload { is_direct: true, .. }) => direct::complete(app, subject, id, expected).await,
        Ok(_) => Err(Error::UploadIncomplete),
        Err(error) => Err(error),
    }
}

/// Cancels an upload and releases what it reserved.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if it was completed or has expired.
pub async fn cancel(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    match resumable::cancel(app, subject, id).await {
        Err(Error::NotFound) => signed_put::cancel(app, subject, id).await,
        outcome => outcome,
    }
}
