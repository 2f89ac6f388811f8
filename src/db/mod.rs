//! The rows: the only SQL. This file opens, migrates and picks the engine; then one file per noun.
//!
//! One SQL text serves both engines (SQLite binds `$1` too); where DDL differs there is a folder
//! of migrations per engine. Every statement is a constant, and a test prepares each of them on
//! both databases.

mod avatars;
mod blobs;
mod caller_cache;
mod erasures;
mod events;
mod files;
mod folders;
mod fsck;
mod group_commit;
mod idempotency;
mod instance_lock;
mod job_leases;
mod link_downloads;
mod links;
mod list;
mod orphans;
mod probe;
mod resumable;
mod sessions;
mod signed_puts;
mod signed_urls;
mod throttles;
mod tokens;
mod trash;
mod upload_parts;
mod usage;
mod users;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::error::{Error, Result};
use crate::faults;

use caller_cache::CallerCache;

pub use blobs::{BlobFacts, ContentRow, KeyedContentRow, NewBlobRow, PendingDeletionRow, WritableBlobRow};
pub use caller_cache::CachePolicy;
pub use erasures::{DeletedAccountRow, ErasureRow};
pub use events::{EventQuery, EventRow};
pub use files::{ChangedFileRow, FileLocation, FileRow, NewFileRow};
pub use fsck::{DanglingReferenceRow, FsckRunRow, ReferencedBlobRow};
pub use idempotency::{KeyClaim, KeyResponse, KeyRow};
pub use instance_lock::acquire_instance_lock;
pub use job_leases::JobLease;
pub use link_downloads::NewLinkDownload;
pub use links::LinkRow;
pub use list::{After, Direction, ListQuery, Sort};
pub use orphans::OrphanRow;
pub use probe::probe_database;
pub use resumable::{EndedUpload, NewResumableRow, PartRow, Progress, ResumableRow};
pub use sessions::SessionRow;
pub use signed_puts::{NewSignedPutRow, SignedPutRow};
pub use throttles::Attempt;
pub use tokens::TokenRow;
pub use trash::{Purged, TrashedFileRow};
pub use upload_parts::DirectUploadRow;
pub use usage::{UNLIMITED, UsageRow};
pub use users::{AccountPatchRow, AccountRow, CallerRow, PasswordChange, PasswordRow, UserRow};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a request waits for a connection before the database counts as away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection to PostgreSQL is trusted to be alive.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);

/// The database: on SQLite one connection writes and several read, on PostgreSQL one pool does both.
#[derive(Debug, Clone)]
pub struct Db {
    read: Pool,
    write: Pool,
    callers: Arc<CallerCache>,
    /// Before the connection of SQLite that writes.
    queue: Arc<group_commit::Queue>,
}

#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs one expression on whichever engine the pool is of.
macro_rules! on {
    ($pool:expr, |$p:ident| $body:expr) => {
        match &$pool {
            $crate::db::Pool::Sqlite($p) => $body,
            $crate::db::Pool::Postgres($p) => $body,
        }
    };
}
pub(crate) use on;

/// Runs a block in one transaction of the writing pool. The block gives `Ok` to commit; any
/// error, `?` included, rolls everything back.
macro_rules! transaction {
    ($db:expr, |$tx:ident| $body:block) => {
        match &$db.write {
            $crate::db::Pool::Sqlite(pool) => {
                let mut turn = $db.queue.turn(pool).await?;
                let $tx = turn.connection()?;
                let result: $crate::error::Result<_> = async { $body }.await;
                turn.end(result).await
            }
            $crate::db::Pool::Postgres(pool) => {
                let mut $tx = pool.begin().await?;
                let result: $crate::error::Result<_> = async { $body }.await;
                if result.is_ok() {
                    $tx.commit().await?;
                }
                result
            }
        }
    };
}
pub(crate) use transaction;

