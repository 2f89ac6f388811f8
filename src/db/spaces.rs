//! Spaces: trees of folders with a quota, a trash and an audit log of their own.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::access::held;
use super::errors::is_foreign_key_violation;
use super::events::{EventRow, insert_event};
use super::folders::insert_top;
use super::grants::{self, NewGrantRow};
use super::usage::UsageRow;
use super::{ByteCount, Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// The columns of a [`SpaceRow`]. The rights are those of the account $1 by grants that have not expired at $2: bit by
/// bit, because SQLite has no aggregate for all of them.
macro_rules! select_space {
    () => {
        concat!(
            "SELECT s.id, s.name, s.created_at, s.updated_at, s.deleted_at,
            s.used_bytes, s.used_files, s.open_uploads, s.quota_bytes, s.quota_files,
            (SELECT CAST(COALESCE(MAX(g.rights & 1) + MAX(g.rights & 2) + MAX(g.rights & 4) + MAX(g.rights & 8)
                    + MAX(g.rights & 16) + MAX(g.rights & 32) + MAX(g.rights & 64) + MAX(g.rights & 128), 0) AS BIGINT)
                FROM grants g WHERE g.folder_id = s.id AND ",
            held!("$2"),
            ") AS rights FROM spaces s"
        )
    };
}

statements! {
    INSERT_PERSONAL_SPACE = "INSERT INTO spaces (id, user_id, name, created_at, updated_at) VALUES ($1, $1, '', $2, $2)";
    INSERT_SPACE = "INSERT INTO spaces (id, name, creator_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)";
    LOCK_SPACE = "UPDATE spaces SET updated_at = updated_at WHERE id = $1";
    LOCK_CREATOR = "UPDATE users SET updated_at = updated_at WHERE id = $1";
    COUNT_CREATED = "SELECT COUNT(*) FROM spaces WHERE creator_id = $1";
    FIND_SPACE = concat!(select_space!(), " WHERE s.id = $3 AND s.user_id IS NULL");
    LIST_SPACES = concat!(select_space!(), " WHERE s.user_id IS NULL AND s.id > $3 AND s.id IN (
            SELECT g.folder_id FROM grants g WHERE g.user_id = $1 AND (g.expires_at IS NULL OR g.expires_at > $2)
            UNION SELECT g.folder_id FROM team_members m JOIN grants g ON g.team_id = m.team_id
                WHERE m.user_id = $1 AND (g.expires_at IS NULL OR g.expires_at > $2))
        ORDER BY s.id LIMIT $4");
    LIST_SPACES_WITH = "SELECT s.id FROM spaces s WHERE s.user_id IS NULL AND s.deleted_at IS NULL AND s.id IN (
            SELECT g.folder_id FROM grants g WHERE g.user_id = $1 AND (g.rights & $2) <> 0
                AND (g.expires_at IS NULL OR g.expires_at > $3)
            UNION SELECT g.folder_id FROM team_members m JOIN grants g ON g.team_id = m.team_id
                WHERE m.user_id = $1 AND (g.rights & $2) <> 0 AND (g.expires_at IS NULL OR g.expires_at > $3))";
    LIST_ALL_SPACES = concat!(select_space!(), " WHERE s.user_id IS NULL AND s.id > $3 ORDER BY s.id LIMIT $4");
    RENAME_SPACE = "UPDATE spaces SET name = $2, updated_at = $3
        WHERE id = $1 AND user_id IS NULL AND deleted_at IS NULL";
    SET_QUOTAS = "UPDATE spaces SET quota_bytes = CASE WHEN $2 THEN $3 ELSE quota_bytes END,
            quota_files = CASE WHEN $4 THEN $5 ELSE quota_files END, updated_at = $6
        WHERE id = $1 AND user_id IS NULL";
    DELETE_SPACE = "UPDATE spaces SET deleted_at = $2, updated_at = $2
        WHERE id = $1 AND user_id IS NULL AND deleted_at IS NULL";
    RESTORE_SPACE = "UPDATE spaces SET deleted_at = NULL, updated_at = $2
        WHERE id = $1 AND user_id IS NULL AND deleted_at IS NOT NULL";
    LIST_DUE = "SELECT id FROM spaces WHERE deleted_at IS NOT NULL AND deleted_at <= $1";
    /// Its events are deleted with it.
    DROP_SPACE = "DELETE FROM spaces WHERE id = $1 AND deleted_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM blobs WHERE space_id = $1)";
    /// Shared spaces of which an account is the only manager whose role does not expire.
    COUNT_SOLELY_MANAGED = "SELECT COUNT(*) FROM grants g JOIN spaces s ON s.id = g.folder_id AND s.user_id IS NULL
        WHERE g.user_id = $1 AND g.role = 'manager' AND g.expires_at IS NULL AND s.deleted_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM grants o LEFT JOIN users u ON u.id = o.user_id
            WHERE o.folder_id = g.folder_id AND o.role = 'manager' AND o.expires_at IS NULL
                AND (u.id <> $1 AND u.disabled_at IS NULL OR EXISTS (
                    SELECT 1 FROM team_members m WHERE m.team_id = o.team_id AND m.user_id <> $1)))";
}

/// A shared space.
#[derive(Debug, Clone, FromRow)]
pub struct SpaceRow {
    /// The id, which is that of its top folder as well.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// When it was created.
    pub created_at: Micros,
    /// When its name or its quota was last changed.
    pub updated_at: Micros,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Micros>,
    /// Its usage and quotas.
    #[sqlx(flatten)]
    pub usage: UsageRow,
    /// The bits of the rights to all of it that the account has.
    pub rights: i64,
}

