//! What was done with a file.

use uuid::Uuid;

use crate::app::App;
use crate::cursor;
use crate::error::Result;
use crate::events::{self, Filter, Page};
use crate::users::User;

/// One page of the trail of a file of this user, which may be gone by now; the latest comes first.
///
/// # Errors
/// `NotFound` if nothing is known of it, or if it is somebody else's; `BadCursor`; `Invalid` if the
/// limit is out of bounds.
pub async fn events(app: &App, user: &User, id: Uuid, limit: Option<u32>, cursor: Option<&str>) -> Result<Page> {
    let filter = Filter { account: Some(user.id), file: Some(id), ..Filter::default() };
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let page = events::list(&app.db, &filter, limit, cursor).await?;
    // Past the end of a trail there is nothing either, but of a trail that one may read.
    if page.events.is_empty() && events::list(&app.db, &filter, 1, None).await?.events.is_empty() {
        super::find(app, user, id).await?;
    }
    Ok(page)
}
