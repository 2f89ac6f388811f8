//! Grants: rights to a file or a folder that are given to an account or a team. The members of a shared space have grants
//! to its top folder.

use jiff::Timestamp;
use uuid::Uuid;

use crate::access::{Permit, Right, Rights, Role, Subject};
use crate::app::App;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{GrantRow, NewGrantRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::files::folders::Folder;
use crate::files::{self, File, folders};
use crate::users;

/// What is shared.
#[derive(Debug, Clone)]
pub enum Shared {
    /// A file.
    File(Box<File>),
    /// A folder with all below it; the top folder of a space is the whole space.
    Folder(Box<Folder>),
}

/// Who gets rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// The account with this id.
    User(Uuid),
    /// The members of the team with this id.
    Team(Uuid),
    /// The account with this address, now or once it exists.
    Email(String),
}

/// A grant to give.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// To whom.
    pub to: Grantee,
    /// What it allows.
    pub role: Role,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// A change of a grant; absent fields are unchanged.
#[derive(Debug, Clone, Default)]
pub struct GrantChange {
    /// What it allows.
    pub role: Option<Role>,
    /// When it ends; `Some(None)`: never.
    pub expires_at: Option<Option<Timestamp>>,
}

/// A grant, as those who share the target see it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The id.
    pub id: Uuid,
    /// The space of the target.
    pub space_id: Uuid,
    /// The folder that it is for.
    pub folder_id: Option<Uuid>,
    /// The file that it is for.
    pub file_id: Option<Uuid>,
    /// The name of the target; that of the space if it is its top folder.
    pub target_name: String,
    /// To whom.
    pub to: Grantee,
    /// The name of the account or team; `None` if it was given to an address.
    pub to_name: Option<String>,
    /// What it allows.
    pub role: Role,
    /// Who gave it, and their name; `None` if the account is deleted.
    pub creator: Option<(Uuid, String)>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl From<GrantRow> for Grant {
    fn from(row: GrantRow) -> Self {
        let nobody = Grantee::Email(String::new());
        // An address is shown as it was entered, whether an account has it or not.
        let (to, to_name) = match (row.email, row.team_id, row.user_id) {
            (Some(email), ..) => (Grantee::Email(email), None),
            (None, Some(team), _) => (Grantee::Team(team), row.team_name),
            (None, None, user) => (user.map_or(nobody, Grantee::User), row.user_name),
        };
        Self {
            id: row.id,
            space_id: row.space_id,
            target_name: if row.folder_id == Some(row.space_id) { row.space_name } else { row.name },
            folder_id: row.folder_id,
            file_id: row.file_id,
            to,
            to_name,
            role: Role::parse(&row.role).unwrap_or(Role::Previewer),
            creator: row.creator_id.zip(row.creator_name),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
        }
    }
}

impl Shared {
    /// Finds a file or a folder to which the subject has this right.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::RightRequired`].
    pub async fn find(
        app: &App,
        subject: &Subject,
        right: Right,
        file: Option<Uuid>,
        folder: Option<Uuid>,
    ) -> Result<Self> {
        match (file, folder) {
            (Some(id), _) => Ok(Self::File(Box::new(files::find(app, subject, right, id).await?))),
            (None, Some(id)) => Ok(Self::Folder(Box::new(folders::find(app, subject, right, id).await?))),
            (None, None) => Err(Error::NotFound),
        }
    }

    fn permit(&self) -> &Permit {
        match self {
            Shared::File(file) => &file.permit,
            Shared::Folder(folder) => &folder.permit,
        }
    }

    /// The folder whose grants reach it, and the file if it is one.
    fn place(&self) -> (Uuid, Option<Uuid>) {
        match self {
            Shared::File(file) => (file.folder_id, Some(file.id)),
            Shared::Folder(folder) => (folder.id, None),
        }
    }

    fn event(&self, kind: EventKind) -> Event {
        match self {
            Shared::File(file) => file.event(kind),
            Shared::Folder(folder) => folder.event(kind),
        }
    }
}

