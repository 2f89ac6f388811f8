//! Opens the database, with the options of each engine.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use super::Db;
use super::caller_cache::CallerCache;
use super::connection_shares::ConnectionShares;
use super::pool::Pool;
use super::reads::{CLIENT_CHECK_INTERVAL, Reads};
use super::writes::Writes;
use crate::error::{Error, Result};
use crate::faults;

pub(super) static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
pub(super) static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a request waits for a connection before the database counts as unavailable.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection to PostgreSQL is used without a check.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);

impl Db {
    /// Opens the database and applies pending migrations. `connections` limits the readers of SQLite, or the pool
    /// of PostgreSQL.
    ///
    /// # Errors
    /// [`Error::Setup`] if the scheme of the URL is unknown or the file cannot be created; [`Error::Unavailable`]
    /// if the database does not respond; [`Error::Internal`] if a migration fails.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        let db = Self::connect(url, connections).await?;
        match &db.write.pool {
            Pool::Sqlite(pool) => SQLITE_MIGRATIONS.run(pool).await,
            Pool::Postgres(pool) => POSTGRES_MIGRATIONS.run(pool).await,
        }
        .map_err(Error::internal)?;
        Ok(db)
    }

    /// Opens the database without changing its schema.
    pub(super) async fn connect(url: &str, connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            connect_sqlite(url, connections).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            connect_postgres(url, connections).await
        } else {
            Err(Error::Setup("DATABASE_URL must begin with sqlite: or postgres:".into()))
        }
    }

    fn new(read: Reads, write: Writes) -> Self {
        Self { read, write, callers: Arc::new(CallerCache::new(Duration::ZERO)), queue: Arc::default() }
    }
}

async fn connect_sqlite(url: &str, readers: u32) -> Result<Db> {
    // NORMAL may lose the row of an acknowledged upload in a power failure.
    let synchronous = if faults::skips("rows_sync") { SqliteSynchronous::Normal } else { SqliteSynchronous::Full };
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .busy_timeout(ACQUIRE_TIMEOUT)
        // With less than a page of a list, the reading thread would wait for the consumer at every row.
        .row_buffer_size(256);
    create_private_file(options.get_filename())?;
    // The first connection without a pool, which would retry until its timeout and hide the cause.
    SqliteConnection::connect_with(&options).await?.close().await?;
    // A connection to a file neither ages nor breaks.
    let write = SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    let write = write.acquire_timeout(ACQUIRE_TIMEOUT).max_connections(1).before_acquire(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // The rollback of a dropped transaction may be queued; the ping waits for it.
                connection.ping().await?;
            }
            // SQLite rolls back by itself what a full or broken disk interrupted. The driver's own rollback then
            // fails, and it would consider the connection to be within a transaction forever.
            Ok(!connection.is_in_transaction())
        })
    });
    let write = write.connect_lazy_with(options.clone());
    let shares = Arc::new(ConnectionShares::sqlite(readers));
    let read = Reads::sqlite(options.read_only(true), shares.clone());
    Ok(Db::new(read, Writes::new(Pool::Sqlite(write), shares)))
}

async fn connect_postgres(url: &str, connections: u32) -> Result<Db> {
    let options = PgConnectOptions::from_str(url)?.application_name("strongroom");
    let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&options));
    connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A check before each use would double the round trips.
        .test_before_acquire(false)
        // Exactly the plans that the tests check. For owners of many files PostgreSQL would otherwise plan each
        // execution again.
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("SET plan_cache_mode = force_generic_plan").execute(&mut *connection).await?;
                // Where the system of the server does not report disconnections, statements run to their end.
                let check = format!("SET client_connection_check_interval = {}", CLIENT_CHECK_INTERVAL.as_millis());
                let _ = sqlx::query(AssertSqlSafe(check)).execute(connection).await;
                Ok(())
            })
        })
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    let shares = Arc::new(ConnectionShares::postgres(connections));
    let read = Reads::postgres(pool.clone(), shares.clone());
    Ok(Db::new(read, Writes::new(Pool::Postgres(pool), shares)))
}

/// Creates an empty database that only its owner can read; SQLite creates its other files with the same mode.
pub(super) fn create_private_file(path: &Path) -> Result<()> {
    let created = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    created.map(drop).map_err(|error| Error::Setup(format!("DATABASE_URL: {}: {error}", path.display())))
}
