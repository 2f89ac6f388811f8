//! Records the progress of an upload in its row: never ahead of what is durable.

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::Claim;
use crate::app::App;
use crate::db::{Count, NewBlobRow, PartRow, Progress, ResumableRow};
use crate::error::{Error, Result};
use crate::faults;
use crate::files::uploads::content_hash::ContentHash;
use crate::store::{AppendObserver, Key, MultipartObserver, Persisted};

/// Follows an append, and knows which of it the row has recorded.
pub(in crate::files::uploads) struct RowObserver<'a> {
    app: &'a App,
    row: &'a ResumableRow,
    claim_id: Uuid,
    received: u64,
    hash: ContentHash,
    /// Parts that are not recorded yet.
    parts: Vec<PartRow>,
    tail: Option<Uuid>,
    /// The tail that is recorded.
    tail_in_row: Option<Uuid>,
    /// The blob whose key was requested last.
    next_tail: Option<Uuid>,
    /// Whether the progress is recorded once, when the append is complete.
    at_once: bool,
}

impl<'a> RowObserver<'a> {
    pub fn new(app: &'a App, row: &'a ResumableRow, claim: &Claim, at_once: bool) -> Result<Self> {
        Ok(Self {
            app,
            row,
            claim_id: claim.id,
            received: row.received.0,
            hash: ContentHash::restore(&row.hash_state)?,
            parts: Vec::new(),
            tail: row.tail_blob_id,
            tail_in_row: row.tail_blob_id,
            next_tail: None,
            at_once,
        })
    }

    /// Records the progress.
    ///
    /// # Errors
    /// [`Error::UploadGone`] if another writer has claimed the upload, or it has ended.
    pub async fn save(&mut self) -> Result<()> {
        let now = self.app.clock.now();
        let to = Progress {
            id: self.row.id,
            claim_id: self.claim_id,
            blob_id: self.row.blob_id,
            received: self.received,
            hash_state: self.hash.serialize(),
            parts: std::mem::take(&mut self.parts),
            tail: self.tail,
            old_tail: self.tail_in_row,
            expires_at: super::expiry(self.app, now),
        };
        self.app.db.record_progress(&to, super::lease(self.app)).await?;
        faults::point("T2");
        self.tail_in_row = self.tail;
        Ok(())
    }
}

#[async_trait]
impl MultipartObserver for RowObserver<'_> {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        let recorded =
            self.app.db.set_resumable_multipart_id(self.row.id, self.claim_id, self.row.blob_id, upload_id).await?;
        if recorded { Ok(()) } else { Err(Error::UploadGone) }
    }

    fn owner(&self) -> Uuid {
        self.row.space_id
    }
}

#[async_trait]
impl AppendObserver for RowObserver<'_> {
    async fn tail_key(&mut self) -> Result<Key> {
        let key = Key::random();
        let blob = NewBlobRow {
            id: self.app.clock.new_id(),
            space: self.row.space_id,
            key: key.to_string(),
            lease: self.app.config.uploads.lease,
            // The blob of the upload has reserved these bytes.
            reserve: 0,
            new_file: false,
            aside: true,
            claim: None,
            now: self.app.clock.now(),
        };
        self.app.db.insert_pending_blob(&blob, &self.app.config.quotas).await?;
        self.next_tail = Some(blob.id);
        Ok(key)
    }

    async fn written(&mut self, bytes: &[Bytes]) {
        for chunk in bytes {
            self.received += chunk.len() as u64;
            self.hash.update(chunk);
            // A part may be large: let other tasks run between its chunks.
            tokio::task::yield_now().await;
        }
    }

    async fn persisted(&mut self, how: Persisted) -> Result<()> {
        match how {
            Persisted::InPlace => {}
            Persisted::Part { number, receipt } => {
                self.parts.push(PartRow { number: Count(number), receipt });
                self.tail = None;
            }
            Persisted::Tail => self.tail = self.next_tail.take(),
        }
        if self.at_once { Ok(()) } else { self.save().await }
    }
}
