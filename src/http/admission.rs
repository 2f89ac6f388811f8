//! Admits as many concurrent requests as the process has open files for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use ipnet::IpNet;

use super::activity::OpenRequest;
use super::client_address::client_address;
use super::open_files::OpenFiles;
use super::places::Places;
use crate::config::Config;
use crate::error::{Error, Result};

/// How long a request waits for others to finish.
const WAIT: Duration = Duration::from_secs(5);
/// Headers of a request, at most; on HTTP/1.1 hyper has the same limit.
const MAX_HEADERS: usize = 100;
/// Requests that are served concurrently, at least; each of their responses may hold some memory while its client does
/// not read.
const MIN_REQUESTS: usize = 1024;
/// A probe that opens nothing.
const LIVENESS: &str = "/healthz";

/// The requests that may be served concurrently.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Places>,
    trusted_proxies: Vec<IpNet>,
}

impl Admission {
    /// As many as connections, since an HTTP/2 client has many on one; fewer if the process may not open enough files.
    pub fn new(config: &Config) -> Arc<Self> {
        let wanted = config.limits.connections.max(MIN_REQUESTS);
        let total = OpenFiles::measure(config).map_or(wanted, |files| files.requests.min(wanted));
        let trusted_proxies = config.trusted_proxies.clone();
        Arc::new(Self { places: Places::new("requests", total, Vec::new()), trusted_proxies })
    }
}

/// The place of a request.
pub struct HeldPlace(Option<Arc<OpenRequest>>);

impl HeldPlace {
    /// Releases the place of a request that only waits from now on: it has nothing open that others could need.
    pub fn release(&self) {
        if let Some(open) = &self.0 {
            open.release();
        }
    }
}

impl<S: Sync> FromRequestParts<S> for HeldPlace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

/// Waits until the request may be served. Its place is free again when the request is finished.
///
/// # Errors
/// [`Error::TooManyHeaders`]; [`Error::Overloaded`] if others do not finish soon.
pub async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Result<Response> {
    if request.headers().len() > MAX_HEADERS {
        return Err(Error::TooManyHeaders { limit: MAX_HEADERS });
    }
    let address = client_address(request.headers(), request.extensions(), &admission.trusted_proxies);
    let open = request.extensions().get::<Arc<OpenRequest>>();
    if let (Some(address), Some(open)) = (address, open)
        && request.uri().path() != LIVENESS
    {
        let Some(place) = admission.places.wait(address, WAIT).await else {
            admission.places.log_refusal(address);
            return Err(Error::Overloaded);
        };
        open.keep(place);
    }
    Ok(next.run(request).await)
}
