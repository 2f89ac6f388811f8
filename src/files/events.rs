//! The audit log of one file.

use uuid::Uuid;

use crate::app::App;
use crate::cursor::{self, Page};
use crate::error::Result;
use crate::events::{self, AuditEvent, Filter};
use crate::users::User;

/// One page of the audit log of a file of this user, the latest event first. The file may have been deleted.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) if there is neither a file nor an event, or it belongs to another
/// user; [`Error::BadCursor`](crate::error::Error::BadCursor); [`Error::Invalid`](crate::error::Error::Invalid) if the
/// limit is out of range.
pub async fn events(
    app: &App,
    user: &User,
    id: Uuid,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<AuditEvent>> {
    let filter = Filter { space: Some(user.id), file: Some(id), ..Filter::default() };
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let page = events::list(&app.db, &filter, limit, cursor).await?;
    // An empty page may also be the one after the last event.
    if page.items.is_empty() && events::list(&app.db, &filter, 1, None).await?.items.is_empty() {
        super::find(app, user, id).await?;
    }
    Ok(page)
}
