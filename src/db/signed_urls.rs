//! What is known of signed URLs that read: until when there may be some, and which are revoked.

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    NOTE = "UPDATE files SET signed_urls_expire_at = $3 WHERE id = $1 AND owner_id = $2 AND signed_urls_expire_at < $3";
    OF_LISTS = "SELECT list_urls_expire_at, list_urls_recorded_at FROM users WHERE id = $1";
    NOTE_LIST = "UPDATE users SET list_urls_recorded_at = $3,
            list_urls_expire_at = CASE WHEN list_urls_expire_at > $2 THEN list_urls_expire_at ELSE $2 END
        WHERE id = $1";
    REVOKE = "UPDATE files SET signed_url_generation = signed_url_generation + 1, signed_urls_expire_at = 0, signed_urls_revoked_at = $3
        WHERE id = $1 AND owner_id = $2 AND trashed_at IS NULL";
    GENERATION = "SELECT f.signed_url_generation FROM files f JOIN blobs b ON b.id = f.blob_id
        WHERE b.key = $1 AND f.trashed_at IS NULL";
}

/// The URLs of an account's lists: until when there may be some, and when that was written down.
/// Microseconds since 1970.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct ListSigningRow {
    pub list_urls_expire_at: i64,
    pub list_urls_recorded_at: i64,
}

impl Db {
    /// Notes that a URL was given out that lives until then.
    pub async fn record_signed_url(&self, owner: Uuid, file: Uuid, until: i64) -> Result<()> {
        on!(self.write, |p| sqlx::query(NOTE).bind(file).bind(owner).bind(until).execute(p).await.map(drop))?;
        Ok(())
    }

    /// What is known of the URLs in this account's lists.
    pub async fn list_signing(&self, owner: Uuid) -> Result<Option<ListSigningRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(OF_LISTS).bind(owner).fetch_optional(p).await)?)
    }

    /// Notes that a list was given out whose URLs live until then.
    pub async fn record_list_signing(&self, owner: Uuid, until: i64, now: i64) -> Result<()> {
        on!(self.write, |p| sqlx::query(NOTE_LIST).bind(owner).bind(until).bind(now).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Makes every URL of ours that was signed to read this file worthless; `false` if it is not there.
    pub async fn revoke_signed(&self, owner: Uuid, file: Uuid, now: i64) -> Result<bool> {
        let revoked = on!(self.write, |p| sqlx::query(REVOKE)
            .bind(file)
            .bind(owner)
            .bind(now)
            .execute(p)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(revoked == 1)
    }

    /// What the signatures have to cover that read these bytes, if they are a file's.
    pub async fn signed_generation(&self, key: &str) -> Result<Option<i64>> {
        Ok(on!(self.read, |p| sqlx::query_scalar(GENERATION).bind(key).fetch_optional(p).await)?)
    }
}
