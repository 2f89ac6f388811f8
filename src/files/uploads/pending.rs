//! Bytes on their way: what stands around a pending blob until it is published or given up.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::reserve::{Reservation, reserved};
use super::type_filter::Purpose;
use crate::app::App;
use crate::clock::from_micros;
use crate::db::{BlobFacts, KeyClaim, NewBlobRow};
use crate::error::{Error, Result};
use crate::faults;
use crate::files::Content;
use crate::files::sniff::{SNIFFED_BYTES, content_type};
use crate::store::{ByteStream, Key, MultipartObserver};
use crate::users::User;

/// Bytes from a client, and what the client says of them.
pub struct Body {
    pub stream: ByteStream,
    /// The length in bytes, when it is announced.
    pub size: Option<u64>,
    /// When the length is not announced: the bytes that it cannot have more of, if that is known.
    pub at_most: Option<u64>,
    /// The content type, a hint.
    pub content_type: Option<String>,
    /// The SHA-256 that the bytes shall have (RFC 9530).
    pub digest: Option<Vec<u8>>,
}

/// Bytes that are durable under a key whose blob is still pending.
pub(in crate::files) struct Stored {
    pub key: Key,
    pub facts: BlobFacts,
}

impl Stored {
    /// The content that these bytes are once they are published.
    pub fn content(&self) -> Content {
        Content {
            key: self.key.clone(),
            size: self.facts.size as u64,
            sha256: self.facts.sha256.clone(),
            content_type: self.facts.content_type.clone(),
            modified_at: from_micros(self.facts.ready_at),
        }
    }
}

/// Writes the intent, then the bytes under a new key. On an error the blob is given up.
/// A key that the client gave to the request is claimed with the intent.
pub(in crate::files) async fn store(
    app: &App,
    user: &User,
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
        owner: user.id,
        key: key.to_string(),
        lease: app.config.uploads.lease,
        reserve: 0,
        new_file: purpose == Purpose::NewFile,
        aside: false,
        claim,
        now: app.clock.now().as_microsecond(),
    };
    let most = body.at_most.unwrap_or(limit).min(limit);
    faults::point("K1");
    let reservation = Reservation::open(&app.db, &app.config.quotas, &mut row, body.size, most).await?;
    faults::point("K2");

    let id = row.id;
    let meter = Arc::new(Mutex::new(Meter::new(limit, body.digest)));
    let intent = BlobIntent { app, id, owner: user.id };
    let gated = purpose.filter_by_type(&app.config.limits, body.stream, body.content_type.clone());
    let stream = reserved(metered(gated, meter.clone()), reservation, 0);
    let put = app.store.put(&key, body.size, stream, &intent);
    match leased(app, id, put).await {
        Ok(_) => {
            let meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            let facts = meter.facts(id, body.content_type.as_deref(), app.clock.now());
            Ok(Stored { key, facts })
        }
        Err(error) => {
            // A store that fell silent may still carry out what it was sent; its key is kept so long.
            let silent = matches!(error, Error::Unavailable { .. });
            let keep_for = if silent { app.config.uploads.lease } else { Duration::ZERO };
            give_up(app, &key, id, keep_for).await;
            Err(error)
        }
    }
}

/// Does work on a pending blob while its lease is kept alive; ends with `UploadGone` when it is lost.
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
            // The next try comes before the lease is over.
            Err(error) => tracing::warn!(%error, "a lease could not be renewed"),
        }
    }
}

/// Whether an error of a publication was only a lost answer: the blob's own row tells whether the
/// commit was carried out.
pub(in crate::files) async fn was_committed_anyway(app: &App, stored: &Stored, error: &Error) -> bool {
    if !matches!(error, Error::Unavailable { .. } | Error::Internal(_)) {
        return false;
    }
    // The commit may still be on its way to the database. A question would not wait for it; a
    // statement on the same row does, even if it changes nothing.
    if !matches!(app.db.renew_blob(stored.facts.id, Duration::ZERO).await, Ok(false)) {
        return false;
    }
    let published = matches!(app.db.blob_state(stored.key.as_str()).await, Ok(Some(state)) if state == "ready");
    if published {
        tracing::warn!(%error, "the answer to a commit was lost; the commit was not");
    }
    published
}

/// Passes a publication on; deadline an error its blob is given up.
pub(in crate::files) async fn abandon_on_error<T>(app: &App, stored: &Stored, published: Result<T>) -> Result<T> {
    if published.is_err() {
        give_up(app, &stored.key, stored.facts.id, stored.facts.keep_for).await;
    }
    published
}

