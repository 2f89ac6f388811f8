//! Share links, for their owners.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SignedIn;
use crate::api::share;
use crate::app::App;
use crate::error::Result;
use crate::files::{self, FileName, Link, LinkOptions, LinkState};
use crate::http::extract::{Id, Json, PageParams, Query, present};
use crate::users::Secret;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(list))
        .routes(routes!(read, change, revoke))
        .routes(routes!(rotate))
}

/// What a link is to be bound by. In a change, what is absent stays and null takes a bound away (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_in": 604800, "password": "violet tractor", "max_downloads": 3, "note": "for the accountant"}))]
struct LinkWish {
    /// Seconds from now, at most ten years; null or absent: until it is revoked.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Option<u64>>,
    /// Asked for before anything about the file is shown. Persisted as argon2id.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    password: Option<Option<SecretString>>,
    /// Complete deliveries.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    max_downloads: Option<Option<u64>>,
    /// Networks (192.0.2.0/24) or addresses that it can be used from; null, absent or empty: all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    allow_from: Option<Option<Vec<String>>>,
    /// The name that a download gets, whatever the file is called.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    download_name: Option<Option<String>>,
    /// Shown in the browser instead of downloaded, if the type is one that may be.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    inline: Option<Option<bool>>,
    /// For yourself, at most 1000 bytes.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    note: Option<Option<String>>,
}

impl LinkWish {
    fn bounds(self) -> Result<LinkOptions> {
        let name = |name: String| FileName::new(&name, "/download_name");
        Ok(LinkOptions {
            expires_in: self.expires_in.map(|seconds| seconds.map(Duration::from_secs)),
            password: self.password,
            max_downloads: self.max_downloads,
            allow_from: self.allow_from.map(Option::unwrap_or_default),
            download_name: self.download_name.map(|given| given.map(name).transpose()).transpose()?,
            inline: self.inline.map(Option::unwrap_or_default),
            note: self.note.map(Option::unwrap_or_default),
        })
    }
}

/// Whether a link gives access to its file.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = LinkState)]
#[serde(rename_all = "snake_case")]
enum LinkStateView {
    Active,
    Expired,
    Revoked,
    UsedUp,
}

impl From<LinkState> for LinkStateView {
    fn from(state: LinkState) -> Self {
        match state {
            LinkState::Active => Self::Active,
            LinkState::Expired => Self::Expired,
            LinkState::Revoked => Self::Revoked,
            LinkState::UsedUp => Self::UsedUp,
        }
    }
}

/// A share link, without its token and its password.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkView {
    id: Uuid,
    file_id: Uuid,
    /// The last characters of the token.
    #[schema(example = "4WpO")]
    hint: String,
    state: LinkStateView,
    has_password: bool,
    #[schema(required)]
    max_downloads: Option<u64>,
    /// Completed downloads.
    downloads: u64,
    /// Networks that may use the link; empty means all.
    allow_from: Vec<String>,
    /// The file name for downloads; null means the file's own name.
    #[schema(required)]
    download_name: Option<String>,
    inline: bool,
    /// Visible to the owner only.
    note: String,
    created_at: Timestamp,
    /// When the last download completed.
    #[schema(required)]
    last_used_at: Option<Timestamp>,
    #[schema(required)]
    expires_at: Option<Timestamp>,
    #[schema(required)]
    revoked_at: Option<Timestamp>,
}

impl From<Link> for LinkView {
    fn from(link: Link) -> Self {
        Self {
            id: link.id,
            file_id: link.file_id,
            hint: link.hint,
            state: link.state.into(),
            has_password: link.has_password,
            max_downloads: link.max_downloads,
            downloads: link.downloads,
            allow_from: link.allow_from,
            download_name: link.download_name,
            inline: link.inline,
            note: link.note,
            created_at: link.created_at,
            last_used_at: link.last_used_at,
            expires_at: link.expires_at,
            revoked_at: link.revoked_at,
        }
    }
}

