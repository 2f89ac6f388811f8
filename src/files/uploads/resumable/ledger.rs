//! The row of an upload, as its writer moves it on: never ahead of what is durable.

use async_trait::async_trait;
use bytes::Bytes;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Claim;
use crate::app::App;
use crate::db::{NewBlobRow, PartRow, Progress, ResumableRow};
use crate::error::{Error, Result};
use crate::faults;
use crate::store::{AppendObserver, Key, MultipartObserver, Persisted};

/// What has come since the row was read, and what of it the row knows.
pub(in crate::files::uploads) struct RowObserver<'a> {
    app: &'a App,
    row: &'a ResumableRow,
    writer: Uuid,
    received: u64,
    hash: Sha256,
    /// Parts that the row does not know yet.
    parts: Vec<PartRow>,
    tail: Option<Uuid>,
    /// The tail that the row knows.
    tail_in_row: Option<Uuid>,
    /// The tail that was asked for last.
    next_tail: Option<Uuid>,
    /// The row moves on once, when everything has come.
    at_once: bool,
}

impl<'a> RowObserver<'a> {
    pub fn new(app: &'a App, row: &'a ResumableRow, claim: &Claim, at_once: bool) -> Result<Self> {
        Ok(Self {
            app,
            row,
            writer: claim.writer,
            received: row.received as u64,
            hash: restore_hash_state(&row.hash_state)?,
            parts: Vec::new(),
            tail: row.tail_blob_id,
            tail_in_row: row.tail_blob_id,
            next_tail: None,
            at_once,
        })
    }

    /// Moves the row on to what was kept.
    ///
    /// # Errors
    /// `UploadGone` if somebody else holds the upload by now, or it is over.
    pub async fn settle(&mut self) -> Result<()> {
        let now = self.app.clock.now();
        let to = Progress {
            id: self.row.id,
            claim_id: self.writer,
            blob_id: self.row.blob_id,
            received: self.received as i64,
            hash_state: serialize_hash_state(&self.hash),
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
        let noted =
            self.app.db.set_resumable_multipart_id(self.row.id, self.writer, self.row.blob_id, upload_id).await?;
        if noted { Ok(()) } else { Err(Error::UploadGone) }
    }

    fn owner(&self) -> Uuid {
        self.row.owner_id
    }
}

#[async_trait]
impl AppendObserver for RowObserver<'_> {
    async fn tail_key(&mut self) -> Result<Key> {
        let key = Key::random();
        let blob = NewBlobRow {
            id: self.app.clock.new_id(),
            owner: self.row.owner_id,
            key: key.to_string(),
            lease: self.app.config.uploads.lease,
            // The upload's own blob has reserved these bytes.
            reserve: 0,
            new_file: false,
            aside: true,
            claim: None,
            now: self.app.clock.now().as_microsecond(),
        };
        self.app.db.insert_pending_blob(&blob, &self.app.config.quotas).await?;
        self.next_tail = Some(blob.id);
        Ok(key)
    }

    async fn written(&mut self, bytes: &[Bytes]) {
        for chunk in bytes {
            self.received += chunk.len() as u64;
            self.hash.update(chunk);
            // A part is hashed as a whole; others have a turn in between.
            tokio::task::yield_now().await;
        }
    }

    async fn kept(&mut self, how: Persisted) -> Result<()> {
        match how {
            Persisted::InPlace => {}
            Persisted::Part { number, receipt } => {
                self.parts.push(PartRow { number: number as i64, receipt });
                self.tail = None;
            }
            Persisted::Tail => self.tail = self.next_tail.take(),
        }
        if self.at_once { Ok(()) } else { self.settle().await }
    }
}

/// The state of a hash as the row keeps it.
pub(in crate::files::uploads) fn serialize_hash_state(hash: &Sha256) -> Vec<u8> {
    hash.serialize().to_vec()
}

/// The hash, ready to go on.
///
/// # Errors
/// `Internal` if the row's bytes are no such state.
pub(in crate::files::uploads) fn restore_hash_state(state: &[u8]) -> Result<Sha256> {
    let state = SerializedState::<Sha256>::try_from(state).map_err(Error::internal)?;
    Sha256::deserialize(&state).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_where_it_stopped() {
        for cut in [0, 1, 63, 64, 65, 1000] {
            let bytes = [7; 1000];
            let mut first = Sha256::new();
            first.update(&bytes[..cut]);
            let mut second = restore_hash_state(&serialize_hash_state(&first)).unwrap();
            second.update(&bytes[cut..]);
            assert_eq!(second.finalize(), Sha256::digest(bytes), "{cut}");
        }
        assert!(restore_hash_state(b"no state").is_err());
    }
}
