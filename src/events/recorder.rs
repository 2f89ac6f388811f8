//! Records reads and refusals: outside of transactions, in batches, with a delay.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Event;
use crate::clock::Clock;
use crate::db::{Db, EventRow};
use crate::error::Error;

/// How long an event waits for a batch to fill.
const GATHER: Duration = Duration::from_millis(500);
/// Events per batch.
const BATCH: usize = 512;
/// Maximum number of waiting events. Further ones are dropped, and counted in the log: a slow database must not make
/// readers wait.
const QUEUE: usize = 8192;
/// Reads and refusals of one kind that are recorded per minute: reads of one file or link by one client, refusals of one
/// subject.
const PER_MINUTE: u32 = 10;
/// Combinations of kind, file, link and client that are distinguished within a minute.
const DISTINGUISHED: usize = 100_000;

/// Records events within about a second.
#[derive(Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    clock: Clock,
    lost: AtomicU64,
    recent: Mutex<Recent>,
    hasher: RandomState,
}

/// The events of the current minute.
#[derive(Debug, Default)]
struct Recent {
    minute: i64,
    /// By the hash of what they have in common.
    counts: HashMap<u64, u32>,
}

#[derive(Debug)]
enum Message {
    Event(Box<EventRow>),
    /// Answered once all earlier events are written.
    Flush(oneshot::Sender<()>),
}

impl Recorder {
    /// Starts the task that writes events. It ends with the recorder.
    pub fn new(db: Db, clock: Clock) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(db, waiting));
        Self { queue, clock, lost: AtomicU64::new(0), recent: Mutex::default(), hasher: RandomState::new() }
    }

    /// Records an event, at most ten per minute that differ in nothing but their details. Neither waits nor fails.
    /// Events of changes are inserted in the transaction of the change instead.
    pub fn record(&self, event: &Event) {
        let row = event.row(&self.clock);
        let client = (&row.actor_id, &row.credential_id, &row.address, &row.channel);
        if self.is_within_limit(&(&row.kind, &row.space_id, &row.file_id, &row.link_id, client)) {
            self.enqueue(row);
        }
    }

    /// Records an event that anyone can cause at will; at most ten per minute and subject.
    pub fn record_refusal(&self, subject: Uuid, event: &Event) {
        if self.is_within_limit(&subject) {
            self.record(event);
        }
    }

    /// Counts an event of this minute.
    fn is_within_limit(&self, of: &impl Hash) -> bool {
        let minute = self.clock.now().as_second().div_euclid(60);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.minute != minute || recent.counts.len() >= DISTINGUISHED {
            *recent = Recent { minute, counts: HashMap::new() };
        }
        let count = recent.counts.entry(self.hasher.hash_one(of)).or_default();
        *count += 1;
        *count <= PER_MINUTE
    }

    fn enqueue(&self, row: EventRow) {
        if self.queue.try_send(Message::Event(Box::new(row))).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::error!(lost, "audit events dropped: the database is too slow");
            }
        }
    }

    /// Waits until all recorded events are written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            // It fails if the writer has ended; then there is nothing to wait for.
            let _ = written.await;
        }
    }
}

async fn write(db: Db, mut queue: mpsc::Receiver<Message>) {
    let (mut rows, mut flushes) = (Vec::new(), Vec::new());
    let sort = |message, rows: &mut Vec<EventRow>, flushes: &mut Vec<oneshot::Sender<()>>| match message {
        Message::Event(row) => rows.push(*row),
        Message::Flush(done) => flushes.push(done),
    };
    while let Some(first) = queue.recv().await {
        sort(first, &mut rows, &mut flushes);
        let gather = async {
            while rows.len() < BATCH && flushes.is_empty() {
                let Some(next) = queue.recv().await else { return };
                sort(next, &mut rows, &mut flushes);
            }
        };
        // On a timeout the batch is written as it is.
        let _ = tokio::time::timeout(GATHER, gather).await;
        write_rows(&db, &rows).await;
        rows.clear();
        for done in flushes.drain(..) {
            let _ = done.send(());
        }
    }
}

/// Retries until the database is available again; meanwhile the queue holds new events.
async fn write_rows(db: &Db, rows: &[EventRow]) {
    loop {
        match db.insert_events(rows).await {
            Ok(()) => return,
            Err(error @ (Error::Unavailable { .. } | Error::StorageFull)) => {
                if db.is_closed() {
                    return;
                }
                tracing::warn!(%error, "could not write audit events, retrying");
                tokio::time::sleep(2 * GATHER).await;
            }
            Err(error) => {
                tracing::error!(%error, lost = rows.len(), "audit events dropped: the database rejected them");
                return;
            }
        }
    }
}
