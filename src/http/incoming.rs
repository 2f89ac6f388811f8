//! The body of an upload request: the file itself, or a form that contains it.

use std::sync::Arc;

use axum::extract::Request;
use http::{HeaderMap, HeaderName, header};

use super::activity::OpenRequest;
use super::body::Pace;
use super::form::{AllowedFields, Fields};
use super::request_memory::RequestMemory;
use super::{body, digest, form};
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// The content of a file, with the metadata from the request.
pub struct Incoming {
    /// The content, as it arrives.
    pub stream: ByteStream,
    /// The size in bytes, if declared.
    pub size: Option<u64>,
    /// The maximum size in bytes, if the size is not declared.
    pub at_most: Option<u64>,
    /// The declared media type.
    pub content_type: Option<String>,
    /// The declared SHA-256.
    pub digest: Option<Vec<u8>>,
    /// The form that it is a part of.
    pub form: Option<Form>,
}

/// The parts of a form other than the content of its file.
#[derive(Debug, Clone)]
pub struct Form {
    /// The fields before and after the content.
    pub fields: Fields,
    /// The name of the part, without folders.
    pub file_name: Option<String>,
}

/// Opens the body of an upload, which the client has to send at this pace.
///
/// # Errors
/// Those of [`open_raw`] and [`form::open`].
pub async fn open(request: Request, pace: Pace, allowed: AllowedFields) -> Result<Incoming> {
    let content_type = text(request.headers(), header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        return open_raw(request, pace);
    }
    if digest::announced(request.headers())?.is_some() {
        let detail = "the digest of a file in a form belongs to the headers of its part";
        return Err(Error::invalid_header("repr-digest", "misplaced", detail));
    }
    let boundary = multer::parse_boundary(content_type)
        .map_err(|error| Error::Malformed(format!("the form cannot be read: {error}")))?;
    let (at_most, memory) = (length(request.headers()), request.extensions().get::<RequestMemory>().cloned());
    let file = form::open(content_stream(request, pace), boundary, allowed, memory).await?;
    Ok(Incoming {
        stream: file.stream,
        size: None,
        at_most,
        content_type: file.content_type,
        digest: file.digest,
        form: Some(Form { fields: file.fields, file_name: file.file_name }),
    })
}

/// Opens a body that is the content itself, whatever its type.
///
/// # Errors
/// [`Error::Malformed`] if it is declared as a partial content; [`Error::Invalid`] if a digest is malformed.
pub fn open_raw(request: Request, pace: Pace) -> Result<Incoming> {
    let headers = request.headers();
    // A client that sends a part means to keep the rest, which is not supported (RFC 9110, section 14.5).
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Error::Malformed("a part of a file cannot be replaced; send the whole content".into()));
    }
    let (size, content_type, digest) =
        (length(headers), text(headers, header::CONTENT_TYPE), digest::announced(headers)?);
    Ok(Incoming { stream: content_stream(request, pace), size, at_most: None, content_type, digest, form: None })
}

/// The body of a request as content to be stored, which the client has to send at this pace.
pub fn content_stream(request: Request, pace: Pace) -> ByteStream {
    if let Some(open) = request.extensions().get::<Arc<OpenRequest>>() {
        open.activity().set_content(true);
    }
    body::stream(request.into_body(), pace)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
