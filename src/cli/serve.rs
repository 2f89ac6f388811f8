//! `strongroom serve`: opens everything, listens, serves, and shuts down gracefully.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytesize::ByteSize;
use secrecy::ExposeSecret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, print};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, ContainerLimits, Registration, StoreConfig, redacted_url};
use crate::http::server::Server;
use crate::net::is_loopback;
use crate::{api, jobs, logs, users};

/// How long the start waits for the first checks, so that the quirks of the store are known before the first upload.
const FIRST_CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the shutdown waits for the database.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn run(mut config: Config, limits: ContainerLimits) -> Result<(), Failure> {
    let listener = bind(&mut config)?;
    let app = App::open_for_serving(config, Clock::default()).await?;
    let banner = startup_banner(&app, limits, &listener).await?;
    let server = Server::new(&app.config, api::router(&app), listener).await?;
    // Up to here a signal ends the process immediately: there is nothing to clean up.
    let signals = Signals::new()?;
    // Whether anybody reads standard output must not matter to those who are served.
    std::thread::spawn(move || print(&banner));
    if proxy_hides_clients(&app.config) {
        logs::print_line(
            "strongroom: STRONGROOM_TRUSTED_PROXIES is not set: all clients behind the proxy count as one address",
        );
    }
    let probe = jobs::probe::spawn(app.clone());
    if tokio::time::timeout(FIRST_CHECK_TIMEOUT, app.health.wait_for_first_check()).await.is_err() {
        tracing::warn!("startup checks have not finished; serving anyway");
    }

    let reaper = jobs::spawn(app.clone());
    let result = serve(&app, server, signals).await;
    reaper.abort();
    probe.abort();
    let close = async {
        app.events.flush().await;
        app.db.close().await;
    };
    // After a failure or a second signal nothing is waited for: the next start cleans up as well. The same applies to
    // work that does not release its connection.
    if result.is_ok() && tokio::time::timeout(CLOSE_TIMEOUT, close).await.is_err() {
        tracing::warn!("the database was still in use at shutdown");
    }
    result
}

/// Serves until a signal, and then until all transfers have ended, the deadline has passed, or a second signal arrives.
async fn serve(app: &App, server: Server, mut signals: Signals) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let mut server = Box::pin(server.run(stop.clone().cancelled_owned()));
    tokio::select! {
        result = &mut server => return Ok(result?),
        () = signals.next() => stop.cancel(),
    }
    app.changes.close();
    tracing::info!("stopping; transfers may continue for {}", humantime::format_duration(app.config.shutdown_deadline));
    tokio::select! {
        result = &mut server => Ok(result?),
        () = signals.next() => Err(Failure::Runtime("shutdown forced by a second signal".into())),
    }
}

/// Whether there seems to be a proxy whose X-Forwarded-For is not trusted.
fn proxy_hides_clients(config: &Config) -> bool {
    config.listen.ip().is_loopback() && !is_loopback(&config.public_url) && config.trusted_proxies.is_empty()
}

/// Listens. If a free port was requested, writes the selected one into the public URL.
fn bind(config: &mut Config) -> Result<TcpListener, Failure> {
    let address = config.listen;
    let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    config.listen = listener.local_addr().map_err(Failure::runtime)?;
    if config.public_url.port() == Some(0) {
        // It fails only for URLs without a host, which are not valid here.
        let _ = config.public_url.set_port(Some(config.listen.port()));
    }
    Ok(listener)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::AddrInUse => "address already in use".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
        ErrorKind::PermissionDenied => "permission denied; ports below 1024 require a privilege".to_owned(),
        _ => error.to_string(),
    };
    Failure::Runtime(format!("STRONGROOM_LISTEN: cannot listen on {address}: {why}"))
}

/// An example of a registration body.
const FIRST_USER: &str = r#"{"email":"you@example.com","name":"You","password":"a long passphrase"}"#;

/// The startup banner: addresses, storage and, without accounts, the next step.
async fn startup_banner(app: &App, limits: ContainerLimits, listener: &TcpListener) -> Result<String, Failure> {
    let config = &app.config;
    let address = listener.local_addr().map_err(Failure::runtime)?;
    let store = match &config.store {
        StoreConfig::Disk { root } => root.display().to_string(),
        StoreConfig::S3(s3) => format!("s3://{}/{}", s3.bucket, s3.prefix),
    };
    let mut text = format!(
        "Strongroom {} is running at {} (listening on {address})\n  database  {}\n  store     {store}\n",
        env!("CARGO_PKG_VERSION"),
        config.public_url,
        redacted_url(config.database_url.expose_secret()),
    );
    if let Some(memory) = limits.memory {
        text += &format!("  memory    {}\n", budgets(config, memory));
    }
    if !users::registration(app).await?.has_accounts {
        text += "No accounts yet. Create the first one, with the same settings:\n  \
            strongroom user add you@example.com --admin\n";
        if config.registration == Registration::Open {
            text += &format!(
                "Or register; anyone who can reach this server can do so:\n  curl -H 'content-type: application/json' \
                 -d '{FIRST_USER}' {}v1/auth/register\n",
                config.public_url,
            );
        }
    }
    Ok(text)
}

/// The budgets in a container with limited memory.
fn budgets(config: &Config, limit: u64) -> String {
    format!(
        "limited to {}; uploads {}, requests {}, password hashes {}, connections {}",
        ByteSize(limit),
        ByteSize(config.uploads.memory),
        ByteSize(config.limits.request_memory),
        config.auth.password_hash_concurrency,
        config.limits.connections,
    )
}

/// The signals that request a shutdown.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::runtime);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
