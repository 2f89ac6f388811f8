//! Reads objects and compares their hashes, at a limited rate that leaves the store to clients.

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::recheck::{self, finding_about, parse_key, still_ready};
use super::report::{FsckFinding, FsckFindingKind};
use super::runner::FsckRunner;
use crate::db::ReferencedBlobRow;
use crate::error::{Error, Result};

impl FsckRunner<'_> {
    /// Reads the object of a ready row. A difference is read a second time: a transmission error is
    /// not damage.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond at all.
    pub(super) async fn check_hash(&mut self, row: &ReferencedBlobRow) -> Result<Option<FsckFinding>> {
        if self.hash_matches(row).await.is_ok_and(|matches| matches) {
            self.add_verified(&row.key).await?;
            return Ok(None);
        }
        let again = self.hash_matches(row).await;
        let Some(row) = still_ready(self.app, &row.key).await? else { return Ok(None) };
        match again {
            Ok(true) => {
                self.add_verified(&row.key).await?;
                Ok(None)
            }
            Ok(false) => {
                let detail = "the content differs from what was stored".into();
                Ok(Some(finding_about(&row, FsckFindingKind::HashMismatch, detail)))
            }
            Err(Error::NotFound) => recheck::ready(self.app, &row.key).await,
            Err(error) => {
                // One unreadable object is a finding; an unavailable store is not.
                self.app.store.ping().await?;
                Ok(Some(finding_about(&row, FsckFindingKind::Unreadable, crate::error::chain(&error))))
            }
        }
    }

    async fn hash_matches(&mut self, row: &ReferencedBlobRow) -> Result<bool> {
        let (key, size) = (parse_key(&row.key)?, row.size.unwrap_or_default().0);
        let mut hash = Sha256::new();
        if size > 0 {
            let mut bytes = self.app.store.get(&key, 0..size).await?;
            while let Some(chunk) = bytes.try_next().await? {
                hash.update(&chunk);
                self.report.hashed_bytes += chunk.len() as u64;
                self.rate_limit.acquire(chunk.len()).await;
                self.report_progress().await?;
            }
        }
        Ok(row.sha256.as_deref() == Some(hash.finalize().as_slice()))
    }
}
