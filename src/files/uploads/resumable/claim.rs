//! Who may append: one writer at a time, on whichever server. A writer that is gone, or whose client
//! has fallen silent, makes room within seconds.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{Checksum, key};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::{ByteStream, Listed};
use crate::users::User;

/// How long a writer that fell silent keeps others out.
const LEASE: Duration = Duration::from_secs(10);

/// The right to append to one upload.
pub(in crate::files::uploads) struct Claim {
    app: Arc<App>,
    owner: Uuid,
    upload: Uuid,
    pub writer: Uuid,
    lease: Duration,
    pulse: Arc<LastActivity>,
}

/// Whether bytes still come: a client that vanished without a word shall not keep its own next try out.
#[derive(Default)]
struct LastActivity {
    awaited: AtomicBool,
    beats: AtomicU64,
}

impl Claim {
    /// # Errors
    /// `UploadBusy` if somebody else has it; `Unavailable`.
    pub async fn take(app: &Arc<App>, user: &User, upload: Uuid) -> Result<Self> {
        let (writer, lease) = (app.clock.new_id(), LEASE.min(app.config.uploads.lease));
        if app.db.acquire_claim(user.id, upload, writer, lease).await?.is_some() {
            // Should this fail nobody lets go, so that whoever comes next takes over once more.
            end_what_was_lost(app, user, upload).await?;
        }
        Ok(Self { app: app.clone(), owner: user.id, upload, writer, lease, pulse: Arc::default() })
    }

    /// Does work, and lets go. The claim is kept alive meanwhile, but for the time in which the
    /// client of [`watched`](Self::watched) bytes is silent.
    ///
    /// # Errors
    /// What the work fails with; `UploadBusy` if somebody else took over.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::select! {
            done = work => done,
            lost = self.lose() => Err(lost),
        };
        // It is over for this writer, which for others it may not be.
        let done = match done {
            Err(Error::UploadGone) if self.is_open().await => Err(Error::UploadBusy),
            done => done,
        };
        if let Err(error) = self.app.db.release_claim(self.upload, self.writer).await {
            tracing::warn!(%error, "an upload stays claimed until the lease is over");
        }
        done
    }

    async fn is_open(&self) -> bool {
        let row = self.app.db.resumable(self.owner, self.upload).await;
        let now = self.app.clock.now().as_microsecond();
        matches!(row, Ok(Some(row)) if row.file_id.is_none() && row.expires_at > now)
    }

    async fn lose(&self) -> Error {
        let mut seen = 0;
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let beats = self.pulse.beats.load(Ordering::Relaxed);
            let alive = beats != seen || !self.pulse.awaited.load(Ordering::Relaxed);
            seen = beats;
            let held = match alive {
                true => self.app.db.renew_claim(self.upload, self.writer, self.lease).await,
                false => self.app.db.holds_claim(self.upload, self.writer).await,
            };
            match held {
                Ok(true) => {}
                Ok(false) => return Error::UploadBusy,
                // If somebody took over, the next statement of this writer finds out.
                Err(error) => tracing::warn!(%error, "a claim could not be prolonged"),
            }
        }
    }

    /// A client's stream, of which at most `room` bytes are taken and which must have the checksum.
    /// Both are found out before the stream ends, so that the store does not finish a wrong one.
    pub fn watched(&self, stream: ByteStream, room: u64, limit: u64, checksum: Option<Checksum>) -> ByteStream {
        let pulse = self.pulse.clone();
        Box::pin(stream::try_unfold((stream, room, checksum), move |(mut stream, room, mut checksum)| {
            let pulse = pulse.clone();
            async move {
                pulse.awaited.store(true, Ordering::Relaxed);
                let next = stream.next().await;
                pulse.awaited.store(false, Ordering::Relaxed);
                pulse.beats.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = next.transpose()? else {
                    checksum.map_or(Ok(()), Checksum::check)?;
                    return Ok(None);
                };
                let room = room.checked_sub(chunk.len() as u64).ok_or(Error::TooLarge { limit })?;
                if let Some(checksum) = &mut checksum {
                    checksum.take(&chunk);
                }
                Ok(Some((chunk, (stream, room, checksum))))
            }
        }))
    }
}

/// Ends every multipart upload but the row's. A writer that died may have opened one and not have
/// written down its id; beside bytes that become ready nobody would miss it.
async fn end_what_was_lost(app: &App, user: &User, upload: Uuid) -> Result<()> {
    let row = app.db.resumable(user.id, upload).await?.ok_or(Error::NotFound)?;
    let key = key(&row)?;
    let open: Vec<_> = app.store.list_uploads(Some(&key)).try_collect().await?;
    // What is staged on disk has no id, and the row of its upload none either.
    for lost in open.into_iter().filter_map(Listed::ours).filter(|open| open.id != row.multipart_id) {
        app.store.abort(&key, lost.id.as_deref()).await?;
    }
    Ok(())
}