/// Shares a file or a folder, which the subject may share. The outcome does not tell whether an address has an account.
///
/// # Errors
/// [`Error::RightRequired`] if the subject does not have all rights of the role itself; [`Error::Invalid`] if it would
/// share with itself or the owner, with nobody, or for longer than it may share; [`Error::AlreadyShared`];
/// [`Error::TooManyGrants`].
pub async fn create(app: &App, subject: &Subject, target: &Shared, new: NewGrant) -> Result<Grant> {
    check_role(target, new.role)?;
    check_end(app, subject, target, new.expires_at).await?;
    let (folder, file) = target.place();
    let mut row = NewGrantRow {
        id: app.clock.new_id(),
        folder: file.is_none().then_some(folder),
        file,
        user: None,
        team: None,
        email: None,
        role: new.role.as_str(),
        rights: new.role.rights().bits(),
        creator: Some(subject.actor),
        now: app.clock.now(),
        expires_at: new.expires_at,
    };
    let pointer = match &new.to {
        Grantee::User(id) => {
            row.user = Some(*id);
            "/user_id"
        }
        Grantee::Team(id) => {
            row.team = Some(*id);
            "/team_id"
        }
        Grantee::Email(email) => {
            let (email, key) = users::split_email(email)?;
            row.user = app.db.find_user_by_email(&key).await?.map(|found| found.user.id);
            row.email = Some((email, key));
            "/email"
        }
    };
    if row.user == Some(subject.actor) {
        return Err(Error::invalid(pointer, "unsupported", "you have access already"));
    }
    if row.email.is_none() && row.user == Some(target.permit().space_id) {
        return Err(Error::invalid(pointer, "unsupported", "the owner has access already"));
    }
    let event = describe(target.event(EventKind::AccessGranted), &new.to, new.role).row(&app.clock);
    match app.db.insert_grant(&row, app.config.spaces.grants, &event).await {
        // The target was found a moment ago.
        Err(Error::NotFound) => Err(Error::invalid(pointer, "not_found", "there is no such account or team")),
        inserted => {
            inserted?;
            Ok(app.db.grant(row.id).await?.ok_or(Error::NotFound)?.into())
        }
    }
}

/// Lists the grants to a file or a folder itself, the oldest first. `limit` is a number of grants.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list(app: &App, target: &Shared, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Grant>> {
    let (folder, file) = target.place();
    page(app, file.map_or(ListOf::Folder(folder), ListOf::File), limit, cursor).await
}

/// Lists what others have shared with the subject, the oldest first. `limit` is a number of grants.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn received(app: &App, subject: &Subject, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Grant>> {
    page(app, ListOf::ReceivedBy(subject.actor), limit, cursor).await
}

/// The grants of a list.
#[derive(Debug, Clone, Copy)]
enum ListOf {
    Folder(Uuid),
    File(Uuid),
    ReceivedBy(Uuid),
}

impl ListOf {
    async fn rows(self, app: &App, after: Uuid, count: usize) -> Result<Vec<GrantRow>> {
        match self {
            ListOf::Folder(folder) => app.db.grants_of_folder(folder, after, count).await,
            ListOf::File(file) => app.db.grants_of_file(file, after, count).await,
            ListOf::ReceivedBy(user) => app.db.received_grants(user, app.clock.now(), after, count).await,
        }
    }
}

async fn page(app: &App, of: ListOf, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<Grant>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let first = cursor.map_or(Ok(Uuid::nil()), cursor::decode_id)?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let after = page.last().map_or(first, |last: &GrantRow| last.id);
        page.add(of.rows(app, after, count).await?, |row| {
            512 + row.name.len() + row.email.as_ref().map_or(0, String::len)
        });
    }
    Ok(page.finish(|last| cursor::encode_id(last.id)).map(Grant::from))
}

/// The grants that reach a file: to itself, to the folders above it, and to the space.
///
/// # Errors
/// [`Error::Unavailable`].
pub(super) async fn reaching(app: &App, file: &File) -> Result<Vec<Grant>> {
    let rows = app.db.grants_reaching(file.folder_id, file.id, app.clock.now()).await?;
    Ok(rows.into_iter().map(Grant::from).collect())
}

