//! Claims: one writer at a time appends to an upload, on whichever server. A crashed writer, or one whose client has
//! stalled, is superseded within seconds.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use uuid::Uuid;

use super::{Checksum, key};
use crate::access::Subject;
use crate::app::App;
use crate::chunks::{ChunkObserver, observed};
use crate::error::{Error, Result};
use crate::store::{ByteStream, Listed};

/// How long a stalled writer blocks others.
const LEASE: Duration = Duration::from_secs(10);

/// The right to append to one upload.
pub(in crate::files::uploads) struct Claim {
    app: Arc<App>,
    creator: Uuid,
    upload: Uuid,
    pub id: Uuid,
    lease: Duration,
    activity: Arc<LastActivity>,
}

/// Whether the client still sends: a lost connection must not block the client's own retry.
#[derive(Default)]
struct LastActivity {
    is_awaited: AtomicBool,
    chunks: AtomicU64,
}

impl Claim {
    /// Claims an upload.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] if another writer has claimed it, or it has become a file; [`Error::NotFound`] or
    /// [`Error::UploadGone`] if it has ended otherwise; [`Error::Unavailable`].
    pub async fn acquire(app: &Arc<App>, subject: &Subject, upload: Uuid) -> Result<Self> {
        let (id, lease) = (app.clock.new_id(), LEASE.min(app.config.uploads.lease));
        let claim = Self { app: app.clone(), creator: subject.actor, upload, id, lease, activity: Arc::default() };
        match app.db.acquire_claim(subject.actor, upload, id, lease).await {
            Ok(None) => {}
            // On an error the claim is not released, so that the next writer repeats this.
            Ok(Some(_)) => abort_duplicates(app, subject, upload).await?,
            Err(Error::UploadBusy) => return Err(claim.refusal().await),
            Err(error) => return Err(error),
        }
        Ok(claim)
    }

    /// Runs work, then releases the claim. It is renewed meanwhile, except while the client that sends the
    /// [`watched`](Self::watched) bytes is silent.
    ///
    /// # Errors
    /// The error of the work; [`Error::UploadBusy`] if another writer took over; [`Error::NotFound`] or
    /// [`Error::UploadGone`] if the upload has ended otherwise.
    pub async fn hold_while<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::select! {
            done = work => done,
            () = self.until_lost() => Err(Error::UploadGone),
        };
        // The upload may be gone for this writer only.
        let done = match done {
            Err(Error::UploadGone) => Err(self.refusal().await),
            done => done,
        };
        if let Err(error) = self.app.db.release_claim(self.upload, self.id).await {
            tracing::warn!(%error, "could not release the claim on an upload; it will expire");
        }
        done
    }

    /// Ends the upload, whose content is not acceptable. Nothing of this writer is in transit, so that the content can be
    /// deleted immediately.
    pub async fn delete_upload(&self) -> Result<()> {
        self.app.db.release_claim(self.upload, self.id).await?;
        self.app.db.delete_resumable(self.creator, self.upload).await.map(drop)
    }

    /// Why this writer does not hold the claim. If the upload was canceled, by its owner or with the token that created
    /// it, there is no other writer to wait for.
    async fn refusal(&self) -> Error {
        let now = self.app.clock.now().into();
        match self.app.db.resumable(self.creator, self.upload).await {
            Ok(None) => Error::NotFound,
            Ok(Some(row)) if row.file_id.is_none() && row.expires_at <= now => Error::UploadGone,
            Ok(Some(_)) => Error::UploadBusy,
            Err(error) => error,
        }
    }

    async fn until_lost(&self) {
        let mut seen = 0;
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let chunks = self.activity.chunks.load(Ordering::Relaxed);
            let is_active = chunks != seen || !self.activity.is_awaited.load(Ordering::Relaxed);
            seen = chunks;
            let held = match is_active {
                true => self.app.db.renew_claim(self.upload, self.id, self.lease).await,
                false => self.app.db.holds_claim(self.upload, self.id).await,
            };
            match held {
                Ok(true) => {}
                Ok(false) => return,
                // If another writer took over, the next statement of this one fails.
                Err(error) => tracing::warn!(%error, "could not renew the claim on an upload"),
            }
        }
    }

    /// The stream of a client, watched for activity. It may have at most `remaining` bytes, and must have the checksum; both
    /// are checked before the stream ends, so that the store does not complete an invalid append. `limit` is the size in
    /// bytes that the error reports.
    pub fn watched(&self, stream: ByteStream, remaining: u64, limit: u64, checksum: Option<Checksum>) -> ByteStream {
        let activity = self.activity.clone();
        let watched = stream::try_unfold(stream, move |mut stream| {
            let activity = activity.clone();
            async move {
                activity.is_awaited.store(true, Ordering::Relaxed);
                let next = stream.try_next().await;
                activity.is_awaited.store(false, Ordering::Relaxed);
                activity.chunks.fetch_add(1, Ordering::Relaxed);
                Ok(next?.map(|chunk| (chunk, stream)))
            }
        });
        observed(Box::pin(watched), AppendCheck { remaining, limit, checksum })
    }
}

/// Checks the size and the checksum of an append. All sizes are bytes.
struct AppendCheck {
    remaining: u64,
    limit: u64,
    checksum: Option<Checksum>,
}

impl ChunkObserver for AppendCheck {
    async fn chunk(&mut self, chunk: &Bytes) -> Result<()> {
        self.remaining = self.remaining.checked_sub(chunk.len() as u64).ok_or(Error::TooLarge { limit: self.limit })?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(chunk);
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        self.checksum.take().map_or(Ok(()), Checksum::verify)
    }
}

/// Aborts every multipart upload under the key except the one of the row. A writer that died may have opened one without
/// recording its id; next to a ready blob nothing else would find it.
async fn abort_duplicates(app: &App, subject: &Subject, upload: Uuid) -> Result<()> {
    let row = app.db.resumable(subject.actor, upload).await?.ok_or(Error::NotFound)?;
    let key = key(&row)?;
    let open: Vec<_> = app.store.list_uploads(Some(&key)).try_collect().await?;
    // An upload staged on disk has no id, and neither has its row.
    for duplicate in open.into_iter().filter_map(Listed::known).filter(|open| open.id != row.multipart_id) {
        app.store.abort(&key, duplicate.id.as_deref()).await?;
    }
    Ok(())
}
