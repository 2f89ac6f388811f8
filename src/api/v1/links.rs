//! Share links, as their owners manage them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::SignedIn;
use crate::api::extract::{PermittedFile, need};
use crate::api::share;
use crate::app::App;
use crate::error::Result;
use crate::files::FileName;
use crate::files::links::{self, Link, LinkOptions, LinkState};
use crate::http::extract::{Id, Json, PageParams, Paging, Query, present};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(list))
        .routes(routes!(read, update, revoke))
        .routes(routes!(rotate))
}

/// The options of a new link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_in": 604800, "password": "violet tractor", "max_downloads": 3, "note": "for the accountant"}))]
struct CreateLinkRequest {
    /// Lifetime in seconds, at most ten years; by default the link is valid until it is revoked.
    #[schema(minimum = 1, maximum = 315360000)]
    expires_in: Option<u64>,
    /// Required before anything about the file is shown. It is stored as an argon2id hash.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1024)]
    password: Option<SecretString>,
    /// The maximum number of completed downloads.
    #[schema(minimum = 1)]
    max_downloads: Option<u64>,
    /// Networks (192.0.2.0/24) or addresses that may use the link; by default all.
    #[schema(max_items = 100)]
    allow_from: Option<Vec<String>>,
    /// The file name for downloads, at most 255 characters; by default the name of the file.
    #[schema(min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    download_name: Option<String>,
    /// Show the file in the browser instead of downloading it, if its type is safe to show.
    inline: Option<bool>,
    /// Visible to the owner only, at most 1000 bytes.
    #[schema(max_length = 1000)]
    note: Option<String>,
}

/// The options to change; absent options are unchanged, and null removes a restriction (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_in": 604800, "max_downloads": null}))]
struct UpdateLinkRequest {
    /// Lifetime in seconds from now, at most ten years.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 315360000)]
    expires_in: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1024)]
    password: Option<Option<SecretString>>,
    /// The maximum number of completed downloads.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    max_downloads: Option<Option<u64>>,
    /// Networks (192.0.2.0/24) or addresses that may use the link.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    allow_from: Option<Option<Vec<String>>>,
    /// The file name for downloads, at most 255 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    download_name: Option<Option<String>>,
    /// Show the file in the browser instead of downloading it, if its type is safe to show.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    inline: Option<Option<bool>>,
    /// Visible to the owner only, at most 1000 bytes.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Option<String>>,
}

impl From<CreateLinkRequest> for UpdateLinkRequest {
    fn from(request: CreateLinkRequest) -> Self {
        Self {
            expires_in: Some(request.expires_in),
            password: Some(request.password),
            max_downloads: Some(request.max_downloads),
            allow_from: Some(request.allow_from),
            download_name: Some(request.download_name),
            inline: Some(request.inline),
            note: Some(request.note),
        }
    }
}

impl UpdateLinkRequest {
    fn options(self) -> Result<LinkOptions> {
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

/// A share link, without its password.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkView {
    id: Uuid,
    file_id: Uuid,
    /// Anyone who has this URL can use the link. Null if the link is revoked, or if the secret key of the server is no
    /// longer the one with which it was created or last rotated.
    #[schema(required, example = "http://127.0.0.1:3000/l/srl_0123456789ABCDEFGHIJabcdefghij4WptOr")]
    url: Option<String>,
    /// The last characters of the token.
    #[schema(example = "4WpO")]
    last_four: String,
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
    last_downloaded_at: Option<Timestamp>,
    #[schema(required)]
    expires_at: Option<Timestamp>,
    #[schema(required)]
    revoked_at: Option<Timestamp>,
}

impl LinkView {
    pub fn new(app: &App, link: Link) -> Self {
        Self {
            url: link.token.map(|token| share::url(app, token.reveal())),
            id: link.id,
            file_id: link.file_id,
            last_four: link.last_four,
            state: link.state.into(),
            has_password: link.has_password,
            max_downloads: link.max_downloads,
            downloads: link.downloads,
            allow_from: link.allow_from,
            download_name: link.download_name,
            inline: link.inline,
            note: link.note,
            created_at: link.created_at,
            last_downloaded_at: link.last_downloaded_at,
            expires_at: link.expires_at,
            revoked_at: link.revoked_at,
        }
    }
}

/// A page of links.
#[derive(Serialize, ToSchema)]
struct LinkPage {
    items: Vec<LinkView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Create a share link
///
/// Anyone who has its URL can read the file without signing in, within the restrictions of the link.
#[utoipa::path(post, path = "/v1/files/{id}/links", tag = "links", operation_id = "createLink",
    params(("id" = Uuid, Path)), request_body = CreateLinkRequest,
    responses((status = 201, description = "The link was created", body = LinkView)),
    extensions(("x-problem-codes" = json!(["too_many_links", "too_many_attempts"]))))]
