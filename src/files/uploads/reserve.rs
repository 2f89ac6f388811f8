//! What an upload takes of its owner's quotas before its bytes are kept: all of it when its length
//! is announced, else step by step as it flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use crate::config::Quotas;
use crate::db::{Db, NewBlobRow};
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// Bytes that are reserved at first for a body of unknown length. Whoever sends many small ones at
/// once does not fill the quota with what none of them needs.
const FIRST_STEP: u64 = 64 * 1024;
/// Bytes that are reserved at a time at most.
const LARGEST_STEP: u64 = 16 * 1024 * 1024;

/// The bytes that a pending blob has reserved.
pub(in crate::files) struct Reservation {
    db: Db,
    quotas: Quotas,
    blob: Uuid,
    owner: Uuid,
    reserved: u64,
    /// The body never has more bytes than this.
    most: u64,
    /// What was reserved since it was opened or gone on with.
    added: Arc<AtomicU64>,
}

impl Reservation {
    /// Writes down the intent and reserves what the body needs: its `size` if that is known, else
    /// a first step. `most` is the largest that the body may become.
    ///
    /// # Errors
    /// `QuotaExceeded`; `TooManyUploads`.
    pub async fn open(db: &Db, quotas: &Quotas, blob: &mut NewBlobRow, size: Option<u64>, most: u64) -> Result<Self> {
        let (least, wanted) = match size {
            Some(size) => (size, size),
            // Of a form the length is known, with what stands around the file.
            None if most <= LARGEST_STEP => (0, most),
            None => (0, FIRST_STEP),
        };
        blob.reserve = wanted;
        while let Err(error) = db.insert_pending_blob(blob, quotas).await {
            blob.reserve = smaller_retry(error, least, blob.reserve)?;
        }
        let (blob, owner, reserved) = (blob.id, blob.owner, blob.reserve);
        Ok(Self { db: db.clone(), quotas: *quotas, blob, owner, reserved, most, added: Arc::default() })
    }

    /// What a pending blob that others began has reserved until now.
    pub fn resume(db: &Db, quotas: &Quotas, blob: Uuid, owner: Uuid, reserved: u64, most: u64) -> Self {
        Self { db: db.clone(), quotas: *quotas, blob, owner, reserved, most, added: Arc::default() }
    }

    /// Tells, whenever it is asked, how many bytes were reserved by this body.
    pub fn added(&self) -> Arc<AtomicU64> {
        self.added.clone()
    }

    /// Reserves what `size` bytes need that is not reserved yet, and some of what may follow: as
    /// much as came already, so that steps are few and what is reserved in vain is little.
    ///
    /// # Errors
    /// `QuotaExceeded`; `UploadGone` if the blob's lease is lost.
    pub async fn ensure(&mut self, size: u64) -> Result<()> {
        let least = size.saturating_sub(self.reserved);
        if least == 0 {
            return Ok(());
        }
        let ahead = size.clamp(FIRST_STEP, LARGEST_STEP).min(self.most.saturating_sub(size));
        let mut wanted = least + ahead;
        while let Err(error) = self.db.reserve_more(self.blob, self.owner, wanted, &self.quotas).await {
            wanted = smaller_retry(error, least, wanted)?;
        }
        self.reserved += wanted;
        self.added.fetch_add(wanted, Ordering::Relaxed);
        Ok(())
    }
}

/// How much to try for instead when there was no room for `wanted` bytes but `least` would do.
fn smaller_retry(error: Error, least: u64, wanted: u64) -> Result<u64> {
    match error {
        Error::QuotaExceeded { used, quota, .. } if wanted > least => {
            Ok(quota.saturating_sub(used).clamp(least, wanted - 1))
        }
        error => Err(error),
    }
}

/// The stream, of which no byte goes on that is not reserved; `offset` bytes came before it.
pub(in crate::files) fn reserved(stream: ByteStream, reservation: Reservation, offset: u64) -> ByteStream {
    Box::pin(stream::unfold(Some((stream, reservation, offset)), |state| async move {
        let (mut stream, mut reservation, received) = state?;
        match stream.next().await? {
            Ok(chunk) => {
                let received = received + chunk.len() as u64;
                match reservation.ensure(received).await {
                    Ok(()) => Some((Ok(chunk), Some((stream, reservation, received)))),
                    Err(error) => Some((Err(error), None)),
                }
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}
