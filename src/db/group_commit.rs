//! Group commit for SQLite: transactions that wait for the single writer share one commit and its fsync.
//!
//! The first transaction of a group begins it; those that were waiting join it, each within a savepoint. A
//! transaction that has run its statements queues again. When its turn comes, the group was committed by another
//! member, or it commits the group itself: a group is as large as the queue is long, and no transaction waits for
//! others to come.
//!
//! A member sees the changes of those before it in the group. If it fails because of them, for example with
//! [`Error::PathTaken`], it returns the error before the commit; should the commit fail, the error was unfounded.

use std::sync::{Arc, OnceLock};

use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::open::ACQUIRE_TIMEOUT;
use crate::error::{Error, Result};
use crate::waiting::Waiting;

/// The queue for the connection that writes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    group: Arc<Mutex<Option<Group>>>,
    waiting: Waiting,
}

/// Transactions that are committed together.
#[derive(Debug)]
struct Group {
    transaction: Transaction<'static, Sqlite>,
    outcome: Arc<OnceLock<CommitOutcome>>,
    /// The last member was dropped within its savepoint, which has to be rolled back.
    abandoned: bool,
}

/// The outcome of a group's commit, shared by all members.
type CommitOutcome = std::result::Result<(), Failure>;

/// What can be cloned of an [`Error`].
#[derive(Debug, Clone)]
enum Failure {
    StorageFull,
    Unavailable(String),
    Internal(String),
}

/// Exclusive use of the connection, until [`end`](Self::end). Dropped, its changes are rolled back.
#[derive(Debug)]
pub(super) struct CommitTicket<'q> {
    queue: &'q Queue,
    group: Option<OwnedMutexGuard<Option<Group>>>,
    /// The first member so far, which has no savepoint.
    is_first: bool,
}

impl Queue {
    /// Waits until the connection is free, and begins a group or joins the current one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after [`ACQUIRE_TIMEOUT`], as for any other connection.
    pub async fn join(&self, pool: &SqlitePool) -> Result<CommitTicket<'_>> {
        let waiting = self.waiting.enter();
        let mut group = timeout(ACQUIRE_TIMEOUT, self.group.clone().lock_owned())
            .await
            .map_err(|_| Error::from(sqlx::Error::PoolTimedOut))?;
        drop(waiting);
        let is_first = group.is_none();
        if is_first {
            // IMMEDIATE: a transaction that begins with reads cannot wait for the write lock later.
            let transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            *group = Some(Group { transaction, outcome: Arc::default(), abandoned: false });
        } else if let Err(error) = in_group(&mut group)?.begin_member().await {
            fail(&mut group, Failure::of(&error));
            return Err(error);
        }
        Ok(CommitTicket { queue: self, group: Some(group), is_first })
    }
}

impl CommitTicket<'_> {
    /// The connection, within the transaction of the group.
    pub fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        match self.group.as_deref_mut() {
            Some(Some(group)) => Ok(&mut group.transaction),
            _ => Err(sqlx::Error::Protocol(ENDED.into())),
        }
    }

    /// Releases the connection. An `Ok` is returned once it is committed; after an error nothing is kept.
    pub async fn end<T>(mut self, result: Result<T>) -> Result<T> {
        let mut group = self.group.take().ok_or_else(ended)?;
        let outcome = in_group(&mut group)?.outcome.clone();
        match &result {
            // Dropped, the transaction is rolled back.
            Err(_) if self.is_first => {
                *group = None;
                return result;
            }
            Ok(_) if self.is_first && self.queue.waiting.count() == 0 => {
                commit(&mut group, &outcome).await;
            }
            _ => {
                // In a task of its own: a caller that is dropped here must not leave the group half-way.
                let failure = result.as_ref().err().map(Failure::of);
                let ending = end_in_group(group, self.is_first, failure, outcome.clone());
                tokio::spawn(ending).await.map_err(Error::internal)?;
            }
        }
        let value = result?;
        match outcome.get() {
            Some(Ok(())) => Ok(value),
            Some(Err(failure)) => Err(failure.clone().into()),
            None => Err(ended()),
        }
    }
}

