//! The audit log of accounts.

use crate::app::App;
use crate::cursor::{self, Page};
use crate::error::Result;
use crate::events::{self, AuditEvent, Filter};

/// One page of the events that the filter selects, the latest first. Callers other than admins filter by their space.
///
/// # Errors
/// [`Error::BadCursor`](crate::error::Error::BadCursor); [`Error::Invalid`](crate::error::Error::Invalid) if the limit is
/// out of range.
pub async fn events(app: &App, filter: &Filter, limit: Option<u32>, cursor: Option<&str>) -> Result<Page<AuditEvent>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    events::list(&app.db, filter, limit, cursor).await
}
