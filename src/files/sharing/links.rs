//! Share links: anyone who has the URL of one can download its file, within the options that the owner has set.
//!
//! This module serves visitors. Only [`open`] decides whether a visitor may use a link, on every
//! request; the holder of an [`OpenedLink`] may read its file.

mod delivery;
mod manage;
mod options;
mod unlock_token;

use std::net::IpAddr;

use secrecy::SecretString;

use self::delivery::Client;
use crate::access::{Right, Subject};
use crate::app::App;
use crate::budget::Party;
use crate::db::LinkRow;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::files::{self, File};
use crate::users::{LoginAttempt, Secret, SecretKind};

pub use delivery::{LinkDownload, Part, redirect};
pub use manage::{Link, LinkState, create, find, list, revoke, rotate, update};
pub use options::LinkOptions;
pub use unlock_token::UnlockToken;

/// The visitor of a link, and the credentials of the request.
#[derive(Debug)]
pub struct LinkVisitor {
    /// The address of the client.
    pub address: IpAddr,
    /// The User-Agent header.
    pub user_agent: String,
    /// The password of the link.
    pub password: Option<SecretString>,
    /// The text of an [`UnlockToken`], instead of the password.
    pub unlock_token: Option<String>,
}

/// A link that its visitor may use, with its file.
#[derive(Debug, Clone)]
pub struct OpenedLink {
    /// The file.
    pub file: File,
    link: LinkRow,
    address: IpAddr,
    client: Client,
}

impl OpenedLink {
    /// The file name of the download.
    pub fn name(&self) -> &str {
        self.link.download_name.as_deref().unwrap_or(&self.file.name)
    }

    /// Whether browsers may display the content: the owner allows it, and the type is safe to display.
    pub fn is_inline(&self) -> bool {
        self.link.inline && crate::files::is_inline(&self.file.content.content_type)
    }

    /// A download of the file through this link, for the audit log of its space.
    pub fn download_event(&self) -> Event {
        event(&self.link, EventKind::FileDownloaded)
    }

    /// Checks, during a transfer, that the link still gives this visitor access to the file. A transfer that began in time
    /// may end after the lifetime of the link, and one that was counted may end whatever the download limit is now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the link was revoked or its URL replaced, its file deleted, or its owner disabled;
    /// [`Error::NetworkRefused`] or [`Error::LinkLocked`] if its networks or its password changed, and the visitor would
    /// be refused.
    pub async fn check_active(&self, app: &App) -> Result<()> {
        let link = app.db.link_by_token(&self.link.token_hash).await?.filter(|link| link.revoked_at.is_none());
        let link = link.ok_or(Error::NotFound)?;
        check_network(&link, self.address)?;
        // The same password that is set again has another hash: it invalidates what was unlocked as well.
        if link.password_hash.is_some() && link.password_hash != self.link.password_hash {
            return Err(Error::LinkLocked);
        }
        shared_file(app, &link).await.map(drop)
    }

    /// Whether its downloads are limited.
    pub fn has_limit(&self) -> bool {
        self.link.max_downloads.is_some()
    }

    /// Whether a request gets the content: through a link with a download limit only one that explicitly asks for it.
    pub fn delivers(&self, is_explicit: bool) -> bool {
        is_explicit || !self.has_limit()
    }

    /// Checks that the link has not reached its download limit.
    ///
    /// # Errors
    /// [`Error::LinkUsedUp`] if no download is left, and this client has none to continue.
    pub async fn check_download_limit(&self, app: &App) -> Result<()> {
        let is_used_up = self.link.max_downloads.is_some_and(|maximum| self.link.downloads >= maximum);
        if !is_used_up || self.client.can_continue(app, &self.link).await? {
            return Ok(());
        }
        refused(app, &self.link, &Error::LinkUsedUp);
        Err(Error::LinkUsedUp)
    }
}

/// Checks that a link with this token exists, in any state.
///
/// # Errors
/// [`Error::NotFound`] if there is none, or its owner is disabled.
pub async fn check_token(app: &App, token: &str) -> Result<()> {
    find_by_token(app, token).await.map(drop)
}

