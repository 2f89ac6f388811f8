//! Group commit on SQLite: transactions that wait for the one writer share a commit, and with it
//! its fsync. None is told that it is done before that commit is.
//!
//! Whoever gets the turn first begins a transaction; those who were waiting behind join it, each
//! within a savepoint. Whoever is through with its statements queues up again, and finds there that
//! the group was committed, or commits it: so a group is as large as the queue is long, and nobody
//! waits for company.
//!
//! A member sees what those before it in the group did. If it ends with an error because of that,
//! such as `PathTaken`, it is told before the commit: should that fail, the refusal was in vain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::ACQUIRE_TIMEOUT;
use crate::error::{Error, Result};

/// The queue before the one connection that writes.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    group: Arc<Mutex<Option<Group>>>,
    waiting: AtomicUsize,
}

/// Transactions that are to be committed together.
#[derive(Debug)]
struct Group {
    transaction: Transaction<'static, Sqlite>,
    fate: Arc<OnceLock<CommitOutcome>>,
    /// Somebody went away in the middle of a savepoint.
    abandoned: bool,
}

/// What became of a group, for all who were in it.
type CommitOutcome = std::result::Result<(), Failure>;

#[derive(Debug, Clone)]
enum Failure {
    Full,
    Away(String),
    Other(String),
}

/// The right to use the connection, until it is given back by [`end`](Self::end) or dropped, which
/// undoes what was done with it.
#[derive(Debug)]
pub(crate) struct CommitTicket<'q> {
    queue: &'q Queue,
    group: Option<OwnedMutexGuard<Option<Group>>>,
    /// WriteGuard in the group until now, and so without a savepoint.
    is_first: bool,
}

impl Queue {
    /// Waits for a turn.
    ///
    /// # Errors
    /// `Unavailable` if it takes longer than [`ACQUIRE_TIMEOUT`], as with any other connection.
    pub async fn turn(&self, pool: &SqlitePool) -> Result<CommitTicket<'_>> {
        let waiting = Waiter::behind(&self.waiting);
        let mut group = timeout(ACQUIRE_TIMEOUT, self.group.clone().lock_owned())
            .await
            .map_err(|_| Error::from(sqlx::Error::PoolTimedOut))?;
        drop(waiting);
        let is_first = group.is_none();
        if is_first {
            // IMMEDIATE: a transaction that begins as a reader cannot wait for the write lock later.
            let transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            *group = Some(Group { transaction, fate: Arc::default(), abandoned: false });
        } else if let Err(error) = in_group(&mut group)?.enter().await {
            fail(&mut group, Failure::of(&error));
            return Err(error);
        }
        Ok(CommitTicket { queue: self, group: Some(group), is_first })
    }
}

impl CommitTicket<'_> {
    pub fn connection(&mut self) -> Result<&mut SqliteConnection> {
        let group = self.group.as_deref_mut().and_then(Option::as_mut).ok_or_else(gone)?;
        Ok(&mut group.transaction)
    }

    /// Gives the turn back. An `Ok` is passed on when it is committed; of anything else nothing stays.
    pub async fn end<T>(mut self, result: Result<T>) -> Result<T> {
        let mut group = self.group.take().ok_or_else(gone)?;
        let fate = in_group(&mut group)?.fate.clone();
        match &result {
            // Dropped, it rolls itself back.
            Err(_) if self.is_first => {
                *group = None;
                return result;
            }
            Ok(_) if self.is_first && self.queue.waiting.load(Ordering::Relaxed) == 0 => {
                commit(&mut group, &fate).await;
            }
            _ => {
                // In a task of its own: whoever goes away must not leave the others with half of it.
                let failure = result.as_ref().err().map(Failure::of);
                let ending = end_in_group(group, self.is_first, failure, fate.clone());
                tokio::spawn(ending).await.map_err(Error::internal)?;
            }
        }
        let value = result?;
        match fate.get() {
            Some(Ok(())) => Ok(value),
            Some(Err(failure)) => Err(failure.clone().into()),
            None => Err(gone()),
        }
    }
}