/// Names every statement of a file, and lists them for the test that prepares them all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        pub(super) const STATEMENTS: &[&str] = &[$($name),*];
    };
}
pub(crate) use statements;

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Setup`] if the URL is neither `sqlite:` nor `postgres:`; `Unavailable` if the database
    /// cannot be reached; `Internal` if a migration fails.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        let db = Self::connect(url, connections).await?;
        match &db.write {
            Pool::Sqlite(pool) => SQLITE.run(pool).await,
            Pool::Postgres(pool) => POSTGRES.run(pool).await,
        }
        .map_err(Error::internal)?;
        Ok(db)
    }

    /// Opens the database and leaves its schema as it is.
    async fn connect(url: &str, connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url, connections).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url, connections).await
        } else {
            Err(Error::Setup("DATABASE_URL begins with sqlite: or postgres:".into()))
        }
    }

    async fn open_sqlite(url: &str, readers: u32) -> Result<Self> {
        // NORMAL may lose an acknowledged upload's row when the power fails.
        let synchronous = if faults::skips("rows_sync") { SqliteSynchronous::Normal } else { SqliteSynchronous::Full };
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_TIMEOUT)
            // With less than a usual page the thread that reads waits for the one that takes, row by row.
            .row_buffer_size(256);
        create_private_file(options.get_filename())?;
        let pool = || {
            let options = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
            // A connection to a file neither ages nor breaks.
            options.idle_timeout(None).max_lifetime(None).test_before_acquire(false)
        };
        // The first connection by itself: a pool would try until it times out, and hide the cause.
        SqliteConnection::connect_with(&options).await?.close().await?;
        let write = pool().max_connections(1).before_acquire(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    // The rollback of a dropped transaction may be on its way; the ping comes after it.
                    connection.ping().await?;
                }
                // SQLite itself rolls back what a full or broken disk stopped. A rollback after that fails, and
                // the driver would take the connection for one within a transaction for ever.
                Ok(!connection.is_in_transaction())
            })
        });
        let write = write.connect_lazy_with(options.clone());
        let read = pool().max_connections(readers).connect_lazy_with(options.read_only(true));
        Ok(Self::over(Pool::Sqlite(read), Pool::Sqlite(write)))
    }

    async fn open_postgres(url: &str, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.application_name("strongroom");
        let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&options));
        connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Asking a connection each time whether it is alive would double the round trips.
            .test_before_acquire(false)
            // The plans that the tests look at, and no others: for an owner of much, PostgreSQL would plan each time anew.
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("SET plan_cache_mode = force_generic_plan").execute(connection).await?;
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
        Ok(Self::over(Pool::Postgres(pool.clone()), Pool::Postgres(pool)))
    }

    fn over(read: Pool, write: Pool) -> Self {
        Self { read, write, callers: Arc::new(CallerCache::new(Duration::ZERO)), queue: Arc::default() }
    }

    /// The same, with_caller_cache callers for so long.
    pub fn with_caller_cache(self, life: Duration) -> Self {
        Self { callers: Arc::new(CallerCache::new(life)), ..self }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` if it does not answer.
    pub async fn ping(&self) -> Result<()> {
        on!(self.read, |p| sqlx::query("SELECT 1").execute(p).await.map(drop))?;
        Ok(())
    }

    /// Ends every connection, so that SQLite can fold its write-ahead log into the database.
    pub async fn close(&self) {
        on!(self.read, |p| p.close().await);
        on!(self.write, |p| p.close().await);
    }

    pub fn is_closed(&self) -> bool {
        on!(self.write, |p| p.is_closed())
    }

    /// Every statement that this database is asked, for tests that look at them.
    #[doc(hidden)]
    pub fn statements(&self) -> Vec<String> {
        let shape = match &self.read {
            Pool::Sqlite(_) => list::Shape::Packed,
            Pool::Postgres(_) => list::Shape::Rows,
        };
        let constants = [
            avatars::STATEMENTS,
            blobs::STATEMENTS,
            job_leases::STATEMENTS,
            erasures::STATEMENTS,
            events::STATEMENTS,
            files::STATEMENTS,
            folders::STATEMENTS,
            fsck::STATEMENTS,
            idempotency::STATEMENTS,
            upload_parts::STATEMENTS,
            link_downloads::STATEMENTS,
            links::STATEMENTS,
            probe::STATEMENTS,
            resumable::STATEMENTS,
            sessions::STATEMENTS,
            signed_urls::STATEMENTS,
            orphans::STATEMENTS,
            throttles::STATEMENTS,
            tokens::STATEMENTS,
            trash::STATEMENTS,
            signed_puts::STATEMENTS,
            usage::STATEMENTS,
            users::STATEMENTS,
        ];
        constants
            .concat()
            .into_iter()
            .map(str::to_owned)
            .chain(list::every_statement(shape))
            .chain(events::every_statement())
            .collect()
    }

    /// Prepares every statement on this database: what a compile-time check would find, found by a
    /// test on both engines.
    ///
    /// # Errors
    /// The first statement that the database refuses, with the statement.
    #[doc(hidden)]
    pub async fn prepare_every_statement(&self) -> Result<usize> {
        use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
        let statements = self.statements();
        for sql in &statements {
            on!(self.write, |p| p.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await.map(drop))
                .map_err(|error| Error::internal(format!("{error}: {sql}")))?;
        }
        Ok(statements.len())
    }
}

/// Makes an empty database that only its owner can read; SQLite gives its other files the same rights.
fn create_private_file(path: &Path) -> Result<()> {
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| Error::Setup(format!("DATABASE_URL: {}: {error}", path.display())))
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as Sql;
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        match (&error, code.as_deref()) {
            (Sql::Io(_) | Sql::Tls(_) | Sql::PoolTimedOut | Sql::PoolClosed | Sql::WorkerCrashed, _) => away(error),
            (_, Some(code)) if is_full(code) => Error::StorageFull,
            (_, Some(code)) if is_away(code) => away(error),
            _ => Error::internal(error),
        }
    }
}

fn away(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "database", source: error.into() }
}

fn is_full(code: &str) -> bool {
    // PostgreSQL's disk_full, and SQLite's FULL.
    code == "53100" || sqlite_code(code) == Some(13)
}

/// Whether the same statement may go well a little later.
fn is_away(code: &str) -> bool {
    // PostgreSQL (appendix A): connection lost, out of resources, operator intervention, read-only
    // after a failover, serialization failure, deadlock, I/O error.
    let classes = ["08", "53", "57", "25006", "40001", "40P01", "58030"];
    // SQLite: BUSY, LOCKED, READONLY, IOERR, CANTOPEN.
    let passing = [5, 6, 8, 10, 14];
    match sqlite_code(code) {
        Some(code) => passing.contains(&code),
        None => classes.iter().any(|class| code.starts_with(class)),
    }
}

/// The primary part of an SQLite result code; PostgreSQL's have five characters and are none.
fn sqlite_code(code: &str) -> Option<i32> {
    if code.len() == 5 { None } else { code.parse::<i32>().ok().map(|code| code & 0xff) }
}

/// Whether a statement failed because a row that it refers to does not exist.
pub(crate) fn is_foreign_key_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_foreign_key_violation())
}

/// Whether a statement failed because a row with the same unique value exists.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
