//! What handlers ask of a request: JSON, query and path, each refused with a problem, never with plain text.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use uuid::Uuid;

use super::body;
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::IdempotencyKey;
use crate::store::MAX_PARTS;

/// A JSON body.
pub struct Json<T>(pub T);

impl<T> FromRequest<Arc<App>> for Json<T>
where
    T: DeserializeOwned,
{
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        read_json(request, app, app.config.limits.json_body).await.map(Self)
    }
}

/// A JSON body that names every part of an upload.
pub struct PartsJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for PartsJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        read_json(request, app, app.config.limits.json_body.max(PARTS_BODY)).await.map(Self)
    }
}

/// Bytes of JSON that the most parts of one upload may take.
const PARTS_BODY: usize = MAX_PARTS as usize * 128;

async fn read_json<T: DeserializeOwned>(request: Request, app: &App, limit: usize) -> Result<T> {
    if !is_json(request.headers()) {
        return Err(Error::TypeRefused);
    }
    // All of it within the time that a part of an upload may take: nothing small is worth more.
    let reading = tokio::time::timeout(app.config.uploads.stall_timeout, read_whole(request, app, limit));
    let bytes = reading.await.map_err(|_| Error::BodyStalled)??;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner().classify() {
        serde_json::error::Category::Data => {
            Error::invalid(pointer(&error.path().to_string()), "invalid", error.inner().to_string())
        }
        _ => Error::Malformed(format!("the body is not JSON: {}", error.inner())),
    })?;
    json.end().map_err(|error| Error::Malformed(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// Reads a small body of at most `limit` bytes.
pub async fn read_whole(request: Request, app: &App, limit: usize) -> Result<Vec<u8>> {
    let mut stream = body::stream(request.into_body(), app.config.uploads.stall_timeout);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await? {
        if bytes.len() + chunk.len() > limit {
            return Err(Error::TooLarge { limit: limit as u64 });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

pub fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(Ok(mime)) = content_type.map(str::parse::<mime::Mime>) else { return false };
    mime.type_() == "application" && (mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json"))
}

/// `ids[2].name` as a JSON pointer (RFC 6901).
fn pointer(path: &str) -> String {
    if path.is_empty() || path == "." {
        return String::new();
    }
    format!("/{}", path.replace("].", "/").replace(['.', '['], "/").replace(']', ""))
}

/// The parameters deadline the `?`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        let value = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            Error::invalid(pointer(&error.path().to_string()), "invalid", error.inner().to_string())
        })?;
        Ok(Self(value))
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// The maximum number of items on the page, at most `page_limit` of the server's capabilities.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the previous page; by default the first page.
    pub cursor: Option<String>,
}

/// The id in the path. What is no id belongs to nothing, so it is `NotFound`.
pub struct Id(pub Uuid);

impl FromRequestParts<Arc<App>> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<App>) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        let id = params.iter().next().and_then(|(_, value)| Uuid::try_parse(value).ok());
        id.map(Self).ok_or(Error::NotFound)
    }
}

/// An id in the path, and a number deadline it. What is neither belongs to nothing, so it is `NotFound`.
pub struct IdAndNumber(pub Uuid, pub u64);

impl FromRequestParts<Arc<App>> for IdAndNumber {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<App>) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        let mut params = params.iter().map(|(_, value)| value);
        let id = params.next().and_then(|text| Uuid::try_parse(text).ok());
        let number = params.next().and_then(|text| text.parse().ok());
        id.zip(number).map(|(id, number)| Self(id, number)).ok_or(Error::NotFound)
    }
}

/// The one text in the path.
pub struct Name(pub String);

impl FromRequestParts<Arc<App>> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<App>) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        params.iter().next().map(|(_, value)| Self(value.to_owned())).ok_or(Error::NotFound)
    }
}

/// The name that the client gave to the request in `Idempotency-Key`, if it did.
pub struct Idempotency(pub Option<IdempotencyKey>);

impl FromRequestParts<Arc<App>> for Idempotency {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self> {
        let mut values = parts.headers.get_all("idempotency-key").into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => IdempotencyKey::new(value.to_str().unwrap_or_default()).map(|key| Self(Some(key))),
            _ => Err(Error::invalid("/idempotency-key", "invalid", "one key")),
        }
    }
}

/// A member of a merge patch (RFC 7396): null is not the same as absent.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
