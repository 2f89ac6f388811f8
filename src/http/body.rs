//! Bodies as streams: a request's, whose errors are the client's, and an answer's, whose client may
//! stop taking it.

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

/// The body, chunk by chunk. Ends with `BodyStalled` if nothing comes for `stall`, and with
/// `BodyBroken` if the client goes away or breaks the framing.
pub fn stream(body: Body, stall: Duration) -> ByteStream {
    let chunks = body.into_data_stream();
    Box::pin(stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(stall, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(Error::BodyBroken(error.to_string())), None)),
            Err(_) => Some((Err(Error::BodyStalled), None)),
        }
    }))
}

/// The body of a response, dropped when the client reads nothing of it for `timeout`; or for a few seconds, if it
/// `must_yield` because others wait for what it holds. On HTTP/1 the connection itself has this limit; on HTTP/2 one of
/// its streams may stall, with its files open, while others go forward. Nothing is read ahead: a stream without a window
/// holds no block.
pub fn with_send_timeout(body: Body, timeout: Duration, must_yield: impl Fn() -> bool + Send + 'static) -> Body {
    let sending = Arc::new(Mutex::new(Sending { body: Some(body), idle_since: Some(Instant::now()) }));
    let (alive, ended) = oneshot::channel();
    let watching = watch(Arc::downgrade(&sending), timeout, must_yield);
    tokio::spawn(async move {
        tokio::select! {
            _ = ended => {}
            () = watching => {}
        }
    });
    Body::new(Watched { sending, _alive: alive })
}

/// How long a client may read nothing of a response whose memory others wait for.
const YIELD_AFTER: Duration = Duration::from_secs(5);
/// How often a response is looked at, at least.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A body under way.
struct Sending {
    /// None once it is dropped.
    body: Option<Body>,
    /// Since when the client could read what it was given; none while the server has nothing for it.
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
