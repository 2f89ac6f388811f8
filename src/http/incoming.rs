//! The bytes of a request that brings a file: as they are, or in a form.

use axum::extract::Request;
use http::request::Parts;
use http::{HeaderName, header};
use utoipa::ToSchema;

use super::body::Binary;
use super::{body, digest, form};
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{self, Channel};
use crate::files::Body;

/// A form with one file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described, never built")]
pub struct UploadForm {
    /// Before the file.
    name: Option<String>,
    /// Before the file.
    path: Option<String>,
    file: Binary,
}

/// The bytes of a request, and what came with them.
pub struct Incoming {
    pub name: Option<String>,
    pub path: Option<String>,
    pub body: Body,
}

/// Opens the body of an upload: raw, or the one file of a form.
///
/// # Errors
/// `Malformed`, `FileMissing` and `Invalid` if it is a form that cannot be one file.
pub async fn open(app: &App, request: Request) -> Result<Incoming> {
    let content_type = text(request.headers(), header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        events::set_channel(Channel::Raw);
        return Ok(Incoming { name: None, path: None, body: open_raw(app, request)? });
    }
    if digest::announced(request.headers())?.is_some() {
        let detail = "a form has its digest among the headers of its part";
        return Err(Error::invalid("/repr-digest", "misplaced", detail));
    }
    events::set_channel(Channel::Form);
    let boundary = multer::parse_boundary(content_type)
        .map_err(|error| Error::Malformed(format!("the form cannot be read: {error}")))?;
    let at_most = length(request.headers());
    let stream = body::stream(request.into_body(), app.config.uploads.stall_timeout);
    let form = form::open(stream, boundary).await?;
    let body = Body { stream: form.stream, size: None, at_most, content_type: form.content_type, digest: form.digest };
    Ok(Incoming { name: form.name, path: form.path, body })
}

/// Opens a body that is the bytes themselves, whatever its type.
///
/// # Errors
/// `Malformed` if it claims to be a part of something; `Invalid` if it announces a digest that is none.
pub fn open_raw(app: &App, request: Request) -> Result<Body> {
    let (Parts { headers, .. }, http_body) = request.into_parts();
    // Who sends a part means to keep the rest, which nothing here could do (RFC 9110, section 14.5).
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Error::Malformed("a part of a file cannot be written; send all of it".into()));
    }
    Ok(Body {
        stream: body::stream(http_body, app.config.uploads.stall_timeout),
        size: length(&headers),
        at_most: None,
        content_type: text(&headers, header::CONTENT_TYPE),
        digest: digest::announced(&headers)?,
    })
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

fn text(headers: &http::HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
