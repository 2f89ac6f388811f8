//! The tus protocol 1.0.0 (<https://tus.io/protocols/resumable-upload>) for resumable uploads.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use jiff::fmt::rfc2822::DateTimePrinter;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::SignedIn;
use super::conflict::{self, with_conflict};
use super::extract::{CallerTree, Idempotency, RootParams};
use super::labels;
use super::openapi::headers::{IdempotencyHeader, TusAppendHeaders, TusCreationHeaders, TusHeaders};
use super::upload_body;
use crate::app::App;
use crate::error::{Error, Location, Result};
use crate::files::uploads::{self, Append, Checksum, NewUpload, Upload, UploadProtocol};
use crate::files::{FileName, FolderPath, IdempotencyKey, OnConflict, TransferRight, watched};
use crate::http::body::Binary;
use crate::http::extract::{Id, unexpected_content_type};
use crate::http::incoming;

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination";
/// The content type of an append.
const APPEND_TYPE: &str = "application/offset+octet-stream";
/// The name of a file when the client sends none.
const UNNAMED: &str = "unnamed";

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
/// The file that an upload became.
const FILE_ID: HeaderName = HeaderName::from_static("strongroom-file-id");

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(capabilities, create))
        .routes(routes!(status, append, terminate, method_override))
        .layer(middleware::from_fn(add_version))
}

/// Adds the supported version to every response.
async fn add_version(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let version = HeaderValue::from_static(VERSION);
    if response.status() == StatusCode::PRECONDITION_FAILED {
        response.headers_mut().insert(TUS_VERSION, version.clone());
    }
    response.headers_mut().insert(TUS_RESUMABLE, version);
    response
}

/// A request of the supported version, without headers of extensions that are not supported: their meaning would be
/// lost, and what arrives would not be the file. Rejected with [`Error::UnsupportedProtocolVersion`] or
/// [`Error::Malformed`].
struct TusResumable;

/// The headers of tus that requests may have.
const KNOWN_HEADERS: [HeaderName; 5] =
    [UPLOAD_OFFSET, UPLOAD_LENGTH, UPLOAD_DEFER_LENGTH, UPLOAD_METADATA, UPLOAD_CHECKSUM];

impl<S: Sync> FromRequestParts<S> for TusResumable {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        if parts.headers.get(TUS_RESUMABLE).is_none_or(|version| version != VERSION) {
            return Err(Error::UnsupportedProtocolVersion);
        }
        check_extensions(&parts.headers)?;
        Ok(Self)
    }
}

fn check_extensions(headers: &HeaderMap) -> Result<()> {
    let of_extension = |name: &&HeaderName| name.as_str().starts_with("upload-") && !KNOWN_HEADERS.contains(name);
    if let Some(name) = headers.keys().find(of_extension) {
        let detail =
            format!("the header {name} belongs to an extension of tus that is not supported ({EXTENSIONS} are)");
        return Err(Error::Malformed(detail));
    }
    // The header is a list of names (RFC 9110, section 6.6.2).
    let is_checksum = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"upload-checksum");
    let is_announced = |trailer: &HeaderValue| trailer.as_bytes().split(|byte| *byte == b',').any(is_checksum);
    if headers.get_all(header::TRAILER).iter().any(is_announced) {
        return Err(Error::Malformed("send Upload-Checksum as a header: trailers are not supported".into()));
    }
    Ok(())
}

/// Get server capabilities (tus)
///
/// The tus protocol, <https://tus.io/protocols/resumable-upload>. Any tus client can use this endpoint.
#[utoipa::path(options, path = "/v1/tus", tag = "uploads", operation_id = "tusCapabilities", security(()),
    responses((status = 204, description = "The supported version, extensions and limits",
        headers(("Tus-Version" = String), ("Tus-Extension" = String), ("Tus-Max-Size" = u64),
            ("Tus-Checksum-Algorithm" = String)))))]