/// Finds a grant to something that the subject may share, or to the subject itself.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find(app: &App, subject: &Subject, id: Uuid) -> Result<Grant> {
    let row = app.db.grant(id).await?.ok_or(Error::NotFound)?;
    if row.user_id != Some(subject.actor) {
        Shared::find(app, subject, Right::Share, row.file_id, row.folder_id).await?;
    }
    Ok(row.into())
}

/// Changes a grant to something that the subject may share.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::RightRequired`] if the subject does not have all rights of the old and the new role;
/// [`Error::Invalid`] if it would last longer than the subject may share; [`Error::LastManager`].
pub async fn change(app: &App, subject: &Subject, id: Uuid, change: &GrantChange) -> Result<Grant> {
    let row = app.db.grant(id).await?.ok_or(Error::NotFound)?;
    let target = Shared::find(app, subject, Right::Share, row.file_id, row.folder_id).await?;
    let grant = Grant::from(row.clone());
    let (role, expires_at) = (change.role.unwrap_or(grant.role), change.expires_at.unwrap_or(grant.expires_at));
    check_role(&target, grant.role)?;
    check_role(&target, role)?;
    check_end(app, subject, &target, expires_at).await?;
    let event = describe(target.event(EventKind::AccessChanged), &grant.to, role).row(&app.clock);
    let rights = role.rights().bits();
    match app.db.change_grant(&row, role.as_str(), rights, expires_at, &event).await? {
        true => Ok(Grant { role, expires_at, ..grant }),
        false => Err(Error::NotFound),
    }
}

/// Ends a grant: of something that the subject may share, or its own, which declines it or leaves what was shared. From
/// then on it gives no right on any server.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::RightRequired`] if the subject does not have all rights of the role;
/// [`Error::LastManager`].
pub async fn remove(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    let row = app.db.grant(id).await?.ok_or(Error::NotFound)?;
    let grant = Grant::from(row.clone());
    let event = if row.user_id == Some(subject.actor) {
        Event::new(EventKind::AccessEnded, row.space_id).with("name", &*grant.target_name)
    } else {
        let target = Shared::find(app, subject, Right::Share, row.file_id, row.folder_id).await?;
        check_role(&target, grant.role)?;
        target.event(EventKind::AccessEnded)
    };
    let event = describe(event, &grant.to, grant.role).row(&app.clock);
    if app.db.delete_grant(&row, &event).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// Checks that nobody gives or ends more rights than they have.
fn check_role(target: &Shared, role: Role) -> Result<()> {
    let mut given = Right::ALL.into_iter().filter(|right| role.rights().contains(*right));
    given.try_for_each(|right| target.permit().require(right))
}

/// Checks that nobody gives access for longer than they have it.
async fn check_end(app: &App, subject: &Subject, target: &Shared, expires_at: Option<Timestamp>) -> Result<()> {
    if expires_at.is_some_and(|end| end <= app.clock.now()) {
        return Err(Error::invalid("/expires_at", "out_of_range", "must be in the future"));
    }
    if target.permit().space_id == subject.actor {
        return Ok(());
    }
    let (folder, file) = target.place();
    let held = app.db.granted(subject.actor, folder, file, app.clock.now()).await?;
    let share = held.iter().filter(|row| Rights::from_bits(row.rights).contains(Right::Share));
    // The end of the right to share; `None` if one of the grants has none.
    let end = share.map(|row| row.expires_at.map(Timestamp::from)).max_by_key(|end| (end.is_none(), *end)).flatten();
    match end {
        Some(end) if expires_at.is_none_or(|wanted| wanted > end) => {
            Err(Error::invalid("/expires_at", "out_of_range", format!("at most until your own access ends: {end}")))
        }
        _ => Ok(()),
    }
}

fn describe(event: Event, to: &Grantee, role: Role) -> Event {
    let event = event.with("role", role.as_str());
    match to {
        Grantee::User(id) => event.with("user_id", id.to_string()),
        Grantee::Team(id) => event.with("team_id", id.to_string()),
        Grantee::Email(email) => event.with("email", &**email),
    }
}