async fn find_by_token(app: &App, token: &str) -> Result<LinkRow> {
    let secret = Secret::parse(token).filter(|secret| secret.kind() == SecretKind::Link).ok_or(Error::NotFound)?;
    app.db.link_by_token(&secret.hash()).await?.ok_or(Error::NotFound)
}

/// The file of a link.
///
/// # Errors
/// [`Error::NotFound`] if it was deleted, or the creator of the link may not share it any more.
async fn shared_file(app: &App, link: &LinkRow) -> Result<File> {
    let creator = Subject::account(link.creator_id);
    files::find(app, &creator, Right::Share, link.file_id).await.map_err(Error::concealed)
}

/// Opens the link with this token.
///
/// # Errors
/// [`Error::NotFound`] if there is none, its owner is disabled or its file deleted; [`Error::LinkRevoked`];
/// [`Error::LinkExpired`]; [`Error::NetworkRefused`]; [`Error::LinkLocked`] if the link has a password, and the visitor
/// sends neither that nor an unlock token; [`Error::Throttled`] after too many wrong passwords.
pub async fn open(app: &App, visitor: &LinkVisitor, token: &str) -> Result<OpenedLink> {
    let link = find_by_token(app, token).await?;
    let file = shared_file(app, &link).await?;
    if let Err(error) = check_visitor(app, visitor, &link).await {
        // A visitor who has not entered the password yet is not refused.
        if visitor.password.is_some() || !matches!(error, Error::LinkLocked) {
            refused(app, &link, &error);
        }
        return Err(error);
    }
    let client = Client::new(&link, visitor);
    Ok(OpenedLink { file, link, address: visitor.address, client })
}

async fn check_visitor(app: &App, visitor: &LinkVisitor, link: &LinkRow) -> Result<()> {
    manage::check_lifetime(app, link)?;
    check_network(link, visitor.address)?;
    check_password(app, visitor, link).await
}

/// # Errors
/// [`Error::NetworkRefused`].
fn check_network(link: &LinkRow, address: IpAddr) -> Result<()> {
    let is_from = |network: ipnet::IpNet| network.contains(&address);
    if !link.allow_from.is_empty() && !options::networks(&link.allow_from).any(is_from) {
        return Err(Error::NetworkRefused);
    }
    Ok(())
}

/// Records in the audit log of the space that a visitor was refused; rate-limited, so that visitors
/// cannot fill it.
fn refused(app: &App, link: &LinkRow, error: &Error) {
    let why = match error {
        Error::LinkExpired => "expired",
        Error::LinkRevoked => "revoked",
        Error::LinkUsedUp => "used_up",
        Error::NetworkRefused => "network",
        Error::LinkLocked => "password",
        _ => return,
    };
    app.events.record_refusal(link.id, &event(link, EventKind::LinkRefused).with("why", why));
}

/// An event about a link, for the audit log of its space.
fn event(link: &LinkRow, kind: EventKind) -> Event {
    Event::new(kind, link.space_id).file(link.file_id).link(link.id)
}

/// Exchanges the password of a link for a token that unlocks it for a while; `None` if the link has no password.
///
/// # Errors
/// Those of [`open`].
pub async fn unlock(app: &App, visitor: &LinkVisitor, token: &str) -> Result<Option<UnlockToken>> {
    let link = open(app, visitor, token).await?.link;
    Ok(link.password_hash.as_deref().map(|hash| UnlockToken::new(app, &link, hash)))
}

async fn check_password(app: &App, visitor: &LinkVisitor, link: &LinkRow) -> Result<()> {
    let Some(hash) = link.password_hash.as_deref() else { return Ok(()) };
    if visitor.unlock_token.as_deref().is_some_and(|token| UnlockToken::is_valid(app, link, hash, token)) {
        return Ok(());
    }
    let password = visitor.password.as_ref().ok_or(Error::LinkLocked)?;
    let attempt = LoginAttempt::link(app, link.id, visitor.address).await?;
    let verification = app.passwords.verify(Party::at(visitor.address), password, Some(hash));
    if attempt.verify(app, verification).await?.is_none() {
        tracing::info!(link = %link.id, address = %visitor.address, "wrong password of a link");
        return Err(Error::LinkLocked);
    }
    Ok(())
}