/// Ends one's own part, and queues up for the commit if there is something to be committed.
async fn end_in_group(
    mut group: OwnedMutexGuard<Option<Group>>,
    is_first: bool,
    failure: Option<Failure>,
    fate: Arc<OnceLock<CommitOutcome>>,
) {
    let Some(open) = group.as_mut() else { return };
    if let Some(failure) = failure {
        // It cannot be undone if SQLite has rolled back everybody's part, as it does when a disk is full.
        if open.undo().await.is_err() {
            fail(&mut group, failure);
        }
        return;
    }
    if !is_first && let Err(error) = open.leave().await {
        fail(&mut group, Failure::of(&error));
        return;
    }
    let queue = OwnedMutexGuard::mutex(&group).clone();
    drop(group);
    let mut group = queue.lock_owned().await;
    commit(&mut group, &fate).await;
}

impl Drop for CommitTicket<'_> {
    fn drop(&mut self) {
        let Some(group) = &mut self.group else { return };
        if self.is_first {
            // Its transaction rolls itself back.
            **group = None;
        } else if let Some(group) = group.as_mut() {
            group.abandoned = true;
        }
    }
}

impl Group {
    async fn enter(&mut self) -> Result<()> {
        self.tidy().await?;
        self.execute("SAVEPOINT member").await
    }

    async fn leave(&mut self) -> Result<()> {
        self.execute("RELEASE member").await
    }

    async fn undo(&mut self) -> Result<()> {
        self.execute("ROLLBACK TO member").await?;
        self.execute("RELEASE member").await
    }

    /// Undoes what somebody left behind who went away.
    async fn tidy(&mut self) -> Result<()> {
        if std::mem::take(&mut self.abandoned) { self.undo().await } else { Ok(()) }
    }