/// A change of a space; absent fields are unchanged.
#[derive(Debug, Default, Clone)]
pub struct SpacePatchRow {
    /// The name.
    pub name: Option<String>,
    /// The quota of bytes.
    pub quota_bytes: Option<Option<ByteCount>>,
    /// The quota of files.
    pub quota_files: Option<Option<Count>>,
}

impl Db {
    /// Creates a shared space with a manager. With a limit the creator may have created fewer than that many.
    ///
    /// # Errors
    /// [`Error::TooManySpaces`]; [`Error::NotFound`] if the manager does not exist.
    pub async fn create_space(
        &self,
        id: Uuid,
        name: &str,
        manager: &NewGrantRow,
        limit: Option<u32>,
        event: &EventRow,
    ) -> Result<()> {
        let now = Micros::from(manager.now);
        self.transaction(async |tx| {
            if let (Some(limit), Some(creator)) = (limit, manager.creator) {
                tx.execute(LOCK_CREATOR, (creator,)).await?;
                let (count,): (Count,) = tx.fetch_one(COUNT_CREATED, (creator,)).await?;
                if count.0 >= limit.into() {
                    return Err(Error::TooManySpaces { limit });
                }
            }
            tx.execute(INSERT_SPACE, (id, name, manager.creator, now)).await?;
            insert_top(tx, id, now).await?;
            grants::insert(tx, manager).await?;
            insert_event(tx, event).await
        })
        .await
    }

    /// The shared space with this id, deleted or not, with the rights of an account to it.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn space(&self, id: Uuid, actor: Uuid, now: Timestamp) -> Result<Option<SpaceRow>> {
        self.read.fetch_optional(FIND_SPACE, (actor, Micros::from(now), id)).await
    }

    /// At most `limit` shared spaces that an account is a member of, deleted or not, after the one with the id `after`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn spaces_of(&self, actor: Uuid, now: Timestamp, after: Uuid, limit: usize) -> Result<Vec<SpaceRow>> {
        self.read.fetch_all(LIST_SPACES, (actor, Micros::from(now), after, Count::from(limit))).await
    }

    /// The shared spaces to all of which an account has one of these rights.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn spaces_with(&self, actor: Uuid, rights: i64, now: Timestamp) -> Result<Vec<Uuid>> {
        let rows: Vec<(Uuid,)> = self.read.fetch_all(LIST_SPACES_WITH, (actor, rights, Micros::from(now))).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// At most `limit` shared spaces after the one with the id `after`, deleted or not, with the rights of an account.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn all_spaces(&self, actor: Uuid, now: Timestamp, after: Uuid, limit: usize) -> Result<Vec<SpaceRow>> {
        self.read.fetch_all(LIST_ALL_SPACES, (actor, Micros::from(now), after, Count::from(limit))).await
    }

    /// Changes a shared space; `false` if there is none with this id.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn change_space(
        &self,
        id: Uuid,
        patch: &SpacePatchRow,
        now: Timestamp,
        event: &EventRow,
    ) -> Result<bool> {
        let now = Micros::from(now);
        self.transaction(async |tx| {
            let mut changed = true;
            if let Some(name) = &patch.name {
                changed = tx.execute(RENAME_SPACE, (id, name, now)).await? == 1;
            }
            let SpacePatchRow { quota_bytes, quota_files, .. } = patch;
            if changed && (quota_bytes.is_some() || quota_files.is_some()) {
                let (bytes, files) = (quota_bytes.flatten(), quota_files.flatten());
                let row = (id, quota_bytes.is_some(), bytes, quota_files.is_some(), files, now);
                changed = tx.execute(SET_QUOTAS, row).await? == 1;
            }
            if changed {
                insert_event(tx, event).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// Deletes a shared space, or restores one; `false` if there is none with this id that is not, or is, deleted. A deleted
    /// space gives nobody any right.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn set_space_deleted(&self, id: Uuid, deleted: bool, now: Timestamp, event: &EventRow) -> Result<bool> {
        let statement = if deleted { DELETE_SPACE } else { RESTORE_SPACE };
        self.ending(async |tx| {
            let changed = tx.execute(statement, (id, Micros::from(now))).await? == 1;
            if changed {
                insert_event(tx, event).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// The shared spaces that were deleted by a time.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn due_spaces(&self, until: Timestamp) -> Result<Vec<Uuid>> {
        let rows: Vec<(Uuid,)> = self.write.fetch_all(LIST_DUE, (Micros::from(until),)).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Deletes the row of a deleted space that nothing refers to any more; `false` if blobs wait for a lease, or rows are
    /// left.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn drop_space(&self, id: Uuid) -> Result<bool> {
        self.transaction(async |tx| match tx.try_execute(DROP_SPACE, (id,)).await {
            Err(error) if is_foreign_key_violation(&error) => Ok(false),
            dropped => Ok(dropped? == 1),
        })
        .await
    }
}

/// Locks a space for the rest of the transaction. What changes the row of an account and the usage of its space calls this
/// before the account's row is locked: uploads lock the space, and then the account, whose permit they check last.
pub(super) async fn lock_space(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    tx.execute(LOCK_SPACE, (id,)).await.map(drop)
}

/// Adds the personal space of a new account, with its top folder.
pub(super) async fn insert_personal_space(tx: &mut Tx<'_>, account: Uuid, now: Micros) -> Result<()> {
    tx.execute(INSERT_PERSONAL_SPACE, (account, now)).await?;
    insert_top(tx, account, now).await
}

/// # Errors
/// [`Error::LastManager`] if the account is the only manager of a shared space.
pub(super) async fn check_not_last_manager(tx: &mut Tx<'_>, user: Uuid) -> Result<()> {
    let (count,): (i64,) = tx.fetch_one(COUNT_SOLELY_MANAGED, (user,)).await?;
    if count > 0 { Err(Error::LastManager) } else { Ok(()) }
}
