//! Converts the body of an upload request into the domain's [`Body`](crate::files::Body).

use std::sync::Arc;

use axum::extract::Request;

use crate::app::App;
use crate::error::Result;
use crate::events::{self, Channel};
use crate::files::{Body, TransferRight, watched};
use crate::http::body::Pace;
use crate::http::form::AllowedFields;
use crate::http::incoming::{self, Form, Incoming};

/// The fields of a form that say where its file goes, and what it is.
const FIELDS: &[&str] = &["name", "path", "on_conflict", "metadata", "tags"];

/// Opens the body of an upload: raw, or the one file of a form, with the fields of the form. `after_file` lets fields
/// follow the file.
///
/// # Errors
/// Those of [`incoming::open`].
pub async fn open(app: &Arc<App>, request: Request, after_file: bool) -> Result<(Body, Option<Form>)> {
    let allowed = AllowedFields { names: FIELDS, after_file };
    let mut incoming = incoming::open(request, pace(app), allowed).await?;
    incoming.stream = watched(app, TransferRight::of_caller(), incoming.stream);
    let form = incoming.form.take();
    events::set_channel(if form.is_some() { Channel::Form } else { Channel::Raw });
    Ok((incoming.into(), form))
}

/// Opens the body of an upload that is the content itself, whatever its type, and is allowed by this right.
///
/// # Errors
/// Those of [`incoming::open_raw`].
pub fn open_raw(app: &Arc<App>, right: TransferRight, request: Request) -> Result<Body> {
    let mut incoming = incoming::open_raw(request, pace(app))?;
    incoming.stream = watched(app, Some(right), incoming.stream);
    Ok(incoming.into())
}

/// How slow the client of an upload may be.
pub fn pace(app: &App) -> Pace {
    let uploads = &app.config.uploads;
    Pace { stall_timeout: uploads.stall_timeout, min_rate: uploads.min_rate }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        let Incoming { stream, size, at_most, content_type, digest, .. } = incoming;
        Self { stream, size, at_most, content_type, digest }
    }
}
