//! The change log: pages of it, with long polling, and a stream of events.

use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::{self, Changes, LoggedChange, Wait};
use crate::http::admission::HeldPlace;
use crate::http::extract::{Paging, Query};
use crate::http::problem;
use crate::http::request_memory::RequestMemory;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx not to gather the parts of the response.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Milliseconds after which browsers connect again when a stream has ended.
const RETRY: u32 = 2000;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(stream))
}

/// A change of a file, a folder or a link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change, example = json!({
    "cursor": "5f3a9c21-1042", "kind": "file_moved", "at": "2026-11-22T09:30:00Z",
    "space_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "file_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d20",
    "folder_id": null, "link_id": null, "parent_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12", "path": "2026/november",
    "name": "report.pdf", "actor_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21"
}))]
struct ChangeView {
    /// The place in the log: `after` with this continues with the next change.
    cursor: String,
    #[schema(value_type = ChangeKind)]
    kind: String,
    at: Timestamp,
    space_id: Uuid,
    /// The file; of a change of a link, the file that it shares.
    #[schema(required)]
    file_id: Option<Uuid>,
    /// The folder, if the change is about a folder, with all that is below it.
    #[schema(required)]
    folder_id: Option<Uuid>,
    /// The link, if the change is about a link.
    #[schema(required)]
    link_id: Option<Uuid>,
    /// The folder that the file or folder was in after the change.
    #[schema(required)]
    parent_id: Option<Uuid>,
    /// Of a folder its own path, of a file that of its folder; after the change.
    path: String,
    /// The name after the change.
    name: String,
    /// The user who acted; null for visitors, the command line and the server itself.
    #[schema(required)]
    actor_id: Option<Uuid>,
}

/// What happened.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes texts of the database")]
enum ChangeKind {
    FileCreated,
    FileReplaced,
    FileMoved,
    FileUpdated,
    FileTrashed,
    FileRestored,
    FileDeleted,
    FolderCreated,
    FolderMoved,
    FolderTrashed,
    FolderRestored,
    FolderDeleted,
    LinkCreated,
    LinkChanged,
    LinkRevoked,
}

impl From<LoggedChange> for ChangeView {
    fn from(change: LoggedChange) -> Self {
        Self {
            cursor: change.cursor,
            kind: change.kind,
            at: change.at,
            space_id: change.space_id,
            file_id: change.file_id,
            folder_id: change.folder_id,
            link_id: change.link_id,
            parent_id: change.parent_id,
            path: change.path,
            name: change.name,
            actor_id: change.actor_id,
        }
    }
}

/// A part of the change log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct ChangePage {
    items: Vec<ChangeView>,
    /// The place in the log after these changes, for `after`. It also advances when there are none.
    cursor: String,
    /// Whether there are more changes already.
    has_more: bool,
}

impl From<Changes> for ChangePage {
    fn from(Changes { items, cursor, has_more }: Changes) -> Self {
        Self { items: items.into_iter().map(ChangeView::from).collect(), cursor, has_more }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChangeParams {
    /// `cursor` of an earlier response: only changes after it. `latest`: the end of the log. By default the oldest change
    /// that is kept.
    #[param(example = "5f3a9c21-1042")]
    after: Option<String>,
    /// If there is no change yet, the time to wait for one, in seconds; at most the server's setting, by default a minute.
    #[param(example = "25s", pattern = r"^[0-9]{1,4}s?$")]
    wait: Option<String>,
}

/// The number of seconds in a text such as `25s`.
fn seconds(text: &str) -> Result<u64> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let is_number = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let invalid = || Error::invalid_parameter("wait", "invalid", "expected a number of seconds, such as 25s");
    digits.parse().ok().filter(|_| is_number).ok_or_else(invalid)
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: read with the page of any list")]
struct LimitParam {
    /// The maximum number of changes, at most `page_limit`. A page also ends after about 1 MiB, and after a wait with 100
    /// changes.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List changes
///
/// What happened to your files, folders and links, oldest first. Every change is in it exactly once, and those of one file
/// are in the order in which they happened. To stay up to date, ask for `after=latest`, list your files, and then
/// ask for what comes after the `cursor` of each response, with `wait`.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", operation_id = "listChanges",
    params(ChangeParams, LimitParam),
    responses((status = 200, description = "A page of changes", body = ChangePage)),
    extensions(("x-problem-codes" = json!(["bad_cursor", "changes_expired", "too_many_waiters"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    place: HeldPlace,
    memory: Option<Extension<RequestMemory>>,
    Query(params): Query<ChangeParams>,
    Paging(page): Paging,
) -> Result<axum::Json<ChangePage>> {
    let wait = Wait::new(&app, params.wait.as_deref().map_or(Ok(0), seconds)?)?;
    let mut changes = files::changes(&app, &caller.user, params.after.as_deref(), page.limit).await?;
    if changes.items.is_empty() && !wait.is_zero() {
        place.release();
        if let Some(Extension(memory)) = memory {
            memory.release();
        }
        changes = files::wait_for_changes(&app, &caller.user, &changes.cursor, page.limit, wait).await?;
    }
    Ok(axum::Json(changes.into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamParams {
    /// `cursor` of an earlier response, or `latest`: where the stream begins. The header `Last-Event-ID` takes precedence.
    #[param(example = "latest")]
    after: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only described, never built")]
struct StreamHeaders {
    /// The id of the last event that the client has received, as browsers send it when they connect again.
    #[param(rename = "Last-Event-ID")]
    last_event_id: Option<String>,
}

/// Follow changes
///
/// The same as a stream of server-sent events, each with a change as JSON in `data` and its cursor as `id`. Without changes
/// there is an id without data every few seconds. The stream ends with the session or token, and when the server stops;
/// clients continue with `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/changes/stream", tag = "changes", operation_id = "followChanges",
    params(StreamParams, StreamHeaders),
    responses((status = 200, description = "The changes", content_type = "text/event-stream", body = String)),
    extensions(("x-problem-codes" = json!(["bad_cursor", "changes_expired", "too_many_waiters"]))))]
async fn stream(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    place: HeldPlace,
    Query(params): Query<StreamParams>,
    headers: HeaderMap,
) -> Result<impl IntoResponse> {
    let last = headers.get(LAST_EVENT_ID).map(|last| String::from_utf8_lossy(last.as_bytes()).into_owned());
    let after = last.filter(|last| !last.is_empty()).or(params.after);
    let parts = files::follow(&app, &caller.user, after.as_deref()).await?;
    place.release();
    let first = futures_util::stream::iter([Ok(format!("retry: {RETRY}\n\n"))]);
    let body = Body::from_stream(first.chain(parts.map(events)).inspect_err(problem::log));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, body))
}

/// Server-sent events. One without data has only the effect that the client knows its id.
fn events(part: Changes) -> Result<String> {
    let mut text = String::new();
    for change in part.items {
        let change = ChangeView::from(change);
        let data = serde_json::to_string(&change).map_err(Error::internal)?;
        let _ = write!(text, "id: {}\ndata: {data}\n\n", change.cursor);
    }
    let _ = write!(text, "id: {}\n\n", part.cursor);
    Ok(text)
}
