//! Bodies as streams: of requests, whose errors are the client's, and of responses, which a client may stop
//! reading.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::error::Error;
use crate::store::ByteStream;

/// Bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
#[allow(dead_code, reason = "only described, never built")]
pub struct Binary(Vec<u8>);

/// The minimum speed of a client that sends a body.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long the client may send nothing. It may also fall behind `min_rate` by this much.
    pub stall_timeout: Duration,
    /// The bytes per second that it has to send on average; 0 for any. The time that this server takes to store them does
    /// not count.
    pub min_rate: u64,
}

impl Pace {
    /// How long to wait for the next bytes, `waited` for the `received` bytes before them.
    fn time_left(self, waited: Duration, received: u64) -> Duration {
        let Some(seconds) = received.checked_div(self.min_rate) else { return self.stall_timeout };
        let limit = self.stall_timeout.saturating_add(Duration::from_secs(seconds));
        limit.saturating_sub(waited).min(self.stall_timeout)
    }
}

/// The body, chunk by chunk. Ends with `BodyStalled` if the client is slower than this pace, and with `BodyBroken` if
/// it disconnects or violates the framing.
pub fn stream(body: Body, pace: Pace) -> ByteStream {
    let chunks = body.into_data_stream();
    Box::pin(stream::unfold(Some((chunks, Duration::ZERO, 0)), move |state| async move {
        let (mut chunks, waited, received) = state?;
        let began = Instant::now();
        match tokio::time::timeout(pace.time_left(waited, received), chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => {
                let received = received + chunk.len() as u64;
                Some((Ok(chunk), Some((chunks, waited + began.elapsed(), received))))
            }
            Ok(Some(Err(error))) => Some((Err(Error::BodyBroken(error.to_string())), None)),
            Err(_) => Some((Err(Error::BodyStalled), None)),
        }
    }))
}

/// The body of a response, dropped when the client reads nothing of it for `timeout`; or for a few seconds, if it
/// `must_yield` because others wait for what it holds. On HTTP/1 the connection itself has this limit; on HTTP/2 one of
/// its streams may stall, with its files open, while others go forward. Nothing is read ahead: a stream without a window
/// holds no block. `dropped` runs when the body is dropped early: what else is held for it can be released then, as the
/// connection notices only when the client reads again.
pub fn with_send_timeout(
    body: Body,
    timeout: Duration,
    must_yield: impl Fn() -> bool + Send + 'static,
    dropped: impl FnOnce() + Send + 'static,
) -> Body {
    let sending = Arc::new(Mutex::new(Sending { body: Some(body), idle_since: Some(Instant::now()) }));
    let (alive, ended) = oneshot::channel();
    let watching = watch(Arc::downgrade(&sending), timeout, must_yield);
    tokio::spawn(async move {
        tokio::select! {
            _ = ended => {}
            () = watching => dropped(),
        }
    });
    Body::new(Watched { sending, _alive: alive })
}

/// How long a client may read nothing of a response whose memory others wait for.
const YIELD_AFTER: Duration = Duration::from_secs(5);
/// The longest interval between two checks of a response.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A body in transit.
struct Sending {
    /// None once it is dropped.
    body: Option<Body>,
    /// Since when the client has had data to read; `None` while it waits for the server.
    idle_since: Option<Instant>,
}

async fn watch(sending: Weak<Mutex<Sending>>, timeout: Duration, must_yield: impl Fn() -> bool) {
    loop {
        tokio::time::sleep((timeout / 8).min(WATCH_INTERVAL)).await;
        let Some(sending) = sending.upgrade() else { return };
        let mut sending = sending.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = sending.idle_since.map_or(Duration::ZERO, |since| since.elapsed());
        if idle >= timeout || (idle >= YIELD_AFTER && must_yield()) {
            sending.body = None;
            return;
        }
    }
}

/// The side of the connection.
struct Watched {
    sending: Arc<Mutex<Sending>>,
    /// Ends the watching with the body.
    _alive: oneshot::Sender<()>,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut sending = self.lock();
        let Some(body) = &mut sending.body else {
            return Poll::Ready(Some(Err(axum::Error::new(Error::BodyStalled))));
        };
        let frame = Pin::new(body).poll_frame(context);
        sending.idle_since = frame.is_ready().then(Instant::now);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
