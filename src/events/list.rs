//! Reads the audit log, page by page.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::EventKind;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{Db, EventQuery, EventRow, Micros};
use crate::error::{Error, Result};

/// Which events to list; absent members do not restrict the list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Only events in the audit log of this account.
    pub space: Option<Uuid>,
    /// Only events of this file.
    pub file: Option<Uuid>,
    /// Only events of this kind.
    pub kind: Option<EventKind>,
    /// Only events at or after this time.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
}

/// An entry of the audit log.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent {
    /// Unique; later events have larger ids.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// The name of its [`EventKind`].
    pub kind: String,
    /// The space whose audit log it is in: that of the file, or the personal one of the account that was signed in to.
    pub space_id: Option<Uuid>,
    /// The account that acted; `None` for visitors, the command line and the server itself.
    pub actor_id: Option<Uuid>,
    /// The session or token of the actor.
    pub credential: Option<EventCredential>,
    /// The file that it is about.
    pub file_id: Option<Uuid>,
    /// The link that it is about.
    pub link_id: Option<Uuid>,
    /// The address of the client.
    pub address: Option<String>,
    /// The name of the [`super::Channel`].
    pub channel: String,
    /// Further details, which depend on the kind.
    pub detail: serde_json::Value,
}

/// A session or token, by its id.
#[derive(Debug, Clone, Serialize)]
pub struct EventCredential {
    /// `session` or `token`.
    pub kind: String,
    /// The id of the session or token.
    pub id: Uuid,
}

/// Lists at most `limit` events, newest first.
///
/// # Errors
/// [`Error::BadCursor`] if the cursor is not one of this list.
pub async fn list(db: &Db, filter: &Filter, limit: usize, cursor: Option<&str>) -> Result<Page<AuditEvent>> {
    let before = cursor.map(cursor::decode).transpose()?;
    let mut query = EventQuery {
        space: filter.space,
        file: filter.file,
        kind: filter.kind.map(|kind| kind.as_str().to_owned()),
        since: filter.since,
        until: filter.until,
        before: before.map(|(at, id)| (Micros(at), id)),
        limit,
    };
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        query.limit = count;
        query.before = page.last().map_or(query.before, |last: &EventRow| Some((last.at, last.id)));
        page.add(db.list_events(&query).await?, |row| 512 + row.detail.len());
    }
    page.finish(|last| cursor::encode(last.at.0, last.id)).try_map(AuditEvent::try_from)
}

impl TryFrom<EventRow> for AuditEvent {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self> {
        let credential = row.credential.zip(row.credential_id);
        Ok(Self {
            id: row.id,
            at: row.at.into(),
            kind: row.kind,
            space_id: row.space_id,
            actor_id: row.actor_id,
            credential: credential.map(|(kind, id)| EventCredential { kind, id }),
            file_id: row.file_id,
            link_id: row.link_id,
            address: row.address,
            channel: row.channel,
            detail: serde_json::from_str(&row.detail).map_err(Error::internal)?,
        })
    }
}
