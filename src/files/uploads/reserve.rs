//! Reserves quota for an upload before its bytes are stored: all of it if the size is declared, otherwise step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use uuid::Uuid;

use crate::chunks::{ChunkObserver, observed};
use crate::config::Quotas;
use crate::db::{Db, NewBlobRow};
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// The bytes reserved first for a body of unknown size: few, so that many concurrent small uploads do not fill the quota
/// with what none of them needs.
const FIRST_STEP: u64 = 64 * 1024;
/// Maximum number of bytes reserved ahead.
const LARGEST_STEP: u64 = 16 * 1024 * 1024;

/// The bytes that a pending blob has reserved of its space's quota.
pub(in crate::files) struct Reservation {
    db: Db,
    quotas: Quotas,
    blob: Uuid,
    space: Uuid,
    reserved: u64,
    /// The body never has more bytes than this.
    max_size: u64,
    /// The bytes reserved by this body.
    added: Arc<AtomicU64>,
}

impl Reservation {
    /// Inserts the pending blob and reserves what its body needs: its `size` if that is declared, otherwise a first
    /// step. `most` is the largest size that the body can have. All are bytes.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`]; [`Error::TooManyUploads`]; [`Error::IdempotencyInProgress`].
    pub async fn open(
        db: &Db,
        quotas: &Quotas,
        blob: &mut NewBlobRow,
        size: Option<u64>,
        max_size: u64,
    ) -> Result<Self> {
        let (least, wanted) = match size {
            Some(size) => (size, size),
            // The size of a form is known, but not how much of it is the file.
            None if max_size <= LARGEST_STEP => (0, max_size),
            None => (0, FIRST_STEP),
        };
        blob.reserve = wanted;
        while let Err(error) = db.insert_pending_blob(blob, quotas).await {
            blob.reserve = smaller_retry(error, least, blob.reserve)?;
        }
        Ok(Self::resume(db, quotas, blob.id, blob.space, blob.reserve, max_size))
    }

    /// Continues the reservation of a blob that exists.
    pub fn resume(db: &Db, quotas: &Quotas, blob: Uuid, space: Uuid, reserved: u64, max_size: u64) -> Self {
        Self { db: db.clone(), quotas: *quotas, blob, space, reserved, max_size, added: Arc::default() }
    }

    /// A counter of the bytes that this body has reserved so far.
    pub fn added(&self) -> Arc<AtomicU64> {
        self.added.clone()
    }

    /// Makes sure that `size` bytes are reserved. What is missing is reserved together with some of what may follow, as
    /// much as has already arrived, so that the steps are few and little is reserved unnecessarily.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`]; [`Error::UploadGone`] if the lease of the blob is lost.
    pub async fn ensure(&mut self, size: u64) -> Result<()> {
        let least = size.saturating_sub(self.reserved);
        if least == 0 {
            return Ok(());
        }
        let ahead = size.clamp(FIRST_STEP, LARGEST_STEP).min(self.max_size.saturating_sub(size));
        let mut wanted = least + ahead;
        while let Err(error) = self.db.reserve_more(self.blob, self.space, wanted, &self.quotas).await {
            wanted = smaller_retry(error, least, wanted)?;
        }
        self.reserved += wanted;
        self.added.fetch_add(wanted, Ordering::Relaxed);
        Ok(())
    }
}

/// The smaller reservation to try next, if `wanted` bytes exceed the quota and `least` would be enough.
fn smaller_retry(error: Error, least: u64, wanted: u64) -> Result<u64> {
    match error {
        Error::QuotaExceeded { used, quota, .. } if wanted > least => {
            Ok(quota.saturating_sub(used).clamp(least, wanted - 1))
        }
        error => Err(error),
    }
}

/// The stream, which passes no byte on before it is reserved; `offset` bytes of the upload came before it.
pub(in crate::files) fn reserved(stream: ByteStream, reservation: Reservation, offset: u64) -> ByteStream {
    observed(stream, ReservingObserver { reservation, received: offset })
}

struct ReservingObserver {
    reservation: Reservation,
    received: u64,
}

impl ChunkObserver for ReservingObserver {
    async fn chunk(&mut self, chunk: &Bytes) -> Result<()> {
        self.received += chunk.len() as u64;
        self.reservation.ensure(self.received).await
    }
}
