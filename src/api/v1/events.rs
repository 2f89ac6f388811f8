//! The audit log: of a file, of the user's own account, and of the whole server for admins.

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
use crate::cursor::Page;
use crate::error::Result;
use crate::events::{AuditEvent, EventKind, Filter};
use crate::files;
use crate::http::extract::{Id, PageParams, Paging, Query};
use crate::users;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(of_file)).routes(routes!(of_account)).routes(routes!(of_all))
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11", "at": "2026-11-22T09:30:00Z", "kind": "file_downloaded",
    "space_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "actor_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21",
    "credential": {"kind": "token", "id": "019ab0c2-8b33-7f10-a0de-4f6c9a3b7d77"},
    "file_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d20", "link_id": null, "address": "192.0.2.7", "channel": "api",
    "detail": {"path": "2026", "name": "report.pdf", "size": 183422, "bytes": 183422, "complete": true}
}))]
struct AuditEventView {
    id: Uuid,
    at: Timestamp,
    #[schema(value_type = AuditEventKind)]
    kind: String,
    /// The space whose audit log it belongs to: that of the file, or the personal one of the user who signed in.
    #[schema(required)]
    space_id: Option<Uuid>,
    /// The user who acted; null for visitors, the command line and the server itself.
    #[schema(required)]
    actor_id: Option<Uuid>,
    /// The session or API token that was used.
    #[schema(required)]
    credential: Option<AuditEventCredentialView>,
    #[schema(required)]
    file_id: Option<Uuid>,
    #[schema(required)]
    link_id: Option<Uuid>,
    /// The network address of the client.
    #[schema(required)]
    address: Option<String>,
    #[schema(value_type = AuditChannel, inline)]
    channel: String,
    /// Further details, which depend on the kind.
    #[schema(value_type = HashMap<String, serde_json::Value>, additional_properties = true)]
    detail: serde_json::Value,
}

/// The session or API token that was used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEventCredential)]
struct AuditEventCredentialView {
    #[schema(value_type = CredentialKind, inline)]
    kind: String,
    id: Uuid,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes texts of the database")]
enum CredentialKind {
    Session,
    Token,
}

/// How the request reached the server.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes texts of the database")]
enum AuditChannel {
    Api,
    Raw,
    Form,
    Tus,
    Direct,
    Batch,
    SignedPut,
    SignedUrl,
    Link,
    Command,
    Server,
}

impl From<AuditEvent> for AuditEventView {
    fn from(event: AuditEvent) -> Self {
        let credential = event.credential;
        Self {
            id: event.id,
            at: event.at,
            kind: event.kind,
            space_id: event.space_id,
            actor_id: event.actor_id,
            credential: credential.map(|shown| AuditEventCredentialView { kind: shown.kind, id: shown.id }),
            file_id: event.file_id,
            link_id: event.link_id,
            address: event.address,
            channel: event.channel,
            detail: event.detail,
        }
    }
}

/// Declares the kinds of events for the description of the API. Does not compile if one of [`EventKind`] is missing.
macro_rules! audit_event_kinds {
    ($($kind:ident,)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
        #[schema(example = "file_downloaded")]
        #[serde(rename_all = "snake_case")]
        enum AuditEventKind {
            $($kind,)*
        }

        impl From<AuditEventKind> for EventKind {
            fn from(kind: AuditEventKind) -> Self {
                match kind {
                    $(AuditEventKind::$kind => EventKind::$kind,)*
                }
            }
        }

        const _: fn(EventKind) = |kind| match kind {
            $(EventKind::$kind => (),)*
        };
    };
}

audit_event_kinds! {
    AccountCreated, AccountChanged, AccountDisabled, AccountEnabled, AccountDeleted, AccountExported,
    QuotaChanged, PasswordChanged, SignedIn, SignInRefused, SignedOut, SessionEnded, TokenCreated, TokenRevoked,
    FileUploaded, FileReplaced, FileChanged, FileDownloaded, FileTrashed, FileRestored, FileDeleted,
    FolderCreated, FolderChanged, FolderTrashed, FolderRestored, FolderDeleted, ArchiveDownloaded,
    UrlSigned,
    LinkCreated, LinkChanged, LinkRevoked, LinkDownloaded, LinkRefused, AccessGranted, AccessChanged,
    AccessEnded, SpaceCreated, SpaceChanged, SpaceDeleted, SpaceRestored, TeamCreated, TeamChanged,
    TeamDeleted, FsckStarted,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
struct AuditEventPage {
    items: Vec<AuditEventView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl From<Page<AuditEvent>> for AuditEventPage {
    fn from(page: Page<AuditEvent>) -> Self {
        Self { items: page.items.into_iter().map(AuditEventView::from).collect(), next_cursor: page.next_cursor }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AdminParams {
    /// Only events of this space: that of an account has its id.
    space_id: Option<Uuid>,
    /// Only events of this file.
    file_id: Option<Uuid>,
    /// Only events of this kind.
    kind: Option<AuditEventKind>,
    /// Only events at or after this time.
    since: Option<Timestamp>,
    /// Only events before this time.
    until: Option<Timestamp>,
}

/// List the audit log of a file
///
/// Actors, times, addresses and channels of everything done with the file; newest first. It remains readable after
/// the file is deleted. Downloads served by a bucket are not recorded; issuing their URLs is.
#[utoipa::path(get, path = "/v1/files/{id}/events", tag = "files", operation_id = "listFileAuditEvents",
    params(("id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of events", body = AuditEventPage)))]
async fn of_file(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Paging(page): Paging,
) -> Result<axum::Json<AuditEventPage>> {
    let page = files::events(&app, &caller.subject(), id, page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}

/// List the audit log of your account
///
/// Sign-ins, refused sign-ins, changes to the account, and what was done with your files; newest first.
#[utoipa::path(get, path = "/v1/me/events", tag = "me", operation_id = "listMyAuditEvents", params(PageParams),
    responses((status = 200, description = "A page of events", body = AuditEventPage)),
    extensions(("x-problem-codes" = json!(["session_required"]))))]
async fn of_account(
    State(app): State<Arc<App>>,
    SessionCaller(caller): SessionCaller,
    Paging(page): Paging,
) -> Result<axum::Json<AuditEventPage>> {
    let filter = Filter { space: Some(caller.user.id), ..Filter::default() };
    let page = users::events(&app, &filter, page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}

/// List the audit log of the server
///
/// The events of all users; newest first.
#[utoipa::path(get, path = "/v1/admin/events", tag = "admin", operation_id = "listAuditEvents",
    params(AdminParams, PageParams),
    responses((status = 200, description = "A page of events", body = AuditEventPage)))]
async fn of_all(
    State(app): State<Arc<App>>,
    _: Admin,
    Query(params): Query<AdminParams>,
    Paging(page): Paging,
) -> Result<axum::Json<AuditEventPage>> {
    let filter = Filter {
        space: params.space_id,
        file: params.file_id,
        kind: params.kind.map(EventKind::from),
        since: params.since,
        until: params.until,
    };
    let page = users::events(&app, &filter, page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}
