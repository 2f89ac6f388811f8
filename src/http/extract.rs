//! Extractors for JSON bodies, query and path. Rejections are problem documents, never plain text.

use std::time::Duration;

use axum::extract::{FromRef, FromRequest, FromRequestParts, RawPathParams, Request};
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body::Body as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use uuid::Uuid;

use super::body::Pace;
use super::request_memory::RequestMemory;
use super::{body, json, query};
use crate::cursor::{DEFAULT_PAGE_SIZE, PAGE_BYTES};
use crate::error::{Error, Result};

/// The limits on reading a small body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes of a JSON body.
    pub json: usize,
    /// How long a client may send nothing.
    pub stall_timeout: Duration,
}

/// A JSON body, decoded as [`json::decode`] does.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequest<S> for Json<T>
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
pub async fn read_json<T: DeserializeOwned + Send + 'static>(request: Request, limits: BodyLimits) -> Result<T> {
    if !is_json(request.headers()) {
        return Err(unexpected_content_type(request.headers(), "application/json"));
    }
    let bytes = read_whole(request, limits).await?;
    match bytes.len() {
        // A long body would occupy the thread that serves other requests for milliseconds.
        LARGE_JSON.. => tokio::task::spawn_blocking(move || json::decode(&bytes)).await.map_err(Error::internal)?,
        _ => json::decode(&bytes),
    }
}

/// Bytes of JSON from which on it is decoded on a thread of its own.
const LARGE_JSON: usize = 64 * 1024;

/// Bytes of the body of a client that has not signed in: twice what the longest password and email address take.
const ANONYMOUS_BODY: usize = 8 * 1024;
/// How long such a client may take for its body.
const ANONYMOUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a small body, all of it within the time that a client may send nothing. Clients that have not signed in get
/// less of both. The memory is reserved before the first byte is read.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::BodyStalled`], [`Error::BodyBroken`]; [`Error::Unavailable`] if there is no memory.
pub async fn read_whole(request: Request, mut limits: BodyLimits) -> Result<Vec<u8>> {
    let memory = request.extensions().get::<RequestMemory>().cloned();
    if memory.as_ref().is_some_and(RequestMemory::is_anonymous) {
        limits.json = limits.json.min(ANONYMOUS_BODY);
        limits.stall_timeout = limits.stall_timeout.min(ANONYMOUS_TIMEOUT);
    }
    let announced = request.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let size = announced.unwrap_or(limits.json);
    if size > limits.json {
        return Err(Error::TooLarge { limit: limits.json as u64 });
    }
    if let Some(memory) = memory {
        memory.reserve(size).await?;
    }
    // All of it has to arrive within the time below.
    let pace = Pace { stall_timeout: limits.stall_timeout, min_rate: 0 };
    let mut stream = body::stream(request.into_body(), pace);
    let reading = async {
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
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

/// Maximum length of a content type in a response, in characters.
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
    /// The maximum number of items on the page, at most `page_limit`. A page also ends after about 1 MiB.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the previous page; absent or empty for the first page.
    #[serde(default, deserialize_with = "non_empty")]
    pub cursor: Option<String>,
}

/// The page of a list that a request asks for. The memory for it is reserved before it is read.
pub struct Paging(pub PageParams);

/// The approximate maximum size of an item of a list, in bytes.
const ITEM_BYTES: usize = 12 * 1024;

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Query(params): Query<PageParams> = Query::from_request_parts(parts, state).await?;
        if let Some(memory) = parts.extensions.get::<RequestMemory>().cloned() {
            let items = params.limit.unwrap_or(DEFAULT_PAGE_SIZE) as usize;
            // Once as rows, and once as JSON.
            memory.reserve(2 * PAGE_BYTES.min(items.saturating_mul(ITEM_BYTES))).await?;
        }
        Ok(Self(params))
    }
}

fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|text: &String| !text.is_empty()))
}

/// An id in its one spelling, the one that responses have: what caches and logs know by its URL has no other.
fn id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

/// The id in the path. A malformed id is [`Error::NotFound`]: it cannot name anything.
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let values = path_values(parts, state).await?;
        values.first().and_then(|text| id(text)).map(Self).ok_or(Error::NotFound)
    }
}

/// An id in the path and a number after it. If one is malformed: [`Error::NotFound`].
pub struct IdAndNumber(pub Uuid, pub u64);

impl<S: Send + Sync> FromRequestParts<S> for IdAndNumber {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let values = path_values(parts, state).await?;
        let id = values.first().and_then(|text| id(text));
        let number = values.get(1).and_then(|text| text.parse().ok());
        id.zip(number).map(|(id, number)| Self(id, number)).ok_or(Error::NotFound)
    }
}

/// Two ids in the path. If one is malformed: [`Error::NotFound`].
pub struct TwoIds(pub Uuid, pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for TwoIds {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let values = path_values(parts, state).await?;
        let [first, second] = [0, 1].map(|index: usize| values.get(index).and_then(|text| id(text)));
        first.zip(second).map(|(first, second)| Self(first, second)).ok_or(Error::NotFound)
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
