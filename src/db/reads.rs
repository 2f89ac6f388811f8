//! Statements that read: each on a connection of its own, in the share of its client, and within a time limit. A
//! statement that nobody waits for any more is stopped, and its share is taken until it has ended.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{PgConnection, Postgres, SqlSafeStr, SqliteConnection, pool::PoolConnection, query_as_with};
use tokio::runtime::Handle;

use super::client::current_party;
use super::connection_shares::{ConnectionShares, Permit};
use super::pool::{AnyRow, Arguments, postgres, sqlite};
use super::readers::{Reader, Readers};
use crate::error::{Error, Result};

/// How often PostgreSQL checks, during a statement, whether its client is still connected.
pub(super) const CLIENT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The connections that read.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    source: Source,
    shares: Arc<ConnectionShares>,
    /// How long a statement of a client may run.
    time_limit: Duration,
}

#[derive(Debug, Clone)]
enum Source {
    Sqlite(Arc<Readers>),
    Postgres(PgPool),
}

/// A connection, for one statement.
struct Lease {
    connection: Option<Leased>,
    source: Source,
    permit: Option<Permit>,
    is_running: bool,
}

enum Leased {
    Sqlite(Reader),
    Postgres(PoolConnection<Postgres>),
}

/// The same connection, to run a statement on.
enum Running<'l> {
    Sqlite(&'l mut SqliteConnection),
    Postgres(&'l mut PgConnection),
}

impl Reads {
    /// Readers of a file.
    pub fn sqlite(options: SqliteConnectOptions, shares: Arc<ConnectionShares>) -> Self {
        Self { source: Source::Sqlite(Arc::new(Readers::new(options))), shares, time_limit: Duration::MAX }
    }

    /// Connections of a pool.
    pub fn postgres(pool: PgPool, shares: Arc<ConnectionShares>) -> Self {
        Self { source: Source::Postgres(pool), shares, time_limit: Duration::MAX }
    }

    /// The same connections, with a time limit for each statement of a client.
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.source, Source::Sqlite(_))
    }

    /// Runs a statement that returns exactly one row.
    pub async fn fetch_one<T: AnyRow>(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<T> {
        self.fetch_optional(statement, arguments).await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// Runs a statement that returns at most one row.
    pub async fn fetch_optional<T: AnyRow>(
        &self,
        statement: impl SqlSafeStr,
        arguments: impl Arguments,
    ) -> Result<Option<T>> {
        self.run(async |running| match running {
            Running::Sqlite(on) => query_as_with(statement, sqlite(arguments)?).fetch_optional(on).await,
            Running::Postgres(on) => query_as_with(statement, postgres(arguments)?).fetch_optional(on).await,
        })
        .await
    }

    /// Runs a statement and returns all of its rows.
    pub async fn fetch_all<T: AnyRow>(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<Vec<T>> {
        self.run(async |running| match running {
            Running::Sqlite(on) => query_as_with(statement, sqlite(arguments)?).fetch_all(on).await,
            Running::Postgres(on) => query_as_with(statement, postgres(arguments)?).fetch_all(on).await,
        })
        .await
    }

    /// Closes the connections.
    pub async fn close(&self) {
        match &self.source {
            Source::Sqlite(readers) => readers.close().await,
            Source::Postgres(pool) => pool.close().await,
        }
    }

    /// Runs one statement on a connection of the client's share. When this future is dropped, or the time limit is
    /// reached, the statement is canceled.
    async fn run<T>(&self, statement: impl AsyncFnOnce(Running<'_>) -> sqlx::Result<T>) -> Result<T> {
        let mut lease = self.lease().await?;
        let running = async move {
            let result = statement(lease.start()).await;
            lease.end();
            result
        };
        let limit = if current_party().is_some() { self.time_limit } else { Duration::MAX };
        match tokio::time::timeout(limit, running).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Error::StatementTimeout { limit }),
        }
    }

    async fn lease(&self) -> Result<Lease> {
        let permit = self.shares.acquire_for_read().await?;
        let connection = match &self.source {
            Source::Sqlite(readers) => Leased::Sqlite(readers.take().await?),
            Source::Postgres(pool) => Leased::Postgres(pool.acquire().await?),
        };
        let source = self.source.clone();
        Ok(Lease { connection: Some(connection), source, permit: Some(permit), is_running: false })
    }
}

impl Lease {
    /// The statement has ended, so that the connection can be used again.
    fn end(&mut self) {
        self.is_running = false;
    }

    fn start(&mut self) -> Running<'_> {
        self.is_running = true;
        match self.connection.as_mut().expect("it is taken when the lease is dropped") {
            Leased::Sqlite(reader) => Running::Sqlite(&mut reader.connection),
            Leased::Postgres(connection) => Running::Postgres(connection),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (connection, permit) = (self.connection.take(), self.permit.take());
        match (connection, &self.source) {
            (Some(Leased::Sqlite(reader)), Source::Sqlite(readers)) if !self.is_running => readers.put(reader),
            (Some(Leased::Sqlite(reader)), Source::Sqlite(readers)) => {
                detach(stop_reader(reader, readers.clone(), permit));
            }
            (Some(Leased::Postgres(connection)), _) if self.is_running => {
                detach(disconnect(connection, permit));
            }
            // The pool takes its connection back.
            _ => {}
        }
    }
}

/// Runs what follows the drop of a lease. While the runtime shuts down, the process ends anyway.
fn detach(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Stops the statement; the connection can be used again.
async fn stop_reader(mut reader: Reader, readers: Arc<Readers>, permit: Option<Permit>) {
    if reader.stop().await.is_ok() {
        readers.put(reader);
    }
    drop(permit);
}

/// Disconnects from PostgreSQL, which then stops the statement. This also works through a pooler, where a cancel
/// request with the key of the connection does not reach the server.
async fn disconnect(connection: PoolConnection<Postgres>, permit: Option<Permit>) {
    // It fails if the connection is broken.
    let _ = connection.close().await;
    tokio::time::sleep(CLIENT_CHECK_INTERVAL).await;
    drop(permit);
}
