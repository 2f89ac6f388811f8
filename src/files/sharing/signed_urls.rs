//! Signed URLs: one thing may be done to one content, by anybody, until a time.
//!
//! On S3 they are the bucket's own, if the settings do not say otherwise; on disk this server signs and
//! serves them in the same shape, so that callers never branch. What is put goes straight to the store.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use uuid::Uuid;

use crate::app::App;
use crate::clock::from_micros;
use crate::db::{NewBlobRow, NewSignedPutRow, SignedPutRow};
use crate::error::{Error, Result};
use crate::events::{self, Event, EventKind};
use crate::files::uploads::pending::{Body, Meter, Stored, abandon_on_error, delete_if_orphaned, leased, metered};
use crate::files::uploads::reserve::{Reservation, reserved};
use crate::files::uploads::type_filter::Purpose;
use crate::files::uploads::whole::{detached, swap};
use crate::files::{Content, Expected, File, FileName, content_disposition, is_inline};
use crate::store::{Grant, Key, MultipartObserver, Operation, SignRequest, SignedUrl};
use crate::users::User;

/// What a signed URL is wanted for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub operation: Operation,
    /// Absent: the default of the settings.
    pub expires_in: Option<Duration>,
    /// The name that a download gets instead of the file's own.
    pub download_name: Option<FileName>,
    /// Shown in the browser, if the type is one that may be.
    pub inline: bool,
}

/// A signed URL, and for a put the upload that has to be completed afterwards.
#[derive(Debug)]
pub struct Signed {
    pub url: SignedUrl,
    pub upload_id: Option<Uuid>,
}

/// Makes a signed URL for a file of this user.
///
/// A put goes to a new key: the file keeps its bytes until [`complete_upload`].
///
/// # Errors
/// `NotFound`; `Invalid` if the life is out of bounds, or if the store would take a put twice; for a put
/// `TooManyUploads`, and `QuotaExceeded` if more is used than allowed; `Unavailable`.
pub async fn sign(app: &App, user: &User, id: Uuid, wish: &Wish) -> Result<Signed> {
    let life = checked_lifetime(app, wish.expires_in)?;
    let file = crate::files::find(app, user, id).await?;
    let now = app.clock.now();
    let event = file.event(EventKind::UrlSigned).with("method", wish.operation.method());
    let event = event.with("expires_in", life.as_secs());
    if wish.operation == Operation::Put {
        let signed = sign_put(app, user, &file, now, life).await?;
        app.events.record(&event);
        return Ok(signed);
    }
    let name = wish.download_name.as_ref().map_or(file.name.as_str(), FileName::as_str);
    let url = sign_read(app, &file, wish.operation, name, wish.inline, now, life).await?;
    app.db.record_signed_url(user.id, id, url.expires_at.as_microsecond()).await?;
    app.events.record(&event);
    Ok(Signed { url, upload_id: None })
}

/// Makes GET URLs for files that were found for one user. The instant of signing is rounded down,
/// so that for a while the same file gives the same URL and caches work; no URL lives shorter than asked.
///
/// # Errors
/// `Invalid` if the life is out of bounds; `Unavailable`.
pub async fn sign_for_list(app: &App, files: &[File], expires_in: Option<Duration>) -> Result<Vec<SignedUrl>> {
    let life = checked_lifetime(app, expires_in)?;
    let step = (life / 4).clamp(Duration::from_secs(1), Duration::from_secs(3600));
    // Where a longer life is not allowed, the step is what is left until the most.
    let step = step.min(app.config.limits.signed_url_max - life).as_secs().max(1) as i64;
    let now = app.clock.now().as_second();
    let instant = from_micros((now - now.rem_euclid(step)) * 1_000_000);
    let life = (life + Duration::from_secs(step as u64 - 1)).min(app.config.limits.signed_url_max);
    let mut urls = Vec::with_capacity(files.len());
    for file in files {
        urls.push(sign_read(app, file, Operation::Get, &file.name, true, instant, life).await?);
    }
    if let Some(url) = urls.first() {
        note_list(app, files, url.expires_at).await?;
    }
    Ok(urls)
}

async fn sign_read(
    app: &App,
    file: &File,
    operation: Operation,
    name: &str,
    inline: bool,
    now: Timestamp,
    expires_in: Duration,
) -> Result<SignedUrl> {
    let content_type = &file.content.content_type;
    let disposition = content_disposition(name, inline && is_inline(content_type));
    let request = SignRequest {
        operation,
        key: &file.content.key,
        now,
        expires_in,
        disposition: Some(&disposition),
        content_type: Some(content_type),
        part: None,
        generation: file.signed.generation,
    };
    match app.url_signer() {
        Some(signer) => Ok(signer.sign(&request)),
        None => app.store.sign(&request).await,
    }
}

