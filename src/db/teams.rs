//! Teams: groups of accounts that rights are given to.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::errors::{is_foreign_key_violation, is_unique_violation};
use super::events::{EventRow, insert_event};
use super::{Count, Db, Micros, statements};
use crate::error::{Error, Result};

/// The columns of a [`TeamRow`].
macro_rules! select_team {
    () => {
        "SELECT t.id, t.name, t.created_at, (SELECT COUNT(*) FROM team_members m WHERE m.team_id = t.id) AS members
        FROM teams t"
    };
}

statements! {
    INSERT_TEAM = "INSERT INTO teams (id, name, name_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)";
    FIND_TEAM = concat!(select_team!(), " WHERE t.id = $1");
    LIST_TEAMS = concat!(select_team!(), " WHERE t.id > $1 ORDER BY t.id LIMIT $2");
    LIST_TEAMS_OF = concat!(select_team!(), " JOIN team_members o ON o.team_id = t.id
        WHERE o.user_id = $1 AND o.team_id > $2 ORDER BY o.team_id LIMIT $3");
    RENAME_TEAM = "UPDATE teams SET name = $2, name_key = $3, updated_at = $4 WHERE id = $1";
    DELETE_TEAM = "DELETE FROM teams WHERE id = $1";
    ADD_MEMBER = "INSERT INTO team_members (team_id, user_id, added_at) VALUES ($1, $2, $3)
        ON CONFLICT (team_id, user_id) DO NOTHING";
    REMOVE_MEMBER = "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2";
    LIST_MEMBERS = "SELECT u.id, u.name, u.email FROM team_members m JOIN users u ON u.id = m.user_id
        WHERE m.team_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3";
}

/// A team.
#[derive(Debug, Clone, FromRow)]
pub struct TeamRow {
    /// The id.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// When it was created.
    pub created_at: Micros,
    /// The number of its members.
    pub members: Count,
}

/// A member of a team.
#[derive(Debug, Clone, FromRow)]
pub struct TeamMemberRow {
    /// The id of the account.
    pub id: Uuid,
    /// Its display name.
    pub name: String,
    /// Its email address.
    pub email: String,
}

impl Db {
    /// Creates a team.
    ///
    /// # Errors
    /// [`Error::NameTaken`].
    pub async fn create_team(&self, id: Uuid, name: &str, key: &str, now: Timestamp, event: &EventRow) -> Result<()> {
        self.transaction(async |tx| {
            match tx.try_execute(INSERT_TEAM, (id, name, key, Micros::from(now))).await {
                Err(error) if is_unique_violation(&error) => return Err(Error::NameTaken),
                inserted => inserted?,
            };
            insert_event(tx, event).await
        })
        .await
    }

    /// The team with this id.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn team(&self, id: Uuid) -> Result<Option<TeamRow>> {
        self.read.fetch_optional(FIND_TEAM, (id,)).await
    }

    /// At most `limit` teams after the one with the id `after`: of a member, or all.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn teams(&self, member: Option<Uuid>, after: Uuid, limit: usize) -> Result<Vec<TeamRow>> {
        let limit = Count::from(limit);
        match member {
            Some(member) => self.read.fetch_all(LIST_TEAMS_OF, (member, after, limit)).await,
            None => self.read.fetch_all(LIST_TEAMS, (after, limit)).await,
        }
    }

    /// Renames a team; `false` if it does not exist.
    ///
    /// # Errors
    /// [`Error::NameTaken`].
    pub async fn rename_team(&self, id: Uuid, name: &str, key: &str, now: Timestamp, event: &EventRow) -> Result<bool> {
        self.transaction(async |tx| {
            let renamed = match tx.try_execute(RENAME_TEAM, (id, name, key, Micros::from(now))).await {
                Err(error) if is_unique_violation(&error) => return Err(Error::NameTaken),
                renamed => renamed? == 1,
            };
            if renamed {
                insert_event(tx, event).await?;
            }
            Ok(renamed)
        })
        .await
    }

    /// Deletes a team with what it was granted; `false` if it does not exist.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn delete_team(&self, id: Uuid, event: &EventRow) -> Result<bool> {
        self.transaction(async |tx| {
            insert_event(tx, event).await?;
            Ok(tx.execute(DELETE_TEAM, (id,)).await? == 1)
        })
        .await
    }

    /// Adds a member to a team, or removes one; `false` if it is one, or is none, already.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such team or account.
    pub async fn set_member(
        &self,
        team: Uuid,
        user: Uuid,
        is_member: bool,
        now: Timestamp,
        event: &EventRow,
    ) -> Result<bool> {
        self.transaction(async |tx| {
            let changed = match is_member {
                true => tx.try_execute(ADD_MEMBER, (team, user, Micros::from(now))).await,
                false => tx.try_execute(REMOVE_MEMBER, (team, user)).await,
            };
            let changed = match changed {
                Err(error) if is_foreign_key_violation(&error) => return Err(Error::NotFound),
                changed => changed? == 1,
            };
            if changed {
                insert_event(tx, event).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// At most `limit` members of a team after the one with the id `after`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn team_members(&self, team: Uuid, after: Uuid, limit: usize) -> Result<Vec<TeamMemberRow>> {
        self.read.fetch_all(LIST_MEMBERS, (team, after, Count::from(limit))).await
    }
}
