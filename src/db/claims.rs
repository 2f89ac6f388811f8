//! Claims on resumable uploads: the right of one request at a time to append to one.

use std::time::Duration;

use uuid::Uuid;

use super::instance::has_ended;
use super::{Db, Micros, Tx, statements};
use crate::error::{Error, Result};

statements! {
    ACQUIRE_CLAIM = concat!("UPDATE resumable_uploads
        SET claim_id = $3, claim_instance = $5, claim_expires_at = (SELECT now FROM clock) + $4,
            stale_claim_id = claim_id
        WHERE id = $1 AND creator_id = $2 AND file_id IS NULL
            AND (claim_id IS NULL OR claim_expires_at <= (SELECT now FROM clock) OR ", has_ended!("claim_instance"), ")
        RETURNING stale_claim_id");
    /// Locks the row, so that no other request acquires a claim before the transaction ends.
    LOCK_CLAIM = "UPDATE resumable_uploads SET claim_id = claim_id WHERE id = $1 AND claim_id = $2";
    RENEW_CLAIM = "UPDATE resumable_uploads SET claim_expires_at = (SELECT now FROM clock) + $3
        WHERE id = $1 AND claim_id = $2";
    COUNT_CLAIMS = "SELECT COUNT(*) FROM resumable_uploads WHERE id = $1 AND claim_id = $2";
    RELEASE_CLAIM = "UPDATE resumable_uploads SET claim_id = NULL, claim_expires_at = 0
        WHERE id = $1 AND claim_id = $2";
}

impl Db {
    /// Acquires the claim to append to an upload for `lease`. Returns the previous claim if it expired, or its server
    /// ended, without being released.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] if another request holds a claim, or the upload has ended.
    pub async fn acquire_claim(&self, creator: Uuid, id: Uuid, claim: Uuid, lease: Duration) -> Result<Option<Uuid>> {
        let values = (id, creator, claim, Micros::from(lease), self.instance.id());
        let acquired = self.write.fetch_optional(ACQUIRE_CLAIM, values).await?;
        let (stale,) = acquired.ok_or(Error::UploadBusy)?;
        Ok(stale)
    }

    /// Whether a claim is still held.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn holds_claim(&self, id: Uuid, claim: Uuid) -> Result<bool> {
        let (count,): (i64,) = self.write.fetch_one(COUNT_CLAIMS, (id, claim)).await?;
        Ok(count == 1)
    }

    /// Renews a claim; `false` if it was lost.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn renew_claim(&self, id: Uuid, claim: Uuid, lease: Duration) -> Result<bool> {
        Ok(self.write.execute(RENEW_CLAIM, (id, claim, Micros::from(lease))).await? == 1)
    }

    /// Releases a claim.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn release_claim(&self, id: Uuid, claim: Uuid) -> Result<()> {
        self.write.execute(RELEASE_CLAIM, (id, claim)).await.map(drop)
    }
}

/// Locks the row of an upload until the transaction ends; `false` if the claim was lost.
pub(super) async fn lock_claim(tx: &mut Tx<'_>, id: Uuid, claim: Uuid) -> Result<bool> {
    Ok(tx.execute(LOCK_CLAIM, (id, claim)).await? == 1)
}
