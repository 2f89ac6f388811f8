//! Teams: those of the caller, and all of them for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::auth::{Admin, SignedIn};
use crate::app::App;
use crate::cursor::Page;
use crate::error::Result;
use crate::http::extract::{Id, Json, PageParams, Paging, TwoIds};
use crate::http::location::location;
use crate::users::{self, Team, TeamMember};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(mine))
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(members))
        .routes(routes!(add_member, remove_member))
}

/// A group of users that files, folders and spaces can be shared with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Team, example = json!({
    "id": "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d14", "name": "Accounting", "members": 3, "created_at": "2026-11-22T09:30:00Z"
}))]
struct TeamView {
    id: Uuid,
    /// Unique regardless of case.
    name: String,
    /// The number of members.
    members: u64,
    created_at: Timestamp,
}

impl From<Team> for TeamView {
    fn from(Team { id, name, members, created_at }: Team) -> Self {
        Self { id, name, members, created_at }
    }
}

/// A page of teams.
#[derive(Debug, Serialize, ToSchema)]
struct TeamPage {
    items: Vec<TeamView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl From<Page<Team>> for TeamPage {
    fn from(page: Page<Team>) -> Self {
        let page = page.map(TeamView::from);
        Self { items: page.items, next_cursor: page.next_cursor }
    }
}

/// List your teams
#[utoipa::path(get, path = "/v1/teams", tag = "sharing", operation_id = "listMyTeams", params(PageParams),
    responses((status = 200, description = "A page of teams", body = TeamPage)))]
async fn mine(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Paging(page): Paging,
) -> Result<axum::Json<TeamPage>> {
    let page = users::teams(&app, Some(caller.user.id), page.limit, page.cursor.as_deref()).await?;
    Ok(axum::Json(page.into()))
}

/// List all teams
#[utoipa::path(get, path = "/v1/admin/teams", tag = "admin", operation_id = "listTeams", params(PageParams),
    responses((status = 200, description = "A page of teams", body = TeamPage)))]
async fn list(State(app): State<Arc<App>>, _: Admin, Paging(page): Paging) -> Result<axum::Json<TeamPage>> {
    Ok(axum::Json(users::teams(&app, None, page.limit, page.cursor.as_deref()).await?.into()))
}

/// The name of a team, at most 200 characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Accounting"}))]
struct TeamRequest {
    name: String,
}

/// Create a team
#[utoipa::path(post, path = "/v1/admin/teams", tag = "admin", operation_id = "createTeam", request_body = TeamRequest,
    responses((status = 201, description = "The team was created", body = TeamView,
        headers(("Location" = String, description = "The URL of the team")))),
    extensions(("x-problem-codes" = json!(["name_taken"]))))]
async fn create(State(app): State<Arc<App>>, _: Admin, Json(wanted): Json<TeamRequest>) -> Result<Response> {
    let team = users::create_team(&app, &wanted.name).await?;
    let location = location(&app.config.url(&format!("/v1/admin/teams/{}", team.id)))?;
    Ok((StatusCode::CREATED, [location], axum::Json(TeamView::from(team))).into_response())
}

/// Get a team
#[utoipa::path(get, path = "/v1/admin/teams/{id}", tag = "admin", operation_id = "getTeam", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The team", body = TeamView)))]
async fn read(State(app): State<Arc<App>>, _: Admin, Id(id): Id) -> Result<axum::Json<TeamView>> {
    Ok(axum::Json(users::find_team(&app, id).await?.into()))
}

/// Rename a team
///
/// A merge patch (RFC 7396), also accepted as `application/merge-patch+json`.
#[utoipa::path(patch, path = "/v1/admin/teams/{id}", tag = "admin", operation_id = "updateTeam",
    params(("id" = Uuid, Path)), request_body = TeamRequest,
    responses((status = 200, description = "The updated team", body = TeamView)),
    extensions(("x-problem-codes" = json!(["name_taken"]))))]
async fn update(
    State(app): State<Arc<App>>,
    _: Admin,
    Id(id): Id,
    Json(wanted): Json<TeamRequest>,
) -> Result<axum::Json<TeamView>> {
    Ok(axum::Json(users::rename_team(&app, id, &wanted.name).await?.into()))
}

/// Delete a team
///
/// Its members immediately lose what was shared with it.
#[utoipa::path(delete, path = "/v1/admin/teams/{id}", tag = "admin", operation_id = "deleteTeam",
    params(("id" = Uuid, Path)), responses((status = 204, description = "The team was deleted")))]
async fn delete(State(app): State<Arc<App>>, _: Admin, Id(id): Id) -> Result<StatusCode> {
    users::delete_team(&app, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A member of a team.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeamMember, example = json!({
    "id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "name": "Ann", "email": "ann@example.org"
}))]
struct TeamMemberView {
    id: Uuid,
    name: String,
    email: String,
}

/// A page of members.
#[derive(Debug, Serialize, ToSchema)]
struct TeamMemberPage {
    items: Vec<TeamMemberView>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List the members of a team
#[utoipa::path(get, path = "/v1/admin/teams/{id}/members", tag = "admin", operation_id = "listTeamMembers",
    params(("id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of members", body = TeamMemberPage)))]
async fn members(
    State(app): State<Arc<App>>,
    _: Admin,
    Id(id): Id,
    Paging(page): Paging,
) -> Result<axum::Json<TeamMemberPage>> {
    let page = users::members(&app, id, page.limit, page.cursor.as_deref()).await?;
    let page = page.map(|TeamMember { id, name, email }| TeamMemberView { id, name, email });
    Ok(axum::Json(TeamMemberPage { items: page.items, next_cursor: page.next_cursor }))
}

/// Add a member to a team
///
/// Idempotent.
#[utoipa::path(put, path = "/v1/admin/teams/{id}/members/{user}", tag = "admin", operation_id = "addTeamMember",
    params(("id" = Uuid, Path), ("user" = Uuid, Path, description = "The id of the user")),
    responses((status = 204, description = "The user is a member")))]
async fn add_member(State(app): State<Arc<App>>, _: Admin, TwoIds(team, user): TwoIds) -> Result<StatusCode> {
    users::add_member(&app, team, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member from a team
///
/// The user immediately loses what was shared with the team.
#[utoipa::path(delete, path = "/v1/admin/teams/{id}/members/{user}", tag = "admin", operation_id = "removeTeamMember",
    params(("id" = Uuid, Path), ("user" = Uuid, Path, description = "The id of the user")),
    responses((status = 204, description = "The user is no longer a member")))]
async fn remove_member(State(app): State<Arc<App>>, _: Admin, TwoIds(team, user): TwoIds) -> Result<StatusCode> {
    users::remove_member(&app, team, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
