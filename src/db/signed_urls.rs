//! Signed download URLs: their latest expiry, and their revocation.

use jiff::Timestamp;
use uuid::Uuid;

use super::files::end_signed_puts;
use super::usage::apply_usage;
use super::{Db, Micros, statements};
use crate::error::Result;

statements! {
    RECORD_URL = "UPDATE files SET signed_urls_expire_at = $3
        WHERE id = $1 AND space_id = $2 AND signed_urls_expire_at < $3";
    FIND_LIST_SIGNING = "SELECT list_urls_expire_at, list_urls_recorded_at FROM spaces WHERE id = $1";
    RECORD_LIST = "UPDATE spaces SET list_urls_recorded_at = $3,
            list_urls_expire_at = CASE WHEN list_urls_expire_at > $2 THEN list_urls_expire_at ELSE $2 END
        WHERE id = $1";
    REVOKE_URLS = "UPDATE files SET signed_url_generation = signed_url_generation + 1, signed_urls_expire_at = 0,
            signed_urls_revoked_at = $3
        WHERE id = $1 AND space_id = $2 AND trashed_at IS NULL";
    FIND_GENERATION = "SELECT f.signed_url_generation FROM files f JOIN blobs b ON b.id = f.blob_id
        JOIN folders d ON d.id = f.folder_id WHERE b.key = $1 AND f.trashed_at IS NULL AND d.trashed_at IS NULL";
}

/// The signed URLs in the lists of an account.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct ListSigningRow {
    /// The latest expiry.
    pub list_urls_expire_at: Micros,
    /// When the expiry was recorded.
    pub list_urls_recorded_at: Micros,
}

impl Db {
    /// Records the expiry of a newly signed URL.
    ///
    /// # Errors
    /// [`Error::Unauthorized`](crate::error::Error::Unauthorized) if the permit of the request has ended.
    pub async fn record_signed_url(&self, space: Uuid, file: Uuid, until: Timestamp) -> Result<()> {
        self.transaction(async |tx| tx.execute(RECORD_URL, (file, space, Micros::from(until))).await.map(drop)).await
    }

    /// The signed URLs in this account's lists.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_signing(&self, space: Uuid) -> Result<Option<ListSigningRow>> {
        self.read.fetch_optional(FIND_LIST_SIGNING, (space,)).await
    }

    /// Records the expiry of the signed URLs in a returned list.
    ///
    /// # Errors
    /// [`Error::Unauthorized`](crate::error::Error::Unauthorized) if the permit of the request has ended.
    pub async fn record_list_signing(&self, space: Uuid, until: Timestamp, now: Timestamp) -> Result<()> {
        let row = (space, Micros::from(until), Micros::from(now));
        self.transaction(async |tx| tx.execute(RECORD_LIST, row).await.map(drop)).await
    }

    /// Revokes every URL of this file that this server has signed, and ends the signed uploads to it; `false` if there is no
    /// such file.
    ///
    /// # Errors
    /// [`Error::Unauthorized`](crate::error::Error::Unauthorized) if the permit of the request has ended.
    pub async fn revoke_signed(&self, space: Uuid, file: Uuid, now: Timestamp) -> Result<bool> {
        self.transaction(async |tx| {
            let ended = end_signed_puts(tx, space, file).await?;
            let is_revoked = tx.execute(REVOKE_URLS, (file, space, Micros::from(now))).await? == 1;
            apply_usage(tx, space, ended).await?;
            Ok(is_revoked)
        })
        .await
    }

    /// Ends the signed uploads to this file.
    ///
    /// # Errors
    /// [`Error::Unauthorized`](crate::error::Error::Unauthorized) if the permit of the request has ended.
    pub async fn revoke_signed_puts(&self, space: Uuid, file: Uuid) -> Result<()> {
        self.transaction(async |tx| {
            let ended = end_signed_puts(tx, space, file).await?;
            apply_usage(tx, space, ended).await
        })
        .await
    }

    /// The generation that a valid signature for this key covers, if the key belongs to a file.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn signed_generation(&self, key: &str) -> Result<Option<i64>> {
        let row = self.read.fetch_optional(FIND_GENERATION, (key,)).await?;
        Ok(row.map(|(generation,)| generation))
    }
}
