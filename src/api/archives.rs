//! Delivers archives of files and folders: with their length, with ranges and conditions, as content of files.

use std::ops::Range;
use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, Method};

use crate::api::delivery::AuditedDownload;
use crate::app::App;
use crate::error::Result;
use crate::events::Event;
use crate::files::{self, Archive};
use crate::http::content::{self, ContentInfo, DeliveryObserver, Plan, Presentation, Progress};

/// Plans the response to a GET or HEAD for an archive with this file name. Only one range is delivered: an archive is read
/// in its order.
///
/// # Errors
/// Those of [`content::plan`].
pub fn plan(method: &Method, request: &HeaderMap, archive: &Archive, name: &str) -> Result<Plan> {
    let info = ContentInfo {
        size: archive.size,
        etag: archive.etag(),
        modified: None,
        content_type: "application/zip".into(),
        sha256: None,
    };
    let presentation = Presentation {
        disposition: files::content_disposition(name, false),
        content_type: None,
        cache_control: "private, no-store".into(),
    };
    content::plan(method, request, &info, &presentation, 1)
}

/// Sends a planned response. The events, one for each space, are recorded with what was delivered.
///
/// # Errors
/// Those of the observer.
pub async fn send(
    app: &Arc<App>,
    archive: Archive,
    plan: Plan,
    observer: impl DeliveryObserver,
    events: Vec<Event>,
) -> Result<Response> {
    let detailed = events.into_iter().map(|event| event.with("entries", archive.entries).with("size", archive.size));
    let audited = Audits(detailed.map(|event| AuditedDownload::new(app, event, &plan)).collect());
    let archive = Arc::new(archive);
    let open = move |range: Range<u64>, block| {
        let archive = archive.clone();
        async move { archive.read(range, block) }
    };
    content::send(plan, &app.streams, open, (observer, audited)).await
}

/// Records a download in the audit logs of several spaces.
struct Audits(Vec<AuditedDownload>);

impl DeliveryObserver for Audits {
    fn end(&mut self, reached: Progress) {
        for audited in &mut self.0 {
            audited.end(reached);
        }
    }
}
