//! The HTTP doors. Handlers translate: a request, one call into `files/` or `users/`, an answer.
//! Every route and the layers around them are in this file.

mod auth;
mod companion;
mod health;
mod openapi;
mod share;
mod tus;
#[cfg(feature = "ui")]
mod ui;
mod v1;

use std::sync::{Arc, OnceLock};

use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::config::Config;
use crate::error::Error;
use crate::http::middleware as requests;

/// Every route.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .merge(v1::routes())
        .merge(share::routes())
        .merge(tus::routes())
        .merge(companion::routes())
        .merge(health::routes())
}

/// The description of the API (OpenAPI 3.1, as JSON), for a server with the default settings.
pub fn description() -> &'static str {
    static DESCRIPTION: OnceLock<String> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let document = openapi::complete(routes().into_openapi(), &Config::default());
        document.to_pretty_json().unwrap_or_default() + "\n"
    })
}

/// The routes, with what stands around every request. The outermost layer comes last.
pub fn router(app: &Arc<App>) -> Router {
    let cross_site = cross_site_layer(app);
    let (doors, document) = routes().split_for_parts();
    let served = openapi::ServedDocument::new(document, &app.config);
    #[cfg(feature = "ui")]
    let doors = doors.merge(ui::routes(app));
    doors
        .fallback(|| async { Error::NotFound })
        .layer(Extension(served))
        .layer(cross_site)
        .layer(CatchPanicLayer::custom(requests::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), requests::observe))
        .with_state(app.clone())
}

/// Requests that change something and come from another site's page are refused (Sec-Fetch-Site
/// and Origin). Signed URLs bring their own proof and may be used from anywhere.
fn cross_site_layer(app: &App) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    let layer = CsrfLayer::new().with_insecure_bypass(|_, uri| uri.path().starts_with(v1::SIGNED_PREFIX));
    let origin = app.config.public_url.origin().ascii_serialization();
    let layer = layer.clone().add_trusted_origin(origin).unwrap_or(layer);
    layer.with_rejection_response(|_| Error::CrossSite.into_response())
}
