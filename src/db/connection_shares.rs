//! Shares of the connections: no client takes them all, and readers leave some of them to writers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::client::current_party;
use super::open::ACQUIRE_TIMEOUT;
use crate::budget::{Keyed, Party};
use crate::error::Result;

/// How many connections are used for whom.
#[derive(Debug)]
pub(super) struct ConnectionShares {
    of_client: Keyed<Party, Semaphore>,
    /// The connections that one client uses at most.
    quarter: usize,
    for_reads: Arc<Semaphore>,
}

/// The right to use one connection. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Permit {
    _of_client: Option<OwnedSemaphorePermit>,
    _for_reads: Option<OwnedSemaphorePermit>,
}

impl ConnectionShares {
    /// Shares of `connections`, of which `for_reads` may read at the same time. A client uses a quarter at most.
    pub fn new(connections: u32, for_reads: u32) -> Self {
        let count = |number: u32| usize::try_from(number.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        let for_reads = Arc::new(Semaphore::new(count(for_reads)));
        Self { of_client: Keyed::default(), quarter: count(connections / 4), for_reads }
    }

    /// Waits until the current client may use a connection.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) after [`ACQUIRE_TIMEOUT`].
    pub async fn acquire(&self) -> Result<Permit> {
        Ok(Permit { _of_client: self.acquire_of_client().await?, _for_reads: None })
    }

    /// Waits until the current client may use a connection to read.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub async fn acquire_for_read(&self) -> Result<Permit> {
        // The client's own share first: what it waits for there does not keep others waiting.
        let of_client = self.acquire_of_client().await?;
        Ok(Permit { _of_client: of_client, _for_reads: Some(in_time(self.for_reads.clone()).await?) })
    }

    async fn acquire_of_client(&self) -> Result<Option<OwnedSemaphorePermit>> {
        let Some(party) = current_party() else { return Ok(None) };
        let share = self.of_client.get(party, || Semaphore::new(self.quarter));
        in_time(share).await.map(Some)
    }
}

async fn in_time(semaphore: Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let acquired = timeout(ACQUIRE_TIMEOUT, semaphore.acquire_owned()).await;
    let permit = acquired.map_err(|_| sqlx::Error::PoolTimedOut)?;
    Ok(permit.map_err(|_| sqlx::Error::PoolClosed)?)
}
