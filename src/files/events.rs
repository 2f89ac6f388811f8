//! The audit log of one file.

use uuid::Uuid;

use crate::access::{Right, Subject};
use crate::app::App;
use crate::cursor::{self, Page};
use crate::error::{Error, Result};
use crate::events::{self, AuditEvent, Filter};

/// One page of the audit log of a file, the latest event first. A file of the own space may have been deleted.
///
/// # Errors
/// [`Error::NotFound`] if there is neither a file nor an event, or the subject does not see the file;
/// [`Error::RightRequired`]; [`Error::BadCursor`]; [`Error::Invalid`] if the limit is out of range.
pub async fn events(
    app: &App,
    subject: &Subject,
    id: Uuid,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<AuditEvent>> {
    let space = match super::find(app, subject, Right::Manage, id).await {
        Err(Error::NotFound) => subject.actor,
        file => file?.space_id,
    };
    let filter = Filter { space: Some(space), file: Some(id), ..Filter::default() };
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let page = events::list(&app.db, &filter, limit, cursor).await?;
    // An empty page may also be the one after the last event.
    if page.items.is_empty() && events::list(&app.db, &filter, 1, None).await?.items.is_empty() {
        super::find(app, subject, Right::Manage, id).await?;
    }
    Ok(page)
}
