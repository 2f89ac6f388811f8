//! The HTTP API. Handlers translate: a request, one call into `files/` or `users/`, a response. Every route and the
//! layers around them are listed here.

mod archives;
mod auth;
mod companion;
mod compression;
mod conflict;
mod delivery;
mod errors;
mod extract;
mod health;
mod html;
mod labels;
mod openapi;
mod origins;
mod parameters;
mod share;
mod tus;
#[cfg(feature = "ui")]
mod ui;
mod upload_body;
mod v1;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{StatusCode, Uri, header};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::parameters::{KnownParameters, refuse_unknown};
use crate::app::App;
use crate::config::Config;
use crate::error::Error;
use crate::events::{Channel, RequestContext};
use crate::http::admission::{Admission, admit};
use crate::http::client_address::client_address;
use crate::http::hosts::{Hosts, check_host};
use crate::http::middleware::{Context, observe, panicked, refuse_encoded_bodies};
use crate::http::request_memory::RequestMemory;
use crate::http::unread::{DrainLimits, drain_unread};

/// Every route.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .merge(v1::routes())
        .merge(share::routes())
        .merge(tus::routes())
        .merge(companion::routes())
        .merge(health::routes())
        .merge(openapi::routes())
}

/// The description of the API (OpenAPI 3.1, as JSON), for a server with the default settings.
pub fn description() -> &'static str {
    static DESCRIPTION: OnceLock<String> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let document = openapi::complete(routes().into_openapi(), &Config::default());
        document.to_pretty_json().unwrap_or_default() + "\n"
    })
}

/// The routes with the middleware around every request. The outermost layer comes last.
pub fn router(app: &Arc<App>) -> Router {
    let (router, document) = routes().split_for_parts();
    let parameters = Arc::new(KnownParameters::of(&document));
    let served = openapi::ServedDocument::new(document, &app.config);
    let router = router.layer(from_fn_with_state(parameters, refuse_unknown)).merge(errors::routes());
    #[cfg(feature = "ui")]
    let router = router.merge(ui::routes(app));
    let context = Context {
        clock: app.clock.clone(),
        problem_base: app.config.url("/errors/"),
        send_timeout: app.config.uploads.stall_timeout,
        memory: app.memory.clone(),
        hsts: hsts(&app.config),
    };
    let router = router.fallback(not_found).layer(Extension(served)).layer(from_fn(refuse_encoded_bodies));
    origins::guarded(router, &app.config)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(compression::mark))
        .layer(compression::layer())
        .layer(from_fn(compression::complete))
        .layer(from_fn_with_state(app.clone(), in_request_context))
        .layer(from_fn_with_state(Admission::new(&app.config), admit))
        .layer(from_fn_with_state(Hosts::new(&app.config), check_host))
        .layer(from_fn_with_state(Arc::new(context), observe))
        .layer(from_fn_with_state(DrainLimits::of(&app.config), drain_unread))
        .with_state(app.clone())
}

/// How long browsers must use only HTTPS; `None` where clients may use plain HTTP.
fn hsts(config: &Config) -> Option<Duration> {
    let is_https = auth::is_https(config) || config.tls.is_some();
    Some(config.hsts).filter(|age| is_https && !age.is_zero())
}

/// The fallback: 404. A path with a trailing slash is redirected to the one without it, with the same method and body
/// (RFC 9110, section 15.4.9).
async fn not_found(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let path = uri.path().trim_end_matches('/');
    if path.len() == uri.path().len() || path.is_empty() {
        return Error::NotFound.into_response();
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, app.config.url(&format!("{path}{query}")))]).into_response()
}

/// Lets the audit log and the memory budget know where the request comes from.
async fn in_request_context(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let address = client_address(request.headers(), request.extensions(), &app.config.trusted_proxies);
    let memory = RequestMemory::new(app.memory.clone(), address);
    request.extensions_mut().insert(memory.clone());
    memory.hold(RequestContext::new(Channel::Api, address).scope(next.run(request)).await)
}
