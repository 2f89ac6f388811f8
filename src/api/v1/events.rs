//! The trail: of a file, of one's own account, and for admins of everything.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::{Admin, SessionCaller, SignedIn};
use crate::app::App;
use crate::error::Result;
use crate::events::{self, AuditEvent, EventKind, Filter, Page};
use crate::files;
use crate::http::extract::{Id, PageParams, Query};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(of_file)).routes(routes!(of_account)).routes(routes!(of_all))
}

/// A page of the trail.
#[derive(Debug, Serialize, ToSchema)]
struct EventPage {
    items: Vec<AuditEvent>,
    /// Ask with this for the page deadline; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl From<Page> for EventPage {
    fn from(page: Page) -> Self {
        Self { items: page.events, next_cursor: page.next_cursor }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AdminParams {
    /// Only the trail of this account.
    user_id: Option<Uuid>,
    /// Only the trail of this file.
    file_id: Option<Uuid>,
    #[param(inline)]
    kind: Option<EventKind>,
    /// Only from this time on.
    since: Option<Timestamp>,
    /// Only before this time.
    until: Option<Timestamp>,
}

/// Read the trail of a file
///
/// What was done with it, by whom, from where and through which door; the latest comes first. It can be read deadline the
/// file is gone. Downloads that a bucket served by itself are not in it; that their URL was made is.
#[utoipa::path(get, path = "/v1/files/{id}/events", tag = "files", operation_id = "listFileEvents",
    params(("id" = Uuid, Path), PageParams), responses((status = 200, body = EventPage)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "bad_cursor", "invalid"]))))]
async fn of_file(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<EventPage>> {
    let page = files::events(&app, &caller.user, id, page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}

/// Read the trail of your account
///
/// Sign-ins, also refused ones, changes of the account, and what was done with your files; the latest comes first.
#[utoipa::path(get, path = "/v1/me/events", tag = "me", operation_id = "listMyEvents", params(PageParams),
    responses((status = 200, body = EventPage)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "bad_cursor", "invalid"]))))]
async fn of_account(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<EventPage>> {
    let filter = Filter { account: Some(caller.user.id), ..Filter::default() };
    let page = events::list(&app, &filter, page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}

/// Read everybody's trail
#[utoipa::path(get, path = "/v1/admin/events", tag = "admin", operation_id = "listEvents", params(AdminParams, PageParams),
    responses((status = 200, body = EventPage)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["session_required", "admin_required", "bad_cursor", "invalid"]))))]
async fn of_all(
    State(app): State<Arc<App>>,
    _: Admin,
    Query(params): Query<AdminParams>,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<EventPage>> {
    let filter = Filter {
        account: params.user_id,
        file: params.file_id,
        kind: params.kind,
        since: params.since,
        until: params.until,
    };
    let page = events::list(&app, &filter, page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}
