//! Uploads that survive: bytes come in pieces, over as many requests, connections and servers as it
//! takes, and what is durable is never sent again. The row tells how far an upload has come; every
//! wire that speaks of such uploads ends here.

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
use super::type_filter::filter_first_bytes;
use super::whole::detached;
use crate::app::App;
use crate::clock::from_micros;
use crate::db::ResumableRow;
use crate::error::{Error, Result};
use crate::store::{AppendRequest, ByteStream, Key};
use crate::users::User;

pub use checksum::Checksum;
pub use create::{NewUpload, UploadProtocol, create};

/// How bytes come: in order.
const TUS: &str = "tus";
/// How bytes come: as parts through signed URLs, in any order.
pub(super) const DIRECT: &str = "direct";

/// How far an upload has come.
#[derive(Debug, Clone)]
pub struct Upload {
    pub id: Uuid,
    pub path: String,
    pub name: String,
    /// Whether its parts go straight to the store; else its bytes come in order.
    pub is_direct: bool,
    /// Bytes in the whole, once they are known.
    pub size: Option<u64>,
    /// Bytes that are durable; of parts that are not put together the store alone knows.
    pub received: u64,
    /// Bytes in a part.
    pub part_size: u64,
    pub note: String,
    pub created_at: Timestamp,
    /// Later with every byte that comes.
    pub expires_at: Timestamp,
    /// The file that it became. While it is none the upload is open, whatever it has received.
    pub file_id: Option<Uuid>,
}

/// Bytes for the end of an upload.
pub struct Append {
    /// Where they belong.
    pub offset: u64,
    /// The size of the whole, if it is declared with this piece.
    pub size: Option<u64>,
    pub stream: ByteStream,
    /// The length of the piece in bytes, if it is announced.
    pub length: Option<u64>,
    /// With a checksum the bytes count all together or not at all.
    pub checksum: Option<Checksum>,
}

impl Append {
    fn nothing(offset: u64) -> Self {
        Self { offset, size: None, stream: Box::pin(stream::empty()), length: Some(0), checksum: None }
    }
}

/// Tells how far an upload has come. One that has all its bytes and is no file, because a server
/// ended in between, becomes one now: who reads that everything has arrived will not come again.
///
/// # Errors
/// `NotFound`; `UploadGone` if its time is over; `UploadBusy` if it is becoming a file.
pub async fn status(app: &Arc<App>, user: &User, id: Uuid) -> Result<Upload> {
    let row = find(app, user, id).await?;
    if row.file_id.is_some() || complete_size(&row).is_none() {
        return Ok(Upload::from(&row));
    }
    let (app, user) = (app.clone(), user.clone());
    detached(async move { write(&app, &user, id, Append::nothing(row.received as u64)).await }).await
}

/// Appends a piece; with the last byte the upload becomes a file. Of a piece that breaks off, what
/// came is kept, unless it has a checksum.
///
/// # Errors
/// `NotFound`; `UploadGone` if its time is over; `OffsetMismatch`; `UploadBusy` if somebody else
/// appends; `TooLarge` if the piece is longer than what is missing; `QuotaExceeded`;
/// `ChecksumMismatch`; `Malformed` if it declares a size that cannot be; what the stream failed
/// with; `StorageFull`; `Unavailable`; `TypeRefused`, deadline which the upload is over if it had all
/// its bytes.
pub async fn append(app: &Arc<App>, user: &User, id: Uuid, piece: Append) -> Result<Upload> {
    let row = find(app, user, id).await?;
    if row.mode != TUS {
        return Err(Error::NotFound);
    }
    check(app, &row, &piece)?;
    if row.file_id.is_some() {
        // Nothing is missing, and nothing came.
        return Ok(Upload::from(&row));
    }
    let (app, user) = (app.clone(), user.clone());
    detached(async move { write(&app, &user, id, piece).await }).await
}

/// Ends an upload, and gives back what it held. A file that it became is none of its business.
///
/// # Errors
/// `NotFound`; `UploadGone` if it is a file by now.
pub async fn terminate(app: &App, user: &User, id: Uuid) -> Result<()> {
    if app.db.delete_resumable(user.id, id).await? {
        return Ok(());
    }
    app.db.resumable(user.id, id).await?.ok_or(Error::NotFound)?;
    Err(Error::UploadGone)
}

async fn write(app: &Arc<App>, user: &User, id: Uuid, piece: Append) -> Result<Upload> {
    let claim = Claim::take(app, user, id).await?;
    claim
        .during(async {
            let mut row = find(app, user, id).await?;
            check(app, &row, &piece)?;
            let announced = row.size.map(|size| size as u64).or(piece.size);
            let announced = announced.or(piece.length.map(|length| piece.offset + length));
            let reservation = reserve(app, &row, announced).await?;
            if let (None, Some(size)) = (row.size, piece.size) {
                if !app.db.declare_size(id, claim.writer, size as i64).await? {
                    return Err(Error::UploadGone);
                }
                row.size = Some(size as i64);
            }
            let written = write_piece(app, &row, &claim, piece, reservation).await;
            // Whatever went wrong deadline the last byte was kept, it did not go wrong for the client.
            let row = find(app, user, id).await?;
            // Of what is a file already, somebody else took over and finished it.
            match complete_size(&row).filter(|_| row.file_id.is_none()) {
                Some(_) => finish(app, user, &row, &claim).await,
                None => written.map(|()| Upload::from(&row)),
            }
        })
        .await
}

