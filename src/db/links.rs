//! Share links. The caller decides who may see one.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::changes::{ChangeKind, record};
use super::errors::is_foreign_key_violation;
use super::events::EventRow;
use super::users::lock_user;
use super::{Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// The columns of a [`LinkRow`].
macro_rules! link_columns {
    () => {
        "l.id, l.space_id, l.creator_id, l.file_id, l.token_hash, l.turn, l.last_four, l.password_hash, l.allow_from, l.download_name,
         l.inline, l.note, l.max_downloads, l.downloads, l.created_at, l.last_downloaded_at, l.expires_at, l.revoked_at,
         l.revision"
    };
}

statements! {
    COUNT_LINKS = "SELECT COUNT(*) FROM links WHERE creator_id = $1";
    INSERT_LINK = "INSERT INTO links (id, space_id, creator_id, file_id, token_hash, last_four, password_hash, allow_from,
            download_name, inline, note, max_downloads, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    FIND_LINK_BY_TOKEN = concat!("SELECT ", link_columns!(), " FROM links l JOIN users u ON u.id = l.creator_id
        WHERE l.token_hash = $1 AND u.disabled_at IS NULL");
    FIND_LINK = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.id = $1");
    LIST_LINKS = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.creator_id = $1 AND l.id < $2
        ORDER BY l.id DESC LIMIT $3");
    LIST_LINKS_OF_FILE = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.file_id = $1 AND l.id < $2
        ORDER BY l.id DESC LIMIT $3");
    LIST_OWN_LINKS_OF_FILE = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.file_id = $1 AND l.id < $2
        AND l.creator_id = $4 ORDER BY l.id DESC LIMIT $3");
    UPDATE_LINK = "UPDATE links SET password_hash = $3, allow_from = $4, download_name = $5, inline = $6, note = $7,
            max_downloads = $8, expires_at = $9, revision = revision + 1
        WHERE id = $1 AND space_id = $2 AND revision = $10 AND revoked_at IS NULL";
    REVOKE_LINK = "UPDATE links SET revoked_at = $3 WHERE id = $1 AND space_id = $2 AND revoked_at IS NULL";
    ROTATE_LINK = "UPDATE links SET token_hash = $3, last_four = $4, turn = $5
        WHERE id = $1 AND space_id = $2 AND turn + 1 = $5 AND revoked_at IS NULL";
    PURGE_LINKS = "DELETE FROM links WHERE revoked_at IS NOT NULL AND revoked_at <= $1";
}

/// A share link.
#[derive(Debug, Clone, FromRow)]
pub struct LinkRow {
    /// The id of the link.
    pub id: Uuid,
    /// The space of the file.
    pub space_id: Uuid,
    /// The account that created it.
    pub creator_id: Uuid,
    /// The file that it shares.
    pub file_id: Uuid,
    /// The hash of its token.
    pub token_hash: Vec<u8>,
    /// How often the token was replaced.
    pub turn: i64,
    /// The last four characters of the token.
    pub last_four: String,
    /// The hash of its password, if it has one.
    pub password_hash: Option<String>,
    /// Networks that it is available from, separated by commas; empty: any.
    pub allow_from: String,
    /// The name of the download, if not that of the file.
    pub download_name: Option<String>,
    /// Whether browsers may display the content.
    pub inline: bool,
    /// A note of its creator.
    pub note: String,
    /// The download limit, if there is one.
    pub max_downloads: Option<Count>,
    /// Complete downloads.
    pub downloads: Count,
    /// When it was created.
    pub created_at: Micros,
    /// When the last download was completed.
    pub last_downloaded_at: Option<Micros>,
    /// When it expires, if it does.
    pub expires_at: Option<Micros>,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
    /// Incremented by every change.
    pub revision: i64,
}

impl Db {
    /// Adds a link.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the file was deleted; [`Error::TooManyLinks`] if the account has `limit` links already.
    pub async fn insert_link(&self, link: &LinkRow, limit: u32, event: &EventRow) -> Result<()> {
        self.transaction(async |tx| {
            insert(tx, link).await?;
            // After the link's row, which locks the file's: the same order as a deletion of the file.
            lock_user(tx, link.creator_id).await?;
            let (links,): (i64,) = tx.fetch_one(COUNT_LINKS, (link.creator_id,)).await?;
            if links > i64::from(limit) {
                return Err(Error::TooManyLinks { limit });
            }
            record(tx, event, ChangeKind::LinkCreated, link.id).await
        })
        .await
    }

    /// The link with this token, in any state, if its creator is not disabled.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn link_by_token(&self, token_hash: &[u8]) -> Result<Option<LinkRow>> {
        self.read.fetch_optional(FIND_LINK_BY_TOKEN, (token_hash,)).await
    }

    /// The link with this id.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn link(&self, id: Uuid) -> Result<Option<LinkRow>> {
        self.read.fetch_optional(FIND_LINK, (id,)).await
    }

    /// The links to a file, or that an account has created, or both, before the one with the id `before`, newest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_links(
        &self,
        creator: Option<Uuid>,
        file: Option<Uuid>,
        before: Uuid,
        limit: usize,
    ) -> Result<Vec<LinkRow>> {
        let limit = Count::from(limit);
        match (file, creator) {
            (Some(file), None) => self.read.fetch_all(LIST_LINKS_OF_FILE, (file, before, limit)).await,
            (Some(file), Some(creator)) => {
                self.read.fetch_all(LIST_OWN_LINKS_OF_FILE, (file, before, limit, creator)).await
            }
            (None, creator) => self.read.fetch_all(LIST_LINKS, (creator, before, limit)).await,
        }
    }

    /// Changes the restrictions of a link; `false` if it is revoked or was changed since it was read.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn change_link(&self, link: &LinkRow, event: &EventRow) -> Result<bool> {
        self.transaction(async |tx| {
            if !update(tx, link).await? {
                return Ok(false);
            }
            record(tx, event, ChangeKind::LinkChanged, link.id).await?;
            Ok(true)
        })
        .await
    }

    /// Revokes a link permanently. A link that is revoked already is unchanged.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn revoke_link(&self, space: Uuid, id: Uuid, now: Timestamp, event: &EventRow) -> Result<()> {
        self.transaction(async |tx| {
            if tx.execute(REVOKE_LINK, (id, space, Micros::from(now))).await? == 1 {
                record(tx, event, ChangeKind::LinkRevoked, id).await?;
            }
            Ok(())
        })
        .await
    }

    /// Replaces the token of a link, for this turn; `false` if the link does not exist or is revoked, or if its token was
    /// replaced since it was read.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn rotate_link(
        &self,
        space: Uuid,
        id: Uuid,
        token_hash: &[u8],
        last_four: &str,
        turn: i64,
        event: &EventRow,
    ) -> Result<bool> {
        self.transaction(async |tx| {
            if tx.execute(ROTATE_LINK, (id, space, token_hash, last_four, turn)).await? != 1 {
                return Ok(false);
            }
            record(tx, event, ChangeKind::LinkChanged, id).await?;
            Ok(true)
        })
        .await
    }

    /// Deletes the links that were revoked by `time`, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_links(&self, time: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_LINKS, (Micros::from(time),)).await
    }
}

async fn insert(tx: &mut Tx<'_>, link: &LinkRow) -> Result<()> {
    let LinkRow { token_hash, last_four, password_hash, allow_from, download_name, note, .. } = link;
    let row = (
        link.id,
        link.space_id,
        link.creator_id,
        link.file_id,
        token_hash,
        last_four,
        password_hash,
        allow_from,
        download_name,
        link.inline,
        note,
        link.max_downloads,
        link.created_at,
        link.expires_at,
    );
    match tx.try_execute(INSERT_LINK, row).await {
        Err(error) if is_foreign_key_violation(&error) => Err(Error::NotFound),
        inserted => Ok(inserted.map(drop)?),
    }
}

async fn update(tx: &mut Tx<'_>, link: &LinkRow) -> Result<bool> {
    let LinkRow { password_hash, allow_from, download_name, note, .. } = link;
    let row = (
        link.id,
        link.space_id,
        password_hash,
        allow_from,
        download_name,
        link.inline,
        note,
        link.max_downloads,
        link.expires_at,
        link.revision,
    );
    Ok(tx.execute(UPDATE_LINK, row).await? == 1)
}
