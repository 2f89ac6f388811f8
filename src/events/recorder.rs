//! Writes down what is in no transaction: reads and refusals, together and a moment later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Event;
use crate::clock::Clock;
use crate::db::{Db, EventRow};
use crate::error::Error;

/// How long an event waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// Events that are written at once.
const BATCH: usize = 512;
/// Events that wait at most. Who comes when there is no room is counted in the log instead: nobody
/// is kept from reading because the database is slow.
const QUEUE: usize = 8192;
/// Refusals that are written down in a minute about one thing.
const REFUSALS: u32 = 10;

/// Takes events, and writes them down within a second or so.
#[derive(Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    clock: Clock,
    lost: AtomicU64,
    refusals: Mutex<Refusals>,
}

/// How often whom something was refused in this minute.
#[derive(Debug, Default)]
struct Refusals {
    minute: i64,
    counts: HashMap<Uuid, u32>,
}

#[derive(Debug)]
enum Message {
    Event(Box<EventRow>),
    /// Answered when everything that came before it is written.
    Flush(oneshot::Sender<()>),
}

impl Recorder {
    pub fn new(db: Db, clock: Clock) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(db, waiting));
        Self { queue, clock, lost: AtomicU64::new(0), refusals: Mutex::default() }
    }

    /// Takes an event. Neither waits nor fails; what changes something goes into its transaction
    /// instead.
    pub fn record(&self, event: &Event) {
        if self.queue.try_send(Message::Event(Box::new(event.row(&self.clock)))).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::error!(lost, "events of downloads and refusals were lost: the database is too slow");
            }
        }
    }

    /// Takes an event that foreign_entries can cause as often as they like: so many a minute about one thing.
    pub fn record_refusal(&self, about: Uuid, event: &Event) {
        let minute = self.clock.now().as_second().div_euclid(60);
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.minute != minute {
            *refusals = Refusals { minute, counts: HashMap::new() };
        }
        let count = refusals.counts.entry(about).or_default();
        *count += 1;
        if *count <= REFUSALS {
            self.record(event);
        }
    }

    /// Waits until everything that was taken is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            // It fails when the writer is gone, and so is whatever could be waited for.
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
        // Over or not: what has come is written.
        let _ = tokio::time::timeout(GATHER, gather).await;
        write_rows(&db, &rows).await;
        rows.clear();
        for done in flushes.drain(..) {
            let _ = done.send(());
        }
    }
}

/// Tries until the database is there again; the queue holds what comes meanwhile.
async fn write_rows(db: &Db, rows: &[EventRow]) {
    loop {
        match db.insert_events(rows).await {
            Ok(()) => return,
            Err(error @ (Error::Unavailable { .. } | Error::StorageFull)) => {
                if db.is_closed() {
                    return;
                }
                tracing::warn!(%error, "events wait for the database");
                tokio::time::sleep(2 * GATHER).await;
            }
            Err(error) => {
                tracing::error!(%error, lost = rows.len(), "events could not be written");
                return;
            }
        }
    }
}
