//! Extractors that know the API's own nouns.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::HeaderMap;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::auth::{SignedIn, session_secret};
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::folders::{self, Folder};
use crate::files::{self, Expected, File, IdempotencyKey};
use crate::http::client_address::{client_address, user_agent};
use crate::http::conditions::{EntityTags, if_match};
use crate::http::extract::{BodyLimits, Id, read_json};
use crate::store::MAX_PARTS;
use crate::users::{Caller, ClientInfo, Secret, User};

impl FromRef<Arc<App>> for BodyLimits {
    fn from_ref(app: &Arc<App>) -> Self {
        Self { json: app.config.limits.json_body, stall_timeout: app.config.uploads.stall_timeout }
    }
}

/// A JSON body large enough to list every part of an upload.
pub struct PartsJson<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<App>> for PartsJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        let limits = BodyLimits::from_ref(app);
        read_json(request, BodyLimits { json: limits.json.max(PARTS_BODY), ..limits }).await.map(Self)
    }
}

/// Bytes of JSON that lists the maximum number of parts of one upload.
const PARTS_BODY: usize = MAX_PARTS as usize * 128;

/// The file of the id in the path, and the user who is signed in and owns it. A file of another user is
/// [`Error::NotFound`], before anything else of the request is checked.
pub struct OwnFile {
    pub user: User,
    pub file: File,
}

impl FromRequestParts<Arc<App>> for OwnFile {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let SignedIn(Caller { user, .. }) = SignedIn::from_request_parts(parts, app).await?;
        let Id(id) = Id::from_request_parts(parts, app).await?;
        let file = files::find(app, &user, id).await?;
        Ok(Self { user, file })
    }
}

/// The folder of the id in the path, and the user who is signed in and owns it. A folder of another user is
/// [`Error::NotFound`], before anything else of the request is checked.
pub struct OwnFolder {
    pub user: User,
    pub folder: Folder,
}

impl FromRequestParts<Arc<App>> for OwnFolder {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let SignedIn(Caller { user, .. }) = SignedIn::from_request_parts(parts, app).await?;
        let Id(id) = Id::from_request_parts(parts, app).await?;
        let folder = folders::find(app, &user, id).await?;
        Ok(Self { user, folder })
    }
}

/// The `Idempotency-Key` of the request, if any.
pub struct Idempotency(pub Option<IdempotencyKey>);

impl FromRequestParts<Arc<App>> for Idempotency {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self> {
        let mut values = parts.headers.get_all("idempotency-key").into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => IdempotencyKey::new(value.to_str().unwrap_or_default()).map(|key| Self(Some(key))),
            _ => Err(Error::invalid_header("idempotency-key", "repeated", "allowed once only")),
        }
    }
}

/// The content that `If-Match` requires before a change; `None` without the header.
///
/// # Errors
/// [`Error::Invalid`] if `If-Match` is malformed.
pub fn expected(headers: &HeaderMap) -> Result<Option<Expected>> {
    Ok(if_match(headers)?.map(|tags| match tags {
        EntityTags::Any => Expected::Anything,
        EntityTags::OneOf(etags) => Expected::OneOf(etags),
    }))
}

/// The origin of the request: address and user agent.
impl FromRequestParts<Arc<App>> for ClientInfo {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let address = client_address(&parts.headers, &parts.extensions, &app.config.trusted_proxies);
        Ok(Self {
            address: address.ok_or_else(|| Error::internal("peer address missing (ConnectInfo not set)"))?,
            user_agent: user_agent(&parts.headers),
            session: session_secret(&parts.headers, &app.config).ok().flatten().as_deref().and_then(Secret::parse),
        })
    }
}
