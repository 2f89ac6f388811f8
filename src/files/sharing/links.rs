//! Share links, as visitors use them. What may be seen through a link is decided in [`open_link`]
//! alone, each time anew; whoever has what it gives may read the file.

mod delivery;
mod manage;
mod unlock_token;

use std::net::IpAddr;

use secrecy::SecretString;

use crate::app::App;
use crate::db::LinkRow;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::files::File;
use crate::net::parse_network;
use crate::users::{LoginAttempt, Secret, SecretKind};

pub use delivery::{LinkDownload, Part, redirect_link};
pub use manage::{
    Link, LinkOptions, LinkPage, LinkState, change_link, create_link, link, list_every_link, list_links, revoke_link,
    rotate_link,
};
pub use unlock_token::UnlockToken;

/// Who comes with a link, and what they bring along.
#[derive(Debug)]
pub struct LinkVisitor {
    pub address: IpAddr,
    pub user_agent: String,
    pub password: Option<SecretString>,
    /// What [`unlock_link`] gave.
    pub proof: Option<String>,
}

/// A link that its visitor may use, and the file behind it.
#[derive(Debug)]
pub struct OpenedLink {
    pub file: File,
    link: LinkRow,
    client: Vec<u8>,
}

impl OpenedLink {
    /// What a download is called.
    pub fn name(&self) -> &str {
        self.link.download_name.as_deref().unwrap_or(&self.file.name)
    }

    /// Whether the owner lets browsers show it, and its type is one that may be shown.
    pub fn is_inline(&self) -> bool {
        self.link.inline && crate::files::is_inline(&self.file.content.content_type)
    }

    /// A download of the file through this link, for the audit log of its owner.
    pub fn download_event(&self) -> Event {
        event(&self.link, EventKind::FileDownloaded)
    }

    /// # Errors
    /// [`Error::LinkUsedUp`] if no download is left. A download that resumes needs none.
    pub fn check_uses(&self, app: &App) -> Result<()> {
        match self.link.max_downloads {
            Some(most) if self.link.downloads >= most => {
                refused(app, &self.link, &Error::LinkUsedUp);
                Err(Error::LinkUsedUp)
            }
            _ => Ok(()),
        }
    }
}

/// Opens the link with this token.
///
/// # Errors
/// `NotFound` if there is none, its owner is disabled or its file deleted; `LinkRevoked`;
/// `LinkExpired`; `NetworkRefused`; `LinkLocked` if it has a password and the visitor brings neither
/// that nor a proof of it; `Throttled` if passwords were tried too often.
pub async fn open_link(app: &App, visitor: &LinkVisitor, token: &str) -> Result<OpenedLink> {
    let secret = Secret::parse(token).filter(|secret| secret.kind() == SecretKind::Link).ok_or(Error::NotFound)?;
    let link = app.db.link_by_token(&secret.hash()).await?.ok_or(Error::NotFound)?;
    let file = app.db.file(link.owner_id, link.file_id).await?.ok_or(Error::NotFound)?;
    if let Err(error) = admit(app, visitor, &link).await {
        // Who has not given the password yet is not turned away.
        if visitor.password.is_some() || !matches!(error, Error::LinkLocked) {
            refused(app, &link, &error);
        }
        return Err(error);
    }
    let client = delivery::client(&link, visitor);
    Ok(OpenedLink { file: file.try_into()?, link, client })
}

async fn admit(app: &App, visitor: &LinkVisitor, link: &LinkRow) -> Result<()> {
    manage::check_lifetime(app, link)?;
    let is_from = |network: ipnet::IpNet| network.contains(&visitor.address);
    if !link.allow_from.is_empty() && !manage::networks(&link.allow_from).any(is_from) {
        return Err(Error::NetworkRefused);
    }
    check_password(app, visitor, link).await
}

/// Tells the trail of the owner who was turned away, a few times a minute at most: foreign_entries shall not
/// fill it.
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

/// What is done with a link, in the trail of its owner.
fn event(link: &LinkRow, act: EventKind) -> Event {
    Event::new(act, link.owner_id).file(link.file_id).link(link.id)
}

/// Proves the password of a link once, for a while; `None` if it has no password.
///
/// # Errors
/// As [`open_link`].
pub async fn unlock_link(app: &App, visitor: &LinkVisitor, token: &str) -> Result<Option<UnlockToken>> {
    let link = open_link(app, visitor, token).await?.link;
    Ok(link.password_hash.as_deref().map(|hash| UnlockToken::new(app, &link, hash)))
}

async fn check_password(app: &App, visitor: &LinkVisitor, link: &LinkRow) -> Result<()> {
    let Some(hash) = link.password_hash.as_deref() else { return Ok(()) };
    if visitor.proof.as_deref().is_some_and(|proof| UnlockToken::is_good(app, link, hash, proof)) {
        return Ok(());
    }
    let password = visitor.password.as_ref().ok_or(Error::LinkLocked)?;
    let trial = LoginAttempt::link(app, link.id, visitor.address).await?;
    if app.passwords.verify(password, Some(hash)).await?.is_none() {
        tracing::info!(link = %link.id, address = %visitor.address, "password of a link refused");
        return Err(Error::LinkLocked);
    }
    trial.succeeded(app).await
}

/// A network as owners write it.
///
/// # Errors
/// `Invalid` at `/allow_from` if it is none.
fn network(text: &str) -> Result<ipnet::IpNet> {
    let wrong = || Error::invalid("/allow_from", "invalid", "networks such as 192.0.2.0/24, or addresses");
    parse_network(text).ok_or_else(wrong)
}
