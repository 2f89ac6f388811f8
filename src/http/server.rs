//! The HTTP server: accepts connections, serves a router on them, and shuts down gracefully.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server as Connections};
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;

use super::connections::{ConnectionLimits, LimitedAcceptor};
use crate::config::Config;
use crate::error::{Error, Result};

/// Open files that the server needs for itself: the database, the store, the log.
const OWN_FILES: u64 = 128;
/// Concurrent requests on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 32;
/// Bytes of the read and write buffers of an HTTP/1.1 connection, and of the longest head.
const HTTP1_BUFFER: usize = 256 * 1024;
/// Bytes of one HTTP/2 response that wait for the client.
const HTTP2_SEND_BUFFER: usize = 32 * 1024;

/// A server that is ready to run.
pub struct Server {
    router: Router,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    connections: ConnectionLimits,
    header_timeout: Duration,
    shutdown_deadline: Duration,
}

impl Server {
    /// Prepares to serve the router on a socket that listens already.
    ///
    /// # Errors
    /// [`Error::Setup`] if the certificate or its key cannot be used.
    pub async fn new(config: &Config, router: Router, listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true).map_err(Error::internal)?;
        let tls = match &config.tls {
            None => None,
            Some(tls) => Some(
                RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
                    .await
                    .map_err(|error| Error::Setup(format!("STRONGROOM_TLS_CERT, STRONGROOM_TLS_KEY: {error}")))?,
            ),
        };
        let connections = ConnectionLimits {
            places: Arc::new(Semaphore::new(places(config.limits.connections))),
            first_byte_timeout: config.header_timeout,
            send_timeout: config.uploads.stall_timeout,
        };
        let (header_timeout, shutdown_deadline) = (config.header_timeout, config.shutdown_deadline);
        Ok(Self { router, listener, tls, connections, header_timeout, shutdown_deadline })
    }

    /// Serves until `shutdown` resolves. Transfers may then continue until the shutdown deadline.
    ///
    /// # Errors
    /// [`Error::Internal`] if the socket fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let handle = Handle::new();
        tokio::spawn({
            let (handle, deadline) = (handle.clone(), self.shutdown_deadline);
            async move {
                shutdown.await;
                handle.graceful_shutdown(Some(deadline));
            }
        });
        let service = self.router.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(self.listener).map_err(Error::internal)?.handle(handle);
        limit_heads(&mut server, self.header_timeout);
        // Without NODELAY, small responses wait for the delayed acknowledgement of the peer.
        let (server, connections) = (server.acceptor(NoDelayAcceptor), self.connections);
        match self.tls {
            None => server.map(|plain| LimitedAcceptor::new(plain, connections)).serve(service).await,
            Some(tls) => {
                let encrypted = |plain| LimitedAcceptor::new(RustlsAcceptor::new(tls).acceptor(plain), connections);
                server.map(encrypted).serve(service).await
            }
        }
        .map_err(Error::internal)
    }
}

/// How many connections are served at once: the setting, as far as the process may open files. A connection needs one
/// file for itself and another while it reads or writes content.
fn places(limit: usize) -> usize {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => limit.min(usize::try_from(files.saturating_sub(OWN_FILES) / 2).unwrap_or(usize::MAX)).max(1),
        Err(error) => {
            tracing::warn!(%error, "cannot read RLIMIT_NOFILE");
            limit
        }
    }
}

/// Limits heads and, on HTTP/2, concurrent requests: its defaults allow one client hundreds of responses at once, each
/// with its buffers.
fn limit_heads(server: &mut Connections<SocketAddr>, time: Duration) {
    let mut http1 = server.http_builder().http1();
    http1.timer(TokioTimer::new()).header_read_timeout(time).max_buf_size(HTTP1_BUFFER);
    let mut http2 = server.http_builder().http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(Some(time)).max_concurrent_streams(HTTP2_STREAMS);
    http2.max_send_buf_size(HTTP2_SEND_BUFFER);
}
