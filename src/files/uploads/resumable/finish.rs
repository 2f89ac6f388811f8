//! Publishes an upload that has received all its bytes.

use futures_util::stream;

use super::{Claim, DIRECT, complete_size};
use crate::access::{Subject, Tree};
use crate::app::App;
use crate::db::{BlobFacts, EndedUpload, ResumableRow};
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::faults;
use crate::files::sniff::MOST_SNIFFED_BYTES;
use crate::files::uploads::content_hash::ContentHash;
use crate::files::uploads::pending::Stored;
use crate::files::uploads::type_filter::{Purpose, detect};
use crate::files::uploads::whole::publish;
use crate::files::{Conflict, File, FileName, FolderPath, Labels, NewFile, OnConflict, Placed};
use crate::store::{ByteStream, Key};

/// Publishes an upload that has received all its bytes. Each step may already have been completed by a writer that
/// crashed.
///
/// # Errors
/// [`Error::UploadGone`] if it has expired, or another writer has claimed it; [`Error::StorageFull`];
/// [`Error::Unavailable`]: the upload stays, and can be completed later. With [`Error::TypeRefused`] and
/// [`Error::PathTaken`] it ends, and also if its content is skipped.
pub(in crate::files::uploads) async fn finish(
    app: &App,
    subject: &Subject,
    row: &ResumableRow,
    claim: &Claim,
) -> Result<Placed<File>> {
    faults::point("T4");
    let size = complete_size(row).ok_or(Error::UploadIncomplete)?;
    let (blob_id, key) = match (&row.multipart_id, row.tail_blob_id, &row.tail_key) {
        // So few bytes that the tail is the whole file.
        (None, Some(id), Some(key)) => (id, key),
        _ => (row.blob_id, &row.key),
    };
    let key: Key = key.parse().map_err(Error::internal)?;
    // The parts of a direct upload have been assembled by now.
    let is_assembled = row.mode == DIRECT && size > 0;
    if blob_id == row.blob_id && !is_assembled {
        let receipts = app.db.receipts(row.id).await?;
        app.store.assemble(&key, row.multipart_id.as_deref(), receipts, size).await?;
    }
    faults::point("T5");
    let hash = ContentHash::restore(&row.hash_state)?;
    let facts = BlobFacts {
        id: blob_id,
        size,
        sha256: hash.sha256(),
        crc32: hash.crc32(),
        content_type: stored_type(app, row, &key, size).await?,
        keep_for: std::time::Duration::ZERO,
        ready_at: app.clock.now(),
    };
    if let Err(refused) = Purpose::NewFile.check_type(&app.config.limits, &facts.content_type) {
        claim.delete_upload().await?;
        return Err(refused);
    }
    let stored = Stored { key, facts };
    let new = NewFile {
        path: FolderPath::new(&row.path, "/path")?,
        name: FileName::new(&row.name, "/name")?,
        on_conflict: OnConflict::parse(&row.on_conflict).ok_or_else(|| Error::internal("an unknown on_conflict"))?,
        labels: Labels::stored(row.metadata.clone(), row.tags.clone()),
        idempotency_key: None,
    };
    let tree = Tree::of(app, subject, Some(row.folder_id)).await?;
    events::set_channel(if row.mode == DIRECT { Channel::Direct } else { Channel::Tus });
    let ended = EndedUpload { id: row.id, claim_id: claim.id, blob_id: row.blob_id };
    let published = publish(app, &tree, &new, None, &stored, Some(&ended)).await;
    if matches!(published, Err(Error::PathTaken) | Ok(Placed { conflict: Some(Conflict::Skipped), .. })) {
        claim.delete_upload().await?;
    }
    published
}

/// The content type of the object, by its first bytes.
async fn stored_type(app: &App, row: &ResumableRow, key: &Key, size: u64) -> Result<String> {
    let head: ByteStream = match size.min(MOST_SNIFFED_BYTES as u64) {
        0 => Box::pin(stream::empty()),
        length => app.store.get(key, 0..length).await?,
    };
    Ok(detect(head, row.content_type.as_deref()).await?.content_type)
}
