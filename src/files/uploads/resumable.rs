//! Resumable uploads: content arrives over as many requests, connections and servers as necessary, and durable bytes are
//! never sent again. The row records the progress; every protocol for such uploads ends here.

mod checksum;
pub(super) mod claim;
mod create;
pub(super) mod finish;
pub(super) mod ledger;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use jiff::Timestamp;
use uuid::Uuid;

use self::claim::Claim;
use self::finish::finish;
use self::ledger::RowObserver;
use super::direct::PartLayout;
use super::reserve::{Reservation, reserved};
use super::type_filter::filter_first_append;
use super::whole::detached;
use crate::access::{Right, Subject};
use crate::app::App;
use crate::clock::deadline;
use crate::db::{ByteCount, ResumableRow};
use crate::error::{Error, Result};
use crate::files::{Conflict, File, Placed};
use crate::store::{AppendRequest, ByteStream, Key};

pub use checksum::Checksum;
pub use create::{NewUpload, UploadProtocol, create, declared_type};

/// The mode of a row whose bytes arrive in order.
const TUS: &str = "tus";
/// The mode of a row whose bytes arrive as parts through signed URLs, in any order.
pub(super) const DIRECT: &str = "direct";

/// The progress of a resumable upload.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The id by which clients address it.
    pub id: Uuid,
    /// The folder of the future file.
    pub path: String,
    /// The requested name of the future file.
    pub name: String,
    /// Whether the parts go straight to the store; otherwise the bytes arrive in order.
    pub is_direct: bool,
    /// Bytes of the whole file, once declared.
    pub size: Option<u64>,
    /// Durable bytes. Parts of a direct upload do not count before they are assembled.
    pub received: u64,
    /// Bytes of a part.
    pub part_size: u64,
    /// What the client stored with the upload, verbatim.
    pub note: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires, unless more bytes arrive.
    pub expires_at: Timestamp,
    /// The file that it became; `None` while the upload is open, whatever it has received.
    pub file_id: Option<Uuid>,
    /// What was done if its name was taken, by the request that completed it.
    pub conflict: Option<Conflict>,
}

/// Bytes to append to an upload.
pub struct Append {
    /// The offset in bytes at which they start: the end of what was received.
    pub offset: u64,
    /// The size of the whole file in bytes, if it is declared with this append.
    pub size: Option<u64>,
    /// The bytes.
    pub stream: ByteStream,
    /// The length of the stream in bytes, if it is declared.
    pub length: Option<u64>,
    /// With a checksum the append is stored as a whole or not at all.
    pub checksum: Option<Checksum>,
}

impl Append {
    fn empty(offset: u64) -> Self {
        Self { offset, size: None, stream: Box::pin(stream::empty()), length: Some(0), checksum: None }
    }
}

/// The progress of an upload. One that has all its bytes but is not a file yet, because a server stopped in between,
/// becomes one now: a client that reads that everything has arrived does not return.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if it has expired; [`Error::UploadBusy`] if it is being completed.
pub async fn status(app: &Arc<App>, subject: &Subject, id: Uuid) -> Result<Upload> {
    let row = match find(app, subject, id).await {
        Err(Error::NotFound) => return skipped(app, subject, id).await,
        row => row?,
    };
    if row.file_id.is_some() || complete_size(&row).is_none() {
        return Ok(Upload::from(&row));
    }
    let (app, subject) = (app.clone(), *subject);
    detached(async move { write(&app, &subject, id, Append::empty(row.received.0)).await }).await
}