/// Makes every signed URL that reads this file worthless, at once.
///
/// # Errors
/// `NotFound`; `NotRevocable` where the bucket signs.
pub async fn revoke_signed(app: &App, user: &User, id: Uuid) -> Result<()> {
    crate::files::find(app, user, id).await?;
    if app.url_signer().is_none() {
        return Err(Error::NotRevocable);
    }
    if !app.db.revoke_signed(user.id, id, app.clock.now().as_microsecond()).await? {
        return Err(Error::NotFound);
    }
    tracing::info!(user = %user.id, file = %id, "signed URLs revoked");
    Ok(())
}

/// Writes down, for all files of a list together, until when its URLs live; not more often than that changes.
async fn note_list(app: &App, files: &[File], until: Timestamp) -> Result<()> {
    let Some(owner) = files.first().map(|file| file.owner_id) else { return Ok(()) };
    let Some(known) = app.db.list_signing(owner).await? else { return Ok(()) };
    let revoked = files.iter().map(|file| file.signed.revoked_at).max().unwrap_or_default();
    let until = until.as_microsecond();
    if known.lists_signed_until < until || known.lists_signed_at <= revoked {
        app.db.record_list_signing(owner, until, app.clock.now().as_microsecond()).await?;
    }
    Ok(())
}

/// A put gets a pending blob of its own, whose lease outlives the URL: a transfer that began in
/// time may end deadline it. What is put into a bucket counts toward the quota from its completion on;
/// until then the limit of open uploads holds it in bounds.
async fn sign_put(app: &App, user: &User, file: &File, now: Timestamp, life: Duration) -> Result<Signed> {
    let key = Key::random();
    let request = SignRequest {
        operation: Operation::Put,
        key: &key,
        now,
        expires_in: life,
        disposition: None,
        content_type: None,
        part: None,
        generation: 0,
    };
    let url = app.store.sign(&request).await?;
    let upload = NewSignedPutRow {
        id: app.clock.new_id(),
        file_id: file.id,
        replaces_blob_id: file.blob_id,
        expires_at: url.expires_at.as_microsecond(),
    };
    let blob = NewBlobRow {
        id: app.clock.new_id(),
        owner: user.id,
        key: key.to_string(),
        lease: life + app.config.uploads.lease,
        // Nobody knows yet how many bytes will come: they are reserved when they do, or, as nobody sees them
        // go into a bucket, when they are completed.
        reserve: 0,
        new_file: false,
        aside: false,
        claim: None,
        now: now.as_microsecond(),
    };
    app.db.insert_signed_put(&upload, &blob, &app.config.quotas).await?;
    Ok(Signed { url, upload_id: Some(upload.id) })
}

pub(in crate::files) fn checked_lifetime(app: &App, expires_in: Option<Duration>) -> Result<Duration> {
    let limits = &app.config.limits;
    let life = expires_in.unwrap_or(limits.signed_url_default);
    if life.is_zero() || life > limits.signed_url_max {
        let detail = format!("from 1 to {} seconds", limits.signed_url_max.as_secs());
        return Err(Error::invalid("/expires_in", "out_of_range", detail));
    }
    Ok(life)
}

/// The content that a signed URL of ours opens, and what tells the trail that it was read.
///
/// # Errors
/// `NotFound` if it was deleted or revoked meanwhile, or its owner was disabled.
pub async fn content_by_grant(app: &App, grant: &Grant) -> Result<(Content, Event)> {
    if app.db.signed_generation(grant.key.as_str()).await? != Some(grant.generation) {
        return Err(Error::NotFound);
    }
    let row = app.db.content_by_key(grant.key.as_str()).await?.ok_or(Error::NotFound)?;
    let event = Event::new(EventKind::FileDownloaded, row.owner_id);
    let event = row.file_id.into_iter().fold(event, Event::file);
    Ok((row.content.try_into()?, event))
}

/// Takes in the bytes that a signed URL of ours admits.
///
/// # Errors
/// `UploadGone` if the upload is over; `PreconditionFailed` if its bytes have arrived already;
/// `TooLarge`; `QuotaExceeded`; `TypeRefused`; `DigestMismatch`; what the stream failed with.
pub async fn receive_signed_put(app: &Arc<App>, grant: Grant, body: Body) -> Result<()> {
    let limit = app.config.limits.file_size;
    if body.size.is_some_and(|size| size > limit) {
        return Err(Error::TooLarge { limit });
    }
    let blob = app.db.writable_blob(grant.key.as_str()).await?.ok_or(Error::UploadGone)?;
    let most = body.size.unwrap_or(limit);
    let app = app.clone();
    // What is reserved is given back in the same task: a client who hangs up does not come in between.
    detached(async move {
        let mut reservation =
            Reservation::go_on(&app.db, &app.config.quotas, blob.id, blob.owner_id, blob.reserved as u64, most);
        reservation.cover(body.size.unwrap_or(0)).await?;
        let meter = Arc::new(Mutex::new(Meter::new(limit, body.digest)));
        let stream = Purpose::NewContent.filter_by_type(&app.config.limits, body.stream, None);
        let added = reservation.added();
        let stream = reserved(metered(stream, meter), reservation, 0);
        if let Err(error) = app.store.put(&grant.key, body.size, stream, &NoIntent).await {
            // Whoever has the URL shall not fill the owner's quota with nothing.
            app.db.release_reserved(blob.id, blob.owner_id, added.load(Ordering::Relaxed)).await?;
            return Err(error);
        }
        if app.db.writable_blob(grant.key.as_str()).await?.is_none() {
            // So slow that the upload was over before the bytes were there.
            delete_if_orphaned(&app, &grant.key).await;
        }
        Ok(())
    })
    .await
}

