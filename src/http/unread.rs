//! Responses that are ready before the body of their request was read, such as most refusals. Many clients send the
//! whole body before they read the response, and lose it when the connection is reset meanwhile. Therefore the rest of
//! the body is read and discarded after the response, within limits: then the client has the response, and the
//! connection can be used again. Where the rest is not wanted, the response announces `Connection: close` (RFC 9112,
//! section 9.6); on HTTP/2 the stream is reset without an error after the response (RFC 9113, section 8.1).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::activity::OpenRequest;
use crate::config::Config;

/// How long a client may send nothing of what is discarded.
pub const SILENCE: Duration = Duration::from_secs(5);
/// How long the end of a body of unknown length is awaited before the response says whether the connection stays open.
const GRACE: Duration = Duration::from_millis(50);

/// How long HTTP/2 clients have to take a response before the rest of the body is refused by a reset: some discard a
/// response that arrives together with it.
const RESET_DELAY: Duration = Duration::from_secs(1);

/// How much is read and discarded.
#[derive(Debug, Clone, Copy)]
pub struct DrainLimits {
    /// Bytes of one body.
    pub bytes: u64,
    /// The time for all of them.
    pub time: Duration,
}

impl DrainLimits {
    /// Those of the settings.
    pub fn of(config: &Config) -> Self {
        Self { bytes: config.limits.drain_size, time: config.drain_timeout }
    }
}

/// Makes sure that the client receives the response even if the body of its request was not read.
pub async fn drain_unread(State(limits): State<DrainLimits>, request: Request, next: Next) -> Response {
    let open = request.extensions().get().cloned().unwrap_or_default();
    let is_http1 = request.version() <= Version::HTTP_11;
    let expects = request.headers().get(header::EXPECT).is_some();
    let rest = Arc::new(Rest { open, limits, expects, is_http1, state: Mutex::default() });

    let mut response = next.run(request.map(|body| rest.lend(body))).await;
    let closes = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
    let is_early = rest.is_left();
    if !rest.settle(closes).await && is_http1 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (head, mut body) = response.into_parts();
    let mut first = None;
    if is_early && !is_http1 {
        // Some clients stop at the head of a refusal, unless the body comes with it.
        first = tokio::time::timeout(GRACE, next_frame(&mut body)).await.ok().flatten();
    }
    rest.open.activity().begin_response();
    rest.open.set_busy(false);
    Response::from_parts(head, Body::new(Answer { first, body, rest }))
}

/// The remaining body of a request.
struct Rest {
    open: Arc<OpenRequest>,
    limits: DrainLimits,
    /// Whether the client waits for 100 (Continue) before it sends the body.
    expects: bool,
    is_http1: bool,
    state: Mutex<RestState>,
}

#[derive(Default)]
struct RestState {
    body: Unread,
    /// Whether the framing of the body is broken, or its client has disconnected.
    is_broken: bool,
    /// Whether the rest is read, not left.
    is_wanted: bool,
    /// Whether the head of the response is sent. Before, the rest must not be polled: that would send 100 (Continue).
    is_answered: bool,
}

/// Where the unread body is.
#[derive(Default)]
enum Unread {
    /// There is none: it was read to its end, it is broken, or it was abandoned.
    #[default]
    None,
    /// With its reader.
    Lent,
    /// Its reader returned it. `touched`: it was polled, which asked the client to send it.
    Returned { body: Body, touched: bool },
}

impl Rest {
    /// The body for its reader, who gives it back by dropping it.
    fn lend(self: &Arc<Self>, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        self.lock().body = Unread::Lent;
        self.open.activity().set_receiving(true);
        Body::new(Lent { body: Some(body), touched: false, rest: self.clone() })
    }

    /// Whether the body was not read to its end.
    fn is_left(&self) -> bool {
        !matches!(self.lock().body, Unread::None)
    }

    fn ended(&self) {
        self.lock().body = Unread::None;
        self.open.activity().set_receiving(false);
    }

    /// What follows in the connection can no longer be read.
    fn broke(&self) {
        self.lock().is_broken = true;
        self.ended();
        self.open.activity().leave_unread();
    }

