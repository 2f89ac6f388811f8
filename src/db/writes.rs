//! Statements that write, or that read what was just written: each in the share of its client, and in a transaction of
//! its own.

use std::sync::Arc;

use sqlx::{SqlSafeStr, SqlStr};

use super::connection_shares::{ConnectionShares, Permit};
use super::pool::{AnyRow, Arguments, Pool};
use crate::error::Result;

/// The connections that write.
#[derive(Debug, Clone)]
pub(super) struct Writes {
    pub pool: Pool,
    shares: Arc<ConnectionShares>,
}

impl Writes {
    pub fn new(pool: Pool, shares: Arc<ConnectionShares>) -> Self {
        Self { pool, shares }
    }

    /// Waits until the current client may use a connection to write.
    pub async fn permit(&self) -> Result<Permit> {
        self.shares.acquire_for_write().await
    }

    /// Runs a statement and returns how many rows it affected.
    pub async fn execute(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<u64> {
        let _permit = self.permit().await?;
        self.pool.execute(statement, arguments).await
    }

    /// Runs a statement that returns exactly one row.
    pub async fn fetch_one<T: AnyRow>(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<T> {
        let _permit = self.permit().await?;
        self.pool.fetch_one(statement, arguments).await
    }

    /// Runs a statement that returns at most one row.
    pub async fn fetch_optional<T: AnyRow>(
        &self,
        statement: impl SqlSafeStr,
        arguments: impl Arguments,
    ) -> Result<Option<T>> {
        let _permit = self.permit().await?;
        self.pool.fetch_optional(statement, arguments).await
    }

    /// Runs a statement and returns all of its rows.
    pub async fn fetch_all<T: AnyRow>(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<Vec<T>> {
        let _permit = self.permit().await?;
        self.pool.fetch_all(statement, arguments).await
    }

    /// Prepares a statement without running it.
    pub async fn prepare(&self, statement: SqlStr) -> Result<()> {
        self.pool.prepare(statement).await
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}
