//! A multipart upload that cannot be forgotten: it is completed or aborted, even when it is dropped.

use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::budget::Reserved;
use super::connect::Clients;
use super::retry::{attempts, unavailable};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::MAX_PARTS;
use crate::store::blocks::Block;

/// An open upload, with its parts on their way.
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
    /// # Errors
    /// `Unavailable`.
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

    pub fn id(&self) -> &str {
        &self.target.id
    }

    /// Whether an earlier try may have opened another upload, of which the answer was lost.
    pub fn may_have_duplicate(&self) -> bool {
        self.may_have_duplicate
    }

    /// Whether S3 would take no further part.
    pub fn is_full(&self) -> bool {
        self.sent.len() as u64 >= MAX_PARTS
    }

    /// Sends the next part in the background; waits while too many are on their way. The memory is
    /// given back once the part has arrived.
    ///
    /// # Errors
    /// `Unavailable`, `StorageFull`, because of an earlier part.
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

    /// Waits for all parts and puts them together; they must make `size` bytes.
    ///
    /// # Errors
    /// `Unavailable`, `StorageFull`; `Internal` if the object came out with another size.
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

    /// Lets go of the upload without ending it; its row knows it.
    pub fn into_id(mut self) -> MultipartId {
        self.over = true;
        self.target.id.clone()
    }

    /// Stops what is on its way and aborts, as far as the store can be reached.
    pub async fn give_up(mut self) {
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

/// Puts the parts of a multipart upload together; they must make `size` bytes.
///
/// # Errors
/// `Unavailable`, `StorageFull`; `Internal` if the object came out with another size.
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
    // The object itself decides. An answer can be lost on its way, and what a store put
    // together need not be what was sent.
    let stored = clients.size(path).await?;
    if stored == Some(size) {
        return Ok(());
    }
    // What is not there yet may still be put together: the answer was late, not the store.
    if stored.is_some() {
        let _ = clients.reader.delete(path).await;
    }
    Err(match outcome {
        Err(error) => unavailable(error),
        Ok(_) => Error::internal(format!("the store made {stored:?} bytes of the {size} sent")),
    })
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Outside of a runtime nothing can be sent; the row knows the upload, the reaper ends it.
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
    /// Not there is fine: then it was completed or aborted already.
    async fn abort(&self) {
        let outcome = attempts(|| self.clients.reader.abort_multipart(&self.path, &self.id)).await;
        if let Err(error) = super::gone(outcome) {
            tracing::warn!(%error, upload = self.id, "an upload stays open until the reaper comes");
        }
    }
}
