//! Shared spaces: trees of folders that belong to their members instead of one account. The members have grants to the
//! top folder, which has the id of the space.

use jiff::Timestamp;
use uuid::Uuid;

use super::FileName;
use crate::access::{Right, Rights, Role, Subject, Target, permit};
use crate::app::App;
use crate::clock::before;
use crate::config::SpaceCreators;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{NewGrantRow, SpacePatchRow, SpaceRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::users::{Quota, QuotaOverrides, Usage, User};

/// A shared space.
#[derive(Debug, Clone)]
pub struct Space {
    /// The id, which is that of its top folder as well.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// What the subject may do everywhere in it.
    pub rights: Rights,
    /// What is used of its quota.
    pub usage: Usage,
    /// Its quota, where that overrides the default.
    pub quota: QuotaOverrides,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
    /// When its grace period expires.
    pub purge_at: Option<Timestamp>,
}

impl Space {
    fn new(app: &App, row: SpaceRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            rights: Rights::from_bits(row.rights),
            usage: Usage::from_row(&row.usage, &app.config.quotas),
            quota: QuotaOverrides::from(&row.usage),
            created_at: row.created_at.into(),
            deleted_at: row.deleted_at.map(Into::into),
            purge_at: row.deleted_at.map(|at| (at + app.config.spaces.grace).into()),
        }
    }

    fn event(&self, kind: EventKind) -> Event {
        Event::new(kind, self.id).with("name", &*self.name)
    }
}

/// Lists the shared spaces that the subject is a member of, the oldest first: those that are deleted only for their
/// managers. `limit` is a number of spaces.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list(app: &App, subject: &Subject, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Space>> {
    let page = page(app, subject, false, limit, cursor).await?;
    let items = page.items.into_iter().filter(|space| space.deleted_at.is_none() || is_manager(space)).collect();
    Ok(Page { items, ..page })
}

/// Lists all shared spaces for an admin, the oldest first. `limit` is a number of spaces.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list_all(app: &App, admin: &User, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Space>> {
    page(app, &Subject::account(admin.id), true, limit, cursor).await
}

async fn page(
    app: &App,
    subject: &Subject,
    all: bool,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<Space>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let (first, now) = (cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?, app.clock.now());
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(first, |last: &SpaceRow| last.id);
        let rows = match all {
            true => app.db.all_spaces(subject.actor, now, after, count).await?,
            false => app.db.spaces_of(subject.actor, now, after, count).await?,
        };
        page.add(rows, |row| 512 + row.name.len());
    }
    Ok(page.finish(|last| cursor::encode_id(last.id)).map(|row| Space::new(app, row)))
}

fn is_manager(space: &Space) -> bool {
    space.rights.contains(Right::Manage)
}

/// Finds a shared space that the subject is a member of.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist, the subject is not a member, or it is deleted.
pub async fn find(app: &App, subject: &Subject, right: Right, id: Uuid) -> Result<Space> {
    let row = app.db.space(id, subject.actor, app.clock.now()).await?.ok_or(Error::NotFound)?;
    permit(app, subject, right, &Target { space_id: id, folder_id: id, location: "", file_id: None }).await?;
    Ok(Space::new(app, row))
}

/// Creates a shared space, whose first manager is the user.
///
/// # Errors
/// [`Error::AdminRequired`] if the settings let only admins create spaces; [`Error::TooManySpaces`]; [`Error::Invalid`] if
/// the name breaks a rule.
pub async fn create(app: &App, user: &User, name: &str) -> Result<Space> {
    if !user.is_admin && app.config.spaces.creators == SpaceCreators::Admins {
        return Err(Error::AdminRequired);
    }
    let name = checked_name(name)?;
    let (id, limit) = (app.clock.new_id(), (!user.is_admin).then_some(app.config.spaces.limit));
    let manager = manager(app, id, user.id, user.id);
    let event = Event::new(EventKind::SpaceCreated, id).with("name", &*name).row(&app.clock);
    app.db.create_space(id, &name, &manager, limit, &event).await?;
    find(app, &Subject::account(user.id), Right::Manage, id).await
}