/// Appends bytes; with the last one the upload becomes a file. What arrived of an append that ends early is stored,
/// unless it has a checksum.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if the upload has expired; [`Error::OffsetMismatch`];
/// [`Error::UploadBusy`] if another request is appending; [`Error::TooLarge`] if the append is longer than what is
/// missing; [`Error::QuotaExceeded`]; [`Error::ChecksumMismatch`]; [`Error::Malformed`] if it declares an impossible
/// size; the error of the stream; [`Error::StorageFull`]; [`Error::Unavailable`]; [`Error::TypeRefused`], with which a
/// complete upload ends.
pub async fn append(app: &Arc<App>, subject: &Subject, id: Uuid, append: Append) -> Result<Upload> {
    let row = match find(app, subject, id).await {
        Err(Error::NotFound) => {
            let upload = skipped(app, subject, id).await?;
            let is_at_end = append.offset == upload.received && append.length == Some(0);
            return if is_at_end { Ok(upload) } else { Err(Error::OffsetMismatch { offset: upload.received }) };
        }
        row => row?,
    };
    if row.mode != TUS {
        return Err(Error::NotFound);
    }
    check(app, &row, &append)?;
    if row.file_id.is_some() {
        // Nothing is missing, and the append is empty.
        return Ok(Upload::from(&row));
    }
    let (app, subject) = (app.clone(), *subject);
    detached(async move { write(&app, &subject, id, append).await }).await
}

/// The upload that was skipped for the file with this id.
///
/// # Errors
/// [`Error::NotFound`].
async fn skipped(app: &App, subject: &Subject, id: Uuid) -> Result<Upload> {
    Ok(Upload::of_file(&crate::files::find(app, subject, Right::List, id).await?, None, false))
}

/// Cancels an upload whose bytes arrive in order, and releases what it reserved.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if it has become a file.
pub async fn terminate(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    match app.db.resumable(subject.actor, id).await? {
        Some(row) if row.mode == TUS => cancel(app, subject, id).await,
        _ => Err(Error::NotFound),
    }
}

/// Cancels a resumable upload of either mode and releases what it reserved.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if it has become a file.
pub(super) async fn cancel(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    if app.db.delete_resumable(subject.actor, id).await? {
        return Ok(());
    }
    app.db.resumable(subject.actor, id).await?.ok_or(Error::NotFound)?;
    Err(Error::UploadGone)
}

async fn write(app: &Arc<App>, subject: &Subject, id: Uuid, append: Append) -> Result<Upload> {
    let claim = Claim::acquire(app, subject, id).await?;
    claim
        .hold_while(async {
            let mut row = find(app, subject, id).await?;
            check(app, &row, &append)?;
            let declared = row.size.map(u64::from).or(append.size);
            let declared = declared.or(append.length.map(|length| append.offset + length));
            let reservation = reserve(app, &row, declared).await?;
            if let (None, Some(size)) = (row.size, append.size) {
                if !app.db.declare_size(id, claim.id, size).await? {
                    return Err(Error::UploadGone);
                }
                row.size = Some(ByteCount(size));
            }
            let written = write_append(app, &row, &claim, append, reservation).await;
            // If the last byte is durable, a later error does not concern the client.
            let row = find(app, subject, id).await?;
            // If it is a file already, another writer took over and finished it.
            match complete_size(&row).filter(|_| row.file_id.is_none()) {
                Some(_) => {
                    let Placed { item: file, conflict } = finish(app, subject, &row, &claim).await?;
                    Ok(Upload { file_id: Some(file.id), conflict, ..Upload::from(&row) })
                }
                None => written.map(|()| Upload::from(&row)),
            }
        })
        .await
}

/// Reserves what is missing up to the declared end of the whole, or else of the append.
async fn reserve(app: &App, row: &ResumableRow, declared: Option<u64>) -> Result<Reservation> {
    let max_size = declared.unwrap_or(app.config.limits.file_size);
    let (blob, space, reserved) = (row.blob_id, row.space_id, row.reserved_bytes.0);
    let mut reservation = Reservation::resume(&app.db, &app.config.quotas, blob, space, reserved, max_size);
    reservation.ensure(declared.unwrap_or(0)).await?;
    Ok(reservation)
}

