//! The body of an upload as the domain takes it.

use axum::extract::Request;

use crate::app::App;
use crate::error::Result;
use crate::events::{self, Channel};
use crate::files::Body;
use crate::http::form::AllowedFields;
use crate::http::incoming::{self, Form, Incoming};

/// The fields of a form that say where its file goes.
const LOCATION: &[&str] = &["name", "path"];

/// Opens the body of an upload: raw, or the one file of a form, with the fields of the form. `after_file` lets fields
/// follow the file.
///
/// # Errors
/// Those of [`incoming::open`].
pub async fn open(app: &App, request: Request, after_file: bool) -> Result<(Body, Option<Form>)> {
    let allowed = AllowedFields { names: LOCATION, after_file };
    let mut incoming = incoming::open(request, app.config.uploads.stall_timeout, allowed).await?;
    let form = incoming.form.take();
    events::set_channel(if form.is_some() { Channel::Form } else { Channel::Raw });
    Ok((incoming.into(), form))
}

/// Opens the body of an upload that is the content itself, whatever its type.
///
/// # Errors
/// Those of [`incoming::open_raw`].
pub fn open_raw(app: &App, request: Request) -> Result<Body> {
    incoming::open_raw(request, app.config.uploads.stall_timeout).map(Body::from)
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        let Incoming { stream, size, at_most, content_type, digest, .. } = incoming;
        Self { stream, size, at_most, content_type, digest }
    }
}
