//! The second look. A list shows a suspicion; here the row and the store are asked about the one
//! key, in the order in which no honest change between two questions looks like damage.

use std::time::Duration;

use futures_util::TryStreamExt;

use super::report::{FsckFinding, FsckFindingKind};
use crate::app::App;
use crate::db::ReferencedBlobRow;
use crate::error::{Error, Result};
use crate::store::{Key, Listed, Object, OpenUpload};

/// How far behind the reaper may be, besides the time between two of its passes.
const BEHIND: Duration = Duration::from_secs(60 * 60);

/// Whether the reaper should have been at this row long ago.
pub(super) fn is_stale(app: &App, row: &ReferencedBlobRow) -> bool {
    let late = (app.config.reap_interval + BEHIND).as_micros() as i64;
    row.state != "ready" && row.overdue > late
}

pub(super) async fn stale(app: &App, key: &str) -> Result<Option<FsckFinding>> {
    let row = app.db.referenced_blob(key).await?.filter(|row| is_stale(app, row));
    Ok(row.map(|row| {
        let since = Duration::from_micros(row.overdue.unsigned_abs());
        let since = humantime::format_duration(Duration::from_secs(since.as_secs()));
        let detail = format!("{}, and the reaper's since {since}", row.state);
        about(&row, FsckFindingKind::Stale, detail)
    }))
}

/// A ready row whose object was not there, or of another size. First the object, then the row.
pub(super) async fn ready(app: &App, key: &str) -> Result<Option<FsckFinding>> {
    let size = app.store.size(&parsed(key)?).await;
    let Some(row) = still_ready(app, key).await? else { return Ok(None) };
    let expected = row.size.unwrap_or_default();
    Ok(match size {
        Ok(None) => Some(about(&row, FsckFindingKind::Missing, format!("{expected} bytes are not there"))),
        Ok(Some(size)) if size as i64 != expected => {
            Some(about(&row, FsckFindingKind::SizeMismatch, format!("{size} bytes instead of {expected}")))
        }
        Ok(Some(_)) => None,
        // Something lies there that is no file.
        Err(Error::Internal(cause)) => Some(about(&row, FsckFindingKind::Unreadable, cause.to_string())),
        Err(error) => return Err(error),
    })
}

/// The row of a key, if it is ready.
pub(super) async fn still_ready(app: &App, key: &str) -> Result<Option<ReferencedBlobRow>> {
    Ok(app.db.referenced_blob(key).await?.filter(|row| row.state == "ready"))
}

/// An object without a row. First the row, then the object.
pub(super) async fn unknown_object(app: &App, object: &Object) -> Result<Option<FsckFinding>> {
    if app.db.referenced_blob(object.key.as_str()).await?.is_some() {
        return Ok(None);
    }
    let size = app.store.size(&object.key).await?;
    Ok(size.map(|size| {
        let detail = format!("{size} bytes since {} without a row", object.modified_at);
        FsckFinding::new(FsckFindingKind::UnknownObject, &object.key, detail)
    }))
}

/// Half-written bytes that their row does not name. First the row, then the store.
pub(super) async fn unknown_upload(app: &App, upload: &OpenUpload) -> Result<Option<FsckFinding>> {
    let row = app.db.referenced_blob(upload.key.as_str()).await?;
    if row.is_some_and(|row| owns(&row, upload)) || !is_open(app, upload).await? {
        return Ok(None);
    }
    let detail = format!("half written since {} without a row", upload.begun_at);
    let finding = FsckFinding::new(FsckFindingKind::UnknownUpload, &upload.key, detail);
    Ok(Some(FsckFinding { upload_id: upload.id.clone(), ..finding }))
}

/// Whether an upload belongs to this row, so that its writer or the reaper will end it.
fn owns(row: &ReferencedBlobRow, upload: &OpenUpload) -> bool {
    match row.state.as_str() {
        // Without an id the answer that tells it is on its way, or lost, and then the reaper asks for all.
        "pending" => row.multipart_id.is_none() || row.multipart_id == upload.id,
        "deleting" => row.ready_at.is_none(),
        _ => false,
    }
}

async fn is_open(app: &App, upload: &OpenUpload) -> Result<bool> {
    let open: Vec<_> = app.store.list_uploads(Some(&upload.key)).try_collect().await?;
    Ok(open.into_iter().filter_map(Listed::ours).any(|open| open.id == upload.id))
}

/// A finding about a row, with whom it hurts.
pub(super) fn about(row: &ReferencedBlobRow, kind: FsckFindingKind, detail: String) -> FsckFinding {
    FsckFinding { file_id: row.file_id, owner_id: Some(row.owner_id), ..FsckFinding::new(kind, &row.key, detail) }
}

pub(super) fn parsed(key: &str) -> Result<Key> {
    key.parse().map_err(Error::internal)
}
