//! The HTTP server: accepts connections, serves a router on them, and shuts down gracefully.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::open_files::OpenFiles;
use super::places::Places;
use super::refusal::Refusal;
use super::serve::Connections;
use crate::config::Config;
use crate::error::{Error, Result};

/// How long no connection is accepted after that has failed, because the process or the system has no files left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that is ready to run.
pub struct Server {
    listener: TcpListener,
    acceptor: Acceptor,
    shutdown_deadline: Duration,
}

/// Gives connections a place, and serves those that get one.
struct Acceptor {
    connections: Arc<Connections>,
    places: Arc<Places>,
    refusal: Arc<Refusal>,
    tasks: TaskTracker,
    /// Connections finish their requests.
    stop: CancellationToken,
    /// Connections end immediately.
    abort: CancellationToken,
}

impl Server {
    /// Prepares to serve the router on a socket that listens already.
    ///
    /// # Errors
    /// [`Error::Setup`] if the certificate or its key cannot be used.
    pub async fn new(config: &Config, router: Router, listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true).map_err(Error::internal)?;
        let acceptor = Acceptor {
            connections: Arc::new(Connections::new(config, router).await?),
            places: Places::new("connections", connection_limit(config), config.trusted_proxies.clone()),
            refusal: Arc::new(Refusal::new(config)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        Ok(Self { listener, acceptor, shutdown_deadline: config.shutdown_deadline })
    }

    /// Serves until `shutdown` resolves. Transfers may then continue until the shutdown deadline.
    ///
    /// # Errors
    /// [`Error::Internal`] if the socket fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Self { listener, acceptor, shutdown_deadline } = self;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::internal)?;
        // Connections do not outlive the server, even if this future is dropped.
        let _abort = acceptor.abort.clone().drop_guard();
        tokio::select! {
            () = acceptor.accept_all(&listener) => {}
            () = shutdown => {}
        }
        // New clients are refused, instead of waiting for a server that stops.
        drop(listener);
        acceptor.stop.cancel();
        acceptor.tasks.close();
        if tokio::time::timeout(shutdown_deadline, acceptor.tasks.wait()).await.is_err() {
            acceptor.abort.cancel();
            acceptor.tasks.wait().await;
        }
        Ok(())
    }
}

impl Acceptor {
    async fn accept_all(&self, listener: &tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.accept(stream, peer),
                // The client has gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.places.log_failure(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accept(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.places.take(peer.ip()) else {
            self.places.log_refusal(peer.ip());
            if let Some(refusing) = self.refusal.clone().refuse(stream) {
                self.tasks.spawn(self.abort.clone().run_until_cancelled_owned(refusing));
            }
            return;
        };
        let (connections, stop) = (self.connections.clone(), self.stop.clone());
        let serving = async move {
            connections.serve(stream, peer, stop).await;
            drop(place);
        };
        self.tasks.spawn(self.abort.clone().run_until_cancelled_owned(serving));
    }
}

/// The number of concurrent connections: the setting, limited by the number of open files.
fn connection_limit(config: &Config) -> usize {
    let wanted = config.limits.connections;
    match OpenFiles::measure(config) {
        Ok(OpenFiles { limit, connections, requests }) => {
            if connections < wanted {
                tracing::warn!(
                    limit,
                    connections,
                    requests,
                    "the limit of open files allows fewer concurrent connections and requests than configured; \
                     raise it (ulimit -n, LimitNOFILE)"
                );
            }
            connections
        }
        Err(error) => {
            tracing::warn!(%error, "cannot read RLIMIT_NOFILE");
            wanted
        }
    }
}