/// Ends one member, and queues for the commit if it succeeded.
async fn end_in_group(
    mut group: OwnedMutexGuard<Option<Group>>,
    is_first: bool,
    failure: Option<Failure>,
    outcome: Arc<OnceLock<CommitOutcome>>,
) {
    let Some(open) = group.as_mut() else { return };
    if let Some(failure) = failure {
        // This fails if SQLite has rolled back the whole transaction, as it does when the disk is full.
        if open.roll_back_member().await.is_err() {
            fail(&mut group, failure);
        }
        return;
    }
    if !is_first && let Err(error) = open.release_member().await {
        fail(&mut group, Failure::of(&error));
        return;
    }
    let queue = OwnedMutexGuard::mutex(&group).clone();
    drop(group);
    let mut group = queue.lock_owned().await;
    commit(&mut group, &outcome).await;
}

impl Drop for CommitTicket<'_> {
    fn drop(&mut self) {
        let Some(group) = &mut self.group else { return };
        if self.is_first {
            // Dropped, the transaction is rolled back.
            **group = None;
        } else if let Some(group) = group.as_mut() {
            group.abandoned = true;
        }
    }
}

impl Group {
    async fn begin_member(&mut self) -> Result<()> {
        self.finish_abandoned().await?;
        self.execute("SAVEPOINT member").await
    }

    async fn release_member(&mut self) -> Result<()> {
        self.execute("RELEASE member").await
    }

    async fn roll_back_member(&mut self) -> Result<()> {
        self.execute("ROLLBACK TO member").await?;
        self.execute("RELEASE member").await
    }

    /// Rolls back the last member if it was dropped.
    async fn finish_abandoned(&mut self) -> Result<()> {
        if std::mem::take(&mut self.abandoned) { self.roll_back_member().await } else { Ok(()) }
    }

