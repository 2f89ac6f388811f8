//! Write transactions. What runs inside of one is an ordinary function that takes a [`Tx`].

use sqlx::postgres::Postgres;
use sqlx::{SqlSafeStr, Transaction, query_as_with, query_with};

use super::Db;
use super::connection_shares::Permit;
use super::group_commit::CommitTicket;
use super::permits;
use super::pool::{AnyRow, Arguments, Pool, postgres, sqlite};
use crate::error::Result;

/// A transaction of either engine. Dropped, it is rolled back.
#[derive(Debug)]
pub(super) enum Tx<'q> {
    Sqlite { ticket: CommitTicket<'q>, _share: Permit },
    Postgres { tx: Transaction<'static, Postgres>, _share: Permit },
}

impl Db {
    /// Runs `work` in a transaction, which `Ok` commits and an error rolls back. It is also rolled back, with
    /// [`Error::Unauthorized`](crate::error::Error::Unauthorized), if the permit of the current request has ended.
    pub(super) async fn transaction<T>(&self, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.unpermitted(async |tx| {
            let value = work(tx).await?;
            permits::confirm(tx).await?;
            Ok(value)
        })
        .await
    }

    /// The same for work that may end or move what the request needs of grants: that is checked before it.
    pub(super) async fn ending<T>(&self, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.unpermitted(async |tx| {
            permits::confirm_needs(tx).await?;
            let value = work(tx).await?;
            permits::confirm_credential(tx).await?;
            Ok(value)
        })
        .await
    }

    /// The same without a permit: for work that gives back what a request took, or that ends permits itself.
    pub(super) async fn unpermitted<T>(&self, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut tx = self.begin().await?;
        let result = work(&mut tx).await;
        let value = tx.end(result).await?;
        self.committed.notify_one();
        Ok(value)
    }

    pub(super) async fn begin(&self) -> Result<Tx<'_>> {
        // Taken until the transaction ends.
        let _share = self.write.permit().await?;
        Ok(match &self.write.pool {
            Pool::Sqlite(pool) => Tx::Sqlite { ticket: self.queue.join(pool).await?, _share },
            Pool::Postgres(pool) => Tx::Postgres { tx: pool.begin().await?, _share },
        })
    }
}

impl Tx<'_> {
    /// Runs a statement and returns how many rows it affected.
    pub async fn execute(&mut self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<u64> {
        Ok(self.try_execute(statement, arguments).await?)
    }

    /// The same, with an error that says which constraint the statement violated. On PostgreSQL the transaction
    /// can only be rolled back after it.
    pub async fn try_execute(&mut self, statement: impl SqlSafeStr, arguments: impl Arguments) -> sqlx::Result<u64> {
        Ok(match self {
            Tx::Sqlite { ticket, .. } => {
                query_with(statement, sqlite(arguments)?).execute(ticket.connection()?).await?.rows_affected()
            }
            Tx::Postgres { tx, .. } => {
                query_with(statement, postgres(arguments)?).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// Runs a statement that returns exactly one row.
    pub async fn fetch_one<T: AnyRow>(&mut self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<T> {
        Ok(match self {
            Tx::Sqlite { ticket, .. } => {
                query_as_with(statement, sqlite(arguments)?).fetch_one(ticket.connection()?).await?
            }
            Tx::Postgres { tx, .. } => query_as_with(statement, postgres(arguments)?).fetch_one(&mut **tx).await?,
        })
    }

    /// Runs a statement that returns at most one row.
    pub async fn fetch_optional<T: AnyRow>(
        &mut self,
        statement: impl SqlSafeStr,
        arguments: impl Arguments,
    ) -> Result<Option<T>> {
        Ok(match self {
            Tx::Sqlite { ticket, .. } => {
                query_as_with(statement, sqlite(arguments)?).fetch_optional(ticket.connection()?).await?
            }
            Tx::Postgres { tx, .. } => query_as_with(statement, postgres(arguments)?).fetch_optional(&mut **tx).await?,
        })
    }

    /// Runs a statement and returns all of its rows.
    pub async fn fetch_all<T: AnyRow>(
        &mut self,
        statement: impl SqlSafeStr,
        arguments: impl Arguments,
    ) -> Result<Vec<T>> {
        Ok(match self {
            Tx::Sqlite { ticket, .. } => {
                query_as_with(statement, sqlite(arguments)?).fetch_all(ticket.connection()?).await?
            }
            Tx::Postgres { tx, .. } => query_as_with(statement, postgres(arguments)?).fetch_all(&mut **tx).await?,
        })
    }

    /// Rolls back, although nothing failed.
    pub async fn roll_back(self) -> Result<()> {
        match self {
            Tx::Sqlite { ticket, .. } => drop(ticket),
            Tx::Postgres { tx, .. } => tx.rollback().await?,
        }
        Ok(())
    }

    /// Commits if `result` is `Ok`, which is passed on once it is durable; otherwise rolls back.
    async fn end<T>(self, result: Result<T>) -> Result<T> {
        match self {
            Tx::Sqlite { ticket, .. } => ticket.end(result).await,
            Tx::Postgres { tx, .. } => {
                let value = result?;
                tx.commit().await?;
                Ok(value)
            }
        }
    }
}