    async fn execute(&mut self, statement: &'static str) -> Result<()> {
        sqlx::query(statement).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// Commits the group with this fate, unless that was done.
async fn commit(group: &mut Option<Group>, fate: &Arc<OnceLock<CommitOutcome>>) {
    let Some(mut open) = group.take_if(|group| Arc::ptr_eq(&group.fate, fate)) else { return };
    let done = match open.tidy().await {
        Ok(()) => open.transaction.commit().await.map_err(Error::from),
        Err(error) => Err(error),
    };
    let _ = fate.set(done.map_err(|error| Failure::of(&error)));
}

/// Gives the group up, with all that was in it.
fn fail(group: &mut Option<Group>, failure: Failure) {
    if let Some(group) = group.take() {
        let _ = group.fate.set(Err(failure));
    }
}

fn in_group(group: &mut Option<Group>) -> Result<&mut Group> {
    group.as_mut().ok_or_else(gone)
}

fn gone() -> Error {
    Error::internal("a transaction was left before its end")
}

impl Failure {
    fn of(error: &Error) -> Self {
        match error {
            Error::StorageFull => Self::Full,
            Error::Unavailable { .. } => Self::Away(error.cause()),
            _ => Self::Other(error.cause()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Error::StorageFull,
            Failure::Away(cause) => Error::Unavailable { what: "database", source: cause.into() },
            Failure::Other(cause) => Error::internal(cause),
        }
    }
}

/// Counts who waits, as long as they do.
struct Waiter<'q>(&'q AtomicUsize);

impl<'q> Waiter<'q> {
    fn behind(count: &'q AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::super::{Db, Pool};
    use super::*;

    struct Database {
        queue: Arc<Queue>,
        write: SqlitePool,
        read: SqlitePool,
        _folder: TempDir,
    }

    async fn database() -> Database {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}/db", folder.path().display());
        let db = Db::open_sqlite(&url, 2).await.expect("a database");
        let (Pool::Sqlite(write), Pool::Sqlite(read)) = (db.write, db.read) else { panic!("it is SQLite") };
        sqlx::query("CREATE TABLE numbers (n INTEGER)").execute(&write).await.expect("a table");
        Database { queue: db.queue, write, read, _folder: folder }
    }

    async fn add(turn: &mut CommitTicket<'_>, number: i64) {
        let insert = sqlx::query("INSERT INTO numbers VALUES ($1)").bind(number);
        insert.execute(turn.connection().expect("a connection")).await.expect("a row");
    }

    async fn numbers(database: &Database) -> Vec<i64> {
        sqlx::query_scalar("SELECT n FROM numbers ORDER BY n").fetch_all(&database.read).await.expect("rows")
    }

    /// Waits until so many are queued up.
    async fn until_waiting(database: &Database, count: usize) {
        while database.queue.waiting.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_who_wait_share_a_commit_and_each_has_its_own_outcome() {
        let database = Arc::new(database().await);
        let mut first = database.queue.turn(&database.write).await.expect("a turn");
        let fate = first.group.as_ref().and_then(|group| group.as_ref()).expect("a group").fate.clone();
        let mut others = Vec::new();
        for number in 1..=12 {
            let shared = database.clone();
            others.push(tokio::spawn(async move {
                let mut turn = shared.queue.turn(&shared.write).await.expect("a turn");
                let joined = turn.group.as_ref().and_then(|group| group.as_ref()).expect("a group").fate.clone();
                add(&mut turn, number).await;
                match number % 3 {
                    0 => assert!(matches!(turn.end(Err::<(), _>(Error::PathTaken)).await, Err(Error::PathTaken))),
                    // Gone away in the middle.
                    1 => drop(turn),
                    _ => {
                        turn.end(Ok(())).await.expect("a commit");
                        assert!(numbers(&shared).await.contains(&number), "it was told before it was committed");
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
            assert!(Arc::ptr_eq(&other.await.expect("no panic"), &fate), "it was not in the group");
        }
        assert_eq!(numbers(&database).await, [0, 2, 5, 8, 11]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_sqlite_rolls_back_fails_all_of_the_group_and_nobody_after() {
        let database = Arc::new(database().await);
        let mut first = database.queue.turn(&database.write).await.expect("a turn");
        add(&mut first, 1).await;
        let shared = database.clone();
        let second = tokio::spawn(async move {
            let mut turn = shared.queue.turn(&shared.write).await.expect("a turn");
            add(&mut turn, 2).await;
            sqlx::query("ROLLBACK").execute(turn.connection().expect("a connection")).await.expect("a rollback");
            turn.end(Err::<(), _>(Error::StorageFull)).await
        });
        until_waiting(&database, 1).await;
        assert!(matches!(first.end(Ok(())).await, Err(Error::StorageFull)));
        assert!(matches!(second.await.expect("no panic"), Err(Error::StorageFull)));
        assert!(numbers(&database).await.is_empty());

        let mut next = database.queue.turn(&database.write).await.expect("a turn");
        add(&mut next, 3).await;
        next.end(Ok(())).await.expect("a commit");
        assert_eq!(numbers(&database).await, [3]);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let database = database().await;
        let _first = database.queue.turn(&database.write).await.expect("a turn");
        let second = database.queue.turn(&database.write).await;
        assert!(matches!(second, Err(Error::Unavailable { .. })), "{second:?}");
    }

    #[tokio::test]
    async fn whoever_is_alone_and_goes_away_leaves_nothing() {
        let database = database().await;
        let mut gone = database.queue.turn(&database.write).await.expect("a turn");
        add(&mut gone, 1).await;
        drop(gone);
        let mut failed = database.queue.turn(&database.write).await.expect("a turn");
        add(&mut failed, 2).await;
        assert!(failed.end(Err::<(), _>(Error::PathTaken)).await.is_err());
        let mut next = database.queue.turn(&database.write).await.expect("a turn");
        add(&mut next, 3).await;
        next.end(Ok(())).await.expect("a commit");
        assert_eq!(numbers(&database).await, [3]);
    }
}
