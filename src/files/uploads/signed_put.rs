//! Uploads through one signed PUT: new content for a file, sent by anyone who has the URL, and published when the
//! owner completes the upload.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::meter::{Meter, metered, read_back};
use super::pending::{Body, Stored, abandon_on_error, delete_if_orphaned, leased};
use super::reserve::{Reservation, reserved};
use super::type_filter::{Detected, Purpose, detect};
use super::whole::{detached, swap};
use crate::access::{Right, Subject};
use crate::app::App;
use crate::db::{BlobFacts, Micros, NewBlobRow, NewSignedPutRow, SignedPutRow};
use crate::error::{Error, Result};
use crate::events::{self, Channel, EventKind};
use crate::files::lifetime::signed_url_lifetime;
use crate::files::{Expected, File, find};
use crate::store::{Grant, Key, MultipartObserver, Operation, SignRequest, SignedUrl};

/// A signed URL for new content, and the upload to complete once the content has arrived.
#[derive(Debug)]
pub struct SignedPut {
    /// The URL, with the headers that the request must have.
    pub url: SignedUrl,
    /// The id by which the upload is completed or canceled.
    pub upload_id: Uuid,
}

/// Signs a URL that accepts new content for a file of this subject, once. The file keeps its content until the upload is
/// completed. Without `expires_in` the URL has the default lifetime of the settings.
///
/// # Errors
/// [`Error::Invalid`] if the lifetime is out of range, or if the store cannot refuse a second PUT;
/// [`Error::TooManyUploads`]; [`Error::QuotaExceeded`] if the account is over its quota; [`Error::Unavailable`].
pub async fn sign(app: &App, subject: &Subject, file: &File, expires_in: Option<Duration>) -> Result<SignedPut> {
    let lifetime = signed_url_lifetime(&app.config.limits, expires_in)?;
    let (key, now) = (Key::random(), app.clock.now());
    let request = SignRequest {
        operation: Operation::Put,
        key: &key,
        now,
        expires_in: lifetime,
        disposition: None,
        content_type: None,
        part: None,
        generation: 0,
    };
    let url = app.store.sign(&request).await?;
    let upload = NewSignedPutRow {
        id: app.clock.new_id(),
        creator: subject.actor,
        file_id: file.id,
        replaces_blob_id: file.blob_id,
        expires_at: url.expires_at,
    };
    let blob = NewBlobRow {
        id: app.clock.new_id(),
        space: file.space_id,
        key: key.to_string(),
        // Outlives the URL: a transfer that started in time may end after it.
        lease: lifetime + app.config.uploads.lease,
        // The size is not known yet. This server reserves the bytes as they arrive; those that go straight to a bucket
        // are reserved on completion, and until then are bounded only by the limit on open uploads.
        reserve: 0,
        new_file: false,
        aside: false,
        claim: None,
        now,
    };
    app.db.insert_signed_put(&upload, &blob, &app.config.quotas).await?;
    let event = file.event(EventKind::UrlSigned).with("method", request.operation.method());
    app.events.record(&event.with("expires_in", lifetime.as_secs()));
    Ok(SignedPut { url, upload_id: upload.id })
}

/// Receives the content that a URL signed by this server accepts.
///
/// # Errors
/// [`Error::UploadGone`] if the upload was completed or canceled, or has expired; [`Error::PreconditionFailed`] if its
/// content has already arrived; [`Error::TooLarge`]; [`Error::QuotaExceeded`]; [`Error::TypeRefused`];
/// [`Error::DigestMismatch`]; the error of the stream.
pub async fn receive(app: &Arc<App>, grant: Grant, body: Body) -> Result<()> {
    let limit = app.config.limits.file_size;
    if body.size.is_some_and(|size| size > limit) {
        return Err(Error::TooLarge { limit });
    }
    let blob = app.db.writable_blob(grant.key.as_str()).await?.ok_or(Error::UploadGone)?;
    let max_size = body.size.unwrap_or(limit);
    let app = app.clone();
    // Reserving and releasing happen in one task, which a client that disconnects cannot stop in between.
    detached(async move {
        let mut reservation =
            Reservation::resume(&app.db, &app.config.quotas, blob.id, blob.space_id, blob.reserved_bytes.0, max_size);
        reservation.ensure(body.size.unwrap_or(0)).await?;
        let added = reservation.added();
        if let Err(error) = write(&app, &grant.key, body, reservation).await {
            // Otherwise a failing client could use up the quota of the space without storing anything.
            app.db.release_reserved(blob.id, blob.space_id, added.load(Ordering::Relaxed)).await?;
            return Err(error);
        }
        confirm(&app, &grant.key, blob.id).await
    })
    .await
}