/// A link, with the URL that is shown this once.
#[derive(Serialize, ToSchema)]
struct LinkWithUrl {
    /// Whoever has it may use the link. It is not shown again.
    #[schema(example = "http://127.0.0.1:3000/l/srl_0123456789ABCDEFGHIJabcdefghij4WptOr")]
    url: String,
    #[serde(flatten)]
    link: LinkView,
}

/// A page of links.
#[derive(Serialize, ToSchema)]
struct LinkList {
    items: Vec<LinkView>,
    /// Ask with this for the page deadline; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

fn shown_once(app: &App, status: StatusCode, (link, secret): (Link, Secret)) -> Response {
    let url = share::url(app, secret.reveal());
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(LinkWithUrl { url, link: link.into() })).into_response()
}

/// Make a share link to a file
///
/// Whoever has its URL reads the file without signing in, within these bounds.
#[utoipa::path(post, path = "/v1/files/{id}/links", tag = "links", operation_id = "createLink", params(("id" = Uuid, Path)),
    request_body = LinkWish, responses((status = 201, body = LinkWithUrl)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "too_large", "unsupported_media_type", "invalid", "too_many_links"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(wish): Json<LinkWish>,
) -> Result<Response> {
    // Not yours is not there, whatever else may be wrong with the request.
    let file = files::find(&app, &caller.user, id).await?;
    let made = files::create_link(&app, &caller.user, &file, wish.bounds()?).await?;
    Ok(shown_once(&app, StatusCode::CREATED, made))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only links to this file.
    file_id: Option<Uuid>,
}

/// List your share links
///
/// Newest first, with those that are expired, used up or revoked in the last 30 days.
#[utoipa::path(get, path = "/v1/links", tag = "links", operation_id = "listLinks", params(ListParams, PageParams),
    responses((status = 200, body = LinkList)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["bad_cursor", "invalid"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<ListParams>,
    Query(page): Query<PageParams>,
) -> Result<axum::Json<LinkList>> {
    let cursor = page.cursor.as_deref();
    let page = files::list_links(&app, &caller.user, params.file_id, page.limit, cursor).await?;
    let items = page.links.into_iter().map(LinkView::from).collect();
    Ok(axum::Json(LinkList { items, next_cursor: page.next_cursor }))
}

/// Read about a share link
#[utoipa::path(get, path = "/v1/links/{id}", tag = "links", operation_id = "readLink", params(("id" = Uuid, Path)),
    responses((status = 200, body = LinkView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<LinkView>> {
    Ok(axum::Json(files::link(&app, &caller.user, id).await?.into()))
}

/// Change what a share link is bound by
///
/// A merge patch (RFC 7396): null takes a bound away. A new password ends what the one before had unlocked.
#[utoipa::path(patch, path = "/v1/links/{id}", tag = "links", operation_id = "changeLink", params(("id" = Uuid, Path)),
    request_body(content((LinkWish = "application/merge-patch+json"), (LinkWish = "application/json"))),
    responses((status = 200, body = LinkView)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "link_revoked", "too_large", "unsupported_media_type", "invalid"]))))]
async fn change(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(wish): Json<LinkWish>,
) -> Result<axum::Json<LinkView>> {
    files::link(&app, &caller.user, id).await?;
    Ok(axum::Json(files::change_link(&app, &caller.user, id, wish.bounds()?).await?.into()))
}

/// Revoke a share link
///
/// It is dead at once, and for good. It stays in the list for 30 days.
#[utoipa::path(delete, path = "/v1/links/{id}", tag = "links", operation_id = "revokeLink", params(("id" = Uuid, Path)),
    responses((status = 204)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found"]))))]
async fn revoke(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    files::revoke_link(&app, &caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a share link a new URL
///
/// The one before is dead at once; bounds and count stay.
#[utoipa::path(post, path = "/v1/links/{id}/rotate", tag = "links", operation_id = "rotateLink", params(("id" = Uuid, Path)),
    responses((status = 200, body = LinkWithUrl)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!(["not_found", "link_revoked"]))))]
async fn rotate(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<Response> {
    let rotated = files::rotate_link(&app, &caller.user, id).await?;
    Ok(shown_once(&app, StatusCode::OK, rotated))
}