async fn capabilities(State(app): State<Arc<App>>) -> Response {
    let headers = [
        (TUS_VERSION, VERSION.to_owned()),
        (HeaderName::from_static("tus-extension"), EXTENSIONS.to_owned()),
        (HeaderName::from_static("tus-max-size"), app.config.limits.file_size.to_string()),
        (HeaderName::from_static("tus-checksum-algorithm"), Checksum::ALGORITHMS.join(",")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Create a resumable upload (tus)
///
/// `Upload-Metadata` may contain the file name (`filename`), the media type (`filetype`), the folder (`path`) and what to
/// do if the name is taken, now or when the upload is complete (`on_conflict`: `number`, `replace`, `skip` or `fail`), metadata
/// (`metadata`: a JSON object) and tags (`tags`, separated by commas). An upload that is skipped is complete from the start. The body may contain the first bytes. An upload expires a day after the last progress, or as configured.
#[utoipa::path(post, path = "/v1/tus", tag = "uploads", operation_id = "tusCreate",
    params(RootParams, TusHeaders, TusCreationHeaders, IdempotencyHeader),
    request_body(content = Option<Binary>, content_type = "application/offset+octet-stream"),
    responses((status = 201, description = "The upload was created", headers(
        ("Location" = String, description = "The URL of the upload"), ("Upload-Offset" = u64),
        ("Upload-Expires" = String), ("Strongroom-File-Id" = Uuid, description = "Once the file exists"),
        ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "malformed", "body_incomplete", "body_stalled",
        "unsupported_protocol_version", "too_large", "unsupported_media_type", "invalid", "too_many_uploads",
        "checksum_mismatch", "quota_exceeded", "upload_gone", "upload_busy", "offset_mismatch"]))))]
async fn create(
    State(app): State<Arc<App>>,
    CallerTree { caller, tree }: CallerTree,
    _: TusResumable,
    Idempotency(key): Idempotency,
    request: Request,
) -> Result<Response> {
    let headers = request.headers();
    let has_content = is_append(headers);
    if !has_content && !request.body().is_end_stream() {
        return Err(unexpected_content_type(headers, APPEND_TYPE));
    }
    let metadata = Metadata::read(&app, headers)?;
    let size = match (number(headers, UPLOAD_LENGTH)?, headers.get(UPLOAD_DEFER_LENGTH)) {
        (Some(size), None) => Some(size),
        (None, Some(deferred)) if deferred == "1" => None,
        _ => return Err(Error::Malformed("send either Upload-Length or Upload-Defer-Length: 1".into())),
    };
    let first = if has_content { Some(append_request(&app, request, 0, None)?) } else { None };

    let can_be_repeated = key.is_some();
    let new = metadata.into_upload(&app, size, key)?;
    let mut upload = uploads::create(&app, &tree, new).await?;
    // With a key the upload may have received content before: the client learns its offset and resumes there.
    if let Some(first) = first.filter(|_| upload.file_id.is_none() && upload.received == 0) {
        let appended = uploads::append(&app, &caller.subject(), upload.id, first).await;
        if appended.is_err() && !can_be_repeated {
            // The client does not receive its URL. If this also fails, the upload expires.
            let _ = uploads::terminate(&app, &caller.subject(), upload.id).await;
        }
        upload = appended?;
    }
    let mut response = progress(StatusCode::CREATED, &upload)?;
    insert(&mut response, header::LOCATION, &app.config.url(&format!("/v1/tus/{}", upload.id)))?;
    Ok(response)
}

/// Get upload progress (tus)
///
/// Once the upload is complete, `Strongroom-File-Id` is the file. That is reported for a day, or as configured.
#[utoipa::path(head, path = "/v1/tus/{id}", tag = "uploads", operation_id = "tusStatus",
    params(("id" = Uuid, Path), TusHeaders),
    responses((status = 200, description = "The progress of the upload", headers(("Upload-Offset" = u64),
        ("Upload-Length" = u64), ("Upload-Defer-Length" = u64), ("Upload-Metadata" = String),
        ("Upload-Expires" = String), ("Strongroom-File-Id" = Uuid)))),
    extensions(("x-problem-codes" = json!(["upload_gone", "unsupported_protocol_version", "unsupported_media_type",
        "upload_busy"]))))]
async fn status(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    _: TusResumable,
    Id(id): Id,
) -> Result<Response> {
    let upload = uploads::status(&app, &caller.subject(), id).await?;
    if upload.is_direct {
        return Err(Error::NotFound);
    }
    let mut response = progress(StatusCode::OK, &upload)?;
    match upload.size {
        Some(size) => insert(&mut response, UPLOAD_LENGTH, &size.to_string())?,
        None => insert(&mut response, UPLOAD_DEFER_LENGTH, "1")?,
    }
    if !upload.note.is_empty() {
        insert(&mut response, UPLOAD_METADATA, &upload.note)?;
    }
    insert(&mut response, header::CACHE_CONTROL, "no-store")?;
    Ok(response)
}

