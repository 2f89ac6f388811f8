//! Grants: files and folders shared with other users, and what others have shared.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::{Right, Role};
use crate::api::auth::SignedIn;
use crate::app::App;
use crate::cursor::Page;
use crate::error::{Error, Result};
use crate::files::grants::{self, Grant, GrantChange, Grantee, NewGrant, Shared};
use crate::http::extract::{Id, Json, PageParams, Paging, Query, present};
use crate::http::location::location;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, remove)).routes(routes!(received))
}

/// What a grant allows. `viewer`: see and read; `previewer`: see names and details, without the content; `uploader`: add
/// files, without seeing what is there; `editor`: read, add, change and delete; `manager`: as an editor, share, and manage
/// the members of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub enum RoleView {
    Viewer,
    Previewer,
    Uploader,
    Editor,
    Manager,
}

impl From<RoleView> for Role {
    fn from(role: RoleView) -> Self {
        match role {
            RoleView::Viewer => Role::Viewer,
            RoleView::Previewer => Role::Previewer,
            RoleView::Uploader => Role::Uploader,
            RoleView::Editor => Role::Editor,
            RoleView::Manager => Role::Manager,
        }
    }
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => RoleView::Viewer,
            Role::Previewer => RoleView::Previewer,
            Role::Uploader => RoleView::Uploader,
            Role::Editor => RoleView::Editor,
            Role::Manager => RoleView::Manager,
        }
    }
}

/// A right to a file, or to a folder with all below it. Exactly one of `user_id`, `team_id` and `email` says whose it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d13", "space_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21",
    "folder_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12", "target_name": "reports", "email": "rosalind@example.org",
    "role": "editor", "created_by": {"id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "name": "Ann"},
    "created_at": "2026-11-22T09:30:00Z", "expires_at": null
}))]
pub struct GrantView {
    pub id: Uuid,
    pub space_id: Uuid,
    /// The folder that is shared; the top folder of a space has the id of the space.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub folder_id: Option<Uuid>,
    /// The file that is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub file_id: Option<Uuid>,
    /// The name of the file, the folder or the space; empty for a whole personal space.
    pub target_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub team_id: Option<Uuid>,
    /// The address that was invited. It does not tell whether it has an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// The name of the user or the team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    pub role: RoleView,
    /// Who shared it; null if that account is deleted.
    #[schema(required)]
    pub created_by: Option<GrantCreator>,
    pub created_at: Timestamp,
    /// Null: it does not expire.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
}

/// The user who shared it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "name": "Ann"}))]
pub struct GrantCreator {
    id: Uuid,
    name: String,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        let (mut user_id, mut team_id, mut email) = (None, None, None);
        match grant.to {
            Grantee::User(id) => user_id = Some(id),
            Grantee::Team(id) => team_id = Some(id),
            Grantee::Email(address) => email = Some(address),
        }
        Self {
            id: grant.id,
            space_id: grant.space_id,
            folder_id: grant.folder_id,
            file_id: grant.file_id,
            target_name: grant.target_name,
            user_id,
            team_id,
            email,
            name: grant.to_name,
            role: grant.role.into(),
            created_by: grant.creator.map(|(id, name)| GrantCreator { id, name }),
            created_at: grant.created_at,
            expires_at: grant.expires_at,
        }
    }
}

/// A page of grants.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantPage {
    items: Vec<GrantView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl From<Page<Grant>> for GrantPage {
    fn from(page: Page<Grant>) -> Self {
        let page = page.map(GrantView::from);
        Self { items: page.items, next_cursor: page.next_cursor }
    }
}

/// Whether `file_id` or `folder_id` names what is shared.
fn target(file: Option<Uuid>, folder: Option<Uuid>) -> Option<(Option<Uuid>, Option<Uuid>)> {
    (file.is_some() != folder.is_some()).then_some((file, folder))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GrantParams {
    /// The file. Either this or `folder_id` is required.
    file_id: Option<Uuid>,
    /// The folder, or the space.
    folder_id: Option<Uuid>,
}

/// List the grants of a file or folder
///
/// Those to the file or folder itself, not those to folders above it; requires the right to share it. The grants of a
/// shared space are its members.
#[utoipa::path(get, path = "/v1/grants", tag = "sharing", operation_id = "listGrants", params(GrantParams, PageParams),
    responses((status = 200, description = "A page of grants", body = GrantPage)),
    extensions(("x-problem-codes" = json!(["not_found", "right_required"]))))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<GrantParams>,
    Paging(page): Paging,
) -> Result<axum::Json<GrantPage>> {
    let (file, folder) = target(params.file_id, params.folder_id).ok_or_else(|| {
        Error::invalid_parameter("file_id", "required", "either `file_id` or `folder_id` is required")
    })?;
    let target = Shared::find(&app, &caller.subject(), Right::Share, file, folder).await?;
    Ok(axum::Json(grants::list(&app, &target, page.limit, page.cursor.as_deref()).await?.into()))
}

