//! Extractors for JSON bodies, query and path, which refuse with a problem, never with plain text.

use std::time::Duration;

use axum::extract::{FromRef, FromRequest, FromRequestParts, RawPathParams, Request};
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use uuid::Uuid;

use super::{body, json, query};
use crate::error::{Error, Result};

/// How much of a small body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes of a JSON body.
    pub json: usize,
    /// How long a client may send nothing.
    pub stall_timeout: Duration,
}

/// A JSON body, decoded as [`json::decode`] does.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T>
where
    BodyLimits: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        read_json(request, BodyLimits::from_ref(state)).await.map(Self)
    }
}

/// Reads a JSON body.
///
/// # Errors
/// [`Error::UnexpectedContentType`] if the body is not declared as JSON; those of [`read_whole`] and
/// [`json::decode`].
pub async fn read_json<T: DeserializeOwned>(request: Request, limits: BodyLimits) -> Result<T> {
    if !is_json(request.headers()) {
        return Err(unexpected_content_type(request.headers(), "application/json"));
    }
    json::decode(&read_whole(request, limits).await?)
}

/// Reads a small body, all of it within the time that a client may send nothing.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::BodyStalled`], [`Error::BodyBroken`].
pub async fn read_whole(request: Request, limits: BodyLimits) -> Result<Vec<u8>> {
    let mut stream = body::stream(request.into_body(), limits.stall_timeout);
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            if bytes.len() + chunk.len() > limits.json {
                return Err(Error::TooLarge { limit: limits.json as u64 });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    tokio::time::timeout(limits.stall_timeout, reading).await.map_err(|_| Error::BodyStalled)?
}

/// The error of a body whose content type is not the one that is read.
pub fn unexpected_content_type(headers: &HeaderMap, expected: &'static str) -> Error {
    let received = headers.get(header::CONTENT_TYPE).map_or("none".to_owned(), |value| {
        let text: String = String::from_utf8_lossy(value.as_bytes()).chars().take(MAX_SHOWN_TYPE).collect();
        format!("`{text}`")
    });
    Error::UnexpectedContentType { expected, received }
}

/// The most characters of a content type that a response repeats.
const MAX_SHOWN_TYPE: usize = 100;

/// Whether the body is declared as JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(Ok(mime)) = content_type.map(str::parse::<mime::Mime>) else { return false };
    mime.type_() == "application" && (mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json"))
}

/// The query parameters. Which of them an operation knows is checked before its handler runs.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        query::decode(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// The maximum number of items on the page, at most `page_limit` of the server's capabilities.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the previous page; absent or empty for the first page.
    #[serde(default, deserialize_with = "non_empty")]
    pub cursor: Option<String>,
}

fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|text: &String| !text.is_empty()))
}

/// The id in the path. A malformed id is [`Error::NotFound`]: it cannot name anything.
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let values = path_values(parts, state).await?;
        values.first().and_then(|text| Uuid::try_parse(text).ok()).map(Self).ok_or(Error::NotFound)
    }
}

/// An id in the path and a number after it. If one is malformed: [`Error::NotFound`].
pub struct IdAndNumber(pub Uuid, pub u64);

impl<S: Send + Sync> FromRequestParts<S> for IdAndNumber {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let values = path_values(parts, state).await?;
        let id = values.first().and_then(|text| Uuid::try_parse(text).ok());
        let number = values.get(1).and_then(|text| text.parse().ok());
        id.zip(number).map(|(id, number)| Self(id, number)).ok_or(Error::NotFound)
    }
}

/// The first text in the path.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_values(parts, state).await?.into_iter().next().map(Self).ok_or(Error::NotFound)
    }
}

/// The variable segments of the path, decoded.
async fn path_values<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>> {
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
    Ok(params.iter().map(|(_, value)| value.to_owned()).collect())
}

/// A member of a merge patch (RFC 7396): null is not the same as absent.
///
/// # Errors
/// The error of the member's own type.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