/// Only our own disk is written through our own signed URLs, and it has no multipart uploads.
struct NoIntent;

#[async_trait::async_trait]
impl MultipartObserver for NoIntent {
    async fn multipart_opened(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn owner(&self) -> Uuid {
        Uuid::nil()
    }
}

/// Makes the bytes that came through a signed URL the file's content: reads them back, hashes
/// them, checks their size, and publishes. Doing it twice is the same as once.
///
/// # Errors
/// `NotFound`; `UploadGone` if its time is over; `UploadIncomplete` if there are no bytes yet;
/// `TooLarge`; `TypeRefused`; `QuotaExceeded`, deadline which it may be tried again once there is room;
/// `PreconditionFailed` if the file has got other bytes since the URL was made.
pub async fn complete_upload(app: &Arc<App>, user: &User, id: Uuid) -> Result<File> {
    let upload = app.db.upload(user.id, id).await?.ok_or(Error::NotFound)?;
    let file = crate::files::find(app, user, upload.file_id).await?;
    match upload.state.as_str() {
        "ready" if file.blob_id == upload.blob_id => return Ok(file),
        "pending" => {}
        _ => return Err(Error::UploadGone),
    }
    let keep_for = remaining_lifetime(app, &upload).ok_or(Error::UploadGone)?;
    if file.blob_id != upload.replaces_blob_id {
        app.db.abandon_blob(upload.blob_id, keep_for).await?;
        return Err(Error::PreconditionFailed);
    }
    let key: Key = upload.key.parse().map_err(Error::internal)?;
    let size = app.store.size(&key).await?.ok_or(Error::UploadIncomplete)?;
    let limit = app.config.limits.file_size;
    if size > limit {
        app.db.abandon_blob(upload.blob_id, keep_for).await?;
        return Err(Error::TooLarge { limit });
    }
    // An earlier try may have reserved it.
    let missing = size.saturating_sub(upload.reserved as u64);
    if missing > 0 {
        app.db.reserve_more(upload.blob_id, user.id, missing, &app.config.quotas).await?;
    }
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        let meter = leased(&app, upload.blob_id, read_back(&app, &key, size)).await?;
        let mut facts = meter.facts(upload.blob_id, None, app.clock.now());
        facts.keep_for = keep_for;
        let stored = Stored { key, facts };
        // A bucket takes in whatever is put.
        if !app.config.limits.allowed_types.admit(&stored.facts.content_type) {
            return abandon_on_error(&app, &stored, Err(Error::TypeRefused)).await;
        }
        let expected = Expected::OneOf(vec![file.content.etag()]);
        events::set_channel("signed_put");
        let swapped = swap(&app, &user, file, &expected, &stored).await;
        abandon_on_error(&app, &stored, swapped).await
    })
    .await
}

/// Gives up an upload through a signed URL. The file keeps the bytes that it has.
///
/// # Errors
/// `NotFound`; `UploadGone` if it was completed or is over.
pub async fn cancel_signed_put(app: &App, user: &User, id: Uuid) -> Result<()> {
    let upload = app.db.upload(user.id, id).await?.ok_or(Error::NotFound)?;
    let keep_for = remaining_lifetime(app, &upload).ok_or(Error::UploadGone)?;
    match app.db.abandon_blob(upload.blob_id, keep_for).await? {
        true => Ok(()),
        false => Err(Error::UploadGone),
    }
}

/// How long bytes may still come through the upload's URL, with the time that a transfer takes
/// which began in time; `None` if that is over.
fn remaining_lifetime(app: &App, upload: &SignedPutRow) -> Option<Duration> {
    let now = app.clock.now().as_microsecond();
    let left = u64::try_from(upload.expires_at - now).unwrap_or(0);
    let over = upload.expires_at + app.config.uploads.lease.as_micros() as i64 <= now;
    (!over).then(|| Duration::from_micros(left) + app.config.uploads.lease)
}

pub(in crate::files) async fn read_back(app: &App, key: &Key, size: u64) -> Result<Meter> {
    let mut meter = Meter::new(size, None);
    if size > 0 {
        let mut stream = app.store.get(key, 0..size).await?;
        while let Some(chunk) = stream.try_next().await? {
            meter.take(&chunk)?;
        }
    }
    Ok(meter)
}
