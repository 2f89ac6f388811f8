//! Uploads straight to the store: the client sends parts through signed URLs, in any order and from
//! anywhere, and this server only says in the end whether they are the file.

mod complete;
mod layout;
mod receive;

use std::time::Duration;

use url::Url;
use uuid::Uuid;

use super::resumable::{DIRECT, expiry, find, key, lease};
use crate::app::App;
use crate::db::ResumableRow;
use crate::error::{Error, Result};
use crate::files::lifetime::signed_url_lifetime;
use crate::net::is_unreachable;
use crate::store::{Operation, PartTarget, SignRequest, SignedUrl, StoredPart};
use crate::users::User;

pub use complete::{PartClaim, complete};
pub use layout::PartLayout;
pub use receive::receive_part;

/// Parts that are signed when the client does not say which.
const USUAL_BATCH: usize = 100;

/// A part that may be sent now.
#[derive(Debug)]
pub struct SignedPart {
    pub number: u64,
    /// Bytes that it must have.
    pub size: u64,
    pub url: SignedUrl,
}

/// The bucket to which a page had better send the parts of a big file, as far as its address tells. Not where types are
/// limited: through this server, a file is refused by its first bytes, straight to the bucket only deadline its last.
pub fn public_bucket(app: &App) -> Option<&Url> {
    let bucket = app.store.public_bucket().filter(|_| app.config.limits.allowed_types.is_any());
    bucket.filter(|bucket| is_unreachable(&app.config.public_url, bucket).is_none())
}

/// Signs URLs for parts: for those with these numbers, or for the first ones that are missing.
/// Whoever asks gives the upload another day.
///
/// # Errors
/// `NotFound`; `UploadGone` if it is over or complete; `Invalid` if a number is not one of the
/// upload's, there are too many of them, or the life is out of bounds; `Unavailable`.
pub async fn sign_parts(
    app: &App,
    user: &User,
    id: Uuid,
    numbers: Option<Vec<u64>>,
    expires_in: Option<Duration>,
) -> Result<Vec<SignedPart>> {
    let life = signed_url_lifetime(&app.config.limits, expires_in)?;
    let row = find_direct(app, user, id).await?;
    if row.file_id.is_some() || row.received > 0 {
        return Err(Error::UploadGone);
    }
    let (cut, key, now) = (PartLayout::of(&row)?, key(&row)?, app.clock.now());
    let numbers = match numbers {
        Some(numbers) => numbers,
        None => missing(cut, &stored(app, &row).await?).take(USUAL_BATCH.min(app.config.limits.batch)).collect(),
    };
    if numbers.len() > app.config.limits.batch {
        let detail = format!("at most {} at once", app.config.limits.batch);
        return Err(Error::invalid("/numbers", "too_many", detail));
    }
    app.db.extend_expiry(user.id, id, row.blob_id, expiry(app, now), lease(app)).await?;
    let mut signed = Vec::with_capacity(numbers.len());
    for (place, number) in numbers.into_iter().enumerate() {
        let (_, size) = cut.part(number).ok_or_else(|| {
            let detail = format!("from 1 to {}", cut.count());
            Error::invalid(format!("/numbers/{place}"), "out_of_range", detail)
        })?;
        let request = SignRequest {
            operation: Operation::Put,
            key: &key,
            now,
            expires_in: life,
            disposition: None,
            content_type: None,
            generation: 0,
            part: Some(PartTarget { number, multipart_id: row.multipart_id.as_deref() }),
        };
        signed.push(SignedPart { number, size, url: app.store.sign(&request).await? });
    }
    Ok(signed)
}

/// The parts that have arrived, whether they are of the right size or not.
///
/// # Errors
/// `NotFound`; `UploadGone` if the upload's time is over; `Unavailable`.
pub async fn parts(app: &App, user: &User, id: Uuid) -> Result<Vec<StoredPart>> {
    let row = find_direct(app, user, id).await?;
    let parts = stored(app, &row).await?;
    Ok(parts.chunk_by(|one, other| one.number == other.number).filter_map(<[_]>::last).cloned().collect())
}

fn missing(cut: PartLayout, parts: &[StoredPart]) -> impl Iterator<Item = u64> {
    (1..=cut.count()).filter(|number| parts.binary_search_by_key(number, |part| part.number).is_err())
}

/// What has arrived, in order.
async fn stored(app: &App, row: &ResumableRow) -> Result<Vec<StoredPart>> {
    let (cut, key) = (PartLayout::of(row)?, key(row)?);
    let part = |(number, receipt): (u64, String)| {
        let (_, size) = cut.part(number)?;
        Some(StoredPart { number, size, receipt, modified_at: None })
    };
    match app.store.parts(&key, row.multipart_id.as_deref()).await? {
        // They may be put together by now, by a server that did not get further.
        Some(parts) if parts.is_empty() && app.store.size(&key).await? == Some(cut.size) => {
            // Not empty: clients take a part without an ETag for one to send.
            Ok((1..=cut.count()).map(|number| (number, "assembled".to_owned())).filter_map(part).collect())
        }
        Some(parts) => Ok(parts),
        None => {
            let rows = app.db.parts(row.id).await?.into_iter();
            Ok(rows.map(|row| (row.number as u64, row.receipt)).filter_map(part).collect())
        }
    }
}

/// As [`find`], but only an upload of this kind.
async fn find_direct(app: &App, user: &User, id: Uuid) -> Result<ResumableRow> {
    let row = find(app, user, id).await?;
    if row.mode == DIRECT { Ok(row) } else { Err(Error::NotFound) }
}
