//! Writes content under a pending blob, and abandons the blob if the content is not published.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::meter::{Meter, locked, metered};
use super::reserve::{Reservation, reserved};
use super::type_filter::{Detected, Purpose, detect};
use crate::app::App;
use crate::db::{BlobFacts, KeyClaim, NewBlobRow};
use crate::error::{Error, Result};
use crate::faults;
use crate::files::Content;
use crate::store::{ByteStream, Key, MultipartObserver};

/// The content that a client sends, and what it declares about it.
pub struct Body {
    /// The bytes.
    pub stream: ByteStream,
    /// The size in bytes, if it is declared.
    pub size: Option<u64>,
    /// An upper bound on the size in bytes, if only that is known.
    pub at_most: Option<u64>,
    /// The declared content type, a hint.
    pub content_type: Option<String>,
    /// The SHA-256 that the bytes must have (RFC 9530).
    pub digest: Option<Vec<u8>>,
}

/// Durable content under a key whose blob is still pending.
pub(in crate::files) struct Stored {
    pub key: Key,
    pub facts: BlobFacts,
}

impl Stored {
    /// The content as it is once it is published.
    pub fn content(&self) -> Content {
        Content {
            key: self.key.clone(),
            size: self.facts.size,
            sha256: self.facts.sha256.clone(),
            content_type: self.facts.content_type.clone(),
            modified_at: self.facts.ready_at,
        }
    }
}

/// Inserts a pending blob, then writes the body under its new key; the idempotency key of the request is claimed with
/// the blob. After an error the blob is abandoned.
pub(in crate::files) async fn write_blob(
    app: &App,
    space: Uuid,
    body: Body,
    purpose: Purpose,
    claim: Option<KeyClaim>,
) -> Result<Stored> {
    let limit = purpose.limit(&app.config.limits);
    if body.size.is_some_and(|size| size > limit) {
        return Err(Error::TooLarge { limit });
    }
    let key = Key::random();
    let mut row = NewBlobRow {
        id: app.clock.new_id(),
        space,
        key: key.to_string(),
        lease: app.config.uploads.lease,
        reserve: 0,
        new_file: purpose == Purpose::NewFile,
        aside: false,
        claim,
        now: app.clock.now(),
    };
    let max_size = body.at_most.unwrap_or(limit).min(limit);
    faults::point("K1");
    let reservation = Reservation::open(&app.db, &app.config.quotas, &mut row, body.size, max_size).await?;
    faults::point("K2");

    let blob = PendingBlob { app, id: row.id, space };
    match leased(app, blob.id, blob.write(&key, body, purpose, reservation)).await {
        Ok(facts) => Ok(Stored { key, facts }),
        Err(error) => {
            // A store that stopped responding may still carry out a request; the key is kept until then.
            let unanswered = matches!(error, Error::Unavailable { .. });
            let keep_for = if unanswered { app.config.uploads.lease } else { Duration::ZERO };
            abandon(app, &key, blob.id, keep_for).await;
            Err(error)
        }
    }
}

/// The row of a blob whose content is being written.
struct PendingBlob<'a> {
    app: &'a App,
    id: Uuid,
    space: Uuid,
}

impl PendingBlob<'_> {
    async fn write(&self, key: &Key, body: Body, purpose: Purpose, reservation: Reservation) -> Result<BlobFacts> {
        let limits = &self.app.config.limits;
        let Detected { content_type, stream, .. } = detect(body.stream, body.content_type.as_deref()).await?;
        purpose.check_type(limits, &content_type)?;
        let meter = Arc::new(Mutex::new(Meter::new(purpose.limit(limits), body.digest)));
        let stream = reserved(metered(stream, meter.clone()), reservation, 0);
        self.app.store.put(key, body.size, stream, self).await?;
        Ok(locked(&meter).facts(self.id, content_type, self.app.clock.now()))
    }
}

#[async_trait]
impl MultipartObserver for PendingBlob<'_> {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        let recorded = self.app.db.set_multipart_id(self.id, upload_id).await?;
        if recorded { Ok(()) } else { Err(Error::UploadGone) }
    }

    fn owner(&self) -> Uuid {
        self.space
    }
}

/// Runs work on a pending blob while its lease is renewed; ends with [`Error::UploadGone`] if the lease is lost.
pub(in crate::files) async fn leased<T>(app: &App, id: Uuid, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        lost = renew_until_lost(app, id) => Err(lost),
    }
}

async fn renew_until_lost(app: &App, id: Uuid) -> Error {
    let lease = app.config.uploads.lease;
    loop {
        tokio::time::sleep(lease / 3).await;
        match app.db.renew_blob(id, lease).await {
            Ok(true) => {}
            Ok(false) => return Error::UploadGone,
            // There is time for another attempt before the lease expires.
            Err(error) => tracing::warn!(%error, "could not renew the lease of a pending blob"),
        }
    }
}

/// Whether an error of a publication means only that the reply was lost: the row of the blob shows whether the commit
/// was carried out.
pub(in crate::files) async fn was_committed_anyway(app: &App, stored: &Stored, error: &Error) -> bool {
    if !matches!(error, Error::Unavailable { .. } | Error::Internal(_)) {
        return false;
    }
    // The commit may still be on its way to the database. A query would not wait for it; a statement on the same row
    // does, even if it changes nothing.
    if !matches!(app.db.renew_blob(stored.facts.id, Duration::ZERO).await, Ok(false)) {
        return false;
    }
    let published = matches!(app.db.blob_state(stored.key.as_str()).await, Ok(Some(state)) if state == "ready");
    if published {
        tracing::warn!(%error, "commit reply lost, commit succeeded");
    }
    published
}

/// Returns the result of a publication, and abandons the blob if it is an error.
pub(in crate::files) async fn abandon_on_error<T>(app: &App, stored: &Stored, published: Result<T>) -> Result<T> {
    if published.is_err() {
        abandon_stored(app, stored).await;
    }
    published
}

/// Leaves content that is not published to the reaper.
pub(in crate::files) async fn abandon_stored(app: &App, stored: &Stored) {
    abandon(app, &stored.key, stored.facts.id, stored.facts.keep_for).await;
}

/// Leaves a pending blob to the reaper. If the database does not respond, the lease expires and the reaper finds the
/// blob.
async fn abandon(app: &App, key: &Key, id: Uuid, keep_for: Duration) {
    match app.db.abandon_blob(id, keep_for).await {
        Ok(true) => {}
        Ok(false) => delete_if_orphaned(app, key).await,
        Err(error) => tracing::warn!(%error, "could not abandon a pending blob; its lease will expire"),
    }
}

/// Deletes what this writer wrote after it had lost its lease: the reaper has already processed the key, or is about
/// to, and nothing else refers to what was written since.
pub(in crate::files) async fn delete_if_orphaned(app: &App, key: &Key) {
    let deleted = match app.db.blob_state(key.as_str()).await {
        Ok(Some(state)) if state != "deleting" => return,
        Ok(_) => app.store.delete(key, None).await,
        Err(error) => Err(error),
    };
    if let Err(error) = deleted {
        tracing::error!(%error, %key, "could not delete an object without a row");
    }
}
