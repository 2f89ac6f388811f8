//! Serves the requests of one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt, service_fn};

use super::activity::{Activity, OpenRequest};
use super::connections::{self, Connection, StreamLimits};
use super::unread::DrainLimits;
use crate::config::{Config, TlsConfig};
use crate::error::{Error, Result};

/// Concurrent requests on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 32;
/// Bytes of the read and write buffers of an HTTP/1.1 connection, at most; the larger they are, the fewer system calls a
/// transfer takes. Heads have a lower limit, and what waits to be sent has a budget.
const HTTP1_BUFFER: usize = 256 * 1024;
/// Bytes of one HTTP/2 response that wait for the client.
const HTTP2_SEND_BUFFER: usize = 32 * 1024;
/// How long a client may take to close a connection that it was asked to close (GOAWAY).
const GOODBYE: Duration = Duration::from_secs(5);

/// How connections are served.
pub struct Connections {
    router: Router,
    tls: Option<RustlsAcceptor>,
    builder: Builder<TokioExecutor>,
    limits: Arc<StreamLimits>,
    idle_timeout: Duration,
}

impl Connections {
    /// # Errors
    /// [`Error::Setup`] if the certificate or its key cannot be used.
    pub async fn new(config: &Config, router: Router) -> Result<Self> {
        let tls = match &config.tls {
            None => None,
            Some(tls) => Some(tls_acceptor(tls).await?),
        };
        let limits = StreamLimits {
            header_timeout: config.header_timeout,
            send_timeout: config.uploads.stall_timeout,
            drain: DrainLimits::of(config),
            head_refusal: connections::head_refusal(config),
        };
        let limits = Arc::new(limits);
        Ok(Self { router, tls, builder: builder(config), limits, idle_timeout: config.idle_timeout })
    }

    /// Serves a connection until it ends. After `stop` it finishes its requests and accepts no more.
    pub async fn serve(&self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        // Otherwise small responses wait for the delayed acknowledgement of the peer.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.serve_stream(stream, peer, stop).await,
            Some(tls) => {
                if let Ok((stream, ())) = tls.accept(stream, ()).await {
                    self.serve_stream(stream, peer, stop).await;
                }
            }
        }
    }

    async fn serve_stream<S>(&self, stream: S, peer: SocketAddr, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let stream = TokioIo::new(Connection::new(stream, activity.clone(), self.limits.clone()));
        let (router, requests) = (self.router.clone(), activity.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let open = OpenRequest::begin(requests.clone(), request.method().is_safe());
            request.extensions_mut().insert(open);
            router.clone().oneshot(request)
        });
        let mut connection = std::pin::pin!(self.builder.serve_connection(stream, TowerToHyperService::new(service)));
        let mut stalled = GOODBYE;
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => stalled = self.limits.send_timeout,
            () = activity.ended(self.idle_timeout, self.limits.send_timeout) => {}
        }
        // On HTTP/2 GOAWAY, on HTTP/1.1 the end after the request in progress, if any.
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            () = activity.ended(GOODBYE, stalled) => {}
        }
    }
}

async fn tls_acceptor(tls: &TlsConfig) -> Result<RustlsAcceptor> {
    let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await;
    let failed = |error| Error::Setup(format!("STRONGROOM_TLS_CERT, STRONGROOM_TLS_KEY: {error}"));
    Ok(RustlsAcceptor::new(config.map_err(failed)?))
}

/// Limits heads and, on HTTP/2, concurrent requests: its defaults allow one client hundreds of concurrent responses, each
/// with its buffers.
fn builder(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    // The stream has the time for a head, which does not begin while the connection is idle. With a timer of its own hyper
    // also looks for the next head, or the end, as soon as a request is finished.
    let longest = config.idle_timeout + config.header_timeout;
    http1.timer(TokioTimer::new()).header_read_timeout(longest).max_buf_size(HTTP1_BUFFER);
    // `Connection` decides whether a half-closed client has disconnected.
    http1.half_close(true);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(Some(config.header_timeout));
    http2.max_concurrent_streams(HTTP2_STREAMS).max_send_buf_size(HTTP2_SEND_BUFFER);
    builder
}
