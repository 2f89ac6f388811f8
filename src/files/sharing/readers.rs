//! Who can read or replace a file at present, and what ends it.

use jiff::Timestamp;
use uuid::Uuid;

use super::grants::{self, Grant};
use super::links::{self, Link, LinkState};
use super::signed_urls;
use crate::access::Subject;
use crate::app::App;
use crate::cursor::Page;
use crate::db::Count;
use crate::error::Result;
use crate::files::File;
use crate::users::{self, User};

/// Someone who can read or replace a file, or something that allows anyone to.
#[derive(Debug)]
pub enum AccessEntry {
    /// The owner, who is signed in or has API tokens.
    Owner {
        /// The id of the owner.
        user_id: Uuid,
        /// The email address of the owner.
        email: String,
        /// Active sessions.
        sessions: u64,
        /// Active API tokens.
        tokens: u64,
        /// What ends all of them.
        ended_by: EndedBy,
    },
    /// A grant to the file, to a folder above it, or to the space.
    Grant {
        /// The grant.
        grant: Box<Grant>,
        /// What ends it.
        ended_by: EndedBy,
    },
    /// An active share link.
    Link {
        /// The link.
        link: Box<Link>,
        /// What ends it.
        ended_by: EndedBy,
    },
    /// Signed URLs that may be in use; they are not counted.
    SignedUrls {
        /// All of them have expired by then.
        until: Timestamp,
        /// What revokes them; `None` if the bucket signed them, so that they can only expire.
        ended_by: Option<EndedBy>,
    },
    /// Signed URLs that accept new content for the file.
    SignedPuts {
        /// Their number.
        uploads: u64,
        /// All of them have expired by then.
        until: Timestamp,
        /// What ends their uploads.
        ended_by: EndedBy,
    },
}

/// What ends an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// An admin disables the account of the owner.
    DisablingOwner,
    /// A user who shares its target ends the grant with this id.
    EndingGrant(Uuid),
    /// The owner revokes the link with this id.
    RevokingLink(Uuid),
    /// The owner revokes the signed URLs of the file with this id.
    RevokingSignedUrls(Uuid),
}

/// Lists who can read or replace a file at present, for a user who may share it. `limit` is a number of links, of which only the active
/// ones are listed; everything else is on the first page.
///
/// # Errors
/// [`Error::BadCursor`](crate::error::Error::BadCursor); [`Error::Invalid`](crate::error::Error::Invalid) if the limit is
/// out of range.
pub async fn access(
    app: &App,
    user: &User,
    file: &File,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<AccessEntry>> {
    let links = links::list(app, &Subject::account(user.id), Some(file.id), limit, cursor).await?;
    let active = links.items.into_iter().filter(|link| link.state == LinkState::Active).map(|link| {
        let ended_by = EndedBy::RevokingLink(link.id);
        AccessEntry::Link { link: Box::new(link), ended_by }
    });
    let mut items = Vec::new();
    if cursor.is_none() {
        if file.space_id == user.id {
            items.push(owner(app, user).await?);
        }
        let grants = grants::reaching(app, file).await?.into_iter();
        items.extend(grants.map(|grant| {
            let ended_by = EndedBy::EndingGrant(grant.id);
            AccessEntry::Grant { grant: Box::new(grant), ended_by }
        }));
    }
    items.extend(active);
    if cursor.is_none() {
        items.extend(signed(app, file).await?);
    }
    Ok(Page { items, next_cursor: links.next_cursor })
}

async fn owner(app: &App, user: &User) -> Result<AccessEntry> {
    let (sessions, tokens) = users::count_credentials(app, user).await?;
    Ok(AccessEntry::Owner {
        user_id: user.id,
        email: user.email.clone(),
        sessions,
        tokens,
        ended_by: EndedBy::DisablingOwner,
    })
}

/// The signed URLs of a file that may be in use.
async fn signed(app: &App, file: &File) -> Result<Vec<AccessEntry>> {
    let now = app.clock.now();
    let mut entries = Vec::new();
    let until = signed_urls::active_until(app, file).await?;
    if until > now {
        let ended_by = app.url_signer().map(|_| EndedBy::RevokingSignedUrls(file.id));
        entries.push(AccessEntry::SignedUrls { until, ended_by });
    }
    let (uploads, until) = app.db.open_signed_puts(file.space_id, file.id, now).await?;
    if let Some(until) = until.filter(|_| uploads > Count(0)) {
        let ended_by = EndedBy::RevokingSignedUrls(file.id);
        entries.push(AccessEntry::SignedPuts { uploads: uploads.0, until: until.into(), ended_by });
    }
    Ok(entries)
}