async fn create(
    State(app): State<Arc<App>>,
    PermittedFile { caller, file, .. }: PermittedFile<need::Share>,
    Json(request): Json<CreateLinkRequest>,
) -> Result<(StatusCode, axum::Json<LinkView>)> {
    let options = UpdateLinkRequest::from(request).options()?;
    let created = links::create(&app, &caller.subject(), &file, options).await?;
    Ok((StatusCode::CREATED, axum::Json(LinkView::new(&app, created))))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only links to this file.
    file_id: Option<Uuid>,
}

/// List your share links
///
/// Newest first, including those that expired, were used up or were revoked in the last 30 days.
#[utoipa::path(get, path = "/v1/links", tag = "links", operation_id = "listLinks", params(ListParams, PageParams),
    responses((status = 200, description = "A page of links", body = LinkPage)))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<ListParams>,
    Paging(page): Paging,
) -> Result<axum::Json<LinkPage>> {
    let cursor = page.cursor.as_deref();
    let page = links::list(&app, &caller.subject(), params.file_id, page.limit, cursor).await?;
    let items = page.items.into_iter().map(|link| LinkView::new(&app, link)).collect();
    Ok(axum::Json(LinkPage { items, next_cursor: page.next_cursor }))
}

/// Get a share link
#[utoipa::path(get, path = "/v1/links/{id}", tag = "links", operation_id = "getLink", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The link", body = LinkView)))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<LinkView>> {
    let link = links::find(&app, &caller.subject(), id).await?;
    Ok(axum::Json(LinkView::new(&app, link)))
}

/// Update a share link
///
/// A merge patch (RFC 7396), also accepted as `application/merge-patch+json`: null removes a restriction. A new
/// password invalidates what the previous one unlocked.
#[utoipa::path(patch, path = "/v1/links/{id}", tag = "links", operation_id = "updateLink",
    params(("id" = Uuid, Path)), request_body = UpdateLinkRequest,
    responses((status = 200, description = "The updated link", body = LinkView)),
    extensions(("x-problem-codes" = json!(["link_revoked", "too_many_attempts"]))))]
async fn update(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(request): Json<UpdateLinkRequest>,
) -> Result<axum::Json<LinkView>> {
    let link = links::update(&app, &caller.subject(), id, request.options()?).await?;
    Ok(axum::Json(LinkView::new(&app, link)))
}

/// Revoke a share link
///
/// Immediately and permanently. It remains in the list for 30 days.
#[utoipa::path(delete, path = "/v1/links/{id}", tag = "links", operation_id = "revokeLink", params(("id" = Uuid, Path)),
    responses((status = 204, description = "The link was revoked")))]
async fn revoke(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    links::revoke(&app, &caller.subject(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the URL of a share link
///
/// The previous URL stops working immediately; the restrictions and the download count remain.
#[utoipa::path(post, path = "/v1/links/{id}/rotate", tag = "links", operation_id = "rotateLink",
    params(("id" = Uuid, Path)), responses((status = 200, description = "The link with its new URL", body = LinkView)),
    extensions(("x-problem-codes" = json!(["link_revoked"]))))]
async fn rotate(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<LinkView>> {
    let rotated = links::rotate(&app, &caller.subject(), id).await?;
    Ok(axum::Json(LinkView::new(&app, rotated)))
}
