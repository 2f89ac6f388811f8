//! Which servers run. On PostgreSQL every process holds an advisory lock under a random number, its instance, on a
//! connection of its own: when the process ends, the lock ends with the connection, and others know immediately. On SQLite
//! there is one server, which records its instance when it starts. What an instance that has ended held, a claim or a
//! lease, can be acquired without waiting until it expires.
//!
//! A server that only lost this connection counts as ended until it has another, a moment later. That does no harm:
//! the statements of a writer are guarded by its claim, so that it notices that another took over.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::task::AbortHandle;

use super::Db;
use crate::error::Result;

/// Whether the process with the instance in this column has ended. `NULL` is none that is known.
macro_rules! has_ended {
    ($column:literal) => {
        concat!(
            "(",
            $column,
            " IS NOT NULL AND NOT EXISTS (SELECT 1 FROM live_instances l WHERE l.id = ",
            $column,
            "))"
        )
    };
}
pub(super) use has_ended;

// Not registered: on PostgreSQL this is a view.
const FORGET_INSTANCES: &str = "DELETE FROM live_instances";
const INSERT_INSTANCE: &str = "INSERT INTO live_instances (id) VALUES ($1)";

/// How often the connection is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between attempts to connect again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The longest time for one step of it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// PostgreSQL notices within some three seconds that the machine of a server has vanished, and does not close the
/// connection because it is idle. Older versions do not know all of these.
const SESSION_SETTINGS: [&str; 5] = [
    "SET tcp_keepalives_idle = 1",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 2",
    "SET idle_session_timeout = 0",
    "SET statement_timeout = 0",
];

/// The instance of this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Instance {
    /// Absent if nothing shows whether the process has ended: a command on SQLite.
    id: Arc<OnceLock<i64>>,
    /// The task that holds the lock on PostgreSQL; it ends with the last clone.
    holder: Option<Arc<Holder>>,
}

#[derive(Debug)]
struct Holder(AbortHandle);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Instance {
    /// Locks a new instance, and keeps it locked until the value is dropped or [released](Self::release).
    pub async fn acquire(options: PgConnectOptions, mut connection: PgConnection) -> sqlx::Result<Self> {
        let id = new_id();
        lock(&mut connection, id).await?;
        let task = tokio::spawn(hold(options, connection, id));
        Ok(Self { id: Arc::new(id.into()), holder: Some(Arc::new(Holder(task.abort_handle()))) })
    }

    /// The value for the column of a row that this process holds.
    pub fn id(&self) -> Option<i64> {
        self.id.get().copied()
    }

    /// Releases the lock: from now on the process counts as ended.
    pub fn release(&self) {
        if let Some(holder) = &self.holder {
            holder.0.abort();
        }
    }
}

impl Db {
    /// Makes this process the only one that counts as running. Only on SQLite, and for a server that holds the
    /// [instance lock](super::acquire_instance_lock).
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn become_only_instance(&self) -> Result<()> {
        let id = *self.instance.id.get_or_init(new_id);
        self.transaction(async |tx| {
            tx.execute(FORGET_INSTANCES, ()).await?;
            tx.execute(INSERT_INSTANCE, (id,)).await.map(drop)
        })
        .await
    }
}

/// A random number above zero.
fn new_id() -> i64 {
    let random = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
    random.max(1).cast_signed()
}

async fn lock(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    for setting in SESSION_SETTINGS {
        match sqlx::raw_sql(setting).execute(&mut *connection).await {
            Err(error) if error.as_database_error().is_none() => return Err(error),
            _ => {}
        }
    }
    sqlx::query("SELECT pg_advisory_lock($1)").bind(id).execute(connection).await.map(drop)
}

/// Keeps the instance locked: on a new connection whenever the one before is lost.
async fn hold(options: PgConnectOptions, mut connection: PgConnection, id: i64) {
    loop {
        while is_alive(&mut connection).await {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        tracing::debug!("lost the connection that holds the lock of this instance");
        connection = reconnect(&options, id).await;
    }
}

async fn is_alive(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(TIMEOUT, connection.ping()).await, Ok(Ok(())))
}

async fn reconnect(options: &PgConnectOptions, id: i64) -> PgConnection {
    loop {
        if let Ok(Ok(connection)) = tokio::time::timeout(TIMEOUT, connect(options, id)).await {
            return connection;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn connect(options: &PgConnectOptions, id: i64) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect_with(options).await?;
    lock(&mut connection, id).await?;
    Ok(connection)
}
