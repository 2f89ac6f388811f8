//! Extractors that know the API's own nouns.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::HeaderMap;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use uuid::Uuid;

use super::auth::{SignedIn, session_secret};
use crate::access::{Right, Tree};
use crate::app::App;
use crate::error::{Error, Result};
use crate::files::folders::{self, Folder};
use crate::files::{self, Expected, File, IdempotencyKey};
use crate::http::client_address::{client_address, user_agent};
use crate::http::conditions::{EntityTags, if_match};
use crate::http::extract::{BodyLimits, Id, Query, read_json};
use crate::store::MAX_PARTS;
use crate::users::{Caller, ClientInfo, Secret};

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

/// The right that a route needs.
pub trait Needs: Send + Sync + 'static {
    /// The right.
    const RIGHT: Right;
}

/// Declares a type for each right, by which extractors name it.
macro_rules! needs {
    ($($name:ident),*) => {
        $(
            pub struct $name;

            impl Needs for $name {
                const RIGHT: Right = Right::$name;
            }
        )*
    };
}

/// The rights as types.
pub mod need {
    use super::{Needs, Right};

    needs!(List, Read, Update, Delete, Share);
}

/// The file of the id in the path, to which the caller has the right `N`. A file that the caller does not see is
/// [`Error::NotFound`], before anything else of the request is checked.
pub struct PermittedFile<N> {
    pub caller: Caller,
    pub file: File,
    _right: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<Arc<App>> for PermittedFile<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, app).await?;
        let Id(id) = Id::from_request_parts(parts, app).await?;
        let file = files::find(app, &caller.subject(), N::RIGHT, id).await?;
        Ok(Self { caller, file, _right: PhantomData })
    }
}

/// The folder of the id in the path, to which the caller has the right `N`. A folder that the caller does not see is
/// [`Error::NotFound`], before anything else of the request is checked.
pub struct PermittedFolder<N> {
    pub caller: Caller,
    pub folder: Folder,
    _right: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<Arc<App>> for PermittedFolder<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, app).await?;
        let Id(id) = Id::from_request_parts(parts, app).await?;
        let folder = folders::find(app, &caller.subject(), N::RIGHT, id).await?;
        Ok(Self { caller, folder, _right: PhantomData })
    }
}

/// The space that a request is about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SpaceParams {
    /// The id of the space; by default your own.
    space_id: Option<Uuid>,
}

impl SpaceParams {
    /// The id of the space.
    pub fn space(&self, caller: &Caller) -> Uuid {
        self.space_id.unwrap_or(caller.user.id)
    }
}

/// The folder that the paths of a request are relative to.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RootParams {
    /// The id of a space, or of a folder that is shared with you: paths are relative to the topmost folder that you see
    /// there. By default your own space.
    root: Option<Uuid>,
}

/// The tree that the paths of a request are in, for a caller who is signed in.
pub struct CallerTree {
    pub caller: Caller,
    pub tree: Tree,
}

impl FromRequestParts<Arc<App>> for CallerTree {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, app).await?;
        let Query(RootParams { root }) = Query::from_request_parts(parts, app).await?;
        let tree = Tree::of(app, &caller.subject(), root).await?;
        Ok(Self { caller, tree })
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