/// Append to an upload (tus)
///
/// Bytes that arrived before the connection broke are kept; with `Upload-Checksum`, all of them or none.
#[utoipa::path(patch, path = "/v1/tus/{id}", tag = "uploads", operation_id = "tusAppend",
    params(("id" = Uuid, Path), TusHeaders, TusAppendHeaders),
    request_body(content = Binary, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "The bytes were stored", headers(("Upload-Offset" = u64),
        ("Upload-Expires" = String), ("Strongroom-File-Id" = Uuid),
        ("Strongroom-Conflict" = String, description = "If the name was taken: `numbered`, `replaced` or `skipped`")))),
    extensions(("x-problem-codes" = json!(["path_taken", "malformed", "body_incomplete", "body_stalled", "offset_mismatch",
        "upload_gone", "unsupported_protocol_version", "too_large", "unsupported_media_type", "upload_busy",
        "checksum_mismatch", "quota_exceeded"]))))]
async fn append(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    _: TusResumable,
    Id(id): Id,
    request: Request,
) -> Result<Response> {
    if !is_append(request.headers()) {
        return Err(unexpected_content_type(request.headers(), APPEND_TYPE));
    }
    let offset = number(request.headers(), UPLOAD_OFFSET)?;
    let offset = offset.ok_or_else(|| Error::Malformed("the header Upload-Offset is required".into()))?;
    let size = number(request.headers(), UPLOAD_LENGTH)?;
    let request = append_request(&app, request, offset, size)?;
    progress(StatusCode::NO_CONTENT, &uploads::append(&app, &caller.subject(), id, request).await?)
}

/// Cancel an upload (tus)
///
/// Deletes what was received. A completed file is not affected.
#[utoipa::path(delete, path = "/v1/tus/{id}", tag = "uploads", operation_id = "tusTerminate",
    params(("id" = Uuid, Path), TusHeaders), responses((status = 204, description = "The upload was canceled")),
    extensions(("x-problem-codes" = json!(["upload_gone", "unsupported_protocol_version"]))))]
async fn terminate(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    _: TusResumable,
    Id(id): Id,
) -> Result<StatusCode> {
    uploads::terminate(&app, &caller.subject(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Method override (X-HTTP-Method-Override)
///
/// For clients that can only send GET and POST.
#[utoipa::path(post, path = "/v1/tus/{id}", tag = "uploads", operation_id = "tusMethodOverride",
    params(("id" = Uuid, Path), TusHeaders,
        ("X-HTTP-Method-Override" = String, Header, pattern = "^(PATCH|DELETE|HEAD)$", description = "The intended method")),
    request_body(content = Option<Binary>, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "As for PATCH or DELETE"), (status = 200, description = "As for HEAD")),
    extensions(("x-problem-codes" = json!(["path_taken", "malformed", "body_incomplete", "body_stalled", "offset_mismatch",
        "upload_gone", "unsupported_protocol_version", "too_large", "unsupported_media_type", "upload_busy",
        "checksum_mismatch", "quota_exceeded"]))))]
async fn method_override(
    state: State<Arc<App>>,
    caller: SignedIn,
    version: TusResumable,
    id: Id,
    request: Request,
) -> Result<Response> {
    let intended = request.headers().get(METHOD_OVERRIDE).map(HeaderValue::as_bytes).map(Method::from_bytes);
    match intended {
        Some(Ok(Method::PATCH)) => append(state, caller, version, id, request).await,
        Some(Ok(Method::HEAD)) => status(state, caller, version, id).await,
        Some(Ok(Method::DELETE)) => Ok(terminate(state, caller, version, id).await?.into_response()),
        _ => Err(Error::Malformed("X-HTTP-Method-Override must be PATCH, HEAD or DELETE".into())),
    }
}

/// The body as an append.
fn append_request(app: &Arc<App>, request: Request, offset: u64, size: Option<u64>) -> Result<Append> {
    let headers = request.headers();
    Ok(Append {
        offset,
        size,
        // A body without a length may still be known to be empty.
        length: if request.body().is_end_stream() { Some(0) } else { number(headers, header::CONTENT_LENGTH)? },
        checksum: checksum(headers)?,
        stream: watched(app, TransferRight::of_caller(), incoming::content_stream(request, upload_body::pace(app))),
    })
}

/// A response with the progress of an upload.
fn progress(status: StatusCode, upload: &Upload) -> Result<Response> {
    let mut response = status.into_response();
    insert(&mut response, UPLOAD_OFFSET, &upload.received.to_string())?;
    match upload.file_id {
        Some(id) => insert(&mut response, FILE_ID, &id.to_string())?,
        None => {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&upload.expires_at);
            insert(&mut response, UPLOAD_EXPIRES, &date.map_err(Error::internal)?)?;
        }
    }
    Ok(with_conflict(response, upload.conflict))
}