/// Names another manager of a shared space for an admin, who need not be a member.
///
/// # Errors
/// [`Error::NotFound`] if there is no such space; [`Error::Invalid`] if there is no such account;
/// [`Error::AlreadyShared`] if the account is a member already, whose role a manager can change.
pub async fn add_manager(app: &App, admin: &User, id: Uuid, user: Uuid) -> Result<Space> {
    let space = find_any(app, admin, id).await?;
    app.db
        .find_account(user)
        .await?
        .ok_or_else(|| Error::invalid("/user_id", "not_found", "there is no such account"))?;
    let event = space.event(EventKind::AccessGranted).with("role", Role::Manager.as_str());
    let event = event.with("user_id", user.to_string()).row(&app.clock);
    app.db.insert_grant(&manager(app, id, user, admin.id), app.config.spaces.grants, &event).await?;
    find_any(app, admin, id).await
}

/// Finds a shared space for an admin, deleted or not.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find_any(app: &App, admin: &User, id: Uuid) -> Result<Space> {
    let row = app.db.space(id, admin.id, app.clock.now()).await?.ok_or(Error::NotFound)?;
    Ok(Space::new(app, row))
}

fn manager(app: &App, space: Uuid, user: Uuid, creator: Uuid) -> NewGrantRow {
    NewGrantRow {
        id: app.clock.new_id(),
        folder: Some(space),
        file: None,
        user: Some(user),
        team: None,
        email: None,
        role: Role::Manager.as_str(),
        rights: Role::Manager.rights().bits(),
        creator: Some(creator),
        now: app.clock.now(),
        expires_at: None,
    }
}

/// Renames a shared space, which the subject manages.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::RightRequired`]; [`Error::Invalid`] if the name breaks a rule.
pub async fn rename(app: &App, subject: &Subject, id: Uuid, name: &str) -> Result<Space> {
    let space = find(app, subject, Right::Manage, id).await?;
    let name = checked_name(name)?;
    let event = space.event(EventKind::SpaceChanged).with("new_name", &*name).row(&app.clock);
    let patch = SpacePatchRow { name: Some(name.clone()), ..SpacePatchRow::default() };
    match app.db.change_space(id, &patch, app.clock.now(), &event).await? {
        true => Ok(Space { name, ..space }),
        false => Err(Error::NotFound),
    }
}

/// Changes the quota of a shared space for an admin; absent fields are unchanged.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] if a number is too large.
pub async fn set_quota(app: &App, admin: &User, id: Uuid, bytes: Option<Quota>, files: Option<Quota>) -> Result<Space> {
    let space = find_any(app, admin, id).await?;
    let (quota_bytes, quota_files) = Quota::checked_rows(bytes, files)?;
    let patch = SpacePatchRow { name: None, quota_bytes, quota_files };
    let event = space.event(EventKind::SpaceChanged).row(&app.clock);
    match app.db.change_space(id, &patch, app.clock.now(), &event).await? {
        true => find_any(app, admin, id).await,
        false => Err(Error::NotFound),
    }
}

/// Deletes a shared space, which the subject manages. From now on nobody has a right in it; it can be restored until the
/// grace period of the settings expires.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::RightRequired`].
pub async fn delete(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    let space = find(app, subject, Right::Manage, id).await?;
    let event = space.event(EventKind::SpaceDeleted).row(&app.clock);
    match app.db.set_space_deleted(id, true, app.clock.now(), &event).await? {
        true => Ok(()),
        false => Err(Error::NotFound),
    }
}

/// Restores a deleted space, which the subject manages.
///
/// # Errors
/// [`Error::NotFound`] if it is not deleted, its grace period has expired, or the subject does not manage it.
pub async fn restore(app: &App, subject: &Subject, id: Uuid) -> Result<Space> {
    let now = app.clock.now();
    let row = app.db.space(id, subject.actor, now).await?.ok_or(Error::NotFound)?;
    let space = Space::new(app, row);
    if !is_manager(&space) || space.purge_at.is_none_or(|purge_at| purge_at <= now) {
        return Err(Error::NotFound);
    }
    let event = space.event(EventKind::SpaceRestored).row(&app.clock);
    match app.db.set_space_deleted(id, false, now, &event).await? {
        true => Ok(Space { deleted_at: None, purge_at: None, ..space }),
        false => Err(Error::NotFound),
    }
}

/// The shared spaces whose grace period has expired.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn due(app: &App) -> Result<Vec<Uuid>> {
    app.db.due_spaces(before(app.clock.now(), app.config.spaces.grace)).await
}

fn checked_name(name: &str) -> Result<String> {
    FileName::new(name, "/name").map(|name| name.as_str().to_owned())
}
