//! Reading every object again, at a pace that leaves the store to those who wait for it.

use std::time::Duration;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::recheck::{self, about, parsed, still_ready};
use super::report::{FsckFinding, FsckFindingKind};
use super::run::FsckRunner;
use crate::db::ReferencedBlobRow;
use crate::error::{Error, Result};

/// Keeps to a rate, without making up for time in which nothing was read.
pub(super) struct Pace {
    rate: u64,
    due: Instant,
}

impl Pace {
    /// `rate` in bytes a second.
    pub fn of(rate: u64) -> Self {
        Self { rate: rate.max(1), due: Instant::now() }
    }

    async fn spend(&mut self, bytes: usize) {
        self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        tokio::time::sleep_until(self.due).await;
    }
}

impl FsckRunner<'_> {
    /// Reads the bytes of a ready row, and reads them again if they are not what was stored: what
    /// went wrong on the way is no damage.
    pub(super) async fn hash(&mut self, row: &ReferencedBlobRow) -> Result<Option<FsckFinding>> {
        if self.has_its_hash(row).await.is_ok_and(|it_has| it_has) {
            return Ok(None);
        }
        let again = self.has_its_hash(row).await;
        let Some(row) = still_ready(self.app, &row.key).await? else { return Ok(None) };
        match again {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(about(&row, FsckFindingKind::HashMismatch, "other bytes than were stored".into()))),
            Err(Error::NotFound) => recheck::ready(self.app, &row.key).await,
            Err(error) => {
                // One object that cannot be read is a finding; a store that cannot is none.
                self.app.store.ping().await?;
                Ok(Some(about(&row, FsckFindingKind::Unreadable, crate::error::chain(&error))))
            }
        }
    }

    async fn has_its_hash(&mut self, row: &ReferencedBlobRow) -> Result<bool> {
        let (key, size) = (parsed(&row.key)?, row.size.unwrap_or_default() as u64);
        let mut hash = Sha256::new();
        if size > 0 {
            let mut bytes = self.app.store.get(&key, 0..size).await?;
            while let Some(chunk) = bytes.try_next().await? {
                hash.update(&chunk);
                self.report.hashed_bytes += chunk.len() as u64;
                self.pace.spend(chunk.len()).await;
                self.report_progress().await?;
            }
        }
        Ok(row.sha256.as_deref() == Some(hash.finalize().as_slice()))
    }
}
