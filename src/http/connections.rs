//! Connections, bounded in number and in patience. How long the head of a request may take is hyper's
//! affair; what hyper does not watch is watched here: a client that never begins, and one that
//! takes nothing of its answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// What a connection may do.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Places for connections.
    pub places: Arc<Semaphore>,
    /// The time within which a connection has to begin.
    pub begin: Duration,
    /// How long a client may take nothing of what is sent.
    pub take: Duration,
}

/// Accepts as another acceptor does, and holds each connection to its manners.
#[derive(Debug, Clone)]
pub struct LimitedAcceptor<A> {
    inner: A,
    manners: ConnectionLimits,
}

impl<A> LimitedAcceptor<A> {
    pub fn new(inner: A, manners: ConnectionLimits) -> Self {
        Self { inner, manners }
    }
}

impl<A, I, S> Accept<I, S> for LimitedAcceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Connection<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        // Without a place the connection is closed at once, which frees what it holds.
        let place = self.manners.places.clone().try_acquire_owned();
        let (accepting, ConnectionLimits { begin, take, .. }) =
            (self.inner.accept(stream, service), self.manners.clone());
        Box::pin(async move {
            let place = place.map_err(|_| {
                tracing::debug!("a connection was refused: all places are taken");
                io::Error::from(io::ErrorKind::ConnectionRefused)
            })?;
            let (stream, service) = accepting.await?;
            let deadline = Some(Box::pin(sleep(begin)));
            Ok((Connection { stream, deadline, seen: 0, patience: take, stalled: None, _place: place }, service))
        })
    }
}

/// A connection that is watched.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// Until it has accepted.
    deadline: Option<Pin<Box<Sleep>>>,
    seen: usize,
    patience: Duration,
    /// While the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    /// Passes on what became of writing; an error once the client has taken nothing for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The length of HTTP/2's preface, `PRI * HTTP/2.0...` (RFC 9113, section 3.4).
const PREFACE: usize = 24;

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(deadline) = &mut self.deadline else { return read };
        if read.is_pending() {
            return deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        let new = &buffer.filled()[before..];
        // What begins otherwise is no preface, and with its first byte hyper's own time begins.
        let no_preface = self.seen == 0 && new.first().is_some_and(|byte| *byte != b'P');
        self.seen += new.len();
        if no_preface || self.seen >= PREFACE {
            self.deadline = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, ended)
    }
}