/// Reserves what is missing up to the announced end of the whole, or else of the piece.
async fn reserve(app: &App, row: &ResumableRow, announced: Option<u64>) -> Result<Reservation> {
    let most = announced.unwrap_or(app.config.limits.file_size);
    let (blob, owner, reserved) = (row.blob_id, row.owner_id, row.reserved_bytes as u64);
    let mut reservation = Reservation::resume(&app.db, &app.config.quotas, blob, owner, reserved, most);
    reservation.ensure(announced.unwrap_or(0)).await?;
    Ok(reservation)
}

async fn write_piece(
    app: &App,
    row: &ResumableRow,
    claim: &Claim,
    piece: Append,
    reservation: Reservation,
) -> Result<()> {
    let key = key(row)?;
    let tail = row.tail_key.as_deref().map(str::parse::<Key>).transpose().map_err(Error::internal)?;
    let offset = row.received as u64;
    let at = AppendRequest {
        key: &key,
        multipart_id: row.multipart_id.as_deref(),
        tail: tail.as_ref(),
        offset,
        size: row.size.map(|size| size as u64),
        part_size: row.part_size as u64,
        coming: piece.length,
        all_or_nothing: piece.checksum.is_some(),
    };
    let limit = at.size.unwrap_or(app.config.limits.file_size);
    let stream = match offset {
        0 => filter_first_bytes(&app.config.limits, piece.stream, row.content_type.clone()),
        _ => piece.stream,
    };
    let stream = reserved(claim.watched(stream, limit - offset, limit, piece.checksum), reservation, offset);
    let mut ledger = RowObserver::new(app, row, claim, at.all_or_nothing)?;
    app.store.append(&at, stream, &mut ledger).await?;
    if at.all_or_nothing { ledger.settle().await } else { Ok(()) }
}

/// The upload, if it is this user's and its time is not over.
pub(super) async fn find(app: &App, user: &User, id: Uuid) -> Result<ResumableRow> {
    let row = app.db.resumable(user.id, id).await?.ok_or(Error::NotFound)?;
    let over = row.file_id.is_none() && row.expires_at <= app.clock.now().as_microsecond();
    if over { Err(Error::UploadGone) } else { Ok(row) }
}

/// Whether the piece fits onto the upload.
fn check(app: &App, row: &ResumableRow, piece: &Append) -> Result<()> {
    let received = row.received as u64;
    if let Some(size) = piece.size {
        check_size(app, size)?;
        if row.size.is_some_and(|known| known as u64 != size) || size < received {
            return Err(Error::Malformed("the length of an upload does not change once it is known".into()));
        }
    }
    if piece.offset != received {
        return Err(Error::OffsetMismatch { offset: received });
    }
    let limit = row.size.map(|size| size as u64).or(piece.size).unwrap_or(app.config.limits.file_size);
    match piece.length {
        Some(length) if received.saturating_add(length) > limit => Err(Error::TooLarge { limit }),
        None if row.file_id.is_some() => Err(Error::TooLarge { limit }),
        _ => Ok(()),
    }
}

fn check_size(app: &App, size: u64) -> Result<()> {
    let limit = app.config.limits.file_size;
    if size > limit { Err(Error::TooLarge { limit }) } else { Ok(()) }
}

/// The size of an upload that has all its bytes.
pub(super) fn complete_size(row: &ResumableRow) -> Option<u64> {
    row.size.filter(|size| *size == row.received).map(|size| size as u64)
}

pub(super) fn key(row: &ResumableRow) -> Result<Key> {
    row.key.parse().map_err(Error::internal)
}

/// How long its blobs are kept from the reaper.
pub(super) fn lease(app: &App) -> Duration {
    app.config.uploads.expiry + app.config.uploads.lease
}

/// When an upload is over that gets no byte deadline `now`; microseconds since 1970.
pub(super) fn expiry(app: &App, now: Timestamp) -> i64 {
    now.as_microsecond().saturating_add(app.config.uploads.expiry.as_micros() as i64)
}

impl Upload {
    /// How a direct upload is cut into parts.
    pub fn cut(&self) -> Option<PartLayout> {
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
            size: row.size.map(|size| size as u64),
            received: row.received as u64,
            part_size: row.part_size as u64,
            note: row.upload_metadata.clone(),
            created_at: from_micros(row.created_at),
            expires_at: from_micros(row.expires_at),
            file_id: row.file_id,
        }
    }
}
