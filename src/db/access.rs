//! The grants that give an account rights to a file or a folder.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// A folder and all above it, as long as its space is not deleted and its account not disabled. SQLite, which has no
/// statistics, must begin with them: hence the cross joins.
macro_rules! way_up {
    ($folder:literal) => {
        concat!(
            "WITH RECURSIVE up (id, parent_id, location) AS (SELECT d.id, d.parent_id, d.location
            FROM folders d JOIN spaces s ON s.id = d.space_id LEFT JOIN users u ON u.id = s.user_id
            WHERE d.id = ",
            $folder,
            " AND s.deleted_at IS NULL AND u.disabled_at IS NULL
        UNION ALL SELECT d.id, d.parent_id, d.location FROM up JOIN folders d ON d.id = up.parent_id) "
        )
    };
}

/// The grants of the account $1 that have not expired at a time.
macro_rules! held {
    ($now:literal) => {
        concat!(
            "(g.user_id = $1 OR g.team_id IN (SELECT team_id FROM team_members WHERE user_id = $1))
            AND (g.expires_at IS NULL OR g.expires_at > ",
            $now,
            ")"
        )
    };
}
pub(super) use {held, way_up};

/// The ids of the grants to the folder $2, to those above it, and to the file $3.
macro_rules! held_on_the_way {
    () => {
        concat!(
            way_up!("$2"),
            "SELECT g.id FROM grants g WHERE g.id IN (SELECT g.id FROM up CROSS JOIN grants g WHERE g.folder_id = up.id
                UNION ALL SELECT g.id FROM grants g WHERE g.file_id = $3 AND EXISTS (SELECT 1 FROM up))
            AND (g.rights & $5) <> 0 AND ",
            held!("$4")
        )
    };
}

statements! {
    FIND_GRANTED = concat!(way_up!("$2"), "SELECT g.rights, g.folder_id, up.location, g.expires_at
        FROM up CROSS JOIN grants g WHERE g.folder_id = up.id AND ", held!("$4"), "
        UNION ALL SELECT g.rights, g.folder_id, NULL, g.expires_at FROM grants g
        WHERE g.file_id = $3 AND EXISTS (SELECT 1 FROM up) AND ", held!("$4"));
    FIND_NEED = held_on_the_way!();
}

/// On PostgreSQL: what ends the grant waits for the transaction that relies on it.
const FIND_NEED_LOCKED: &str = concat!(held_on_the_way!(), " FOR KEY SHARE OF g");

/// The rights of one grant.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct GrantedRow {
    /// Their bits.
    pub rights: i64,
    /// The folder that the grant is for; absent if it is for the file.
    pub folder_id: Option<Uuid>,
    /// The location of that folder.
    pub location: Option<String>,
    /// When the grant expires, if it does.
    pub expires_at: Option<Micros>,
}

/// Rights that a request needs from a grant for as long as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The account that needs them.
    pub actor: Uuid,
    /// The folder that they are for, or that the file is in.
    pub folder_id: Uuid,
    /// The file that they are for.
    pub file_id: Option<Uuid>,
    /// Their bits, of which a grant must have one.
    pub rights: i64,
}

impl Need {
    fn arguments(&self, now: Timestamp) -> (Uuid, Uuid, Option<Uuid>, Micros, i64) {
        (self.actor, self.folder_id, self.file_id, now.into(), self.rights)
    }

    /// Checks in a transaction that the rights are held. With `lock` they stay so until it ends.
    ///
    /// # Errors
    /// [`Error::NotFound`] if they are not.
    pub(super) async fn confirm(&self, tx: &mut Tx<'_>, now: Timestamp, lock: bool) -> Result<()> {
        let statement = if lock { FIND_NEED_LOCKED } else { FIND_NEED };
        let held: Vec<(Uuid,)> = tx.fetch_all(statement, self.arguments(now)).await?;
        if held.is_empty() { Err(Error::NotFound) } else { Ok(()) }
    }
}

impl Db {
    /// The rights that an account has to a folder, or to a file in it, by grants to it and to all above it.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn granted(
        &self,
        actor: Uuid,
        folder: Uuid,
        file: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Vec<GrantedRow>> {
        self.read.fetch_all(FIND_GRANTED, (actor, folder, file, Micros::from(now))).await
    }

    /// Checks that rights are still held, for work that lasts.
    ///
    /// # Errors
    /// [`Error::NotFound`] if they are not.
    pub(super) async fn check_need(&self, need: &Need, now: Timestamp) -> Result<()> {
        let held: Vec<(Uuid,)> = self.read.fetch_all(FIND_NEED, need.arguments(now)).await?;
        if held.is_empty() { Err(Error::NotFound) } else { Ok(()) }
    }
}
