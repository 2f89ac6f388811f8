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
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use uuid::Uuid;

use super::Db;
use super::caller_cache::CallerCache;
use super::connection_shares::ConnectionShares;
use super::instance::Instance;
use super::pool::Pool;
use super::reads::{CLIENT_CHECK_INTERVAL, Reads};
use super::reserve::Reserve;
use super::writes::Writes;
use crate::error::{Error, Result};
use crate::faults;

pub(super) static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
pub(super) static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a request waits for a connection before the database counts as unavailable.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What every session of PostgreSQL is set to, whatever the database and the role default to. With generic plans the
/// plans are exactly those that the tests check; for owners of many files PostgreSQL would otherwise plan each execution
/// again.
const SESSION_SETTINGS: &str =
    "SET plan_cache_mode = force_generic_plan; SET default_transaction_isolation = 'read committed'";

const NO_SESSIONS: &str = "DATABASE_URL: the pooler in front of PostgreSQL gives each transaction another session; \
    set it to session mode (PgBouncer: pool_mode=session), or connect without it";

/// How long an idle connection to PostgreSQL is used without a check.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);

impl Db {
    /// Opens the database and applies pending migrations. `connections` limits the readers of SQLite, or the pool
    /// of PostgreSQL.
    ///
    /// # Errors
    /// [`Error::Setup`] if the scheme of the URL is unknown or the file cannot be created; [`Error::Unavailable`]
    /// if the database does not respond; [`Error::StorageFull`]; [`Error::Internal`] if a migration fails.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        let reserve = Reserve::of(url)?;
        let connected = Self::connect(url, connections).await;
        let is_full = matches!(connected, Err(Error::StorageFull));
        let db = match connected {
            // The space is reserved for this, so that files can be deleted.
            Err(Error::StorageFull) if reserve.as_ref().is_some_and(Reserve::release) => {
                tracing::warn!("the disk of the database is full, and its reserve is in use: delete something");
                Self::connect(url, connections).await?
            }
            connected => connected?,
        };
        match &db.write.pool {
            Pool::Sqlite(pool) => SQLITE_MIGRATIONS.run(pool).await,
            Pool::Postgres(pool) => POSTGRES_MIGRATIONS.run(pool).await,
        }
        .map_err(Error::internal)?;
        if let Some(reserve) = reserve.filter(|_| !is_full) {
            reserve.fill();
        }
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

    fn new(read: Reads, write: Writes, instance: Instance) -> Self {
        let callers = Arc::new(CallerCache::new(Duration::ZERO));
        Self { read, write, callers, queue: Arc::default(), instance, committed: Arc::default() }
    }
}

async fn connect_sqlite(url: &str, readers: u32) -> Result<Db> {
    // NORMAL may lose the row of an acknowledged upload in a power failure.
    let synchronous = if faults::skips("database_sync") { SqliteSynchronous::Normal } else { SqliteSynchronous::Full };
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
    Ok(Db::new(read, Writes::new(Pool::Sqlite(write), shares), Instance::default()))
}

async fn connect_postgres(url: &str, connections: u32) -> Result<Db> {
    // Poolers refuse startup parameters that they do not know, and no value here is a floating-point number.
    let options = PgConnectOptions::from_str(url)?.application_name("strongroom").extra_float_digits(None);
    let instance = connect_instance(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A check before each use would double the round trips.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(SESSION_SETTINGS).execute(&mut *connection).await?;
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
    Ok(Db::new(read, Writes::new(Pool::Postgres(pool), shares), instance))
}

/// The first connections, without a pool, which would retry until its timeout and hide the cause.
async fn connect_instance(options: &PgConnectOptions) -> Result<Instance> {
    let mut first = within_timeout(PgConnection::connect_with(options)).await?;
    let mut second = within_timeout(PgConnection::connect_with(options)).await?;
    if !within_timeout(keeps_sessions(&mut first, &mut second)).await? {
        return Err(Error::Setup(NO_SESSIONS.into()));
    }
    second.close().await?;
    Ok(within_timeout(Instance::acquire(options.clone(), first)).await?)
}

async fn within_timeout<T>(step: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(ACQUIRE_TIMEOUT, step).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Whether a connection keeps its session when another one begins a transaction. A pooler in transaction mode would
/// give the other one the same session, and the first one another.
async fn keeps_sessions(first: &mut PgConnection, second: &mut PgConnection) -> sqlx::Result<bool> {
    let mark = Uuid::new_v4().to_string();
    sqlx::raw_sql(AssertSqlSafe(format!("SET strongroom.session = '{mark}'"))).execute(&mut *first).await?;
    sqlx::raw_sql("BEGIN").execute(&mut *second).await?;
    let row = sqlx::raw_sql("SELECT current_setting('strongroom.session', true)").fetch_one(first).await?;
    sqlx::raw_sql("ROLLBACK").execute(second).await?;
    Ok(row.try_get::<Option<String>, _>(0)? == Some(mark))
}

/// Creates an empty database that only its owner can read; SQLite creates its other files with the same mode.
pub(super) fn create_private_file(path: &Path) -> Result<()> {
    let created = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    created.map(drop).map_err(|error| Error::Setup(format!("DATABASE_URL: {}: {error}", path.display())))
}
