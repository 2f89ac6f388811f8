//! SQLite's connections that read. The driver runs a statement to its end even if nobody waits for the result any more,
//! so each connection has a switch that stops its statement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

/// Steps of SQLite's virtual machine between two checks of the switch: a few microseconds.
const STEPS: i32 = 1000;

/// Connections that are not in use. A connection to a file neither ages nor breaks.
#[derive(Debug)]
pub(super) struct Readers {
    options: SqliteConnectOptions,
    /// `None` after [`close`](Self::close).
    idle: Mutex<Option<Vec<Reader>>>,
}

/// A connection, and its switch.
#[derive(Debug)]
pub(super) struct Reader {
    pub connection: SqliteConnection,
    is_stopped: Arc<AtomicBool>,
}

impl Readers {
    pub fn new(options: SqliteConnectOptions) -> Self {
        Self { options, idle: Mutex::new(Some(Vec::new())) }
    }

    /// A connection that is idle, or a new one.
    pub async fn take(&self) -> sqlx::Result<Reader> {
        let idle = self.lock().as_mut().ok_or(sqlx::Error::PoolClosed)?.pop();
        match idle {
            Some(reader) => Ok(reader),
            None => Reader::open(&self.options).await,
        }
    }

    /// Takes a connection back, unless all are closed.
    pub fn put(&self, reader: Reader) {
        if let Some(idle) = self.lock().as_mut() {
            idle.push(reader);
        }
    }

    /// Closes the connections that are idle now, and the others when they are put back.
    pub async fn close(&self) {
        let idle = self.lock().take();
        for reader in idle.into_iter().flatten() {
            // It only reads, so that nothing is lost if this fails.
            let _ = reader.connection.close().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Reader>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    async fn open(options: &SqliteConnectOptions) -> sqlx::Result<Self> {
        let mut connection = SqliteConnection::connect_with(options).await?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let switch = is_stopped.clone();
        connection.lock_handle().await?.set_progress_handler(STEPS, move || !switch.load(Ordering::Relaxed));
        Ok(Self { connection, is_stopped })
    }

    /// Stops the statement that the connection is running, and waits until it has ended.
    pub async fn stop(&mut self) -> sqlx::Result<()> {
        self.is_stopped.store(true, Ordering::Relaxed);
        // The connection runs one command after the other.
        let ended = self.connection.ping().await;
        self.is_stopped.store(false, Ordering::Relaxed);
        ended
    }
}
