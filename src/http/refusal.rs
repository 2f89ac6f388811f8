//! The response to clients above the limit of connections.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::config::Config;

/// Clients that are refused concurrently; further ones are disconnected.
pub const MAX_CONCURRENT: usize = 40;
/// How long a client has to send a request and to take the response.
const TIME: Duration = Duration::from_secs(2);

/// A prepared 503 (Service Unavailable).
#[derive(Debug)]
pub struct Refusal {
    /// `None` with TLS: a handshake only to refuse would cost too much.
    response: Option<String>,
    places: Arc<Semaphore>,
}

impl Refusal {
    pub fn new(config: &Config) -> Self {
        let problem = Problem::new("unavailable", "too many connections");
        let response = config.tls.is_none().then(|| problem.raw_response(config, "retry-after: 5\r\n"));
        Self { response, places: Arc::new(Semaphore::new(MAX_CONCURRENT)) }
    }

    /// Work that responds and lingers, so that the client gets the response; `None` if the client is disconnected.
    pub fn refuse(self: Arc<Self>, mut stream: TcpStream) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.response.as_ref()?;
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(async move {
            let responding = async {
                let mut space = [0; 8192];
                // A response to nothing would be an error for a client that prepares connections.
                if stream.read(&mut space).await? == 0 {
                    return Ok(());
                }
                stream.write_all(self.response.as_deref().unwrap_or_default().as_bytes()).await?;
                stream.shutdown().await?;
                while stream.read(&mut space).await? > 0 {}
                std::io::Result::Ok(())
            };
            // A client that does not read it is disconnected.
            let _ = tokio::time::timeout(TIME, responding).await;
            drop(permit);
        })
    }
}
