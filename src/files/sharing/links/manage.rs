//! Share links, as their owners make, see, change and end them.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::{event, network};
use crate::app::App;
use crate::clock::{deadline, from_micros};
use crate::cursor;
use crate::db::LinkRow;
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::files::{File, FileName};
use crate::users::{Secret, SecretKind, User};

/// The longest life that can be asked for: ten years. A link may also live until it is revoked.
const MAX_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const MAX_NOTE: usize = 1000;
const MAX_NETWORKS: usize = 100;

/// Whether a link opens its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    Active,
    Expired,
    Revoked,
    UsedUp,
}

/// A share link, without its token and its password.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    pub id: Uuid,
    pub file_id: Uuid,
    /// The token's last characters.
    pub last_four: String,
    pub state: LinkState,
    pub has_password: bool,
    pub max_downloads: Option<u64>,
    /// Complete deliveries.
    pub downloads: u64,
    /// Networks that it can be used from; none: all.
    pub allow_from: Vec<String>,
    /// The name that a download gets; null: the file's own.
    pub download_name: Option<String>,
    pub inline: bool,
    /// For the owner alone.
    pub note: String,
    pub created_at: Timestamp,
    /// The last complete delivery.
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What a link is to be bound by. Absent stays as it is; `Some(None)` takes the bound away.
#[derive(Debug, Default, Clone)]
pub struct LinkOptions {
    pub expires_in: Option<Option<Duration>>,
    pub password: Option<Option<SecretString>>,
    pub max_downloads: Option<Option<u64>>,
    pub allow_from: Option<Vec<String>>,
    pub download_name: Option<Option<FileName>>,
    pub inline: Option<bool>,
    pub note: Option<String>,
}

/// Some links, and where to go on.
#[derive(Debug)]
pub struct LinkPage {
    pub links: Vec<Link>,
    pub next_cursor: Option<String>,
}

/// Makes a link to a file of this user. Its token is known to nobody but the receiver of this answer.
///
/// # Errors
/// `NotFound`; `Invalid` if a bound is not acceptable, or the account has as many links as it may have.
pub async fn create_link(app: &App, user: &User, file: &File, bounds: LinkOptions) -> Result<(Link, Secret)> {
    let secret = Secret::random(SecretKind::Link);
    let mut row = LinkRow {
        id: app.clock.new_id(),
        owner_id: user.id,
        file_id: file.id,
        token_hash: secret.hash().to_vec(),
        last_four: secret.last_four().to_owned(),
        password_hash: None,
        allow_from: String::new(),
        download_name: None,
        inline: false,
        note: String::new(),
        max_downloads: None,
        downloads: 0,
        created_at: app.clock.now().as_microsecond(),
        last_used_at: None,
        expires_at: None,
        revoked_at: None,
        revision: 0,
    };
    bind(app, &mut row, bounds).await?;
    let event = event(&row, EventKind::LinkCreated).row(&app.clock);
    app.db.insert_link(&row, app.config.links.limit, &event).await?;
    tracing::info!(user = %user.id, link = %row.id, file = %file.id, "link made");
    Ok((shown(app, row), secret))
}

/// A link of this user.
///
/// # Errors
/// `NotFound`.
pub async fn link(app: &App, user: &User, id: Uuid) -> Result<Link> {
    Ok(shown(app, row(app, user, id).await?))
}

/// This user's links, newest first; those of one file, or all.
///
/// # Errors
/// `BadCursor`; `Invalid` if the limit is out of bounds.
pub async fn list_links(
    app: &App,
    user: &User,
    file: Option<Uuid>,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<LinkPage> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let before = cursor.map_or(Ok(Uuid::max()), cursor::decode_id)?;
    let rows = app.db.list_links(user.id, file, before, limit as i64 + 1).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |last| cursor::encode_id(last.id));
    Ok(LinkPage { links: rows.into_iter().map(|row| shown(app, row)).collect(), next_cursor })
}

/// All links to one file of this user, newest first.
pub async fn list_every_link(app: &App, user: &User, file: Uuid) -> Result<Vec<Link>> {
    let rows = app.db.list_links(user.id, Some(file), Uuid::max(), i64::MAX).await?;
    Ok(rows.into_iter().map(|row| shown(app, row)).collect())
}

/// Gives a link of this user other bounds. Of two changes at once neither undoes the other.
///
/// # Errors
/// `NotFound`; `LinkRevoked`; `Invalid` if a bound is not acceptable.
pub async fn change_link(app: &App, user: &User, id: Uuid, bounds: LinkOptions) -> Result<Link> {
    loop {
        let mut row = row(app, user, id).await?;
        if row.revoked_at.is_some() {
            return Err(Error::LinkRevoked);
        }
        bind(app, &mut row, bounds.clone()).await?;
        // If another change came first, this one is made anew on what that left.
        if app.db.change_link(&row, &event(&row, EventKind::LinkChanged).row(&app.clock)).await? {
            return link(app, user, id).await;
        }
    }
}

