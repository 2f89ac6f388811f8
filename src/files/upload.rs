//! Taking bytes in: the intent row, the bytes, the publication, in this order. The answer is
//! given after the commit, never before.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use sha2::{Digest as _, Sha256};
use tracing::Instrument;
use uuid::Uuid;

use super::name::{location, place};
use super::sniff::{SNIFFED_BYTES, content_type};
use super::{Expected, File, FileName, FolderPath};
use crate::app::App;
use crate::db::{BlobFacts, NewFileRow};
use crate::error::{Error, Result};
use crate::store::{ByteStream, Intent, Key};
use crate::users::User;

/// Bytes from a client, and what the client says of them.
pub struct Body {
    pub stream: ByteStream,
    /// The length in bytes, when it is announced.
    pub size: Option<u64>,
    /// The content type, a hint.
    pub content_type: Option<String>,
    /// The SHA-256 that the bytes shall have (RFC 9530).
    pub digest: Option<Vec<u8>>,
}

/// A file to be.
#[derive(Debug, Clone)]
pub struct NewFile {
    pub path: FolderPath,
    pub name: FileName,
    pub on_conflict: OnConflict,
}

/// What to do when a file is at the place of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// `report.pdf` becomes `report (1).pdf`.
    Number,
    /// `PreconditionFailed`.
    Refuse,
}

/// Stores a stream as a new file of this user.
///
/// # Errors
/// `TooLarge`, `DigestMismatch`, what the stream failed with, `PreconditionFailed` if the place is
/// taken and the caller asked for that, `StorageFull`, `Unavailable`. Nothing is kept on any of them.
pub async fn upload(user: &User, app: &Arc<App>, new: NewFile, body: Body) -> Result<File> {
    if new.on_conflict == OnConflict::Refuse
        && app.db.location_is_taken(user.id, &location(&new.path, &new.name)).await?
    {
        return Err(Error::PreconditionFailed);
    }
    let (user, app) = (user.clone(), app.clone());
    detached(async move {
        let stored = store(&user, &app, body, app.config.limits.file_size).await?;
        let id = app.clock.new_id();
        let published = publish(&user, &app, id, new, &stored.facts).await;
        settle(&app, &stored, published).await?;
        super::find(&user, &app, id).await
    })
    .await
}

/// Stores a stream as the new bytes of a file of this user.
///
/// # Errors
/// As [`upload`]; `NotFound`; `PreconditionFailed` if the file is not as `expected`, before or
/// after the bytes came.
pub async fn replace(user: &User, app: &Arc<App>, id: Uuid, expected: Expected, body: Body) -> Result<File> {
    let file = super::find(user, app, id).await?;
    expected.check(&file)?;
    let (user, app) = (user.clone(), app.clone());
    detached(async move {
        let stored = store(&user, &app, body, app.config.limits.file_size).await?;
        let now = app.clock.now().as_microsecond();
        let replaced = app.db.replace(user.id, file.id, file.blob_id, &stored.facts, now).await;
        settle(&app, &stored, replaced).await?;
        super::find(&user, &app, file.id).await
    })
    .await
}

/// Runs work in a task of its own, so that a client who hangs up cannot stop it between two
/// steps: the work sees the broken body and cleans up, or comes to its end.
pub(super) async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?
}

/// Bytes that are durable under a key whose blob is still pending.
pub(super) struct Stored {
    pub key: Key,
    pub facts: BlobFacts,
}

/// Writes the intent, then the bytes under a new key.
pub(super) async fn store(user: &User, app: &App, body: Body, limit: u64) -> Result<Stored> {
    if body.size.is_some_and(|size| size > limit) {
        return Err(Error::TooLarge { limit });
    }
    let id = app.clock.new_id();
    let key = Key::random();
    let lease = app.config.uploads.lease;
    app.db.insert_pending_blob(id, user.id, key.as_str(), lease, app.clock.now().as_microsecond()).await?;

    let meter = Arc::new(Mutex::new(Meter::new(limit, body.digest)));
    let intent = BlobIntent { app, id };
    let put = tokio::select! {
        put = app.store.put(&key, body.size, metered(body.stream, meter.clone()), &intent) => put,
        lost = lose_lease(app, id) => Err(lost),
    };
    match put {
        Ok(size) => {
            let meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            let facts = meter.facts(id, size, body.content_type.as_deref());
            Ok(Stored { key, facts })
        }
        Err(error) => {
            give_up(app, &key, id, 0).await;
            Err(error)
        }
    }
}

/// Ends a publication. After an error the blob's own row tells what really happened: a commit
/// whose answer was lost is a success, anything else is given up.
pub(super) async fn settle<T: Default>(app: &App, stored: &Stored, published: Result<T>) -> Result<T> {
    match published {
        Err(error) if give_up(app, &stored.key, stored.facts.id, stored.facts.keep_until).await == Fate::Published => {
            tracing::warn!(%error, "the answer to a commit was lost; the commit was not");
            Ok(T::default())
        }
        published => published,
    }
}

