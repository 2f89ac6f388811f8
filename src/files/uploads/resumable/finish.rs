//! From all bytes of an upload to a file.

use futures_util::TryStreamExt;
use sha2::Digest;

use super::ledger::restore_hash_state;
use super::{Claim, DIRECT, Upload, complete_size};
use crate::app::App;
use crate::db::{BlobFacts, EndedUpload, ResumableRow};
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::faults;
use crate::files::sniff::{SNIFFED_BYTES, content_type};
use crate::files::uploads::pending::Stored;
use crate::files::uploads::whole::publish;
use crate::files::{FileName, FolderPath, NewFile, OnConflict};
use crate::store::Key;
use crate::users::User;

/// Publishes an upload that has all its bytes. Every step may have been done before, by somebody
/// who did not get to the next one.
///
/// # Errors
/// `UploadGone` if its time is over or somebody else holds it; `StorageFull`; `Unavailable`. The
/// upload stays, and finishing it can be tried again. `TypeRefused`, with which it ends.
pub(in crate::files::uploads) async fn finish(
    app: &App,
    user: &User,
    row: &ResumableRow,
    claim: &Claim,
) -> Result<Upload> {
    faults::point("T4");
    let size = complete_size(row).ok_or(Error::UploadIncomplete)?;
    let (blob_id, key) = match (&row.multipart_id, row.tail_blob_id, &row.tail_key) {
        // So few bytes that the tail is the whole.
        (None, Some(id), Some(key)) => (id, key),
        _ => (row.blob_id, &row.key),
    };
    let key: Key = key.parse().map_err(Error::internal)?;
    // Parts that came straight to the store are put together by now.
    let is_whole = row.mode == DIRECT && size > 0;
    if blob_id == row.blob_id && !is_whole {
        let receipts = app.db.receipts(row.id).await?;
        app.store.assemble(&key, row.multipart_id.as_deref(), receipts, size).await?;
    }
    faults::point("T5");
    let head = head(app, &key, size).await?;
    let facts = BlobFacts {
        id: blob_id,
        size: size as i64,
        sha256: restore_hash_state(&row.hash_state)?.finalize().to_vec(),
        content_type: content_type(&head, row.content_type.as_deref()),
        keep_for: std::time::Duration::ZERO,
        ready_at: app.clock.now().as_microsecond(),
    };
    if !app.config.limits.allowed_types.admit(&facts.content_type) {
        // Nothing of this writer is on its way any more, so the bytes may go at once.
        app.db.release_claim(row.id, claim.writer).await?;
        app.db.delete_resumable(user.id, row.id).await?;
        return Err(Error::TypeRefused);
    }
    let stored = Stored { key, facts };
    let new = NewFile {
        path: FolderPath::new(&row.path, "/path")?,
        name: FileName::new(&row.name, "/name")?,
        on_conflict: OnConflict::Number,
        idempotency_key: None,
    };
    let file = new.file(app, user, &stored);
    events::set_channel(if row.mode == DIRECT { Channel::Direct } else { Channel::Tus });
    let ended = EndedUpload { id: row.id, claim_id: claim.writer, blob_id: row.blob_id };
    let file = publish(app, user, &new, file, None, &stored, Some(&ended)).await?;
    Ok(Upload { file_id: Some(file.id), ..Upload::from(row) })
}

/// The bytes by which the content's type is told.
async fn head(app: &App, key: &Key, size: u64) -> Result<Vec<u8>> {
    let length = size.min(SNIFFED_BYTES as u64);
    if length == 0 {
        return Ok(Vec::new());
    }
    let chunks: Vec<_> = app.store.get(key, 0..length).await?.try_collect().await?;
    Ok(chunks.concat())
}
