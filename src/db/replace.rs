//! Files that take the place of others: new content of a file, and a file that is moved or restored onto another one.

use jiff::Timestamp;
use uuid::Uuid;

use super::attributes::{NewAttributes, forget_mtime, replace_attributes};
use super::blobs::{BlobFacts, make_ready, mark_for_deletion};
use super::changes::{ChangeKind, record, record_deletion};
use super::events::EventRow;
use super::files::{delete, end_signed_puts};
use super::folders::lock_tree;
use super::idempotency::{KeyResponse, store_response};
use super::resumable::{EndedUpload, finish_upload};
use super::trash::trash;
use super::usage::{UsageDelta, apply_usage, settle_usage};
use super::{ByteCount, Db, Micros, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};
use crate::faults;

statements! {
    REPLACE_CONTENT = "UPDATE files SET blob_id = $4, size = $5, updated_at = $6, revision = revision + 1
        WHERE id = $1 AND space_id = $2 AND blob_id = $3 AND trashed_at IS NULL
            AND EXISTS (SELECT 1 FROM folders d WHERE d.id = folder_id AND d.trashed_at IS NULL)";
    REPLACE_CONTENT_AT = "UPDATE files SET blob_id = $4, size = $5, updated_at = $6, metadata = $10, tags = $11,
            revision = revision + 1
        WHERE id = $1 AND space_id = $2 AND blob_id = $3 AND trashed_at IS NULL AND folder_id = $7 AND name = $8
            AND revision = $9
            AND EXISTS (SELECT 1 FROM folders d WHERE d.id = folder_id AND d.trashed_at IS NULL)";
}

/// A file whose content is replaced.
#[derive(Debug, Clone)]
pub struct ReplacedRow {
    /// The id of the file.
    pub id: Uuid,
    /// The space that it belongs to.
    pub space: Uuid,
    /// The blob that it must have.
    pub old_blob: Uuid,
    /// The state that it must have, and what changes in addition, if it was found by its name.
    pub at: Option<ReplacedAtRow>,
    /// The time of the change.
    pub now: Timestamp,
}

/// A file whose content is replaced, by its name.
#[derive(Debug, Clone)]
pub struct ReplacedAtRow {
    /// The folder that it must be in.
    pub folder: Uuid,
    /// The name that it must have.
    pub name: String,
    /// The revision that it must have.
    pub revision: i64,
    /// Metadata of the client, as JSON.
    pub metadata: String,
    /// The metadata of that revision.
    pub old_metadata: String,
    /// Tags, as JSON.
    pub tags: String,
    /// What the file is found by; `None` if that does not change.
    pub attributes: Option<NewAttributes>,
    /// The quotas that metadata must fit into.
    pub quotas: Quotas,
}

/// A file at the place that another one gets.
#[derive(Debug, Clone)]
pub struct InTheWayRow {
    /// The id of the file.
    pub id: Uuid,
    /// The blob that it must have.
    pub blob: Uuid,
    /// When it is moved to the trash; `None` to delete it permanently.
    pub trashed_at: Option<Timestamp>,
    /// The event of its deletion.
    pub event: EventRow,
}

impl Db {
    /// Replaces the content of a file: makes a pending blob ready, assigns it to the file instead of the old one, marks
    /// that one for deletion, stores the response of the request's idempotency key, and finishes the resumable upload that
    /// the content came from, in one transaction.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the file no longer has its blob or is in another state; [`Error::QuotaExceeded`] if
    /// there is no room for longer metadata; [`Error::UploadGone`] if the lease
    /// of the new blob, the idempotency key or the claim of the upload was lost.
    pub async fn replace(
        &self,
        replaced: &ReplacedRow,
        blob: &BlobFacts,
        response: Option<&KeyResponse>,
        upload: Option<&EndedUpload>,
        event: &EventRow,
    ) -> Result<()> {
        let ReplacedRow { id, space, old_blob, at, now } = replaced;
        let (size, now) = (ByteCount(blob.size), Micros::from(*now));
        self.transaction(async |tx| {
            let mut usage = UsageDelta::default();
            // The upload before its blob, the order in which appends lock the rows.
            if let Some(upload) = upload {
                usage += finish_upload(tx, upload, *id, blob.id).await?;
            }
            usage += make_ready(tx, blob).await?;
            let changed = match at {
                None => tx.execute(REPLACE_CONTENT, (id, space, old_blob, blob.id, size, now)).await?,
                Some(ReplacedAtRow { folder, name, revision, metadata, tags, .. }) => {
                    let row = (id, space, old_blob, blob.id, size, now, folder, name, revision, metadata, tags);
                    tx.execute(REPLACE_CONTENT_AT, row).await?
                }
            };
            if changed != 1 {
                return Err(Error::PreconditionFailed);
            }
            usage += mark_for_deletion(tx, *old_blob).await?;
            // It described the old content.
            forget_mtime(tx, *id).await?;
            match at {
                None => apply_usage(tx, *space, usage).await?,
                Some(at) => {
                    if let Some(attributes) = &at.attributes {
                        replace_attributes(tx, *space, *id, attributes).await?;
                    }
                    usage += UsageDelta::metadata(&at.metadata) + -UsageDelta::metadata(&at.old_metadata);
                    settle_usage(tx, *space, usage, &at.quotas).await?;
                }
            }
            if let Some(response) = response {
                store_response(tx, blob.id, response).await?;
            }
            record(tx, event, ChangeKind::FileReplaced, *id).await?;
            faults::point("K10");
            Ok(())
        })
        .await
    }
}

/// Deletes a file whose place another one gets in the same transaction, and returns the change of its space's usage. To be
/// called before other rows are locked: it locks the tree, so that two files that take each other's place wait.
///
/// # Errors
/// [`Error::PreconditionFailed`] if it no longer has its blob, or is in the trash.
pub(super) async fn clear_the_way(tx: &mut Tx<'_>, space: Uuid, file: Option<&InTheWayRow>) -> Result<UsageDelta> {
    let Some(InTheWayRow { id, blob, trashed_at, event }) = file else { return Ok(UsageDelta::default()) };
    lock_tree(tx, space).await?;
    let mut freed = end_signed_puts(tx, space, *id).await?;
    match trashed_at {
        Some(now) => {
            trash(tx, space, *id, *blob, *now).await?;
            record(tx, event, ChangeKind::FileTrashed, *id).await?;
        }
        None => {
            let (usage, deleted) = delete(tx, space, *id, *blob, None).await?.ok_or(Error::PreconditionFailed)?;
            freed += usage;
            record_deletion(tx, event, *id, &deleted).await?;
        }
    }
    Ok(freed)
}

/// The result of a statement that did not find its file: an error if another one was deleted for it, which must be rolled
/// back.
pub(super) fn unchanged(in_the_way: Option<&InTheWayRow>) -> Result<Option<Uuid>> {
    if in_the_way.is_some() { Err(Error::PreconditionFailed) } else { Ok(None) }
}