#[derive(PartialEq)]
enum Fate {
    GivenUp,
    Published,
}

/// Gives a pending blob to the reaper at once. Should the database not answer, the lease runs out
/// and the reaper finds the blob by itself.
async fn give_up(app: &App, key: &Key, id: Uuid, keep_until: i64) -> Fate {
    let state = match app.db.give_up_blob(id, keep_until).await {
        Ok(true) => return Fate::GivenUp,
        Ok(false) => app.db.blob_state(id).await,
        Err(error) => Err(error),
    };
    match state.as_ref().map(Option::as_deref) {
        Ok(Some("ready")) => return Fate::Published,
        Ok(Some(_)) => {}
        // This writer slept past its lease and the reaper has forgotten the key: what was written
        // since then has no row, and nobody but this writer knows of it.
        Ok(None) => {
            if let Err(error) = app.store.delete(key, None).await {
                tracing::error!(%error, %key, "bytes without a row may be left");
            }
        }
        Err(error) => tracing::warn!(%error, "a pending blob is left to its lease"),
    }
    Fate::GivenUp
}

/// Keeps the lease alive while bytes flow; returns only when it is lost.
async fn lose_lease(app: &App, id: Uuid) -> Error {
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

/// Publishes under the wished name, or under the first numbered one that is free.
async fn publish(user: &User, app: &App, id: Uuid, new: NewFile, blob: &BlobFacts) -> Result<()> {
    let row = NewFileRow { id, owner: user.id, metadata: "{}".into(), now: app.clock.now().as_microsecond() };
    let mut name = new.name.clone();
    loop {
        match app.db.publish(&row, &place(&new.path, &name), blob).await {
            Err(Error::PathTaken) if new.on_conflict == OnConflict::Refuse => return Err(Error::PreconditionFailed),
            // Somebody may take the free name first; then the search goes on.
            Err(Error::PathTaken) => name = free_name(user, app, &new).await?,
            published => return published,
        }
    }
}

/// The name with a number that no file in the folder has. Finds it in a few steps even among many
/// thousands: doubling until a number is free, then halving back to where the taken ones end.
async fn free_name(user: &User, app: &App, new: &NewFile) -> Result<FileName> {
    let taken = |number| async move {
        app.db.location_is_taken(user.id, &location(&new.path, &new.name.numbered(number))).await
    };
    let (mut last_taken, mut free) = (0, 1);
    while taken(free).await? {
        (last_taken, free) = (free, free * 2);
    }
    while free - last_taken > 1 {
        let middle = last_taken + (free - last_taken) / 2;
        if taken(middle).await? { last_taken = middle } else { free = middle }
    }
    Ok(new.name.numbered(free))
}

/// Counts, hashes and bounds what flows by.
pub(super) struct Meter {
    limit: u64,
    size: u64,
    hash: Sha256,
    head: Vec<u8>,
    expected: Option<Vec<u8>>,
}

impl Meter {
    pub(super) fn new(limit: u64, expected: Option<Vec<u8>>) -> Self {
        Self { limit, size: 0, hash: Sha256::new(), head: Vec::new(), expected }
    }

    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.size += chunk.len() as u64;
        if self.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        let missing = SNIFFED_BYTES.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..missing]);
        self.hash.update(chunk);
        Ok(())
    }

    fn check_digest(&self) -> Result<()> {
        match self.expected.as_deref() {
            Some(expected) if expected != self.hash.clone().finalize().as_slice() => Err(Error::DigestMismatch),
            _ => Ok(()),
        }
    }

    pub(super) fn facts(&self, id: Uuid, size: u64, hint: Option<&str>) -> BlobFacts {
        BlobFacts {
            id,
            size: size as i64,
            sha256: self.hash.clone().finalize().to_vec(),
            content_type: content_type(&self.head, hint),
            keep_until: 0,
        }
    }
}

/// The stream, metered. Its digest is checked before it ends, so that the store never finishes
/// bytes that are not what was announced.
fn metered(stream: ByteStream, meter: Arc<Mutex<Meter>>) -> ByteStream {
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
                None => meter.check_digest().err().map(|error| (Err(error), None)),
            }
        }
    }))
}

/// The row of a blob, as the place where a store writes down its intent.
struct BlobIntent<'a> {
    app: &'a App,
    id: Uuid,
}

#[async_trait]
impl Intent for BlobIntent<'_> {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        let noted = self.app.db.note_multipart(self.id, upload_id).await?;
        if noted { Ok(()) } else { Err(Error::UploadGone) }
    }
}
