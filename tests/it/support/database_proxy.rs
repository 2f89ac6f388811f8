//! A proxy before PostgreSQL that knows its protocol well enough to cut a connection at a statement:
//! before the server hears of it, a little before that, or when the server has done it.

use std::convert::Infallible;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The server never hears of the statement.
    Before,
    /// The server hears of it a little later than the client of the cut.
    Late,
    /// The server has done it, and its answer is lost.
    Done,
}

/// Where and how a connection is cut.
#[derive(Debug, Clone, Copy)]
pub struct PartLayout {
    pub when: When,
    /// Statements that are spared before.
    pub spared: usize,
    /// Only commits count.
    pub commits: bool,
    /// With it go all other connections, and no new one is made until the database is back.
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
    cut: Option<PartLayout>,
    hit: Option<Hit>,
    /// The cut statement has come to its end.
    is_over: bool,
}

/// How late a late statement is.
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
                        // Whoever ended it, there is nothing left to hand on.
                        _ = proxy.hand_on(client, database) => {}
                    }
                });
            }
        });
        proxy
    }

    /// Cuts once.
    pub fn cut(&self, cut: PartLayout) {
        *self.plan() = Plan { cut: Some(cut), ..Plan::default() };
    }

    /// From now on nothing is cut; tells what was, once the server is through with it.
    pub async fn mend(&self) -> Option<Hit> {
        while self.plan().hit.is_some() && !self.plan().is_over {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.is_away.send_replace(false);
        std::mem::take(&mut *self.plan()).hit
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().expect("nobody panics with it")
    }

    /// The cut that this message is to suffer.
    fn next_cut(&self, message: &[u8]) -> Option<PartLayout> {
        // A statement ends with its Sync, or is a Query as a whole.
        if !matches!(message[0], b'S' | b'Q') {
            return None;
        }
        let is_commit = message[0] == b'Q' && message[5..].starts_with(b"COMMIT");
        let mut plan = self.plan();
        let cut = plan.cut.as_mut().filter(|cut| is_commit || !cut.commits)?;
        if cut.spared > 0 {
            cut.spared -= 1;
            return None;
        }
        plan.hit = Some(if is_commit { Hit::Commit } else { Hit::Statement });
        plan.cut.take()
    }

    async fn hand_on(&self, mut client: TcpStream, database: String) -> Result<()> {
        let mut server = TcpStream::connect(database).await?;
        // A statement is several small messages, which would wait for each other.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        greet(&mut client, &mut server).await?;
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let (cut, message) = tokio::select! {
            cut = self.statements(from_client, &mut to_server) => cut?,
            Err(error) = hand_back(&mut from_server, &mut to_client) => return Err(error),
        };
        match cut.when {
            When::Before => {}
            When::Late => {
                drop(to_client);
                tokio::time::sleep(LATE).await;
                carry_out(&message, &mut to_server, &mut from_server).await?;
            }
            When::Done => carry_out(&message, &mut to_server, &mut from_server).await?,
        }
        self.plan().is_over = true;
        if cut.for_all {
            self.is_away.send_replace(true);
        }
        Ok(())
    }

    /// Hands statements on, up to the one at which the connection is cut. That one's last message is
    /// kept back: without it the server does nothing yet, and says nothing.
    async fn statements(
        &self,
        mut client: OwnedReadHalf,
        server: &mut OwnedWriteHalf,
    ) -> Result<(PartLayout, Vec<u8>)> {
        loop {
            let message = read(&mut client).await?;
            match self.next_cut(&message) {
                Some(cut) => return Ok((cut, message)),
                None => server.write_all(&message).await?,
            }
        }
    }
}

async fn hand_back(server: &mut OwnedReadHalf, client: &mut OwnedWriteHalf) -> Result<Infallible> {
    loop {
        client.write_all(&read(server).await?).await?;
    }
}

/// Lets the server do it, and keeps its answer, which ends with ReadyForQuery.
async fn carry_out(message: &[u8], to: &mut OwnedWriteHalf, from: &mut OwnedReadHalf) -> Result<()> {
    to.write_all(message).await?;
    while read(from).await?[0] != b'Z' {}
    Ok(())
}

/// Lets the client introduce itself, without encryption.
async fn greet(client: &mut TcpStream, server: &mut TcpStream) -> Result<()> {
    const ASKS_FOR_ENCRYPTION: [[u8; 4]; 2] = [80_877_103_i32.to_be_bytes(), 80_877_104_i32.to_be_bytes()];
    loop {
        let mut head = [0; 8];
        client.read_exact(&mut head).await?;
        if ASKS_FOR_ENCRYPTION.iter().any(|code| head[4..] == *code) {
            client.write_all(b"N").await?;
            continue;
        }
        let mut rest = vec![0; length(&head[..4])? - head.len()];
        client.read_exact(&mut rest).await?;
        server.write_all(&[&head[..], &rest].concat()).await?;
        return Ok(());
    }
}

/// One message: a letter, its length, which counts itself, and what it holds.
async fn read(from: &mut OwnedReadHalf) -> Result<Vec<u8>> {
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
