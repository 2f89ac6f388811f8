//! Re-checks one suspicion. The row and the object of one key are read again, in the order in which
//! no regular change between the two reads looks like damage.

use std::time::Duration;

use futures_util::TryStreamExt;

use super::report::{FsckFinding, FsckFindingKind};
use crate::app::App;
use crate::db::ReferencedBlobRow;
use crate::error::{Error, Result};
use crate::store::{Key, Listed, Object, OpenUpload};

/// How late the reaper may be, in addition to its interval.
const REAPER_DELAY: Duration = Duration::from_secs(60 * 60);

/// Whether the reaper should have deleted this row long ago.
pub(super) fn is_stale(app: &App, row: &ReferencedBlobRow) -> bool {
    row.state != "ready" && row.overdue.length() > app.config.reap_interval + REAPER_DELAY
}

/// A row that looked stale.
pub(super) async fn stale(app: &App, key: &str) -> Result<Option<FsckFinding>> {
    let row = app.db.referenced_blob(key).await?.filter(|row| is_stale(app, row));
    Ok(row.map(|row| {
        let overdue = humantime::format_duration(Duration::from_secs(row.overdue.length().as_secs()));
        let detail = format!("{}, overdue for the reaper by {overdue}", row.state);
        finding_about(&row, FsckFindingKind::Stale, detail)
    }))
}

/// Whether this version knows how the object of this row represents its content, and where it is.
pub(super) fn is_known_format(row: &ReferencedBlobRow) -> bool {
    row.format == "raw" && row.location == "main"
}

/// A ready row of which that is not known. Both are immutable, so that it need not be read again.
pub(super) fn unknown_format(row: &ReferencedBlobRow) -> FsckFinding {
    let ReferencedBlobRow { format, location, .. } = row;
    let detail = format!("format {format:?} in the store {location:?}, which this version does not know");
    finding_about(row, FsckFindingKind::UnknownFormat, detail)
}

/// A ready row whose object was missing or of another size. Reads the object, then the row.
pub(super) async fn ready(app: &App, key: &str) -> Result<Option<FsckFinding>> {
    let size = app.store.size(&parse_key(key)?).await;
    let Some(row) = still_ready(app, key).await? else { return Ok(None) };
    let expected = row.size.unwrap_or_default().0;
    Ok(match size {
        Ok(None) => Some(finding_about(&row, FsckFindingKind::Missing, format!("{expected} bytes are missing"))),
        Ok(Some(size)) if size != expected => {
            Some(finding_about(&row, FsckFindingKind::SizeMismatch, format!("{size} bytes instead of {expected}")))
        }
        Ok(Some(_)) => None,
        // Something other than a file is in its place.
        Err(Error::Internal(cause)) => Some(finding_about(&row, FsckFindingKind::Unreadable, cause.to_string())),
        Err(error) => return Err(error),
    })
}

/// The row of a key, if it is ready.
pub(super) async fn still_ready(app: &App, key: &str) -> Result<Option<ReferencedBlobRow>> {
    Ok(app.db.referenced_blob(key).await?.filter(|row| row.state == "ready"))
}

/// An object that had no row. Reads the row, then the object.
pub(super) async fn orphaned_object(app: &App, object: &Object) -> Result<Option<FsckFinding>> {
    if app.db.referenced_blob(object.key.as_str()).await?.is_some() {
        return Ok(None);
    }
    let size = app.store.size(&object.key).await?;
    Ok(size.map(|size| {
        let detail = format!("{size} bytes without a row, last modified {}", object.modified_at);
        FsckFinding::new(FsckFindingKind::OrphanedObject, &object.key, detail)
    }))
}

/// An incomplete upload that its row did not name. Reads the row, then the store.
pub(super) async fn orphaned_upload(app: &App, upload: &OpenUpload) -> Result<Option<FsckFinding>> {
    let row = app.db.referenced_blob(upload.key.as_str()).await?;
    if row.is_some_and(|row| owns(&row, upload)) || !is_open(app, upload).await? {
        return Ok(None);
    }
    let detail = format!("incomplete upload without a row, started {}", upload.started_at);
    let finding = FsckFinding::new(FsckFindingKind::OrphanedUpload, &upload.key, detail);
    Ok(Some(FsckFinding { upload_id: upload.id.clone(), ..finding }))
}

/// Whether an upload belongs to this row, so that its writer or the reaper will end it.
fn owns(row: &ReferencedBlobRow, upload: &OpenUpload) -> bool {
    match row.state.as_str() {
        // Without an id, the response with the id is on its way, or it was lost and the reaper aborts all.
        "pending" => row.multipart_id.is_none() || row.multipart_id == upload.id,
        "deleting" => row.ready_at.is_none(),
        _ => false,
    }
}

async fn is_open(app: &App, upload: &OpenUpload) -> Result<bool> {
    let open: Vec<_> = app.store.list_uploads(Some(&upload.key)).try_collect().await?;
    Ok(open.into_iter().filter_map(Listed::known).any(|open| open.id == upload.id))
}

/// A finding about a row, with the file and the owner that are affected.
pub(super) fn finding_about(row: &ReferencedBlobRow, kind: FsckFindingKind, detail: String) -> FsckFinding {
    FsckFinding { file_id: row.file_id, space_id: Some(row.space_id), ..FsckFinding::new(kind, &row.key, detail) }
}

pub(super) fn parse_key(key: &str) -> Result<Key> {
    key.parse().map_err(Error::internal)
}