    /// Decides what happens to the rest, before the head of the response is sent. Returns whether the connection can
    /// be used again. `closes`: the response ends the connection in any case.
    async fn settle(&self, closes: bool) -> bool {
        let (mut body, touched) = {
            let mut state = self.lock();
            match std::mem::take(&mut state.body) {
                Unread::None => return !state.is_broken,
                // It is still being read, by work that has not noticed the response.
                Unread::Lent => {
                    state.body = Unread::Lent;
                    state.is_wanted = !self.is_http1;
                    return state.is_wanted;
                }
                Unread::Returned { body, touched } => (body, touched),
            }
        };
        // A client that was not told to continue sends either the body or another request: nobody knows which.
        let is_clear = touched || !self.expects;
        let is_wanted = !closes
            && is_clear
            && match body.size_hint().exact() {
                Some(rest) => rest <= self.limits.bytes,
                None if !self.is_http1 => true,
                None if self.ends_soon(&mut body).await => return true,
                None => false,
            };
        let mut state = self.lock();
        state.body = Unread::Returned { body, touched };
        state.is_wanted = is_wanted;
        is_wanted
    }

    async fn ends_soon(&self, body: &mut Body) -> bool {
        let has_ended = tokio::time::timeout(GRACE, discard(body, self.limits.bytes)).await == Ok(true);
        if has_ended {
            self.open.activity().set_receiving(false);
        }
        has_ended
    }

    /// The head of the response is sent.
    fn answered(self: &Arc<Self>) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_answered, true) {
            self.dispose(state);
        }
    }

    /// Reads or leaves the rest, if there is one and the response is on its way.
    fn dispose(self: &Arc<Self>, mut state: MutexGuard<'_, RestState>) {
        if !state.is_answered || !matches!(state.body, Unread::Returned { .. }) {
            return;
        }
        let Unread::Returned { body, .. } = std::mem::take(&mut state.body) else { return };
        if state.is_wanted {
            tokio::spawn(drain(body, self.limits, self.open.clone()));
        } else {
            self.open.activity().leave_unread();
            if !self.is_http1 {
                tokio::spawn(reset_later(body));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, RestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn reset_later(body: Body) {
    tokio::time::sleep(RESET_DELAY).await;
    drop(body);
}

async fn drain(mut body: Body, limits: DrainLimits, open: Arc<OpenRequest>) {
    open.activity().set_content(false);
    if tokio::time::timeout(limits.time, discard(&mut body, limits.bytes)).await != Ok(true) {
        open.activity().leave_unread();
    }
    open.activity().set_receiving(false);
    drop(body);
}

async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Reads up to this many bytes of a body. Returns whether it has ended.
async fn discard(body: &mut Body, mut bytes: u64) -> bool {
    loop {
        match tokio::time::timeout(SILENCE, next_frame(body)).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match bytes.checked_sub(length) {
                    Some(rest) => bytes = rest,
                    None => return false,
                }
            }
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
}

/// The body of a request, with its reader.
struct Lent {
    body: Option<Body>,
    touched: bool,
    rest: Arc<Rest>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.touched = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(context));
        let is_end = frame.is_none() || body.is_end_stream();
        if matches!(frame, Some(Err(_))) {
            self.body = None;
            self.rest.broke();
        } else if is_end {
            self.body = None;
            self.rest.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            let mut state = self.rest.lock();
            state.body = Unread::Returned { body, touched: self.touched };
            self.rest.dispose(state);
        }
    }
}

/// The body of a response: when it is polled for the first time or dropped, the head is sent.
struct Answer {
    /// A part of the body that was ready with the head.
    first: Option<Result<Frame<Bytes>, axum::Error>>,
    body: Body,
    rest: Arc<Rest>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.rest.answered();
        let frame = match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.body).poll_frame(context),
        };
        // What is ready waits for the client.
        self.rest.open.set_busy(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The size of the remaining body is not the size of the whole.
        if self.first.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.rest.answered();
    }
}
