//! Grants: rights to a file or a folder that an account or a team has.

use jiff::Timestamp;
use uuid::Uuid;

use super::access::way_up;
use super::errors::{is_foreign_key_violation, is_unique_violation};
use super::events::{EventRow, insert_event};
use super::spaces::lock_space;
use super::{Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// The columns of a [`GrantRow`], and the tables that they come from.
macro_rules! select_grant {
    () => {
        "SELECT g.id, COALESCE(d.space_id, f.space_id) AS space_id, g.folder_id, g.file_id, g.user_id, g.team_id, g.email,
            u.name AS user_name, t.name AS team_name, g.role, g.creator_id, c.name AS creator_name, g.created_at,
            g.expires_at, COALESCE(d.name, f.name) AS name, s.name AS space_name
        FROM grants g LEFT JOIN folders d ON d.id = g.folder_id LEFT JOIN files f ON f.id = g.file_id
            JOIN spaces s ON s.id = COALESCE(d.space_id, f.space_id)
            LEFT JOIN users u ON u.id = g.user_id LEFT JOIN teams t ON t.id = g.team_id
            LEFT JOIN users c ON c.id = g.creator_id"
    };
}

/// The grants to the account $1 that have not expired at $2, to something that is there.
macro_rules! received {
    () => {
        " LEFT JOIN folders p ON p.id = f.folder_id LEFT JOIN users o ON o.id = s.user_id
        WHERE (g.expires_at IS NULL OR g.expires_at > $2) AND s.deleted_at IS NULL AND o.disabled_at IS NULL
            AND d.trashed_at IS NULL AND f.trashed_at IS NULL AND p.trashed_at IS NULL"
    };
}

statements! {
    INSERT_GRANT = "INSERT INTO grants
            (id, folder_id, file_id, user_id, team_id, email, email_key, role, rights, creator_id, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    FIND_GRANT = concat!(select_grant!(), " WHERE g.id = $1");
    LIST_GRANTS_OF_FOLDER = concat!(select_grant!(), " WHERE g.folder_id = $1 AND g.id > $2 ORDER BY g.id LIMIT $3");
    LIST_GRANTS_OF_FILE = concat!(select_grant!(), " WHERE g.file_id = $1 AND g.id > $2 ORDER BY g.id LIMIT $3");
    LIST_RECEIVED = concat!(select_grant!(), received!(), " AND g.user_id = $1 AND g.id > $3 ORDER BY g.id LIMIT $4");
    LIST_RECEIVED_BY_TEAM = concat!(select_grant!(), " JOIN team_members m ON m.team_id = g.team_id AND m.user_id = $1",
        received!(), " AND g.id > $3 ORDER BY g.id LIMIT $4");
    LIST_REACHING = concat!(way_up!("$1"), select_grant!(), "
        WHERE g.id IN (SELECT r.id FROM up CROSS JOIN grants r WHERE r.folder_id = up.id
                UNION ALL SELECT r.id FROM grants r WHERE r.file_id = $2)
            AND (g.expires_at IS NULL OR g.expires_at > $3)");
    COUNT_GRANTS = "SELECT (SELECT COUNT(*) FROM grants WHERE folder_id = $1) + (SELECT COUNT(*) FROM grants WHERE file_id = $2)";
    CHANGE_GRANT = "UPDATE grants SET role = $2, rights = $3, expires_at = $4 WHERE id = $1";
    DELETE_GRANT = "DELETE FROM grants WHERE id = $1";
    /// Managers of a shared space that stay: of grants without an end, to accounts that are not disabled and to teams
    /// with members.
    COUNT_MANAGERS = "SELECT COUNT(*) FROM grants g LEFT JOIN users u ON u.id = g.user_id
        WHERE g.folder_id = $1 AND g.role = 'manager' AND g.expires_at IS NULL AND (u.disabled_at IS NULL AND u.id IS NOT NULL
            OR EXISTS (SELECT 1 FROM team_members m WHERE m.team_id = g.team_id))";
    IS_SHARED_SPACE = "SELECT COUNT(*) FROM spaces WHERE id = $1 AND user_id IS NULL";
    ASSIGN_PENDING = "UPDATE grants SET user_id = $1 WHERE email_key = $2 AND user_id IS NULL";
    PURGE_GRANTS = "DELETE FROM grants WHERE expires_at < $1";
}

/// A grant, with the names of those concerned.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct GrantRow {
    /// The id.
    pub id: Uuid,
    /// The space of the target.
    pub space_id: Uuid,
    /// The folder that it is for.
    pub folder_id: Option<Uuid>,
    /// The file that it is for.
    pub file_id: Option<Uuid>,
    /// The account that has the rights.
    pub user_id: Option<Uuid>,
    /// The team that has the rights.
    pub team_id: Option<Uuid>,
    /// The address that was entered instead of an account.
    pub email: Option<String>,
    /// The name of the account.
    pub user_name: Option<String>,
    /// The name of the team.
    pub team_name: Option<String>,
    /// The role.
    pub role: String,
    /// The account that gave it.
    pub creator_id: Option<Uuid>,
    /// The name of that account.
    pub creator_name: Option<String>,
    /// When it was given.
    pub created_at: Micros,
    /// When it expires, if it does.
    pub expires_at: Option<Micros>,
    /// The name of the target; empty for the top folder of a space.
    pub name: String,
    /// The name of the space; empty for a personal one.
    pub space_name: String,
}

/// A grant that is about to be given.
#[derive(Debug, Clone)]
pub struct NewGrantRow {
    /// The id.
    pub id: Uuid,
    /// The folder that it is for.
    pub folder: Option<Uuid>,
    /// The file that it is for.
    pub file: Option<Uuid>,
    /// The account that gets the rights.
    pub user: Option<Uuid>,
    /// The team that gets the rights.
    pub team: Option<Uuid>,
    /// The address that was entered instead of an account, and its key.
    pub email: Option<(String, String)>,
    /// The role.
    pub role: &'static str,
    /// The bits of its rights.
    pub rights: i64,
    /// The account that gives it.
    pub creator: Option<Uuid>,
    /// When it is given.
    pub now: Timestamp,
    /// When it expires, if it does.
    pub expires_at: Option<Timestamp>,
}

impl Db {
    /// Adds a grant.
    ///
    /// # Errors
    /// [`Error::AlreadyShared`] if the target has one to the same account, team or address; [`Error::NotFound`] if the
    /// target, the account or the team does not exist any more; [`Error::TooManyGrants`].
    pub async fn insert_grant(&self, new: &NewGrantRow, limit: u64, event: &EventRow) -> Result<()> {
        self.transaction(async |tx| {
            let (count,): (Count,) = tx.fetch_one(COUNT_GRANTS, (new.folder, new.file)).await?;
            if count.0 >= limit {
                return Err(Error::TooManyGrants { limit });
            }
            insert(tx, new).await?;
            insert_event(tx, event).await
        })
        .await
    }

    /// The grant with this id.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn grant(&self, id: Uuid) -> Result<Option<GrantRow>> {
        self.read.fetch_optional(FIND_GRANT, (id,)).await
    }

    /// At most `limit` grants to a folder after the one with the id `after`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn grants_of_folder(&self, folder: Uuid, after: Uuid, limit: usize) -> Result<Vec<GrantRow>> {
        self.read.fetch_all(LIST_GRANTS_OF_FOLDER, (folder, after, Count::from(limit))).await
    }

    /// At most `limit` grants to a file after the one with the id `after`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn grants_of_file(&self, file: Uuid, after: Uuid, limit: usize) -> Result<Vec<GrantRow>> {
        self.read.fetch_all(LIST_GRANTS_OF_FILE, (file, after, Count::from(limit))).await
    }

    /// The grants to a folder, to those above it, and to a file in it, that have not expired.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn grants_reaching(&self, folder: Uuid, file: Uuid, now: Timestamp) -> Result<Vec<GrantRow>> {
        self.read.fetch_all(LIST_REACHING, (folder, file, Micros::from(now))).await
    }

    /// At most `limit` grants that an account has received, by itself and by its teams, after the one with the id `after`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn received_grants(
        &self,
        user: Uuid,
        now: Timestamp,
        after: Uuid,
        limit: usize,
    ) -> Result<Vec<GrantRow>> {
        let page = (user, Micros::from(now), after, Count::from(limit));
        let mut rows: Vec<GrantRow> = self.read.fetch_all(LIST_RECEIVED, page).await?;
        rows.extend(self.read.fetch_all::<GrantRow>(LIST_RECEIVED_BY_TEAM, page).await?);
        rows.sort_by_key(|row| row.id);
        rows.truncate(limit);
        Ok(rows)
    }

    /// Changes the role and the expiry of a grant; `false` if it has ended.
    ///
    /// # Errors
    /// [`Error::LastManager`] if it would leave a shared space without a manager.
    pub async fn change_grant(
        &self,
        grant: &GrantRow,
        role: &str,
        rights: i64,
        expires_at: Option<Timestamp>,
        event: &EventRow,
    ) -> Result<bool> {
        self.ending(async |tx| {
            lock_members(tx, grant).await?;
            insert_event(tx, event).await?;
            let changed = tx.execute(CHANGE_GRANT, (grant.id, role, rights, expires_at.map(Micros::from))).await? == 1;
            check_managers(tx, grant).await?;
            Ok(changed)
        })
        .await
    }

    /// Ends a grant; `false` if it has ended already.
    ///
    /// # Errors
    /// [`Error::LastManager`] if it would leave a shared space without a manager.
    pub async fn delete_grant(&self, grant: &GrantRow, event: &EventRow) -> Result<bool> {
        self.ending(async |tx| {
            lock_members(tx, grant).await?;
            insert_event(tx, event).await?;
            // Last, because transactions that rely on it hold locks of other rows.
            let deleted = tx.execute(DELETE_GRANT, (grant.id,)).await? == 1;
            check_managers(tx, grant).await?;
            Ok(deleted)
        })
        .await
    }

    /// Deletes the grants that expired before a time; returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_grants(&self, before: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_GRANTS, (Micros::from(before),)).await
    }
}

