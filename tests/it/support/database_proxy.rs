//! A proxy in front of PostgreSQL that parses enough of its protocol to cut a connection at a chosen statement: before the
//! statement is forwarded, shortly before it is executed late, or after it is executed.

use std::convert::Infallible;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The statement is never forwarded.
    Before,
    /// The statement is forwarded a little after the client's connection is closed.
    Late,
    /// The statement is executed, and the response is lost.
    Done,
}

/// Where and how a connection is cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub when: When,
    /// The number of statements to let through first.
    pub skipped: usize,
    /// Cut, and count, commits only.
    pub commits: bool,
    /// Close all other connections too, and refuse new ones until [`DatabaseProxy::restore`].
    pub for_all: bool,
}

/// What was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    Statement,
    Commit,
}

#[derive(Debug, Default)]
struct Plan {
    cut: Option<Cut>,
    hit: Option<Hit>,
    /// Whether the handling of the cut statement has finished.
    is_over: bool,
}

/// The delay of a late statement.
const LATE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct DatabaseProxy {
    pub address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    is_away: watch::Sender<bool>,
}

impl DatabaseProxy {
    pub async fn before(database: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let proxy = Self { address, plan: Arc::default(), is_away: watch::Sender::new(false) };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (proxy, database) = (accepting.clone(), database.clone());
                tokio::spawn(async move {
                    let mut away = proxy.is_away.subscribe();
                    tokio::select! {
                        biased;
                        _ = away.wait_for(|is_away| *is_away) => {}
                        // Whichever side closed it, there is nothing left to forward.
                        _ = proxy.forward(client, database) => {}
                    }
                });
            }
        });
        proxy
    }

    /// Cuts one connection, once.
    pub fn cut(&self, cut: Cut) {
        *self.plan() = Plan { cut: Some(cut), ..Plan::default() };
    }

    /// Stops cutting, and returns what was cut once the server has finished with it.
    pub async fn restore(&self) -> Option<Hit> {
        while self.plan().hit.is_some() && !self.plan().is_over {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.is_away.send_replace(false);
        std::mem::take(&mut *self.plan()).hit
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().expect("no holder panics")
    }

    /// The cut to make at this message.
    fn next_cut(&self, message: &[u8]) -> Option<Cut> {
        // A statement ends with its Sync, or is a Query as a whole.
        if !matches!(message[0], b'S' | b'Q') {
            return None;
        }
        let is_commit = message[0] == b'Q' && message[5..].starts_with(b"COMMIT");
        let mut plan = self.plan();
        let cut = plan.cut.as_mut().filter(|cut| is_commit || !cut.commits)?;
        if cut.skipped > 0 {
            cut.skipped -= 1;
            return None;
        }
        plan.hit = Some(if is_commit { Hit::Commit } else { Hit::Statement });
        plan.cut.take()
    }

    async fn forward(&self, mut client: TcpStream, database: String) -> Result<()> {
        let mut server = TcpStream::connect(database).await?;
        // A statement consists of several small messages, which Nagle's algorithm would delay.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        greet(&mut client, &mut server).await?;
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let (cut, message) = tokio::select! {
            cut = self.statements(from_client, &mut to_server) => cut?,
            Err(error) = forward_responses(&mut from_server, &mut to_client) => return Err(error),
        };
        match cut.when {
            When::Before => {}
            When::Late => {
                drop(to_client);
                tokio::time::sleep(LATE).await;
                execute(&message, &mut to_server, &mut from_server).await?;
            }
            When::Done => execute(&message, &mut to_server, &mut from_server).await?,
        }
        self.plan().is_over = true;
        if cut.for_all {
            self.is_away.send_replace(true);
        }
        Ok(())
    }

    /// Forwards statements up to the one at which the connection is cut. The last message of that one is held back:
    /// without it the server neither executes nor responds.
    async fn statements(&self, mut client: OwnedReadHalf, server: &mut OwnedWriteHalf) -> Result<(Cut, Vec<u8>)> {
        let (mut is_idle, mut is_lock) = (true, false);
        loop {
            let message = read(&mut client).await?;
            // A Sync without a statement only checks the connection.
            let is_check = is_idle && message[0] == b'S';
            is_idle = matches!(message[0], b'S' | b'Q');
            // The connection that holds the lock of the instance is not what is tested.
            let sets = |name: &str| message[0] == b'Q' && message[5..].starts_with(format!("SET {name}").as_bytes());
            is_lock |= sets("strongroom.session") || sets("tcp_keepalives_idle");
            let cut = if is_check || is_lock { None } else { self.next_cut(&message) };
            match cut {
                Some(cut) => return Ok((cut, message)),
                None => server.write_all(&message).await?,
            }
        }
    }
}

async fn forward_responses(server: &mut OwnedReadHalf, client: &mut OwnedWriteHalf) -> Result<Infallible> {
    loop {
        client.write_all(&read(server).await?).await?;
    }
}

/// Lets the server execute the statement, and drops its response, which ends with ReadyForQuery.
async fn execute(message: &[u8], to: &mut OwnedWriteHalf, from: &mut OwnedReadHalf) -> Result<()> {
    to.write_all(message).await?;
    while read(from).await?[0] != b'Z' {}
    Ok(())
}

/// Forwards the startup message, and refuses encryption.
pub async fn greet(client: &mut TcpStream, server: &mut TcpStream) -> Result<()> {
    const ENCRYPTION_REQUESTS: [[u8; 4]; 2] = [80_877_103_i32.to_be_bytes(), 80_877_104_i32.to_be_bytes()];
    loop {
        let mut head = [0; 8];
        client.read_exact(&mut head).await?;
        if ENCRYPTION_REQUESTS.iter().any(|code| head[4..] == *code) {
            client.write_all(b"N").await?;
            continue;
        }
        let mut rest = vec![0; length(&head[..4])? - head.len()];
        client.read_exact(&mut rest).await?;
        server.write_all(&[&head[..], &rest].concat()).await?;
        return Ok(());
    }
}

/// Reads one message: a type byte, a length that includes itself, and the content.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let length = length(&message[1..])?;
    message.resize(1 + length, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

fn length(bytes: &[u8]) -> Result<usize> {
    let length = bytes.try_into().map(i32::from_be_bytes).map_err(Error::other)?;
    usize::try_from(length).map_err(Error::other)
}
