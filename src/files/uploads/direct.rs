//! Direct uploads: the client sends parts straight to the store through signed URLs, in any order and from any number of
//! clients; this server signs the URLs and checks the whole on completion.

mod complete;
mod layout;
mod receive;

use std::time::Duration;

use url::Url;
use uuid::Uuid;

use super::resumable::{DIRECT, expiry, find, key, lease};
use crate::access::Subject;
use crate::app::App;
use crate::db::{ByteCount, ResumableRow};
use crate::error::{Error, Result};
use crate::files::lifetime::signed_url_lifetime;
use crate::net::unreachable_reason;
use crate::store::{Operation, PartTarget, SignRequest, SignedUrl, StoredPart};

pub use complete::{ExpectedPart, complete};
pub use layout::PartLayout;
pub use receive::receive_part;

/// Maximum number of parts that are signed if the client names none.
const DEFAULT_BATCH: usize = 100;

/// A signed URL for one part.
#[derive(Debug)]
pub struct SignedPart {
    /// The number of the part, from 1.
    pub number: u64,
    /// The bytes that it must have.
    pub size: u64,
    /// The URL, with the headers that the request must have.
    pub url: SignedUrl,
}

/// The bucket to which a page should send the parts of a large file, if its address shows that browsers can reach
/// it. `None` where types are restricted: a body through this server is refused by its first bytes, a direct upload only
/// after its last.
pub fn public_bucket(app: &App) -> Option<&Url> {
    let bucket = app.store.public_bucket().filter(|_| app.config.limits.allowed_types.is_any());
    bucket.filter(|bucket| unreachable_reason(&app.config.public_url, bucket).is_none())
}

/// Signs URLs for parts: for those with these numbers, or for the first missing ones, none for an empty file. Each call
/// extends the expiry of the upload.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if the upload has expired or all its parts are assembled;
/// [`Error::Invalid`] if a number or the lifetime is out of range, or there are too many numbers;
/// [`Error::Unavailable`].
pub async fn sign_parts(
    app: &App,
    subject: &Subject,
    id: Uuid,
    numbers: Option<Vec<u64>>,
    expires_in: Option<Duration>,
) -> Result<Vec<SignedPart>> {
    let lifetime = signed_url_lifetime(&app.config.limits, expires_in)?;
    let row = find_direct(app, subject, id).await?;
    if row.size == Some(ByteCount(0)) && numbers.as_ref().is_none_or(Vec::is_empty) {
        // The upload became a file when it was created.
        return Ok(Vec::new());
    }
    if row.file_id.is_some() || row.received.0 > 0 {
        return Err(Error::UploadGone);
    }
    let (layout, key, now) = (PartLayout::of(&row)?, key(&row)?, app.clock.now());
    let numbers = match numbers {
        Some(numbers) => numbers,
        None => missing(layout, &stored(app, &row).await?).take(DEFAULT_BATCH.min(app.config.limits.batch)).collect(),
    };
    if numbers.len() > app.config.limits.batch {
        let detail = format!("at most {} in one request", app.config.limits.batch);
        return Err(Error::invalid("/numbers", "too_many", detail));
    }
    app.db.extend_expiry(subject.actor, id, row.blob_id, expiry(app, now), lease(app)).await?;
    let mut signed = Vec::with_capacity(numbers.len());
    for (index, number) in numbers.into_iter().enumerate() {
        let (_, size) = layout.part(number).ok_or_else(|| {
            let detail = format!("from 1 to {}", layout.count());
            Error::invalid(format!("/numbers/{index}"), "out_of_range", detail)
        })?;
        let request = SignRequest {
            operation: Operation::Put,
            key: &key,
            now,
            expires_in: lifetime,
            disposition: None,
            content_type: None,
            generation: 0,
            part: Some(PartTarget { number, multipart_id: row.multipart_id.as_deref() }),
        };
        signed.push(SignedPart { number, size, url: app.store.sign(&request).await? });
    }
    Ok(signed)
}

/// Lists the parts that have arrived, whatever their size.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if the upload has expired; [`Error::Unavailable`].
pub async fn parts(app: &App, subject: &Subject, id: Uuid) -> Result<Vec<StoredPart>> {
    let row = find_direct(app, subject, id).await?;
    let parts = stored(app, &row).await?;
    Ok(parts.chunk_by(|one, other| one.number == other.number).filter_map(<[_]>::last).cloned().collect())
}

fn missing(layout: PartLayout, parts: &[StoredPart]) -> impl Iterator<Item = u64> {
    (1..=layout.count()).filter(|number| parts.binary_search_by_key(number, |part| part.number).is_err())
}

/// The parts that have arrived, in order.
async fn stored(app: &App, row: &ResumableRow) -> Result<Vec<StoredPart>> {
    let (layout, key) = (PartLayout::of(row)?, key(row)?);
    let part = |(number, receipt): (u64, String)| {
        let (_, size) = layout.part(number)?;
        Some(StoredPart { number, size, receipt, modified_at: None })
    };
    match app.store.parts(&key, row.multipart_id.as_deref()).await? {
        // A server that stopped afterwards may have assembled them.
        Some(parts) if parts.is_empty() && app.store.size(&key).await? == Some(layout.size) => {
            // Not empty: to clients, a part without an ETag is one to send.
            Ok((1..=layout.count()).map(|number| (number, "assembled".to_owned())).filter_map(part).collect())
        }
        Some(parts) => Ok(parts),
        None => {
            let rows = app.db.parts(row.id).await?.into_iter();
            Ok(rows.map(|row| (row.number.0, row.receipt)).filter_map(part).collect())
        }
    }
}

/// Finds a direct upload.
async fn find_direct(app: &App, subject: &Subject, id: Uuid) -> Result<ResumableRow> {
    let row = find(app, subject, id).await?;
    if row.mode == DIRECT { Ok(row) } else { Err(Error::NotFound) }
}
