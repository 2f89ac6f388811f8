//! Share links. Whose they are is part of every query but the one by token, which is the visitors'.

use sqlx::FromRow;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::{Db, is_foreign_key_violation, on, statements, transaction};
use crate::error::{Error, Result};

/// The columns of a [`LinkRow`].
macro_rules! link_columns {
    () => {
        "l.id, l.owner_id, l.file_id, l.token_hash, l.last_four, l.password_hash, l.allow_from, l.download_name, l.inline,
         l.note, l.max_downloads, l.downloads, l.created_at, l.last_used_at, l.expires_at, l.revoked_at,
         l.revision"
    };
}

statements! {
    /// Locks the account's row, so that two requests at once cannot both take the last place.
    LOCK_OWNER = "UPDATE users SET updated_at = updated_at WHERE id = $1";
    COUNT = "SELECT COUNT(*) FROM links WHERE owner_id = $1";
    INSERT = "INSERT INTO links (id, owner_id, file_id, token_hash, last_four, password_hash, allow_from, download_name, inline,
            note, max_downloads, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    /// A disabled owner's links are not there.
    BY_TOKEN = concat!("SELECT ", link_columns!(), " FROM links l JOIN users u ON u.id = l.owner_id
        WHERE l.token_hash = $1 AND u.disabled_at IS NULL");
    BY_ID = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.id = $1 AND l.owner_id = $2");
    LIST = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.owner_id = $1 AND l.id < $2
        ORDER BY l.id DESC LIMIT $3");
    LIST_OF_FILE = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.owner_id = $1 AND l.id < $2
        AND l.file_id = $4 ORDER BY l.id DESC LIMIT $3");
    CHANGE = "UPDATE links SET password_hash = $3, allow_from = $4, download_name = $5, inline = $6, note = $7,
            max_downloads = $8, expires_at = $9, revision = revision + 1
        WHERE id = $1 AND owner_id = $2 AND revision = $10 AND revoked_at IS NULL";
    REVOKE = "UPDATE links SET revoked_at = $3 WHERE id = $1 AND owner_id = $2 AND revoked_at IS NULL";
    ROTATE = "UPDATE links SET token_hash = $3, last_four = $4 WHERE id = $1 AND owner_id = $2 AND revoked_at IS NULL";
    PURGE = "DELETE FROM links WHERE revoked_at IS NOT NULL AND revoked_at <= $1";
}

/// A share link. Times are microseconds since 1970.
#[derive(Debug, Clone, FromRow)]
pub struct LinkRow {
    pub id: Uuid,
    pub owner_id: Uuid,
    pub file_id: Uuid,
    pub token_hash: Vec<u8>,
    /// The token's last characters.
    pub last_four: String,
    pub password_hash: Option<String>,
    /// Networks with commas between them.
    pub allow_from: String,
    pub download_name: Option<String>,
    pub inline: bool,
    pub note: String,
    pub max_downloads: Option<i64>,
    /// Complete deliveries.
    pub downloads: i64,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// Grows with every change of the bounds.
    pub revision: i64,
}

impl Db {
    /// Adds a link.
    ///
    /// # Errors
    /// `NotFound` if the file is gone by now; `Invalid` if the account has `limit` links already.
    pub async fn insert_link(&self, link: &LinkRow, limit: u32, event: &EventRow) -> Result<()> {
        transaction!(self, |tx| {
            let inserted = sqlx::query(INSERT)
                .bind(link.id)
                .bind(link.owner_id)
                .bind(link.file_id)
                .bind(&link.token_hash)
                .bind(&link.last_four)
                .bind(&link.password_hash)
                .bind(&link.allow_from)
                .bind(&link.download_name)
                .bind(link.inline)
                .bind(&link.note)
                .bind(link.max_downloads)
                .bind(link.created_at)
                .bind(link.expires_at)
                .execute(&mut *tx)
                .await;
            match inserted {
                Err(error) if is_foreign_key_violation(&error) => return Err(Error::NotFound),
                inserted => inserted.map(drop)?,
            }
            // After the link's row, which asks for the file's: whoever deletes a file takes them in this order, too.
            sqlx::query(LOCK_OWNER).bind(link.owner_id).execute(&mut *tx).await?;
            let links: i64 = sqlx::query_scalar(COUNT).bind(link.owner_id).fetch_one(&mut *tx).await?;
            if links > i64::from(limit) {
                return Err(Error::TooManyLinks { limit });
            }
            insert_event!(tx, event);
            Ok(())
        })
    }

    /// The link with this token, if its owner is not disabled; whoever asks decides the rest.
    pub async fn link_by_token(&self, token_hash: &[u8]) -> Result<Option<LinkRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_TOKEN).bind(token_hash).fetch_optional(p).await)?)
    }

    /// The link with this id, if it is this owner's.
    pub async fn link(&self, owner: Uuid, id: Uuid) -> Result<Option<LinkRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_ID).bind(id).bind(owner).fetch_optional(p).await)?)
    }

    /// The owner's links that were made before the one with the id `before`, newest first; of one
    /// file, or of all.
    pub async fn list_links(&self, owner: Uuid, file: Option<Uuid>, before: Uuid, limit: i64) -> Result<Vec<LinkRow>> {
        Ok(on!(self.read, |p| {
            let sql = if file.is_some() { LIST_OF_FILE } else { LIST };
            let query = sqlx::query_as(sql).bind(owner).bind(before).bind(limit);
            match file {
                Some(file) => query.bind(file).fetch_all(p).await,
                None => query.fetch_all(p).await,
            }
        })?)
    }

    /// Gives a link other bounds; `false` if it is revoked or was changed since it was read.
    pub async fn change_link(&self, link: &LinkRow, event: &EventRow) -> Result<bool> {
        transaction!(self, |tx| {
            let changed = sqlx::query(CHANGE)
                .bind(link.id)
                .bind(link.owner_id)
                .bind(&link.password_hash)
                .bind(&link.allow_from)
                .bind(&link.download_name)
                .bind(link.inline)
                .bind(&link.note)
                .bind(link.max_downloads)
                .bind(link.expires_at)
                .bind(link.revision)
                .execute(&mut *tx)
                .await?;
            if changed.rows_affected() != 1 {
                return Ok(false);
            }
            insert_event!(tx, event);
            Ok(true)
        })
    }

    /// Ends a link for good; one that is revoked already stays as it is.
    pub async fn revoke_link(&self, owner: Uuid, id: Uuid, now: i64, event: &EventRow) -> Result<()> {
        transaction!(self, |tx| {
            let revoked = sqlx::query(REVOKE).bind(id).bind(owner).bind(now).execute(&mut *tx).await?;
            if revoked.rows_affected() == 1 {
                insert_event!(tx, event);
            }
            Ok(())
        })
    }

    /// Gives a link another token; `false` if it is not there or revoked.
    pub async fn rotate_link(
        &self,
        owner: Uuid,
        id: Uuid,
        token_hash: &[u8],
        last_four: &str,
        event: &EventRow,
    ) -> Result<bool> {
        transaction!(self, |tx| {
            let query = sqlx::query(ROTATE).bind(id).bind(owner).bind(token_hash).bind(last_four);
            if query.execute(&mut *tx).await?.rows_affected() != 1 {
                return Ok(false);
            }
            insert_event!(tx, event);
            Ok(true)
        })
    }

    /// Deletes the links that were revoked by `time`, and gives their count.
    pub async fn purge_links(&self, time: i64) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(PURGE).bind(time).execute(p).await.map(|done| done.rows_affected()))?)
    }
}
