//! A multipart upload that is either completed or aborted, even if it is dropped.

use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::connect::Clients;
use super::retry::{attempts, unavailable};
use crate::budget::Reserved;
use crate::error::{Error, Result};
use crate::faults;
use crate::store::MAX_PARTS;
use crate::store::blocks::Block;

/// An open upload, with the parts that are being sent.
pub(super) struct Upload {
    target: Target,
    concurrency: usize,
    sending: JoinSet<object_store::Result<(usize, PartId)>>,
    sent: Vec<Option<PartId>>,
    may_have_duplicate: bool,
    over: bool,
}

#[derive(Clone)]
struct Target {
    clients: Clients,
    writer: AmazonS3,
    path: Path,
    id: MultipartId,
}

impl Upload {
    /// Creates a multipart upload.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn open(clients: Clients, writer: AmazonS3, path: Path, concurrency: usize) -> Result<Self> {
        faults::point("M1");
        let mut tries = 0;
        let opening = attempts(|| {
            tries += 1;
            writer.create_multipart(&path)
        });
        let id = opening.await.map_err(unavailable)?;
        let target = Target { clients, writer, path, id };
        Ok(Self {
            target,
            concurrency,
            sending: JoinSet::new(),
            sent: Vec::new(),
            may_have_duplicate: tries > 1,
            over: false,
        })
    }

    /// The store's id of the upload.
    pub fn id(&self) -> &str {
        &self.target.id
    }

    /// Whether an earlier attempt may have created another upload, whose response was lost.
    pub fn may_have_duplicate(&self) -> bool {
        self.may_have_duplicate
    }

    /// Whether S3 would accept no further part.
    pub fn is_full(&self) -> bool {
        self.sent.len() as u64 >= MAX_PARTS
    }

    /// Sends the next part in the background; waits while too many are being sent. The memory is
    /// released once the part has been received.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::StorageFull`], because of an earlier part.
    pub async fn send(&mut self, block: Block, memory: Reserved) -> Result<()> {
        while self.sending.len() >= self.concurrency {
            self.join_next_part().await?;
        }
        let (target, index) = (self.target.clone(), self.sent.len());
        let payload = PutPayload::from_iter(block.into_chunks());
        self.sent.push(None);
        self.sending.spawn(async move {
            let Target { writer, path, id, .. } = &target;
            let outcome = attempts(|| writer.put_part(path, id, index, payload.clone())).await;
            drop((payload, memory));
            outcome.map(|part| (index, part))
        });
        Ok(())
    }

    /// Waits for all parts and assembles them into an object of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::StorageFull`]; [`Error::Internal`] if the object has another size.
    pub async fn complete(&mut self, size: u64) -> Result<()> {
        while !self.sending.is_empty() {
            self.join_next_part().await?;
        }
        let Target { clients, writer, path, id } = &self.target;
        let parts: Vec<_> = self.sent.iter().flatten().cloned().collect();
        complete(clients, writer, path, id, parts, size).await?;
        self.over = true;
        Ok(())
    }

    /// Leaves the upload open; its row names it.
    pub fn into_id(mut self) -> MultipartId {
        self.over = true;
        self.target.id.clone()
    }

    /// Stops sending and aborts the upload, if the store responds.
    pub async fn abort(mut self) {
        self.sending.shutdown().await;
        self.target.abort().await;
        self.over = true;
    }

    async fn join_next_part(&mut self) -> Result<()> {
        if let Some(outcome) = self.sending.join_next().await {
            faults::point("M4");
            let (index, part) = outcome.map_err(Error::internal)?.map_err(unavailable)?;
            self.sent[index] = Some(part);
        }
        Ok(())
    }
}

/// Assembles the parts of a multipart upload into an object of `size` bytes.
///
/// # Errors
/// [`Error::Unavailable`]; [`Error::StorageFull`]; [`Error::Internal`] if the object has another size.
pub(super) async fn complete(
    clients: &Clients,
    writer: &AmazonS3,
    path: &Path,
    id: &MultipartId,
    parts: Vec<PartId>,
    size: u64,
) -> Result<()> {
    let outcome = attempts(|| writer.complete_multipart(path, id, parts.clone())).await;
    faults::point("M5");
    // The object itself is the proof: the response may have been lost, and a faulty store may have
    // assembled something else.
    let stored = clients.size(path).await?;
    if stored == Some(size) {
        return Ok(());
    }
    // An object that does not exist yet may still be assembled, so that nothing is deleted then.
    if stored.is_some() {
        let _ = clients.reader.delete(path).await;
    }
    Err(match outcome {
        Err(error) => unavailable(error),
        Ok(_) => Error::internal(format!("the store assembled {stored:?} bytes of the {size} sent")),
    })
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Outside a runtime nothing can be sent. The row names the upload, and the reaper aborts it.
        if let Ok(runtime) = Handle::try_current() {
            let (target, mut sending) = (self.target.clone(), std::mem::take(&mut self.sending));
            runtime.spawn(async move {
                sending.shutdown().await;
                target.abort().await;
            });
        }
    }
}

impl Target {
    /// Aborts the upload; one that does not exist was completed or aborted already.
    async fn abort(&self) {
        let outcome = attempts(|| self.clients.reader.abort_multipart(&self.path, &self.id)).await;
        if let Err(error) = super::ignore_missing(outcome) {
            tracing::warn!(%error, upload = self.id, "could not abort an upload; the reaper will");
        }
    }
}
