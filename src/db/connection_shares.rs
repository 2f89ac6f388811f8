//! Shares of the connections: no client takes them all, and readers leave some of them to writers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::client::current_party;
use super::open::ACQUIRE_TIMEOUT;
use crate::budget::Shares;
use crate::error::{Error, Result};

/// The connections in use, by client.
#[derive(Debug)]
pub(super) struct ConnectionShares {
    /// A client uses at most a quarter of the connections.
    of_client: Shares,
    for_reads: Arc<Semaphore>,
    /// SQLite has one connection that writes, which has shares of its own: places in the queue for it.
    queue: Option<Shares>,
}

/// How long a statement waits for others of its own client. Other clients are not delayed.
const SHARE_TIMEOUT: Duration = Duration::from_secs(30);
/// Writes of one client that wait for SQLite's connection at the same time. Those that wait together share a commit.
const QUEUED: usize = 32;

/// The right to use one connection, which dropping it releases.
#[derive(Debug)]
pub(super) struct Permit {
    _of_client: Option<OwnedSemaphorePermit>,
    _for_reads: Option<OwnedSemaphorePermit>,
}

impl ConnectionShares {
    /// Shares of SQLite's readers, and of the queue for its writer.
    pub fn sqlite(readers: u32) -> Self {
        Self { queue: Some(Shares::new(QUEUED)), ..Self::new(readers, readers) }
    }

    /// Shares of a pool that reads and writes. A quarter of its connections is left to writes.
    pub fn postgres(connections: u32) -> Self {
        Self::new(connections, connections - connections / 4)
    }

    fn new(connections: u32, for_reads: u32) -> Self {
        let count = |number: u32| usize::try_from(number.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        let for_reads = Arc::new(Semaphore::new(count(for_reads)));
        Self { of_client: Shares::new(count(connections / 4)), for_reads, queue: None }
    }

    /// Waits until the current client may use a connection to write.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) after [`SHARE_TIMEOUT`] or [`ACQUIRE_TIMEOUT`].
    pub async fn acquire_for_write(&self) -> Result<Permit> {
        let shares = self.queue.as_ref().unwrap_or(&self.of_client);
        Ok(Permit { _of_client: acquire(shares).await?, _for_reads: None })
    }

    /// Waits until the current client may use a connection to read.
    ///
    /// # Errors
    /// Those of [`acquire_for_write`](Self::acquire_for_write).
    pub async fn acquire_for_read(&self) -> Result<Permit> {
        // The client's own share first: what it waits for there does not keep others waiting.
        let of_client = acquire(&self.of_client).await?;
        let for_reads = within(ACQUIRE_TIMEOUT, self.for_reads.clone().acquire_owned()).await?;
        Ok(Permit { _of_client: of_client, _for_reads: Some(for_reads.map_err(Error::internal)?) })
    }
}

/// Waits for one of the permits of the current client's share; `None` if there is no client.
async fn acquire(shares: &Shares) -> Result<Option<OwnedSemaphorePermit>> {
    let Some(party) = current_party() else { return Ok(None) };
    within(SHARE_TIMEOUT, shares.acquire(party, 1)).await?.map(Some)
}

async fn within<T>(limit: Duration, acquiring: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(limit, acquiring).await.map_err(|_| sqlx::Error::PoolTimedOut)?)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::client::Client;
    use super::*;
    use crate::budget::Party;

    const MOMENT: Duration = Duration::from_millis(5);

    /// Takes permits to write until a client has to wait, and returns them.
    async fn take_all(shares: &ConnectionShares, account: Uuid) -> Vec<Permit> {
        let take = async {
            let mut permits = Vec::new();
            while let Ok(permit) = timeout(MOMENT, shares.acquire_for_write()).await {
                permits.push(permit.expect("a permit"));
            }
            permits
        };
        Client::new(Party::Account(account)).scope(take).await
    }

    #[tokio::test]
    async fn a_client_waits_for_its_own_writes_and_not_for_those_of_others() {
        for (shares, limit) in [(ConnectionShares::sqlite(16), QUEUED), (ConnectionShares::postgres(16), 4)] {
            let [ann, bob] = [take_all(&shares, Uuid::nil()).await, take_all(&shares, Uuid::max()).await];
            assert_eq!([ann.len(), bob.len()], [limit, limit]);
            assert!(timeout(MOMENT, shares.acquire_for_write()).await.is_ok(), "a job has no share");
            drop(ann);
            assert_eq!(take_all(&shares, Uuid::nil()).await.len(), limit);
        }
    }

    #[tokio::test]
    async fn reads_leave_connections_to_writes() {
        let shares = ConnectionShares::postgres(16);
        let mut reads = Vec::new();
        while let Ok(read) = timeout(MOMENT, shares.acquire_for_read()).await {
            reads.push(read.expect("a permit"));
        }
        assert_eq!(reads.len(), 12);
    }
}