/// Adds a grant.
///
/// # Errors
/// As [`Db::insert_grant`].
pub(super) async fn insert(tx: &mut Tx<'_>, new: &NewGrantRow) -> Result<()> {
    let (email, email_key) = new.email.clone().unzip();
    let NewGrantRow { id, folder, file, user, team, role, rights, creator, now, expires_at, .. } = new;
    let (now, expires_at) = (Micros::from(*now), expires_at.map(Micros::from));
    let row = (id, folder, file, user, team, email, email_key, *role, rights, creator, now, expires_at);
    match tx.try_execute(INSERT_GRANT, row).await {
        Err(error) if is_unique_violation(&error) => Err(Error::AlreadyShared),
        Err(error) if is_foreign_key_violation(&error) => Err(Error::NotFound),
        inserted => Ok(inserted.map(drop)?),
    }
}

/// Gives a new account what its address was granted.
pub(super) async fn assign_pending(tx: &mut Tx<'_>, user: Uuid, email_key: &str) -> Result<()> {
    tx.execute(ASSIGN_PENDING, (user, email_key)).await.map(drop)
}

/// Of two changes of the members of a space the second waits for the first.
async fn lock_members(tx: &mut Tx<'_>, grant: &GrantRow) -> Result<()> {
    if grant.folder_id == Some(grant.space_id) {
        lock_space(tx, grant.space_id).await?;
    }
    Ok(())
}

/// # Errors
/// [`Error::LastManager`] if the grant was to a shared space, and that has no manager now.
async fn check_managers(tx: &mut Tx<'_>, grant: &GrantRow) -> Result<()> {
    if grant.folder_id != Some(grant.space_id) {
        return Ok(());
    }
    let (shared,): (i64,) = tx.fetch_one(IS_SHARED_SPACE, (grant.space_id,)).await?;
    let (managers,): (i64,) = tx.fetch_one(COUNT_MANAGERS, (grant.space_id,)).await?;
    if shared > 0 && managers == 0 { Err(Error::LastManager) } else { Ok(()) }
}
