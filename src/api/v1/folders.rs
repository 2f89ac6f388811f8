//! Folders: the paths that files have in common.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::auth::SignedIn;
use crate::app::App;
use crate::error::{Location, Result};
use crate::files::{self, FolderPath};
use crate::http::extract::{PageParams, Paging, Query};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FolderParams {
    /// The folder to list; by default the top folder.
    #[param(example = "2026", pattern = r"^[^\\\x00-\x1f\x7f-\x9f]*$")]
    path: Option<String>,
}

/// A folder: a path that files have in common.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "november", "path": "2026/november"}))]
struct Folder {
    name: String,
    /// Full path, as in `path` of its files.
    path: String,
}

/// A page of folders.
#[derive(Debug, Serialize, ToSchema)]
struct FolderPage {
    items: Vec<Folder>,
    /// The cursor of the next page; null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List folders
///
/// The folders directly in a folder, by name. A folder exists as long as it contains a file, at any depth.
#[utoipa::path(get, path = "/v1/folders", tag = "files", operation_id = "listFolders", params(FolderParams, PageParams),
    responses((status = 200, description = "A page of folders", body = FolderPage)))]
async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Query(params): Query<FolderParams>,
    Paging(page): Paging,
) -> Result<axum::Json<FolderPage>> {
    let inside = FolderPath::new(&params.path.unwrap_or_default(), Location::Parameter("path".into()))?;
    let page = files::folders(&app, &caller.user, &inside, page.limit, page.cursor.as_deref()).await?;
    let base = inside.as_str();
    let path = |name: &str| if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") };
    let items = page.items.into_iter().map(|name| Folder { path: path(&name), name }).collect();
    Ok(axum::Json(FolderPage { items, next_cursor: page.next_cursor }))
}
