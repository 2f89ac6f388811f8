//! `strongroom serve`: open, listen, say hello, and stop in good order.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, print};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Registration, StoreConfig, redacted_url};
use crate::http::server::Server;
use crate::net::is_loopback;
use crate::{api, jobs, users};

/// How long the start waits for what the probe finds, so that the store's quirks are known before
/// the first upload.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// How long the end waits for the database.
const CLOSING: Duration = Duration::from_secs(5);

pub(super) async fn run(mut config: Config) -> Result<(), Failure> {
    let listener = bind(&mut config)?;
    let app = App::open_for_serving(config, Clock::default()).await?;
    let startup_banner = startup_banner(&app, &listener).await?;
    let server = Server::new(&app.config, api::router(&app), listener).await?;
    // Until here a signal ends the process as ever: there is nothing yet to put in order.
    let signals = Signals::new()?;
    print(&startup_banner)?;
    if proxy_hides_clients(&app.config) {
        eprintln!(
            "strongroom: STRONGROOM_TRUSTED_PROXIES: none is set, so everybody behind the proxy counts as one address"
        );
    }
    let probe = jobs::probe::spawn(app.clone());
    if tokio::time::timeout(FIRST_LOOK, app.health.wait_for_first_check()).await.is_err() {
        tracing::warn!("the database or the store is slow to answer; serving begins nonetheless");
    }

    let reaper = jobs::spawn(app.clone());
    let result = serve(&app, server, signals).await;
    reaper.abort();
    probe.abort();
    let closing = async {
        app.events.flush().await;
        app.db.close().await;
    };
    // After a failure or a second signal nothing is waited for: what closing would tidy up, the
    // next start tidies up as well. So it does for work that does not let go of its connection.
    if result.is_ok() && tokio::time::timeout(CLOSING, closing).await.is_err() {
        tracing::warn!("the database was still in use when the process ended");
    }
    result
}

/// Serves until a signal, then until the server has ended, at its deadline at the latest, or a
/// second signal comes.
async fn serve(app: &App, server: Server, mut signals: Signals) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let mut server = Box::pin(server.run(stop.clone().cancelled_owned()));
    tokio::select! {
        result = &mut server => return Ok(result?),
        () = signals.next() => stop.cancel(),
    }
    tracing::info!("stopping; transfers may go on for {}", humantime::format_duration(app.config.shutdown_deadline));
    tokio::select! {
        result = &mut server => Ok(result?),
        () = signals.next() => Err(Failure::Runtime("a second signal cut what was going on".into())),
    }
}

/// Whether a proxy stands before the server that it does not believe about its clients.
fn proxy_hides_clients(config: &Config) -> bool {
    config.listen.ip().is_loopback() && !is_loopback(&config.public_url) && config.trusted_proxies.is_empty()
}

/// Listens, and writes the port that was found into the public URL if any free one was asked for.
fn bind(config: &mut Config) -> Result<TcpListener, Failure> {
    let address = config.listen;
    let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    config.listen = listener.local_addr().map_err(Failure::runtime)?;
    if config.public_url.port() == Some(0) {
        // It fails for URLs without a host alone, and those were refused.
        let _ = config.public_url.set_port(Some(config.listen.port()));
    }
    Ok(listener)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        ErrorKind::PermissionDenied => "this is not permitted; ports below 1024 need a privilege".to_owned(),
        _ => error.to_string(),
    };
    Failure::Runtime(format!("STRONGROOM_LISTEN: cannot listen on {address}: {why}"))
}

/// What an operator wants to know at the start.
async fn startup_banner(app: &App, listener: &TcpListener) -> Result<String, Failure> {
    let config = &app.config;
    let address = listener.local_addr().map_err(Failure::runtime)?;
    let bytes = match &config.store {
        StoreConfig::Disk { root } => root.display().to_string(),
        StoreConfig::S3(s3) => format!("s3://{}/{}", s3.bucket, s3.prefix),
    };
    let mut text = format!(
        "Strongroom {} serves {} (listening on {address})\n  rows   {}\n  bytes  {bytes}\n",
        env!("CARGO_PKG_VERSION"),
        config.public_url,
        redacted_url(config.database_url.expose_secret()),
    );
    if !users::registration(app).await?.has_accounts {
        text += "There is no account yet. With the same settings, make the first one:\n  strongroom user add you@example.com --admin\n";
        if config.registration == Registration::Open {
            text += &format!(
                "Or register, as anyone who reaches this server can:\n  curl -H 'content-type: application/json' \
                 -d '{{\"email\":\"you@example.com\",\"name\":\"You\",\"password\":\"a long passphrase of yours\"}}' {}v1/auth/register\n",
                config.public_url,
            );
        }
    }
    Ok(text)
}

/// The signals that ask for an end.
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
