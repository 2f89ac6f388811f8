//! What this server can do that another may not.

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

/// What this server can do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"direct_uploads_to": "https://s3.example.org/files"}))]
pub struct Capabilities {
    /// The bucket to which pages had better send big files as direct uploads. Null where parts come to this server, where
    /// browsers cannot use the bucket's address, and where types are limited, as such an upload is refused only at its
    /// end. Whether the bucket's CORS rules let a page in, the page finds out.
    #[schema(required)]
    direct_uploads_to: Option<String>,
}

/// Ask what this server can do
#[utoipa::path(get, path = "/v1/capabilities", tag = "uploads", operation_id = "readCapabilities",
    responses((status = 200, body = Capabilities)),
    security(("bearer" = []), ("cookie" = [])),
    extensions(("x-problem-codes" = json!([]))))]
async fn read(State(app): State<Arc<App>>, SignedIn(_caller): SignedIn) -> axum::Json<Capabilities> {
    let direct_uploads_to = uploads::public_bucket(&app).map(|bucket| bucket.as_str().to_owned());
    axum::Json(Capabilities { direct_uploads_to })
}