    async fn execute(&mut self, statement: &'static str) -> Result<()> {
        sqlx::query(statement).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// Commits the group with this outcome, unless another member did.
async fn commit(group: &mut Option<Group>, outcome: &Arc<OnceLock<CommitOutcome>>) {
    let Some(mut open) = group.take_if(|group| Arc::ptr_eq(&group.outcome, outcome)) else { return };
    let committed = match open.finish_abandoned().await {
        Ok(()) => open.transaction.commit().await.map_err(Error::from),
        Err(error) => Err(error),
    };
    let _ = outcome.set(committed.map_err(|error| Failure::of(&error)));
}

/// Rolls back the group with all of its members.
fn fail(group: &mut Option<Group>, failure: Failure) {
    if let Some(group) = group.take() {
        let _ = group.outcome.set(Err(failure));
    }
}

fn in_group(group: &mut Option<Group>) -> Result<&mut Group> {
    group.as_mut().ok_or_else(ended)
}

const ENDED: &str = "the transaction has ended already";

fn ended() -> Error {
    Error::internal(ENDED)
}

impl Failure {
    fn of(error: &Error) -> Self {
        match error {
            Error::StorageFull => Self::StorageFull,
            Error::Unavailable { .. } => Self::Unavailable(error.cause()),
            _ => Self::Internal(error.cause()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::StorageFull => Error::StorageFull,
            Failure::Unavailable(cause) => Error::Unavailable { what: "database", source: cause.into() },
            Failure::Internal(cause) => Error::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::super::Db;
    use super::super::pool::Pool;
    use super::*;

    struct Database {
        queue: Arc<Queue>,
        write: SqlitePool,
        read: SqlitePool,
        _directory: TempDir,
    }

    async fn database() -> Database {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}/db", directory.path().display());
        let db = Db::connect(&url, 2).await.expect("a database");
        let Pool::Sqlite(write) = db.write.pool else { panic!("not SQLite") };
        let read = SqlitePool::connect(&url).await.expect("a pool");
        sqlx::query("CREATE TABLE numbers (n INTEGER)").execute(&write).await.expect("a table");
        Database { queue: db.queue, write, read, _directory: directory }
    }

    async fn add(ticket: &mut CommitTicket<'_>, number: i64) {
        let insert = sqlx::query("INSERT INTO numbers VALUES ($1)").bind(number);
        insert.execute(ticket.connection().expect("a connection")).await.expect("a row");
    }

    async fn numbers(database: &Database) -> Vec<i64> {
        sqlx::query_scalar("SELECT n FROM numbers ORDER BY n").fetch_all(&database.read).await.expect("rows")
    }

    /// Waits until this many transactions are queued.
    async fn until_waiting(database: &Database, count: usize) {
        while database.queue.waiting.count() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn waiting_transactions_share_a_commit_and_each_has_its_own_result() {
        let database = Arc::new(database().await);
        let mut first = database.queue.join(&database.write).await.expect("a ticket");
        let outcome = first.group.as_ref().and_then(|group| group.as_ref()).expect("a group").outcome.clone();
        let mut others = Vec::new();
        for number in 1..=12 {
            let shared = database.clone();
            others.push(tokio::spawn(async move {
                let mut ticket = shared.queue.join(&shared.write).await.expect("a ticket");
                let joined = ticket.group.as_ref().and_then(|group| group.as_ref()).expect("a group").outcome.clone();
                add(&mut ticket, number).await;
                match number % 3 {
                    0 => assert!(matches!(ticket.end(Err::<(), _>(Error::PathTaken)).await, Err(Error::PathTaken))),
                    // Dropped half-way.
                    1 => drop(ticket),
                    _ => {
                        ticket.end(Ok(())).await.expect("a commit");
                        assert!(numbers(&shared).await.contains(&number), "it returned before the commit");
                    }
                }
                joined
            }));
        }
        until_waiting(&database, 12).await;
        add(&mut first, 0).await;
        assert!(numbers(&database).await.is_empty());
        first.end(Ok(())).await.expect("a commit");
        for other in others {
            assert!(Arc::ptr_eq(&other.await.expect("no panic"), &outcome), "it was not in the group");
        }
        assert_eq!(numbers(&database).await, [0, 2, 5, 8, 11]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_rollback_by_sqlite_fails_the_whole_group_and_no_later_one() {
        let database = Arc::new(database().await);
        let mut first = database.queue.join(&database.write).await.expect("a ticket");
        add(&mut first, 1).await;
        let shared = database.clone();
        let second = tokio::spawn(async move {
            let mut ticket = shared.queue.join(&shared.write).await.expect("a ticket");
            add(&mut ticket, 2).await;
            sqlx::query("ROLLBACK").execute(ticket.connection().expect("a connection")).await.expect("a rollback");
            ticket.end(Err::<(), _>(Error::StorageFull)).await
        });
        until_waiting(&database, 1).await;
        assert!(matches!(first.end(Ok(())).await, Err(Error::StorageFull)));
        assert!(matches!(second.await.expect("no panic"), Err(Error::StorageFull)));
        assert!(numbers(&database).await.is_empty());

        let mut next = database.queue.join(&database.write).await.expect("a ticket");
        add(&mut next, 3).await;
        next.end(Ok(())).await.expect("a commit");
        assert_eq!(numbers(&database).await, [3]);
    }

    #[tokio::test]
    async fn waiting_times_out() {
        let database = database().await;
        let _first = database.queue.join(&database.write).await.expect("a ticket");
        let second = database.queue.join(&database.write).await;
        assert!(matches!(second, Err(Error::Unavailable { .. })), "{second:?}");
    }

    #[tokio::test]
    async fn a_dropped_transaction_is_rolled_back() {
        let database = database().await;
        let mut dropped = database.queue.join(&database.write).await.expect("a ticket");
        add(&mut dropped, 1).await;
        drop(dropped);
        let mut failed = database.queue.join(&database.write).await.expect("a ticket");
        add(&mut failed, 2).await;
        assert!(failed.end(Err::<(), _>(Error::PathTaken)).await.is_err());
        let mut next = database.queue.join(&database.write).await.expect("a ticket");
        add(&mut next, 3).await;
        next.end(Ok(())).await.expect("a commit");
        assert_eq!(numbers(&database).await, [3]);
    }
}
