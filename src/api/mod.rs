//! The HTTP doors. Handlers translate: a request, one call into `files/` or `users/`, an answer.
//! Every route and the layers around them are in this file.

mod accounts;
mod admin;
mod auth;
mod avatars;
mod batch;
mod body;
mod capabilities;
mod companion;
mod conditions;
mod connections;
mod content;
mod digest;
mod error;
mod events;
mod extract;
mod file_content;
mod files;
mod folders;
#[doc(hidden)] // For the benchmarks.
pub mod form;
mod health;
mod incoming;
mod jobs;
mod link_door;
mod link_page;
mod links;
mod me;
mod openapi;
mod origin;
mod ranges;
mod requests;
mod server;
mod session;
mod signed;
mod tokens;
mod trash;
mod tus;
#[cfg(feature = "ui")]
mod ui;
mod uploads;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Error;

pub use server::Server;

/// Every route.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .merge(session::routes())
        .merge(me::routes())
        .merge(tokens::routes())
        .merge(accounts::routes())
        .merge(avatars::routes())
        .merge(batch::routes())
        .merge(files::routes())
        .merge(file_content::routes())
        .merge(folders::routes())
        .merge(trash::routes())
        .merge(jobs::routes())
        .merge(events::routes())
        .merge(signed::routes())
        .merge(uploads::routes())
        .merge(capabilities::routes())
        .merge(links::routes())
        .merge(link_door::routes())
        .merge(tus::routes())
        .merge(companion::routes())
        .merge(health::routes())
        .merge(admin::routes())
}

/// The description of every route: OpenAPI 3.1 as JSON.
pub fn description() -> &'static str {
    static DESCRIPTION: OnceLock<String> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let document = openapi::complete(routes().into_openapi());
        document.to_pretty_json().unwrap_or_default() + "\n"
    })
}

/// The routes, with what stands around every request. The outermost layer comes last.
pub fn router(app: &Arc<App>) -> Router {
    let cross_site = cross_site_layer(app);
    let doors = routes().split_for_parts().0;
    #[cfg(feature = "ui")]
    let doors = doors.merge(ui::routes(app));
    doors
        .fallback(|| async { Error::NotFound })
        .layer(cross_site)
        .layer(CatchPanicLayer::custom(requests::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), requests::observe))
        .with_state(app.clone())
}

/// Requests that change something and come from another site's page are refused (Sec-Fetch-Site
/// and Origin). Signed URLs bring their own proof and may be used from anywhere.
fn cross_site_layer(app: &App) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    let layer = CsrfLayer::new().with_insecure_bypass(|_, uri| uri.path().starts_with(signed::SIGNED_PREFIX));
    let origin = app.config.public_url.origin().ascii_serialization();
    let layer = layer.clone().add_trusted_origin(origin).unwrap_or(layer);
    layer.with_rejection_response(|_| Error::CrossSite.into_response())
}
