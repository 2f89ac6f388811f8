//! Teams: groups of accounts that files, folders and spaces can be shared with. Admins manage them.

use jiff::Timestamp;
use uuid::Uuid;

use super::profile::checked_name;
use crate::app::App;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{TeamMemberRow, TeamRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::unicode::fold;

/// A team.
#[derive(Debug, Clone)]
pub struct Team {
    /// The id.
    pub id: Uuid,
    /// The name, unique regardless of case.
    pub name: String,
    /// The number of its members.
    pub members: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A member of a team.
#[derive(Debug, Clone)]
pub struct TeamMember {
    /// The id of the account.
    pub id: Uuid,
    /// Its display name.
    pub name: String,
    /// Its email address.
    pub email: String,
}

impl From<TeamRow> for Team {
    fn from(row: TeamRow) -> Self {
        Self { id: row.id, name: row.name, members: row.members.0, created_at: row.created_at.into() }
    }
}

/// Lists the teams of a member, or all, oldest first. `limit` is a number of teams.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn teams(app: &App, member: Option<Uuid>, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Team>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let first = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(first, |last: &TeamRow| last.id);
        page.add(app.db.teams(member, after, count).await?, |row| 256 + row.name.len());
    }
    Ok(page.finish(|last| cursor::encode_id(last.id)).map(Team::from))
}

/// Finds a team.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find_team(app: &App, id: Uuid) -> Result<Team> {
    Ok(app.db.team(id).await?.ok_or(Error::NotFound)?.into())
}

/// Creates a team.
///
/// # Errors
/// [`Error::NameTaken`]; [`Error::Invalid`] if the name breaks a rule.
pub async fn create_team(app: &App, name: &str) -> Result<Team> {
    let (id, name, now) = (app.clock.new_id(), checked_name(name)?, app.clock.now());
    let event = event(EventKind::TeamCreated, id, &name).row(&app.clock);
    app.db.create_team(id, &name, &fold(&name), now, &event).await?;
    find_team(app, id).await
}

/// Renames a team.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NameTaken`]; [`Error::Invalid`] if the name breaks a rule.
pub async fn rename_team(app: &App, id: Uuid, name: &str) -> Result<Team> {
    let name = checked_name(name)?;
    let event = event(EventKind::TeamChanged, id, &name).row(&app.clock);
    match app.db.rename_team(id, &name, &fold(&name), app.clock.now(), &event).await? {
        true => find_team(app, id).await,
        false => Err(Error::NotFound),
    }
}

/// Deletes a team. Its members lose immediately what was shared with it.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn delete_team(app: &App, id: Uuid) -> Result<()> {
    let team = find_team(app, id).await?;
    let event = event(EventKind::TeamDeleted, id, &team.name).row(&app.clock);
    if app.db.delete_team(id, &event).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// Adds an account to a team. Idempotent.
///
/// # Errors
/// [`Error::NotFound`] if there is no such team or account.
pub async fn add_member(app: &App, team: Uuid, user: Uuid) -> Result<()> {
    let found = find_team(app, team).await?;
    app.db.find_account(user).await?.ok_or(Error::NotFound)?;
    let event = event(EventKind::TeamChanged, team, &found.name).with("added", user.to_string()).row(&app.clock);
    app.db.set_member(team, user, true, app.clock.now(), &event).await.map(drop)
}

/// Removes an account from a team; it loses immediately what was shared with the team.
///
/// # Errors
/// [`Error::NotFound`] if it is not a member.
pub async fn remove_member(app: &App, team: Uuid, user: Uuid) -> Result<()> {
    let found = find_team(app, team).await?;
    let event = event(EventKind::TeamChanged, team, &found.name).with("removed", user.to_string()).row(&app.clock);
    let removed = app.db.set_member(team, user, false, app.clock.now(), &event).await?;
    if removed { Ok(()) } else { Err(Error::NotFound) }
}

/// Lists the members of a team, the oldest account first. `limit` is a number of accounts.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn members(app: &App, team: Uuid, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<TeamMember>> {
    find_team(app, team).await?;
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let first = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(first, |last: &TeamMemberRow| last.id);
        page.add(app.db.team_members(team, after, count).await?, |row| 256 + row.name.len() + row.email.len());
    }
    let page = page.finish(|last| cursor::encode_id(last.id));
    Ok(page.map(|TeamMemberRow { id, name, email }| TeamMember { id, name, email }))
}

fn event(kind: EventKind, team: Uuid, name: &str) -> Event {
    Event::new(kind, None).with("team_id", team.to_string()).with("name", name)
}
