//! Delivers content to clients, and records downloads in the audit log.

use std::ops::Range;
use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, Method};

use crate::app::App;
use crate::error::Result;
use crate::events::Event;
use crate::files::{self, Content, TransferRight, Watch};
use crate::http::content::{self, ContentInfo, DeliveryObserver, Plan, Presentation, Progress};

/// Answers a GET or HEAD for a content that the caller was allowed to find by `right`, which is checked again while the
/// content is sent. `event`, if any, is recorded with what was delivered.
///
/// # Errors
/// [`Error::PreconditionFailed`](crate::error::Error::PreconditionFailed);
/// [`Error::RangeNotSatisfiable`](crate::error::Error::RangeNotSatisfiable); those of [`files::read`].
pub async fn respond(
    app: &Arc<App>,
    method: &Method,
    request: &HeaderMap,
    content: &Content,
    presentation: &Presentation,
    right: Option<TransferRight>,
    event: Option<Event>,
) -> Result<Response> {
    let plan = plan(app, method, request, content, presentation)?;
    let audited = event.map(|event| AuditedDownload::new(app, event, &plan));
    let watch = right.map(|right| Watch::new(app, right));
    send(app, content, plan, (watch, audited)).await
}

/// Plans the response to a GET or HEAD.
///
/// # Errors
/// Those of [`content::plan`].
pub fn plan(
    app: &App,
    method: &Method,
    request: &HeaderMap,
    content: &Content,
    presentation: &Presentation,
) -> Result<Plan> {
    let info = ContentInfo {
        size: content.size,
        etag: content.etag(),
        modified: Some(content.modified_at.into()),
        content_type: content.content_type.clone(),
        sha256: Some(content.sha256.clone()),
    };
    content::plan(method, request, &info, presentation, app.config.limits.ranges)
}

/// Sends a planned response.
///
/// # Errors
/// Those of [`files::read`] and of the observer.
pub async fn send(app: &Arc<App>, content: &Content, plan: Plan, observer: impl DeliveryObserver) -> Result<Response> {
    let (app, content) = (app.clone(), content.clone());
    let streams = app.streams.clone();
    let open = move |range: Range<u64>, block| {
        let (app, content) = (app.clone(), content.clone());
        async move { files::read(&app, &content, range, block).await }
    };
    content::send(plan, &streams, open, observer).await
}

/// Whether browsers may keep the content of a file: never without asking again whether they may still have it.
pub fn cache_control(app: &App) -> &'static str {
    if app.config.browser_cache { "private, no-cache" } else { "private, no-store" }
}

/// Records a download in the audit log when it ends, complete or not.
pub struct AuditedDownload {
    app: Arc<App>,
    event: Event,
}

impl AuditedDownload {
    pub fn new(app: &Arc<App>, event: Event, plan: &Plan) -> Self {
        let event = match (plan.is_partial(), plan.ranges().len()) {
            (false, _) => event,
            (true, 1) => event.with("from", plan.ranges().next().unwrap_or_default().start),
            (true, ranges) => event.with("ranges", ranges),
        };
        Self { app: app.clone(), event }
    }
}

impl DeliveryObserver for AuditedDownload {
    fn end(&mut self, reached: Progress) {
        let event = self.event.clone().with("bytes", reached.sent);
        self.app.events.record(&event.with("complete", reached.is_complete()));
    }
}

/// Cuts a delivery whose right has ended.
impl DeliveryObserver for Watch {
    async fn advance(&mut self, _: Progress) -> Result<()> {
        self.check().await
    }

    fn end(&mut self, _: Progress) {}
}
