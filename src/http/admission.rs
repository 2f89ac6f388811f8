//! Admits as many concurrent requests as the process has open files for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use super::activity::OpenRequest;
use super::client_address::client_address;
use super::open_files::OpenFiles;
use super::places::Places;
use crate::config::Config;
use crate::error::{Error, Result};

/// How long a request waits for others to finish.
const WAIT: Duration = Duration::from_secs(5);
/// A probe that opens nothing.
const LIVENESS: &str = "/healthz";

/// The requests that may be served concurrently.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Places>,
    trusted_proxies: Vec<IpNet>,
}

impl Admission {
    /// As many as the limit of open files allows; unlimited if that limit is unknown.
    pub fn new(config: &Config) -> Arc<Self> {
        let total = OpenFiles::measure(config).map_or(usize::MAX, |files| files.requests);
        let trusted_proxies = config.trusted_proxies.clone();
        Arc::new(Self { places: Places::new("requests", total, Vec::new()), trusted_proxies })
    }
}

/// Waits until the request may be served. Its place is free again when the request is finished.
///
/// # Errors
/// [`Error::Overloaded`] if others do not finish soon.
pub async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Result<Response> {
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