/// A grant to give. Either `file_id` or `folder_id` is required, and one of `user_id`, `team_id` and `email`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"folder_id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12", "email": "rosalind@example.org", "role": "editor"}))]
struct CreateGrantRequest {
    file_id: Option<Uuid>,
    /// A folder, or a space.
    folder_id: Option<Uuid>,
    user_id: Option<Uuid>,
    team_id: Option<Uuid>,
    /// If no account has this address yet, the one that gets it has access.
    email: Option<String>,
    role: RoleView,
    /// Null: it does not expire.
    expires_at: Option<Timestamp>,
}

impl CreateGrantRequest {
    fn grantee(&self) -> Result<Grantee> {
        let missing = || Error::invalid("/email", "required", "one of `user_id`, `team_id` and `email` is required");
        match (self.user_id, self.team_id, &self.email) {
            (Some(id), None, None) => Ok(Grantee::User(id)),
            (None, Some(id), None) => Ok(Grantee::Team(id)),
            (None, None, Some(email)) => Ok(Grantee::Email(email.clone())),
            _ => Err(missing()),
        }
    }
}

/// Share a file or folder
///
/// Gives a role to a user, a team, or the owner of an email address. Rights only add up: a role in a folder holds for all
/// below it. Nobody can give more than they have. The response does not tell whether an address has an account.
#[utoipa::path(post, path = "/v1/grants", tag = "sharing", operation_id = "createGrant",
    request_body = CreateGrantRequest,
    responses((status = 201, description = "The grant", body = GrantView,
        headers(("Location" = String, description = "The URL of the grant")))),
    extensions(("x-problem-codes" = json!(["not_found", "right_required", "already_shared", "too_many_grants"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Json(wanted): Json<CreateGrantRequest>,
) -> Result<Response> {
    let (file, folder) = target(wanted.file_id, wanted.folder_id)
        .ok_or_else(|| Error::invalid("/file_id", "required", "either `file_id` or `folder_id` is required"))?;
    let new = NewGrant { to: wanted.grantee()?, role: wanted.role.into(), expires_at: wanted.expires_at };
    let subject = caller.subject();
    let target = Shared::find(&app, &subject, Right::Share, file, folder).await?;
    let grant = grants::create(&app, &subject, &target, new).await?;
    let location = location(&app.config.url(&format!("/v1/grants/{}", grant.id)))?;
    Ok((StatusCode::CREATED, [location], axum::Json(GrantView::from(grant))).into_response())
}

/// Get a grant
///
/// Of what you may share, or one that you have received.
#[utoipa::path(get, path = "/v1/grants/{id}", tag = "sharing", operation_id = "getGrant", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The grant", body = GrantView)),
    extensions(("x-problem-codes" = json!(["right_required"]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<axum::Json<GrantView>> {
    Ok(axum::Json(grants::find(&app, &caller.subject(), id).await?.into()))
}

/// Fields to change; absent fields are unchanged (RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "viewer", "expires_at": null}))]
struct UpdateGrantRequest {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    role: Option<RoleView>,
    /// Null: it does not expire.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Timestamp>)]
    expires_at: Option<Option<Timestamp>>,
}

/// Change a grant
///
/// A merge patch (RFC 7396), also accepted as `application/merge-patch+json`. A shared space keeps a manager whose role
/// does not expire.
#[utoipa::path(patch, path = "/v1/grants/{id}", tag = "sharing", operation_id = "updateGrant",
    params(("id" = Uuid, Path)), request_body = UpdateGrantRequest,
    responses((status = 200, description = "The updated grant", body = GrantView)),
    extensions(("x-problem-codes" = json!(["right_required", "last_manager"]))))]
async fn update(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Id(id): Id,
    Json(wanted): Json<UpdateGrantRequest>,
) -> Result<axum::Json<GrantView>> {
    let change = GrantChange { role: wanted.role.map(Role::from), expires_at: wanted.expires_at };
    Ok(axum::Json(grants::change(&app, &caller.subject(), id, &change).await?.into()))
}

/// End a grant
///
/// Of what you may share; or one that you have received, to decline it or to leave. It ends within a second on every
/// server; a download in progress ends within 30 seconds.
#[utoipa::path(delete, path = "/v1/grants/{id}", tag = "sharing", operation_id = "deleteGrant",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The grant has ended")),
    extensions(("x-problem-codes" = json!(["right_required", "last_manager"]))))]
async fn remove(State(app): State<Arc<App>>, SignedIn(caller): SignedIn, Id(id): Id) -> Result<StatusCode> {
    grants::remove(&app, &caller.subject(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List what is shared with you
///
/// The grants that you have received, by yourself and by your teams, oldest first. What is in the trash is not listed.
#[utoipa::path(get, path = "/v1/shared", tag = "sharing", operation_id = "listShared", params(PageParams),
    responses((status = 200, description = "A page of grants", body = GrantPage)))]
async fn received(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Paging(page): Paging,
) -> Result<axum::Json<GrantPage>> {
    let page = grants::received(&app, &caller.subject(), page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}
