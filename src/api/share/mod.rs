//! Share links, as visitors use them: a page for browsers, the content for other clients.

mod page;
mod unlock;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use headers::authorization::Basic;
use headers::{Authorization, HeaderMapExt};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::auth::bearer;
use crate::api::delivery::{self, AuditedDownload};
use crate::api::openapi::headers::{ConditionHeaders, RangeHeaders};
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::files::links::{self, LinkDownload, LinkVisitor, OpenedLink, Part};
use crate::files::{self, TransferRight, Watch};
use crate::http::body::Binary;
use crate::http::content::{DeliveryObserver, Plan, Presentation, Progress};
use crate::http::cookies::{self, Cookie};
use crate::http::extract::{Name, Query};
use crate::http::location::location;
use crate::users::ClientInfo;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get, head, ask)).routes(routes!(get_named, head_named)).merge(unlock::routes())
}

/// The URL of the link with this token.
pub fn url(app: &App, token: &str) -> String {
    app.config.url(&format!("/l/{token}"))
}

/// User agents of link-preview bots; they get the page.
const PREVIEWS: &[&str] = &[
    "bot",
    "crawler",
    "spider",
    "preview",
    "facebookexternalhit",
    "whatsapp",
    "slack",
    "telegram",
    "discord",
    "skype",
    "embedly",
    "mastodon",
    "iframely",
];
const COOKIE: &str = "strongroom-link";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ShareParams {
    /// Always the content as a download, also for browsers and of a link with a download limit.
    #[serde(default)]
    download: bool,
    /// The same, shown in the browser if the link and the type allow it.
    #[serde(default)]
    open: bool,
}

impl ShareParams {
    /// Whether the bytes are asked for explicitly.
    fn ask_for_bytes(&self) -> bool {
        self.download || self.open
    }
}

/// A request for what a link shares.
struct Visit {
    app: Arc<App>,
    token: String,
    client: ClientInfo,
    params: ShareParams,
    method: Method,
    headers: HeaderMap,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let Name(token) = Name::from_request_parts(parts, app).await?;
        let client = ClientInfo::from_request_parts(parts, app).await?;
        let Query(params) = Query::from_request_parts(parts, app).await?;
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        Ok(Self { app: app.clone(), token, client, params, method, headers })
    }
}

impl Visit {
    async fn respond(self) -> Response {
        let Self { app, token, client, params, method, headers } = self;
        let as_page = wants_page(&params, &headers);
        let response = async {
            events::set_channel(Channel::Link);
            let opened = links::open(&app, &visitor(&client, &headers), &token).await?;
            match opened.delivers(params.ask_for_bytes()) && !as_page {
                true => bytes(&app, &opened, &params, &method, &headers).await,
                false => {
                    opened.check_download_limit(&app).await.map(|()| page::about(&app, &url(&app, &token), &opened))
                }
            }
        };
        finish_response(response.await, as_page.then(|| url(&app, &token)))
    }
}

/// Download through a share link
///
/// The content, with ranges and conditions as for files; for browsers that navigate, and for programs that create
/// previews, a page about it. Of a link with a download limit, the content comes only with `download=1` or `open=1`, so
/// that programs that check links use up nothing: its download counts when it begins, any other when its last byte is sent.
/// The password is sent with HTTP Basic (with any user name), or replaced by the
/// key from `unlockLink`, as a cookie or as a bearer token.
#[utoipa::path(get, path = "/l/{token}", tag = "links", operation_id = "downloadLink", security(()),
    params(("token" = String, Path), ShareParams, RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The content, or a page about it", content_type = "*/*", body = Binary),
        (status = 206, description = "The requested ranges of the content", content_type = "*/*", body = Binary),
        (status = 302, description = "The content is at `Location`", headers(("Location" = String))),
        (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["password_required", "network_refused", "link_expired", "link_revoked",
        "link_used_up", "too_many_attempts"]))))]
async fn get(visit: Visit) -> Response {
    visit.respond().await
}

/// Ask for the content of a share link
///
/// What the button of the page does: redirects to the content. Programs that check links follow them, but send no forms.
#[utoipa::path(post, path = "/l/{token}", tag = "links", operation_id = "requestLinkDownload", security(()),
    params(("token" = String, Path), ShareParams),
    responses((status = 303, description = "The content is at `Location`", headers(("Location" = String)))))]
async fn ask(State(app): State<Arc<App>>, Name(token): Name, Query(params): Query<ShareParams>) -> Response {
    let page = url(&app, &token);
    let how = if params.open { "open" } else { "download" };
    let response = async {
        links::check_token(&app, &token).await?;
        Ok((StatusCode::SEE_OTHER, [location(&format!("{page}?{how}=1"))?]).into_response())
    };
    finish_response(response.await, Some(page.clone()))
}

/// Get the headers of a share link
#[utoipa::path(head, path = "/l/{token}", tag = "links", operation_id = "headLink", security(()),
    params(("token" = String, Path), ShareParams, ConditionHeaders),
    responses((status = 200, description = "The headers of the content"), (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["password_required", "network_refused", "link_expired", "link_revoked",
        "link_used_up", "too_many_attempts"]))))]
async fn head(visit: Visit) -> Response {
    visit.respond().await
}

