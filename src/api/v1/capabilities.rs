//! The capabilities of this server, which depend on its settings.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::auth::SignedIn;
use crate::app::App;
use crate::files::uploads;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read))
}

/// What this server supports.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "direct_uploads_to": "https://s3.example.org/files", "page_limit": 1000, "batch_limit": 1000,
    "max_file_size": 5368709120u64, "upload_chunk_size": 67108864
}))]
pub struct ServerCapabilities {
    /// The URL of the bucket that web pages should upload large files to, as direct uploads. Null if parts are sent to
    /// this server, if browsers cannot reach the bucket, or if content types are restricted. Whether the CORS rules of
    /// the bucket allow a page is not checked.
    #[schema(required)]
    direct_uploads_to: Option<String>,
    /// The maximum `limit` of lists.
    page_limit: u32,
    /// The maximum number of files in one batch.
    batch_limit: usize,
    /// The maximum size of a file in bytes.
    max_file_size: u64,
    /// The number of bytes that a client should send in one request of a resumable upload at most, because a proxy in
    /// front of the server may refuse more.
    upload_chunk_size: u64,
}

/// Get server capabilities
#[utoipa::path(get, path = "/v1/capabilities", tag = "uploads", operation_id = "getCapabilities",
    responses((status = 200, description = "The capabilities of this server", body = ServerCapabilities)))]
async fn read(State(app): State<Arc<App>>, SignedIn(_caller): SignedIn) -> axum::Json<ServerCapabilities> {
    let limits = &app.config.limits;
    axum::Json(ServerCapabilities {
        direct_uploads_to: uploads::public_bucket(&app).map(|bucket| bucket.as_str().to_owned()),
        page_limit: limits.page,
        batch_limit: limits.batch,
        max_file_size: limits.file_size,
        upload_chunk_size: app.config.uploads.chunk_size,
    })
}