/// Gives a pending blob to the reaper. Should the database not answer, the lease runs out and the
/// reaper finds the blob by itself.
async fn give_up(app: &App, key: &Key, id: Uuid, keep_for: Duration) {
    match app.db.abandon_blob(id, keep_for).await {
        Ok(true) => {}
        Ok(false) => delete_if_orphaned(app, key).await,
        Err(error) => tracing::warn!(%error, "a pending blob is left to its lease"),
    }
}

/// Takes one's own bytes away if their writer slept past its lease: the reaper has been at the
/// key, or is about to, and what was written deadline it is known to nobody but the writer.
pub(in crate::files) async fn delete_if_orphaned(app: &App, key: &Key) {
    let removed = match app.db.blob_state(key.as_str()).await {
        Ok(Some(state)) if state != "deleting" => return,
        Ok(_) => app.store.delete(key, None).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        tracing::error!(%error, %key, "bytes without a row may be left");
    }
}

/// Counts, hashes and bounds what flows by.
pub struct Meter {
    limit: u64,
    size: u64,
    hash: Sha256,
    head: Vec<u8>,
    expected: Option<Vec<u8>>,
}

impl Meter {
    pub fn new(limit: u64, expected: Option<Vec<u8>>) -> Self {
        Self { limit, size: 0, hash: Sha256::new(), head: Vec::new(), expected }
    }

    pub(in crate::files) fn take(&mut self, chunk: &[u8]) -> Result<()> {
        faults::point(if self.size == 0 { "K3" } else { "K4" });
        self.size += chunk.len() as u64;
        if self.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        let missing = SNIFFED_BYTES.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..missing]);
        self.hash.update(chunk);
        Ok(())
    }

    /// The hash of what came until now.
    pub(in crate::files) fn hash(&self) -> Sha256 {
        self.hash.clone()
    }

    fn check_digest(&self) -> Result<()> {
        match self.expected.as_deref() {
            Some(expected) if expected != self.hash.clone().finalize().as_slice() => Err(Error::DigestMismatch),
            _ => Ok(()),
        }
    }

    /// What is known now that the stream has ended.
    pub fn facts(&self, id: Uuid, hint: Option<&str>, ready_at: Timestamp) -> BlobFacts {
        BlobFacts {
            id,
            size: self.size as i64,
            sha256: self.hash.clone().finalize().to_vec(),
            content_type: content_type(&self.head, hint),
            keep_for: Duration::ZERO,
            ready_at: ready_at.as_microsecond(),
        }
    }
}

/// The stream, metered. Its digest is checked before it ends, so that the store never finishes
/// bytes that are not what was announced.
pub fn metered(stream: ByteStream, meter: Arc<Mutex<Meter>>) -> ByteStream {
    Box::pin(stream::unfold(Some(stream), move |stream| {
        let meter = meter.clone();
        async move {
            let mut stream = stream?;
            let next = stream.next().await;
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            match next {
                Some(Ok(chunk)) => match meter.take(&chunk) {
                    Ok(()) => Some((Ok(chunk), Some(stream))),
                    Err(error) => Some((Err(error), None)),
                },
                Some(Err(error)) => Some((Err(error), None)),
                None => {
                    faults::point("K5");
                    meter.check_digest().err().map(|error| (Err(error), None))
                }
            }
        }
    }))
}

/// Reads `size` bytes back from the store, counted and hashed.
///
/// # Errors
/// The error of the store.
pub(super) async fn read_back(app: &App, key: &Key, size: u64) -> Result<Meter> {
    let mut meter = Meter::new(size, None);
    if size > 0 {
        let mut stream = app.store.get(key, 0..size).await?;
        while let Some(chunk) = stream.try_next().await? {
            meter.take(&chunk)?;
        }
    }
    Ok(meter)
}

/// The row of a blob, as the place where a store writes down its intent.
struct BlobIntent<'a> {
    app: &'a App,
    id: Uuid,
    owner: Uuid,
}

#[async_trait]
impl MultipartObserver for BlobIntent<'_> {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        let noted = self.app.db.set_multipart_id(self.id, upload_id).await?;
        if noted { Ok(()) } else { Err(Error::UploadGone) }
    }

    fn owner(&self) -> Uuid {
        self.owner
    }
}