fn insert(response: &mut Response, name: HeaderName, value: &str) -> Result<()> {
    response.headers_mut().insert(name, HeaderValue::from_str(value).map_err(Error::internal)?);
    Ok(())
}

fn is_append(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value == APPEND_TYPE)
}

/// The number in a header, if it is present.
fn number(headers: &HeaderMap, name: HeaderName) -> Result<Option<u64>> {
    let mut values = headers.get_all(&name).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::Malformed(format!("the header {name} is allowed once only")));
    }
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // The database stores sizes as signed integers.
    let number = digits.and_then(|text| text.parse().ok()).filter(|number| i64::try_from(*number).is_ok());
    number.map(Some).ok_or_else(|| Error::Malformed(format!("the header {name} must be a number of bytes")))
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>> {
    let Some(value) = headers.get(UPLOAD_CHECKSUM) else { return Ok(None) };
    let read = || {
        let (algorithm, encoded) = value.to_str().ok()?.split_once(' ')?;
        Checksum::new(algorithm, BASE64_STANDARD.decode(encoded).ok()?)
    };
    let known = Checksum::ALGORITHMS.join(", ");
    read()
        .map(Some)
        .ok_or_else(|| Error::Malformed(format!("Upload-Checksum must be one of {known}, and the checksum in base64")))
}

/// The metadata of a file: keys with values in base64.
#[derive(Debug, Default, PartialEq)]
struct Metadata {
    /// As it was sent; clients can read it back.
    whole: String,
    pairs: Vec<(String, String)>,
}

impl Metadata {
    /// # Errors
    /// [`Error::Malformed`] if the header violates the protocol; [`Error::TooLarge`] if it is twice as long as the metadata
    /// of a file may be.
    fn read(app: &App, headers: &HeaderMap) -> Result<Self> {
        let Some(value) = headers.get(UPLOAD_METADATA) else { return Ok(Self::default()) };
        // The metadata of the file may be a part of it, in base64.
        let limit = 2 * app.config.limits.metadata;
        if value.len() > limit {
            return Err(Error::TooLarge { limit: limit as u64 });
        }
        let text = value.to_str().ok();
        text.and_then(Self::parse).ok_or_else(|| {
            Error::Malformed("Upload-Metadata must be a list of distinct keys, each with a text in base64".into())
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
            let value = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
            if key.is_empty() || pairs.iter().any(|(known, _)| known == key) {
                return None;
            }
            pairs.push((key.to_owned(), value));
        }
        Some(Self { whole: text.to_owned(), pairs })
    }

    fn get(&self, keys: &[&str]) -> Option<&str> {
        let found = keys.iter().find_map(|key| self.pairs.iter().find(|(known, _)| known == key));
        found.map(|(_, value)| value.as_str())
    }

    fn into_upload(self, app: &App, size: Option<u64>, idempotency_key: Option<IdempotencyKey>) -> Result<NewUpload> {
        let header = || Location::Header(UPLOAD_METADATA.as_str().to_owned());
        Ok(NewUpload {
            path: FolderPath::new(self.get(&["path"]).unwrap_or_default(), header())?,
            name: FileName::new(self.get(&["filename", "name"]).unwrap_or(UNNAMED), header())?,
            on_conflict: match self.get(&["on_conflict"]) {
                None => OnConflict::Number,
                Some(text) => conflict::parse(text, header())?,
            },
            skips_early: true,
            labels: {
                let text = |name| self.get(&[name]).map(|text| (text.to_owned(), header()));
                labels::parse(app, text("metadata"), text("tags"))?
            },
            content_type: uploads::declared_type(self.get(&["filetype", "type"]), header())?,
            protocol: UploadProtocol::Tus { size },
            note: self.whole,
            idempotency_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_parsed_as_in_the_protocol() {
        let metadata = Metadata::parse("filename d8O2cmxkLnBkZg==,is_confidential, path MjAyNi9ub3Y=").unwrap();
        assert_eq!(metadata.get(&["filename", "name"]), Some("wörld.pdf"));
        assert_eq!(metadata.get(&["is_confidential"]), Some(""));
        assert_eq!(metadata.get(&["path"]), Some("2026/nov"));
        assert_eq!(Metadata::parse("").unwrap().pairs, []);
        for wrong in ["filename !!!!", "filename YQ==,filename YQ==", ",", "a YQ==,", "filename /w==", "a b c"] {
            assert_eq!(Metadata::parse(wrong), None, "{wrong}");
        }
    }
}
