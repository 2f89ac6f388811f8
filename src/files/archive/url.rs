//! One-time URLs of archives, for browsers: a page can start a download without a script that receives it, and no
//! credential of the account is in the URL.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ArchiveItem;
use crate::access::{Right, Subject};
use crate::app::App;
use crate::clock::deadline;
use crate::db::{ArchiveUrlRow, ArchiveUrlUse, Permit, PermitKind};
use crate::error::{Error, Result};
use crate::events::{self, Actor};
use crate::files::{FileName, folders};
use crate::users::{Secret, SecretKind};

/// How long a download can begin.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a download that has begun can continue.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// URLs of one account that are kept, the latest ones.
const URLS: u32 = 100;

/// What an archive is made of, by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Selection {
    /// Folders, each with all below it.
    pub folders: Vec<Uuid>,
    /// Files.
    pub files: Vec<Uuid>,
}

impl Selection {
    /// The items, which the subject may read.
    ///
    /// # Errors
    /// [`Error::NotFound`] if one of them does not exist, or the subject does not see it; [`Error::RightRequired`] if the
    /// subject sees it and may not read it; [`Error::Invalid`] if there is none, or more than a batch may have.
    pub async fn find(&self, app: &App, subject: &Subject) -> Result<Vec<ArchiveItem>> {
        let (mut items, limit) = (Vec::new(), app.config.limits.batch);
        if !(1..=limit).contains(&(self.folders.len() + self.files.len())) {
            return Err(Error::invalid("/files", "out_of_range", format!("1 to {limit} files and folders")));
        }
        for id in &self.folders {
            items.push(ArchiveItem::Folder(folders::find(app, subject, Right::Read, *id).await?));
        }
        for id in &self.files {
            items.push(ArchiveItem::File(Box::new(crate::files::find(app, subject, Right::Read, *id).await?)));
        }
        Ok(items)
    }
}

/// Creates a URL by which an archive of these files and folders can be downloaded once. It ends with the
/// session or the API token of the caller. Returns its token, and when it expires.
///
/// # Errors
/// Those of [`Selection::find`].
pub async fn create(
    app: &App,
    subject: &Subject,
    selection: &Selection,
    name: &FileName,
) -> Result<(Secret, Timestamp)> {
    selection.find(app, subject).await?;
    let permit = Permit::current().ok_or(Error::Unauthorized)?;
    let (secret, now) = (Secret::random(SecretKind::Archive), app.clock.now());
    let expires_at = deadline(now, LIFETIME);
    let row = ArchiveUrlRow {
        id: app.clock.new_id(),
        user_id: subject.actor,
        token_hash: secret.hash().to_vec(),
        credential: permit.kind.as_str().to_owned(),
        credential_id: permit.credential,
        name: name.as_str().to_owned(),
        items: serde_json::to_string(selection).map_err(Error::internal)?,
        created_at: now.into(),
        expires_at: expires_at.into(),
    };
    app.db.insert_archive_url(&row, URLS).await?;
    Ok((secret, expires_at))
}

/// A one-time URL that may be used, with what it is for.
#[derive(Debug)]
pub struct OpenedArchiveUrl {
    /// The account that asked for it.
    pub account: Uuid,
    /// The file name of the archive.
    pub name: String,
    /// What the archive is made of.
    pub items: Vec<ArchiveItem>,
    id: Uuid,
}

/// Opens the one-time URL with this token. It acts for the account that created it, whose rights are asked for again: the
/// current request needs what that account needs of grants, and is recorded as one of it.
///
/// # Errors
/// [`Error::NotFound`] if there is none, if it has expired, its session or API token has ended, or one of its files and
/// folders is deleted, or may not be read any more.
pub async fn open(app: &App, token: &str) -> Result<OpenedArchiveUrl> {
    let secret = Secret::parse(token).filter(|secret| secret.kind() == SecretKind::Archive).ok_or(Error::NotFound)?;
    let row = app.db.archive_url(&secret.hash(), app.clock.now()).await?.ok_or(Error::NotFound)?;
    let kind = PermitKind::parse(&row.credential).ok_or_else(|| Error::internal("an unknown kind of credential"))?;
    let (account, credential) = (row.user_id, row.credential_id);
    let permit = Permit { kind, credential, account, clock: app.clock.clone(), needs: Vec::new() };
    app.db.check_permit(&permit).await.map_err(|error| match error {
        Error::Unauthorized => Error::NotFound,
        error => error,
    })?;
    permit.set_current();
    events::set_actor(Actor { account, credential: kind.as_str(), credential_id: credential });
    let selection: Selection = serde_json::from_str(&row.items).map_err(Error::internal)?;
    let items = selection.find(app, &Subject::account(account)).await.map_err(Error::concealed)?;
    Ok(OpenedArchiveUrl { account, name: row.name, items, id: row.id })
}

/// One response through a one-time URL.
#[derive(Debug)]
pub struct ArchiveUrlDownload {
    app: Arc<App>,
    using: ArchiveUrlUse,
    /// Whether the last byte of the archive is in it.
    ends: bool,
}

impl ArchiveUrlDownload {
    /// The response to a client at this address; `resumes` if it begins after the first byte, `ends` if it has the last.
    pub fn new(app: &Arc<App>, opened: &OpenedArchiveUrl, address: IpAddr, resumes: bool, ends: bool) -> Self {
        let client = Sha256::new().chain_update(opened.id).chain_update(address.to_string()).finalize().to_vec();
        let until = deadline(app.clock.now(), WINDOW);
        Self { app: app.clone(), using: ArchiveUrlUse { id: opened.id, client, until, resumes }, ends }
    }

    /// Uses the URL.
    ///
    /// # Errors
    /// [`Error::NotFound`] if another client does, or the archive is complete.
    pub async fn begin(&self) -> Result<()> {
        let is_used = self.app.db.use_archive_url(&self.using, self.app.clock.now()).await?;
        if is_used { Ok(()) } else { Err(Error::NotFound) }
    }

    /// After the next chunk `left` bytes of the response remain.
    ///
    /// # Errors
    /// [`Error::Unavailable`]. The chunk must not be sent then.
    pub async fn advance(&self, left: u64) -> Result<()> {
        if left == 0 && self.ends { self.app.db.complete_archive_url(self.using.id).await } else { Ok(()) }
    }
}
