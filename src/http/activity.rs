//! The activity of a connection: its requests report it, and the limits of its stream and the idle timeout depend on it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::places::Place;

/// The state of one connection.
#[derive(Debug, Default)]
pub struct Activity {
    /// Requests that are not finished: the response is not sent, or the body is still being read.
    open: AtomicUsize,
    /// Open requests that are not waiting for their client to read the response. Updated at each step.
    busy: watch::Sender<usize>,
    /// Requests received since the connection was accepted.
    begun: AtomicU64,
    /// Whether the body of the request is being read; on HTTP/1, where a connection has one request at a time.
    receiving: AtomicBool,
    /// Whether that body is content to be stored, sent by a client that may do so; on HTTP/1.
    content: AtomicBool,
    /// Whether the client may still send bytes that nobody reads.
    unread: AtomicBool,
    /// Whether the request only reads and its response has not begun; on HTTP/1.
    droppable: AtomicBool,
}

impl Activity {
    /// Whether a request is not finished.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    /// The number of requests that have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether a request has arrived completely and is not finished.
    pub fn is_answering(&self) -> bool {
        self.is_open() && !self.receiving.load(Ordering::Acquire)
    }

    /// Records whether the body of the request is being read.
    pub fn set_receiving(&self, receiving: bool) {
        self.receiving.store(receiving, Ordering::Release);
        if !receiving {
            self.set_content(false);
        }
    }

    /// Whether the body that is being read is content to be stored.
    pub fn receives_content(&self) -> bool {
        self.content.load(Ordering::Acquire)
    }

    /// Records whether the body of the request is content to be stored.
    pub fn set_content(&self, content: bool) {
        self.content.store(content, Ordering::Release);
    }

    /// Whether nothing is lost if the request is dropped when its client has gone. Once the response has begun, the next
    /// write to such a client fails.
    pub fn is_droppable(&self) -> bool {
        self.droppable.load(Ordering::Acquire)
    }

    /// Records that the response begins.
    pub fn begin_response(&self) {
        self.droppable.store(false, Ordering::Release);
    }

    /// Whether the rest of a request body was left unread.
    pub fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Records that the rest of a request body is left unread.
    pub fn leave_unread(&self) {
        self.unread.store(true, Ordering::Release);
    }

    /// Returns when there has been no request for `idle`, or when the client took nothing of any response for `stalled`.
    pub async fn ended(&self, idle: Duration, stalled: Duration) {
        let mut busy = self.busy.subscribe();
        loop {
            let is_busy = *busy.borrow_and_update() > 0;
            let time = if self.is_open() { stalled } else { idle };
            tokio::select! {
                _ = busy.changed() => {}
                () = tokio::time::sleep(time), if !is_busy => return,
            }
        }
    }
}

/// A request that is not finished; dropping it finishes the request.
#[derive(Debug, Default)]
pub struct OpenRequest {
    activity: Arc<Activity>,
    /// Whether it does not wait for the client.
    is_busy: AtomicBool,
    place: Mutex<Option<Place>>,
}

impl OpenRequest {
    /// Begins a request of this connection. `only_reads`: its method is safe (RFC 9110, section 9.2.1).
    pub fn begin(activity: Arc<Activity>, only_reads: bool) -> Arc<Self> {
        activity.droppable.store(only_reads, Ordering::Release);
        activity.begun.fetch_add(1, Ordering::AcqRel);
        activity.open.fetch_add(1, Ordering::AcqRel);
        let request = Self { activity, is_busy: AtomicBool::new(false), place: Mutex::default() };
        request.set_busy(true);
        Arc::new(request)
    }

    /// The connection of the request.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Records a step: whether the request is worked on, or waits for the client to take what is ready of the response.
    pub fn set_busy(&self, is_busy: bool) {
        let was_busy = self.is_busy.swap(is_busy, Ordering::AcqRel);
        if is_busy && was_busy {
            return;
        }
        self.activity.busy.send_modify(|busy| match (was_busy, is_busy) {
            (false, true) => *busy += 1,
            (true, false) => *busy -= 1,
            // The client took something.
            _ => {}
        });
    }

    /// Keeps a place until the request is finished, or [released](Self::release).
    pub fn keep(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    /// Releases the place before the request is finished: nothing is open for it any more.
    pub fn release(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // A default value belongs to no connection.
        let _ = self.activity.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| open.checked_sub(1));
        self.set_busy(false);
    }
}