/// Ends a link of this user for good, at once. Doing it twice is the same as once.
///
/// # Errors
/// `NotFound`.
pub async fn revoke_link(app: &App, user: &User, id: Uuid) -> Result<()> {
    let event = event(&row(app, user, id).await?, EventKind::LinkRevoked).row(&app.clock);
    app.db.revoke_link(user.id, id, app.clock.now().as_microsecond(), &event).await?;
    tracing::info!(user = %user.id, link = %id, "link revoked");
    Ok(())
}

/// Gives a link of this user another token; the one before is dead at once.
///
/// # Errors
/// `NotFound`; `LinkRevoked`.
pub async fn rotate_link(app: &App, user: &User, id: Uuid) -> Result<(Link, Secret)> {
    let event = event(&row(app, user, id).await?, EventKind::LinkChanged).with("rotated", true).row(&app.clock);
    let secret = Secret::random(SecretKind::Link);
    if !app.db.rotate_link(user.id, id, &secret.hash(), secret.last_four(), &event).await? {
        return Err(Error::LinkRevoked);
    }
    Ok((link(app, user, id).await?, secret))
}

async fn row(app: &App, user: &User, id: Uuid) -> Result<LinkRow> {
    app.db.link(user.id, id).await?.ok_or(Error::NotFound)
}

/// Puts the bounds into the row, if they are acceptable.
async fn bind(app: &App, row: &mut LinkRow, bounds: LinkOptions) -> Result<()> {
    if let Some(life) = bounds.expires_in {
        row.expires_at = life.map(|life| expiry(app, life)).transpose()?;
    }
    if let Some(most) = bounds.max_downloads {
        row.max_downloads = most.map(checked_count).transpose()?;
    }
    if let Some(networks) = bounds.allow_from {
        row.allow_from = joined(&networks)?;
    }
    if let Some(name) = bounds.download_name {
        row.download_name = name.map(|name| name.as_str().to_owned());
    }
    row.inline = bounds.inline.unwrap_or(row.inline);
    if let Some(note) = bounds.note {
        row.note = checked_note(note)?;
    }
    // The dear one comes last.
    if let Some(password) = bounds.password {
        row.password_hash = match password {
            Some(password) => Some(app.passwords.hash(&password, &[]).await?),
            None => None,
        };
    }
    Ok(())
}

fn expiry(app: &App, life: Duration) -> Result<i64> {
    if life.is_zero() || life > MAX_LIFE {
        let detail = format!("from 1 to {} seconds", MAX_LIFE.as_secs());
        return Err(Error::invalid("/expires_in", "out_of_range", detail));
    }
    Ok(deadline(app.clock.now(), life).as_microsecond())
}

fn checked_count(most: u64) -> Result<i64> {
    let count = i64::try_from(most).ok().filter(|most| *most >= 1);
    count.ok_or_else(|| Error::invalid("/max_downloads", "out_of_range", "at least 1"))
}

fn checked_note(note: String) -> Result<String> {
    if note.len() > MAX_NOTE || note.contains('\0') {
        return Err(Error::invalid("/note", "invalid", format!("at most {MAX_NOTE} bytes, without NUL characters")));
    }
    Ok(note)
}

fn joined(given: &[String]) -> Result<String> {
    if given.len() > MAX_NETWORKS {
        return Err(Error::invalid("/allow_from", "too_many", format!("at most {MAX_NETWORKS} networks")));
    }
    let networks: Vec<_> = given.iter().map(|text| Ok(network(text)?.to_string())).collect::<Result<_>>()?;
    Ok(networks.join(","))
}

/// The networks of a row.
pub(super) fn networks(joined: &str) -> impl Iterator<Item = IpNet> {
    joined.split(',').filter(|text| !text.is_empty()).filter_map(|text| text.parse().ok())
}

/// # Errors
/// `LinkRevoked`; `LinkExpired`.
pub(super) fn check_lifetime(app: &App, row: &LinkRow) -> Result<()> {
    match state(app, row) {
        LinkState::Revoked => Err(Error::LinkRevoked),
        LinkState::Expired => Err(Error::LinkExpired),
        LinkState::UsedUp | LinkState::Active => Ok(()),
    }
}

fn state(app: &App, row: &LinkRow) -> LinkState {
    let now = app.clock.now().as_microsecond();
    match row {
        LinkRow { revoked_at: Some(_), .. } => LinkState::Revoked,
        LinkRow { expires_at: Some(end), .. } if *end <= now => LinkState::Expired,
        LinkRow { max_downloads: Some(most), downloads, .. } if downloads >= most => LinkState::UsedUp,
        _ => LinkState::Active,
    }
}

fn shown(app: &App, row: LinkRow) -> Link {
    Link {
        id: row.id,
        file_id: row.file_id,
        state: state(app, &row),
        last_four: row.last_four,
        has_password: row.password_hash.is_some(),
        max_downloads: row.max_downloads.map(|most| most as u64),
        downloads: row.downloads as u64,
        allow_from: networks(&row.allow_from).map(|network| network.to_string()).collect(),
        download_name: row.download_name,
        inline: row.inline,
        note: row.note,
        created_at: from_micros(row.created_at),
        last_used_at: row.last_used_at.map(from_micros),
        expires_at: row.expires_at.map(from_micros),
        revoked_at: row.revoked_at.map(from_micros),
    }
}
