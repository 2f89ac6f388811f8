//! Who can read a file now, and what would end it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::app::App;
use crate::clock::from_micros;
use crate::error::Result;
use crate::files::{File, Link, LinkState, list_every_link};
use crate::users::User;

/// Everybody who can read a file.
#[derive(Debug)]
pub struct FileAccess {
    pub items: Vec<AccessEntry>,
    /// Always null: the list has one page.
    pub next_cursor: Option<String>,
}

/// Somebody who can read a file, or something that lets anybody.
#[derive(Debug)]
pub enum AccessEntry {
    /// Whoever the file belongs to, by password or by what that was given for.
    Owner {
        user_id: Uuid,
        email: String,
        /// Sign-ins that are alive; each is ended by `DELETE /v1/me/sessions/{id}`.
        sessions: usize,
        /// API tokens that are alive; each is ended by `DELETE /v1/me/tokens/{id}`.
        tokens: usize,
        ended_by: &'static str,
    },
    Link {
        link: Box<Link>,
        ended_by: String,
    },
    /// Signed URLs that may be about. They are not counted one by one.
    SignedUrls {
        /// None lives longer.
        until: Timestamp,
        /// Whether one call ends them; if the bucket signed them, time alone does.
        revocable: bool,
        ended_by: Option<String>,
    },
}

/// Who can read a file of this user now.
///
/// # Errors
/// `NotFound`.
pub async fn access(app: &App, user: &User, file: &File) -> Result<FileAccess> {
    let now = app.clock.now().as_microsecond();
    let mut items = vec![AccessEntry::Owner {
        user_id: user.id,
        email: user.email.clone(),
        sessions: app.db.list_sessions(user.id, now).await?.len(),
        tokens: app.db.list_tokens(user.id, now).await?.len(),
        ended_by: "PATCH /v1/admin/users/{id}",
    }];
    let live = list_every_link(app, user, file.id).await?.into_iter().filter(|link| link.state == LinkState::Active);
    items.extend(live.map(|link| {
        let ended_by = format!("DELETE /v1/links/{}", link.id);
        AccessEntry::Link { link: Box::new(link), ended_by }
    }));
    let mut until = file.signed.until;
    if let Some(lists) = app.db.list_signing(user.id).await?
        && lists.list_urls_recorded_at > file.signed.revoked_at
    {
        until = until.max(lists.list_urls_expire_at);
    }
    if until > now {
        let revocable = app.url_signer().is_some();
        let ended_by = revocable.then(|| format!("POST /v1/files/{}/signed-urls/revoke", file.id));
        items.push(AccessEntry::SignedUrls { until: from_micros(until), revocable, ended_by });
    }
    Ok(FileAccess { items, next_cursor: None })
}
