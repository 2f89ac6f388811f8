//! One-time URLs of archives. One is used by the first client that begins to download, until the archive is complete.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::{Count, Db, Micros, statements};
use crate::error::Result;

statements! {
    INSERT_ARCHIVE_URL = "INSERT INTO archive_urls
            (id, user_id, token_hash, credential, credential_id, name, items, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    FIND_ARCHIVE_URL = "SELECT id, user_id, token_hash, credential, credential_id, name, items, created_at, expires_at
        FROM archive_urls WHERE token_hash = $1 AND expires_at > $2";
    /// The first client, or the same one again.
    USE_ARCHIVE_URL = "UPDATE archive_urls SET client_hash = $2, expires_at = $3
        WHERE id = $1 AND expires_at > $4
            AND (client_hash IS NULL OR client_hash = $2 AND (NOT complete OR $5))";
    COMPLETE_ARCHIVE_URL = "UPDATE archive_urls SET complete = TRUE WHERE id = $1";
    NTH_ARCHIVE_URL = "SELECT id FROM archive_urls WHERE user_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
    DELETE_OLDER_ARCHIVE_URLS = "DELETE FROM archive_urls WHERE user_id = $1 AND id <= $2";
    PURGE_ARCHIVE_URLS = "DELETE FROM archive_urls WHERE expires_at <= $1";
}

/// A one-time URL of an archive.
#[derive(Debug, Clone, FromRow)]
pub struct ArchiveUrlRow {
    /// The id of the URL.
    pub id: Uuid,
    /// The account that asked for it.
    pub user_id: Uuid,
    /// The hash of its token.
    pub token_hash: Vec<u8>,
    /// The kind of credential that it ends with: `session` or `token`.
    pub credential: String,
    /// The id of that session or token.
    pub credential_id: Uuid,
    /// The file name of the archive.
    pub name: String,
    /// What the archive contains, as JSON.
    pub items: String,
    /// When it was created.
    pub created_at: Micros,
    /// When it expires, if no download has begun.
    pub expires_at: Micros,
}

/// A use of a one-time URL.
#[derive(Debug, Clone)]
pub struct ArchiveUrlUse {
    /// The id of the URL.
    pub id: Uuid,
    /// A hash of the address of the client.
    pub client: Vec<u8>,
    /// Until when the client can continue.
    pub until: Timestamp,
    /// Whether it begins after the first byte.
    pub resumes: bool,
}

impl Db {
    /// Adds a one-time URL. Of those of the account the latest `limit` are kept.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn insert_archive_url(&self, url: &ArchiveUrlRow, limit: u32) -> Result<()> {
        let ArchiveUrlRow { token_hash, credential, name, items, .. } = url;
        let (created_at, expires_at) = (url.created_at, url.expires_at);
        let row = (url.id, url.user_id, token_hash, credential, url.credential_id, name, items, created_at, expires_at);
        self.transaction(async |tx| {
            tx.execute(INSERT_ARCHIVE_URL, row).await?;
            let excess: Option<(Uuid,)> =
                tx.fetch_optional(NTH_ARCHIVE_URL, (url.user_id, Count(limit.into()))).await?;
            if let Some((id,)) = excess {
                tx.execute(DELETE_OLDER_ARCHIVE_URLS, (url.user_id, id)).await?;
            }
            Ok(())
        })
        .await
    }

    /// The one-time URL with this token, if it has not expired.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn archive_url(&self, token_hash: &[u8], now: Timestamp) -> Result<Option<ArchiveUrlRow>> {
        self.read.fetch_optional(FIND_ARCHIVE_URL, (token_hash, Micros::from(now))).await
    }

    /// Begins or continues a download; `false` if another client uses the URL, or the archive is complete.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn use_archive_url(&self, new: &ArchiveUrlUse, now: Timestamp) -> Result<bool> {
        let (until, now) = (Micros::from(new.until), Micros::from(now));
        let used = self.write.execute(USE_ARCHIVE_URL, (new.id, &new.client, until, now, new.resumes)).await?;
        Ok(used == 1)
    }

    /// Records that the last byte of the archive is sent.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn complete_archive_url(&self, id: Uuid) -> Result<()> {
        self.write.execute(COMPLETE_ARCHIVE_URL, (id,)).await.map(drop)
    }

    /// Deletes the one-time URLs that have expired, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_archive_urls(&self, now: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_ARCHIVE_URLS, (Micros::from(now),)).await
    }
}
