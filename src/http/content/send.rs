//! Sends a planned response, and lets an observer follow its body.

use std::future::{Future, ready};
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::{Plan, Segment};
use crate::budget::{OpenStream, StreamMemory};
use crate::error::{Error, Result};
use crate::http::middleware::is_http2;
use crate::http::problem;
use crate::store::ByteStream;

/// Bytes that a stream of HTTP/2 reads at a time, at most: what it may hold while its client has no window.
const HTTP2_BLOCK: usize = 32 * 1024;

/// How much of a body has been handed to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes of the whole body.
    pub length: u64,
}

impl Progress {
    /// Bytes that remain.
    pub fn left(self) -> u64 {
        self.length.saturating_sub(self.sent)
    }

    /// Whether the whole body was sent.
    pub fn is_complete(self) -> bool {
        self.sent == self.length
    }
}

/// An observer of the delivery of a body: the audit log, or a download counter.
pub trait DeliveryObserver: Send + 'static {
    /// Called when the content is open and the response is about to begin. An error becomes the response instead.
    fn begin(&mut self) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called before a chunk is sent; with the chunk, `next` is reached. An error ends the body before the
    /// chunk.
    fn advance(&mut self, next: Progress) -> impl Future<Output = Result<()>> + Send {
        let _ = next;
        ready(Ok(()))
    }

    /// Called once after a successful [`begin`](Self::begin), when the body ended or the client disconnected.
    fn end(&mut self, reached: Progress);
}

/// An optional observer.
impl<O: DeliveryObserver> DeliveryObserver for Option<O> {
    async fn begin(&mut self) -> Result<()> {
        match self {
            Some(observer) => observer.begin().await,
            None => Ok(()),
        }
    }

    async fn advance(&mut self, next: Progress) -> Result<()> {
        match self {
            Some(observer) => observer.advance(next).await,
            None => Ok(()),
        }
    }

    fn end(&mut self, reached: Progress) {
        if let Some(observer) = self {
            observer.end(reached);
        }
    }
}

/// One observer after the other. If one fails at the beginning, those before it must have nothing to end.
impl<A: DeliveryObserver, B: DeliveryObserver> DeliveryObserver for (A, B) {
    async fn begin(&mut self) -> Result<()> {
        self.0.begin().await?;
        self.1.begin().await
    }

    async fn advance(&mut self, next: Progress) -> Result<()> {
        self.0.advance(next).await?;
        self.1.advance(next).await
    }

    fn end(&mut self, reached: Progress) {
        self.0.end(reached);
        self.1.end(reached);
    }
}

/// Sends a planned response. `open` opens a range of the content, to be read in blocks of a number of bytes: the first
/// one before the response begins, so that a store that is not available is still a 503; the others one after another.
/// A plan without a body opens nothing and is not observed.
///
/// # Errors
/// What `open` and [`DeliveryObserver::begin`] fail with.
pub async fn send<Opening>(
    plan: Plan,
    memory: &Arc<StreamMemory>,
    open: impl Fn(Range<u64>, usize) -> Opening + Send + 'static,
    mut observer: impl DeliveryObserver,
) -> Result<Response>
where
    Opening: Future<Output = Result<ByteStream>> + Send + 'static,
{
    let length = plan.length();
    let mut segments = plan.segments.into_iter();
    let Some(Segment { head, range }) = segments.next() else {
        return Ok((plan.status, plan.headers).into_response());
    };
    let (stream, max_block) = (memory.open(), if is_http2() { HTTP2_BLOCK } else { usize::MAX });
    let block = stream.block().min(max_block);
    let first = after(head, open(range, block).await?);
    observer.begin().await?;
    let others = stream::iter(segments).then(move |Segment { head, range }| {
        let opening = open(range, block);
        async move { Ok::<_, Error>(after(head, opening.await?)) }
    });
    let end = stream::iter((!plan.end.is_empty()).then(|| Ok(plan.end.into())));
    let bytes = Box::pin(first.chain(others.try_flatten()).chain(end));
    let delivery = Delivery { observer, stream, reached: Progress { sent: 0, length } };
    Ok((plan.status, plan.headers, Body::from_stream(observed(bytes, delivery))).into_response())
}

fn after(head: String, bytes: ByteStream) -> ByteStream {
    if head.is_empty() { bytes } else { Box::pin(stream::once(ready(Ok(head.into()))).chain(bytes)) }
}

/// A body in transit. The observer is always notified of its end.
struct Delivery<O: DeliveryObserver> {
    observer: O,
    stream: OpenStream,
    reached: Progress,
}

impl<O: DeliveryObserver> Drop for Delivery<O> {
    fn drop(&mut self) {
        self.observer.end(self.reached);
    }
}

impl<O: DeliveryObserver> Delivery<O> {
    async fn advance(&mut self, bytes: usize) -> Result<()> {
        let next = Progress { sent: self.reached.sent + bytes as u64, ..self.reached };
        self.observer.advance(next).await?;
        self.reached = next;
        Ok(())
    }
}

/// An error in the middle cuts the connection, as the length was promised: never a short success.
fn observed(bytes: ByteStream, delivery: Delivery<impl DeliveryObserver>) -> impl Stream<Item = Result<Bytes>> {
    stream::unfold(Some((bytes, delivery)), |state| async move {
        let (mut bytes, mut delivery) = state?;
        let next = match delivery.stream.ready().await {
            Ok(()) => bytes.next().await?,
            Err(error) => Err(error),
        };
        let advanced = match next {
            Ok(chunk) => delivery.advance(chunk.len()).await.map(|()| delivery.stream.pass(chunk)),
            Err(error) => Err(error),
        };
        match advanced {
            Ok(chunk) => Some((Ok(chunk), Some((bytes, delivery)))),
            Err(error) => {
                problem::log(&error);
                Some((Err(error), None))
            }
        }
    })
}
