//! Share links, as their owners create, list, update and revoke them.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::event;
use super::options::{LinkOptions, networks};
use crate::access::{Right, Subject};
use crate::app::App;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{Count, LinkRow};
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::files::{self, File};
use crate::users::{Secret, SecretKind};

/// Whether a link opens its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// The link opens its file.
    Active,
    /// The link has expired.
    Expired,
    /// The owner has revoked the link.
    Revoked,
    /// The link has reached its download limit.
    UsedUp,
}

/// A share link, as its owner sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    /// The id by which its owner manages it.
    pub id: Uuid,
    /// The file that it opens.
    pub file_id: Uuid,
    /// The token, if it can be derived: only with the key of the server on which it was last replaced, and not of a link
    /// that is revoked.
    #[serde(skip)]
    pub token: Option<Secret>,
    /// The last characters of its token.
    pub last_four: String,
    /// Whether it opens its file.
    pub state: LinkState,
    /// Whether visitors need a password.
    pub has_password: bool,
    /// The download limit; `None` for any number.
    pub max_downloads: Option<u64>,
    /// Complete downloads.
    pub downloads: u64,
    /// The networks from which it can be used; empty for all.
    pub allow_from: Vec<String>,
    /// The file name of downloads; `None` for the name of the file.
    pub download_name: Option<String>,
    /// Whether browsers may display the content.
    pub inline: bool,
    /// A note that only the owner sees.
    pub note: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the last download was completed.
    pub last_downloaded_at: Option<Timestamp>,
    /// When it expires; `None` if it is active until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Creates a link to a file, which the subject may share. The token is not stored, but derived from the key of the server.
///
/// # Errors
/// [`Error::Invalid`] if an option is not valid; [`Error::TooManyLinks`].
pub async fn create(app: &App, subject: &Subject, file: &File, options: LinkOptions) -> Result<Link> {
    let id = app.clock.new_id();
    let secret = token(app, id, 0);
    let mut row = LinkRow {
        id,
        space_id: file.space_id,
        creator_id: subject.actor,
        file_id: file.id,
        token_hash: secret.hash().to_vec(),
        turn: 0,
        last_four: secret.last_four().to_owned(),
        password_hash: None,
        allow_from: String::new(),
        download_name: None,
        inline: false,
        note: String::new(),
        max_downloads: None,
        downloads: Count(0),
        created_at: app.clock.now().into(),
        last_downloaded_at: None,
        expires_at: None,
        revoked_at: None,
        revision: 0,
    };
    options.apply(app, &mut row).await?;
    let event = event(&row, EventKind::LinkCreated).row(&app.clock);
    app.db.insert_link(&row, app.config.links.limit, &event).await?;
    tracing::info!(user = %subject.actor, link = %row.id, file = %file.id, "link created");
    Ok(Link { token: Some(secret), ..to_link(app, row) })
}

/// The token of a link in this turn; a random one if this server has no key.
fn token(app: &App, link: Uuid, turn: i64) -> Secret {
    match &app.link_key {
        Some(key) => Secret::derived(SecretKind::Link, key.bytes(link, turn)),
        None => Secret::random(SecretKind::Link),
    }
}

/// Finds a link that the subject created, or one to a file that the subject may share.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist, or the subject may not see it.
pub async fn find(app: &App, subject: &Subject, id: Uuid) -> Result<Link> {
    find_row(app, subject, id).await.map(|row| to_link(app, row))
}

async fn find_row(app: &App, subject: &Subject, id: Uuid) -> Result<LinkRow> {
    let row = app.db.link(id).await?.ok_or(Error::NotFound)?;
    if row.creator_id != subject.actor {
        // A link does not exist for those who may not share its file.
        files::find(app, subject, Right::Share, row.file_id).await.map_err(Error::concealed)?;
    }
    Ok(row)
}

/// Lists links, newest first: those to one file, if the subject may share it, otherwise those that the subject created.
/// `limit` is a number of links.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn list(
    app: &App,
    subject: &Subject,
    file: Option<Uuid>,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<Link>> {
    // All links to a file are for those who may share it; others have theirs.
    let may_share = match file {
        Some(file) => files::find(app, subject, Right::Share, file).await.is_ok(),
        None => false,
    };
    let creator = (!may_share).then_some(subject.actor);
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let before = cursor.map_or(Ok(Uuid::max()), cursor::decode_id)?;
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        let before = page.last().map_or(before, |last: &LinkRow| last.id);
        page.add(app.db.list_links(creator, file, before, count).await?, bytes_of);
    }
    let page = page.finish(|last| cursor::encode_id(last.id));
    Ok(page.map(|row| to_link(app, row)))
}

