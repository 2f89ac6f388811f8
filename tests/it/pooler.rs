//! A pooler in transaction mode in front of PostgreSQL: every command names the cause in one line.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::database_proxy::{greet, read};
use crate::support::program::Start;
use crate::support::{Setup, TestApp};

/// Sessions of PostgreSQL that no client uses at the moment. The last one is used next, as PgBouncer does.
type Idle = Arc<Mutex<Vec<TcpStream>>>;

/// A pooler in transaction mode.
async fn pooler(database: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let idle = Idle::default();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (idle, database) = (idle.clone(), database.clone());
            // It ends when either side closes the connection.
            tokio::spawn(async move { serve(client, database, &idle).await });
        }
    });
    address
}

/// Each client opens a session, and then uses any idle one for each of its transactions.
async fn serve(mut client: TcpStream, database: String, idle: &Idle) -> Result<()> {
    let mut session = TcpStream::connect(database).await?;
    greet(&mut client, &mut session).await?;
    loop {
        let message = read(&mut session).await?;
        client.write_all(&message).await?;
        match (message[0], message.get(8)) {
            // The password, and the two steps of SCRAM.
            (b'R', Some(3 | 5 | 10 | 11)) => session.write_all(&read(&mut client).await?).await?,
            (b'Z', _) => break,
            _ => {}
        }
    }
    idle.lock().expect("no holder panics").push(session);
    loop {
        let message = read(&mut client).await?;
        if message[0] == b'X' {
            return Ok(());
        }
        let mut session = next(idle).await;
        session.write_all(&message).await?;
        let mut last = message[0];
        loop {
            // A statement ends with its Sync, or is a Query as a whole.
            while !matches!(last, b'S' | b'Q') {
                let message = read(&mut client).await?;
                session.write_all(&message).await?;
                last = message[0];
            }
            if respond(&mut session, &mut client).await? == b'I' {
                break;
            }
            last = 0;
        }
        idle.lock().expect("no holder panics").push(session);
    }
}

async fn next(idle: &Idle) -> TcpStream {
    loop {
        if let Some(session) = idle.lock().expect("no holder panics").pop() {
            return session;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Forwards the response to a statement, and returns the state of the transaction after it.
async fn respond(session: &mut TcpStream, client: &mut TcpStream) -> Result<u8> {
    loop {
        let message = read(session).await?;
        client.write_all(&message).await?;
        if message[0] == b'Z' {
            return Ok(message[5]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_named_at_the_start() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let mut url: url::Url = app.app.config.database_url.expose_secret().parse().unwrap();
    let database = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let address = pooler(database).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(address.port())).unwrap();
    for arguments in [&[][..], &["reap"], &["user", "list"], &["doctor"]] {
        let start = Start::with(arguments).beside(&app).variable("DATABASE_URL", url.as_str());
        let folder = app.folder.path().to_owned();
        let outcome = tokio::task::spawn_blocking(move || start.run(&folder, "")).await.unwrap();
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.status, 1, "{arguments:?}: {said}");
        assert!(said.contains("PgBouncer: pool_mode=session"), "{arguments:?}: {said}");
        assert!(arguments == ["doctor"] || outcome.stderr.lines().count() == 1, "{arguments:?}: {said}");
    }
}
