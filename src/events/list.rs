//! Reading the trail, page by page.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::EventKind;
use crate::app::App;
use crate::clock::from_micros;
use crate::cursor;
use crate::db::{EventQuery, EventRow};
use crate::error::{Error, Result};

/// What is asked for; what is absent does not matter.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    pub account: Option<Uuid>,
    pub file: Option<Uuid>,
    pub kind: Option<EventKind>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Some events, and where to go on.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<AuditEvent>,
    pub next_cursor: Option<String>,
}

/// Something that was done.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent {
    pub id: Uuid,
    pub at: Timestamp,
    pub kind: String,
    /// The account whose trail it belongs to: the owner of the file, or who signed in.
    pub user_id: Option<Uuid>,
    /// Who did it; null for foreign_entries, for the operator's command line and for the server itself.
    pub actor_id: Option<Uuid>,
    /// The session or token that they showed.
    pub credential: Option<ShownCredential>,
    pub file_id: Option<Uuid>,
    pub link_id: Option<Uuid>,
    /// Where the request came from.
    pub address: Option<String>,
    /// `api`, `raw`, `form`, `tus`, `direct`, `batch`, `signed_put`, `signed_url`, `link`, `command` or `server`.
    pub door: String,
    /// What else there is to say; it depends on the kind.
    pub detail: serde_json::Value,
}

/// What somebody showed, by its id.
#[derive(Debug, Clone, Serialize)]
pub struct ShownCredential {
    /// `session` or `token`.
    pub kind: String,
    pub id: Uuid,
}

/// One page of the trail, the latest first.
///
/// # Errors
/// `BadCursor`; `Invalid` if the limit is out of bounds.
pub async fn list(app: &App, filter: &Filter, limit: Option<u32>, cursor: Option<&str>) -> Result<Page> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let before = cursor.map(cursor::decode).transpose()?;
    let wanted = EventQuery {
        user: filter.account,
        file: filter.file,
        kind: filter.kind.map(EventKind::as_str),
        since: filter.since.map(Timestamp::as_microsecond),
        until: filter.until.map(Timestamp::as_microsecond),
        before,
        limit: limit as i64 + 1,
    };
    let rows = app.db.list_events(&wanted).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |last| cursor::encode(last.at, last.id));
    let events = rows.into_iter().map(AuditEvent::try_from).collect::<Result<_>>()?;
    Ok(Page { events, next_cursor })
}

impl TryFrom<EventRow> for AuditEvent {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self> {
        let credential = row.credential.zip(row.credential_id);
        Ok(Self {
            id: row.id,
            at: from_micros(row.at),
            kind: row.kind,
            user_id: row.user_id,
            actor_id: row.actor_id,
            credential: credential.map(|(kind, id)| ShownCredential { kind, id }),
            file_id: row.file_id,
            link_id: row.link_id,
            address: row.address,
            door: row.channel,
            detail: serde_json::from_str(&row.detail).map_err(Error::internal)?,
        })
    }
}