/// The approximate size of a link as JSON, in bytes.
fn bytes_of(row: &LinkRow) -> usize {
    const THE_REST: usize = 512;
    THE_REST + row.allow_from.len() + row.note.len() + row.download_name.as_ref().map_or(0, String::len)
}

/// Changes the options of a link. Concurrent changes are applied one after the other, and none is lost.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::LinkRevoked`]; [`Error::Invalid`] if an option is not valid.
pub async fn update(app: &App, subject: &Subject, id: Uuid, options: LinkOptions) -> Result<Link> {
    loop {
        let mut row = find_row(app, subject, id).await?;
        if row.revoked_at.is_some() {
            return Err(Error::LinkRevoked);
        }
        options.clone().apply(app, &mut row).await?;
        if app.db.change_link(&row, &event(&row, EventKind::LinkChanged).row(&app.clock)).await? {
            return Ok(to_link(app, row));
        }
        // Another request changed the link first: apply the options to the result.
    }
}

/// Immediately and permanently revokes a link. Idempotent.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn revoke(app: &App, subject: &Subject, id: Uuid) -> Result<()> {
    let row = find_row(app, subject, id).await?;
    let event = event(&row, EventKind::LinkRevoked).row(&app.clock);
    app.db.revoke_link(row.space_id, id, app.clock.now(), &event).await?;
    tracing::info!(user = %subject.actor, link = %id, "link revoked");
    Ok(())
}

/// Gives a link a new token; the previous one becomes invalid immediately.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::LinkRevoked`].
pub async fn rotate(app: &App, subject: &Subject, id: Uuid) -> Result<Link> {
    loop {
        let row = find_row(app, subject, id).await?;
        if row.revoked_at.is_some() {
            return Err(Error::LinkRevoked);
        }
        let event = event(&row, EventKind::LinkChanged).with("rotated", true).row(&app.clock);
        let turn = row.turn + 1;
        let secret = token(app, id, turn);
        if app.db.rotate_link(row.space_id, id, &secret.hash(), secret.last_four(), turn, &event).await? {
            let rotated =
                LinkRow { turn, token_hash: secret.hash().to_vec(), last_four: secret.last_four().to_owned(), ..row };
            return Ok(Link { token: Some(secret), ..to_link(app, rotated) });
        }
        // Another request replaced the token first: replace that one.
    }
}

/// # Errors
/// [`Error::LinkRevoked`]; [`Error::LinkExpired`].
pub(super) fn check_lifetime(app: &App, row: &LinkRow) -> Result<()> {
    match state(app, row) {
        LinkState::Revoked => Err(Error::LinkRevoked),
        LinkState::Expired => Err(Error::LinkExpired),
        LinkState::UsedUp | LinkState::Active => Ok(()),
    }
}

fn state(app: &App, row: &LinkRow) -> LinkState {
    let now = app.clock.now().into();
    match row {
        LinkRow { revoked_at: Some(_), .. } => LinkState::Revoked,
        LinkRow { expires_at: Some(end), .. } if *end <= now => LinkState::Expired,
        LinkRow { max_downloads: Some(maximum), downloads, .. } if downloads >= maximum => LinkState::UsedUp,
        _ => LinkState::Active,
    }
}

fn to_link(app: &App, row: LinkRow) -> Link {
    let token = app.link_key.as_ref().filter(|_| row.revoked_at.is_none()).and_then(|_| {
        // After a change of the key, the token that it gives is another one.
        Some(token(app, row.id, row.turn)).filter(|token| token.hash() == *row.token_hash)
    });
    Link {
        token,
        id: row.id,
        file_id: row.file_id,
        state: state(app, &row),
        last_four: row.last_four,
        has_password: row.password_hash.is_some(),
        max_downloads: row.max_downloads.map(u64::from),
        downloads: row.downloads.0,
        allow_from: networks(&row.allow_from).map(|network| network.to_string()).collect(),
        download_name: row.download_name,
        inline: row.inline,
        note: row.note,
        created_at: row.created_at.into(),
        last_downloaded_at: row.last_downloaded_at.map(Into::into),
        expires_at: row.expires_at.map(Into::into),
        revoked_at: row.revoked_at.map(Into::into),
    }
}