async fn write_append(
    app: &App,
    row: &ResumableRow,
    claim: &Claim,
    append: Append,
    reservation: Reservation,
) -> Result<()> {
    let key = key(row)?;
    let tail = row.tail_key.as_deref().map(str::parse::<Key>).transpose().map_err(Error::internal)?;
    let offset = row.received.0;
    let at = AppendRequest {
        key: &key,
        multipart_id: row.multipart_id.as_deref(),
        tail: tail.as_ref(),
        offset,
        size: row.size.map(u64::from),
        part_size: row.part_size.0,
        announced: append.length,
        all_or_nothing: append.checksum.is_some(),
    };
    let limit = at.size.unwrap_or(app.config.limits.file_size);
    let mut stream = claim.watched(append.stream, limit - offset, limit, append.checksum);
    if offset == 0 {
        stream = filter_first_append(&app.config.limits, stream, row.content_type.as_deref()).await?;
    }
    let mut observer = RowObserver::new(app, row, claim, at.all_or_nothing)?;
    app.store.append(&at, reserved(stream, reservation, offset), &mut observer).await?;
    if at.all_or_nothing { observer.save().await } else { Ok(()) }
}

/// Finds an upload of this user that has not expired.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`].
pub(super) async fn find(app: &App, subject: &Subject, id: Uuid) -> Result<ResumableRow> {
    let row = app.db.resumable(subject.actor, id).await?.ok_or(Error::NotFound)?;
    let is_expired = row.file_id.is_none() && row.expires_at <= app.clock.now().into();
    if is_expired { Err(Error::UploadGone) } else { Ok(row) }
}

/// Checks that the append continues the upload.
fn check(app: &App, row: &ResumableRow, append: &Append) -> Result<()> {
    let received = row.received.0;
    if let Some(size) = append.size {
        check_size(app, size)?;
        if row.size.is_some_and(|known| known.0 != size) || size < received {
            return Err(Error::Malformed("the size of an upload cannot change once it is declared".into()));
        }
    }
    if append.offset != received {
        return Err(Error::OffsetMismatch { offset: received });
    }
    let limit = row.size.map(u64::from).or(append.size).unwrap_or(app.config.limits.file_size);
    match append.length {
        Some(length) if received.saturating_add(length) > limit => Err(Error::TooLarge { limit }),
        None if row.file_id.is_some() => Err(Error::TooLarge { limit }),
        _ => Ok(()),
    }
}

fn check_size(app: &App, size: u64) -> Result<()> {
    let limit = app.config.limits.file_size;
    if size > limit { Err(Error::TooLarge { limit }) } else { Ok(()) }
}

/// The size in bytes of an upload that has received all of them.
pub(super) fn complete_size(row: &ResumableRow) -> Option<u64> {
    row.size.filter(|size| *size == row.received).map(u64::from)
}

pub(super) fn key(row: &ResumableRow) -> Result<Key> {
    row.key.parse().map_err(Error::internal)
}

/// The lease of the blobs of an upload.
pub(super) fn lease(app: &App) -> Duration {
    app.config.uploads.expiry + app.config.uploads.lease
}

/// The expiry of an upload that receives no bytes after `now`.
pub(super) fn expiry(app: &App, now: Timestamp) -> Timestamp {
    deadline(now, app.config.uploads.expiry)
}

impl Upload {
    /// The upload that is skipped for this file: complete, whatever size it was to have.
    fn of_file(file: &File, size: Option<u64>, is_direct: bool) -> Self {
        let size = size.unwrap_or(file.content.size);
        Self {
            id: file.id,
            path: file.path.clone(),
            name: file.name.clone(),
            is_direct,
            size: Some(size),
            received: size,
            part_size: 0,
            note: String::new(),
            created_at: file.created_at,
            expires_at: file.created_at,
            file_id: Some(file.id),
            conflict: None,
        }
    }

    /// The layout of the parts of a direct upload.
    pub fn layout(&self) -> Option<PartLayout> {
        self.size.filter(|_| self.is_direct).map(|size| PartLayout { size, part_size: self.part_size })
    }
}

impl From<&ResumableRow> for Upload {
    fn from(row: &ResumableRow) -> Self {
        Self {
            id: row.id,
            path: row.path.clone(),
            name: row.name.clone(),
            is_direct: row.mode == DIRECT,
            size: row.size.map(u64::from),
            received: row.received.0,
            part_size: row.part_size.0,
            note: row.upload_metadata.clone(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.into(),
            file_id: row.file_id,
            conflict: None,
        }
    }
}