/// Checks that what has arrived may still become content.
///
/// # Errors
/// [`Error::UploadGone`] if the upload expired or was canceled, or its owner was disabled, before the last byte arrived.
/// Nothing of it is kept.
async fn confirm(app: &App, key: &Key, blob: Uuid) -> Result<()> {
    if app.db.writable_blob(key.as_str()).await?.is_some() {
        return Ok(());
    }
    if !app.db.abandon_blob(blob, Duration::ZERO).await? {
        delete_if_orphaned(app, key).await;
    }
    match app.db.blob_state(key.as_str()).await?.as_deref() {
        // The owner was faster, and has completed the upload.
        Some("ready") => Ok(()),
        _ => Err(Error::UploadGone),
    }
}

async fn write(app: &App, key: &Key, body: Body, reservation: Reservation) -> Result<()> {
    let limits = &app.config.limits;
    let Detected { content_type, stream, .. } = detect(body.stream, None).await?;
    Purpose::NewContent.check_type(limits, &content_type)?;
    let meter = Arc::new(Mutex::new(Meter::new(limits.file_size, body.digest)));
    app.store.put(key, body.size, reserved(metered(stream, meter), reservation, 0), &NoMultipart).await.map(drop)
}

/// A signed PUT of this server writes to its disk, which has no multipart uploads.
struct NoMultipart;

#[async_trait]
impl MultipartObserver for NoMultipart {
    async fn multipart_opened(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn owner(&self) -> Uuid {
        Uuid::nil()
    }
}

/// Publishes the content that arrived through the signed URL: reads it back, hashes it, checks its size and type, and
/// makes it the content of the file. Idempotent.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if the upload was canceled or has expired; [`Error::UploadIncomplete`] if
/// nothing has arrived; [`Error::TooLarge`]; [`Error::TypeRefused`]; [`Error::QuotaExceeded`], after which it can be
/// retried; [`Error::PreconditionFailed`] if the content of the file has changed since the URL was signed.
pub(super) async fn complete(app: &Arc<App>, subject: &Subject, id: Uuid) -> Result<File> {
    let upload = app.db.upload(subject.actor, id).await?.ok_or(Error::NotFound)?;
    let file = find(app, subject, Right::Update, upload.file_id).await?;
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
    let size = reserve_arrived(app, &upload, &key, keep_for).await?;
    let (app, subject) = (app.clone(), *subject);
    detached(async move {
        let (meter, content_type) = leased(&app, upload.blob_id, read_back(&app, &key, size)).await?;
        let facts = BlobFacts { keep_for, ..meter.facts(upload.blob_id, content_type, app.clock.now()) };
        let stored = Stored { key, facts };
        // A bucket accepts content of any type.
        let checked = Purpose::NewContent.check_type(&app.config.limits, &stored.facts.content_type);
        abandon_on_error(&app, &stored, checked).await?;
        let expected = Expected::OneOf(vec![file.content.etag()]);
        events::set_channel(Channel::SignedPut);
        let swapped = swap(&app, &subject, file, &expected, &stored).await;
        abandon_on_error(&app, &stored, swapped).await
    })
    .await
}

/// The size in bytes of what has arrived, all of which is reserved from now on.
async fn reserve_arrived(app: &App, upload: &SignedPutRow, key: &Key, keep_for: Duration) -> Result<u64> {
    let size = app.store.size(key).await?.ok_or(Error::UploadIncomplete)?;
    let limit = app.config.limits.file_size;
    if size > limit {
        app.db.abandon_blob(upload.blob_id, keep_for).await?;
        return Err(Error::TooLarge { limit });
    }
    // An earlier attempt may have reserved it.
    let missing = size.saturating_sub(upload.reserved_bytes.0);
    if missing > 0 {
        app.db.reserve_more(upload.blob_id, upload.space_id, missing, &app.config.quotas).await?;
    }
    Ok(size)
}

/// Cancels an upload through a signed URL. The file keeps its content.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UploadGone`] if it was completed or has expired.
pub(super) async fn cancel(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    let upload = app.db.upload(subject.actor, id).await?.ok_or(Error::NotFound)?;
    let keep_for = remaining_lifetime(app, &upload).ok_or(Error::UploadGone)?;
    match app.db.abandon_blob(upload.blob_id, keep_for).await? {
        true => Ok(()),
        false => Err(Error::UploadGone),
    }
}

/// How long bytes may still arrive through the URL of the upload, including a transfer that starts at the last moment;
/// `None` after that time.
fn remaining_lifetime(app: &App, upload: &SignedPutRow) -> Option<Duration> {
    let (now, lease) = (Micros::from(app.clock.now()), app.config.uploads.lease);
    (upload.expires_at + lease > now).then(|| (upload.expires_at - now).length() + lease)
}