/// Download through a share link, with a file name
///
/// The name is ignored. It is for clients that derive the file name from the URL.
#[utoipa::path(get, path = "/l/{token}/{name}", tag = "links", operation_id = "downloadNamedLink", security(()),
    params(("token" = String, Path), ("name" = String, Path), ShareParams, RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The content, or a page about it", content_type = "*/*", body = Binary),
        (status = 206, description = "The requested ranges of the content", content_type = "*/*", body = Binary),
        (status = 302, description = "The content is at `Location`", headers(("Location" = String))),
        (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["password_required", "network_refused", "link_expired", "link_revoked",
        "link_used_up", "too_many_attempts"]))))]
async fn get_named(visit: Visit) -> Response {
    visit.respond().await
}

/// Get the headers of a share link, with a file name
#[utoipa::path(head, path = "/l/{token}/{name}", tag = "links", operation_id = "headNamedLink", security(()),
    params(("token" = String, Path), ("name" = String, Path), ShareParams, ConditionHeaders),
    responses((status = 200, description = "The headers of the content"), (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["password_required", "network_refused", "link_expired", "link_revoked",
        "link_used_up", "too_many_attempts"]))))]
async fn head_named(visit: Visit) -> Response {
    visit.respond().await
}

fn visitor(client: &ClientInfo, headers: &HeaderMap) -> LinkVisitor {
    let basic = headers.typed_get::<Authorization<Basic>>();
    let cookie = || match cookies::cookie(headers, COOKIE) {
        Cookie::Value(value) => Some(String::from_utf8_lossy(value).into_owned()),
        Cookie::Absent | Cookie::Ambiguous => None,
    };
    LinkVisitor {
        address: client.address,
        user_agent: client.user_agent.clone(),
        password: basic.map(|basic| basic.password().to_owned().into()),
        unlock_token: bearer(headers).or_else(cookie),
    }
}

/// Whether the client is a navigating browser or a link-preview bot.
fn wants_page(params: &ShareParams, headers: &HeaderMap) -> bool {
    if params.ask_for_bytes() {
        return false;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_lowercase();
    let (mode, user_agent) = (text("sec-fetch-mode"), text("user-agent"));
    let navigates = text("accept").contains("text/html") && (mode.is_empty() || mode == "navigate");
    let previews = PREVIEWS.iter().any(|name| user_agent.contains(name));
    let ahead = ["purpose", "sec-purpose", "x-purpose", "x-moz"].iter().any(|name| {
        let purpose = text(name);
        purpose.contains("prefetch") || purpose.contains("preview")
    });
    navigates || previews || ahead
}

/// Clients that accept HTML get problems as a page. Responses must not be indexed by search engines, and the URL of a
/// link must not be sent to other sites.
fn finish_response(response: Result<Response>, page: Option<String>) -> Response {
    let mut response = match (response, page) {
        (Ok(response), _) => response,
        (Err(error), Some(url)) => page::problem(&url, &error),
        (Err(error), None) => error.into_response(),
    };
    for (name, value) in [("x-robots-tag", "noindex, nofollow"), ("referrer-policy", "same-origin")] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

async fn bytes(
    app: &Arc<App>,
    opened: &OpenedLink,
    params: &ShareParams,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response> {
    if *method == Method::HEAD {
        opened.check_download_limit(app).await?;
    }
    let inline = opened.is_inline() && !params.download;
    if *method == Method::GET
        && let Some(signed) = links::redirect(app, opened, inline).await?
    {
        let headers = [(header::LOCATION, signed.url), (header::CACHE_CONTROL, "no-store".into())];
        return Ok((StatusCode::FOUND, headers, Body::empty()).into_response());
    }
    let presentation = Presentation {
        disposition: files::content_disposition(opened.name(), inline),
        content_type: None,
        // The next user of the browser may not have the link or its password.
        cache_control: "private, no-store".into(),
    };
    let content = &opened.file.content;
    let plan = delivery::plan(app, method, headers, content, &presentation);
    if *method == Method::GET && !plan.as_ref().is_ok_and(Plan::is_success) {
        // Nothing is delivered, so that no download begins. A refused range or condition describes the content, too.
        opened.check_download_limit(app).await?;
    }
    let plan = plan?;
    let download = LinkDownload::new(app, opened, part(&plan, content.size));
    let audited = AuditedDownload::new(app, opened.download_event(), &plan);
    let watch = Watch::new(app, TransferRight::Link(Box::new(opened.clone())));
    delivery::send(app, content, plan, (watch, (download, audited))).await
}

/// The part of the file that a response delivers. Several ranges count as the whole file.
fn part(plan: &Plan, size: u64) -> Part {
    let length = plan.length();
    let mut ranges = plan.ranges();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => Part { length, resumes: range.start > 0, ends: range.end == size },
        _ => Part { length, resumes: false, ends: true },
    }
}

impl DeliveryObserver for LinkDownload {
    async fn begin(&mut self) -> Result<()> {
        LinkDownload::begin(self).await
    }

    async fn advance(&mut self, next: Progress) -> Result<()> {
        LinkDownload::advance(self, next.left()).await
    }

    fn end(&mut self, reached: Progress) {
        LinkDownload::end(self, reached.left());
    }
}
