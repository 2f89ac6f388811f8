//! The server: connections in, the routes behind them, and an end in good order.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server as Connections};
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;

use super::connections::{ConnectionLimits, LimitedAcceptor};
use crate::api::router;
use crate::app::App;
use crate::error::{Error, Result};

/// Open files that the server needs for itself: the database, the store, the log.
const OWN_FILES: u64 = 128;
/// Requests on one HTTP/2 connection that are answered at once.
const HTTP2_STREAMS: u32 = 32;
/// Bytes that an HTTP/1.1 connection takes in or hands over at once, and the most that a head may have.
const HTTP1_BUFFER: usize = 256 * 1024;
/// Bytes of one answer on HTTP/2 that wait for their client.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;

/// A server that is ready to run.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
}

impl Server {
    /// Gets ready to serve on a socket that listens already.
    ///
    /// # Errors
    /// [`Error::Setup`] if the certificate or its key cannot be used.
    pub async fn new(app: Arc<App>, listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true).map_err(Error::internal)?;
        let tls = match &app.config.tls {
            None => None,
            Some(tls) => Some(
                RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
                    .await
                    .map_err(|error| Error::Setup(format!("STRONGROOM_TLS_CERT, STRONGROOM_TLS_KEY: {error}")))?,
            ),
        };
        Ok(Self { app, listener, tls })
    }

    /// Serves until `shutdown` resolves, then lets transfers go on up to the deadline of the settings.
    ///
    /// # Errors
    /// `Internal` if the socket fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let config = &self.app.config;
        let (handle, deadline, time) = (Handle::new(), config.shutdown_deadline, config.header_timeout);
        let manners = ConnectionLimits {
            places: Arc::new(Semaphore::new(places(config.limits.connections))),
            begin: time,
            take: config.uploads.stall_timeout,
        };
        tokio::spawn({
            let handle = handle.clone();
            async move {
                shutdown.await;
                handle.graceful_shutdown(Some(deadline));
            }
        });
        let service = router(&self.app).into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(self.listener).map_err(Error::internal)?.handle(handle);
        limit_heads(&mut server, time);
        // Without NODELAY, small answers wait for the peer's delayed acknowledgement.
        let server = server.acceptor(NoDelayAcceptor);
        match self.tls {
            None => server.map(|plain| LimitedAcceptor::new(plain, manners)).serve(service).await,
            Some(tls) => {
                let encrypted = |plain| LimitedAcceptor::new(RustlsAcceptor::new(tls).acceptor(plain), manners);
                server.map(encrypted).serve(service).await
            }
        }
        .map_err(Error::internal)
    }
}

/// How many connections are served at once: what the settings say, as far as the process may open
/// files. A connection needs one for itself and, while it reads or writes a file, another.
fn places(limit: usize) -> usize {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => limit.min(usize::try_from(files.saturating_sub(OWN_FILES) / 2).unwrap_or(usize::MAX)).max(1),
        Err(error) => {
            tracing::warn!(%error, "the limit on open files is not known");
            limit
        }
    }
}

/// What one connection may ask for. HTTP/2's own numbers allow one client to have hundreds of answers
/// accepted, each with its buffers.
fn limit_heads(server: &mut Connections<SocketAddr>, time: Duration) {
    let mut http1 = server.http_builder().http1();
    http1.timer(TokioTimer::new()).header_read_timeout(time).max_buf_size(HTTP1_BUFFER);
    let mut http2 = server.http_builder().http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(Some(time)).max_concurrent_streams(HTTP2_STREAMS);
    http2.max_send_buf_size(HTTP2_SEND_BUFFER);
}
