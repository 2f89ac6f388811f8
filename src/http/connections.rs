//! Limits of connections: their number, and how long a client may stay silent. hyper limits the time for the head of a
//! request; what it does not limit is limited here: a client that never sends a first byte, and one that reads nothing
//! of its response.

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

/// The limits of all connections, and of each.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// One permit for each connection that may be open.
    pub places: Arc<Semaphore>,
    /// The time within which a connection must send its first bytes.
    pub first_byte_timeout: Duration,
    /// How long a client may read nothing of what is sent.
    pub send_timeout: Duration,
}

/// Accepts as `inner` does, and applies the limits to each connection.
#[derive(Debug, Clone)]
pub struct LimitedAcceptor<A> {
    inner: A,
    limits: ConnectionLimits,
}

impl<A> LimitedAcceptor<A> {
    /// Accepts by `inner`, within `limits`.
    pub fn new(inner: A, limits: ConnectionLimits) -> Self {
        Self { inner, limits }
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
        // Without a permit the connection is closed at once, which frees what it holds.
        let place = self.limits.places.clone().try_acquire_owned();
        let ConnectionLimits { first_byte_timeout, send_timeout, .. } = self.limits;
        let accepting = self.inner.accept(stream, service);
        Box::pin(async move {
            let place = place.map_err(|_| {
                tracing::debug!("connection limit reached");
                io::Error::from(io::ErrorKind::ConnectionRefused)
            })?;
            let (stream, service) = accepting.await?;
            let deadline = Some(Box::pin(sleep(first_byte_timeout)));
            Ok((Connection { stream, deadline, seen: 0, send_timeout, stalled: None, _place: place }, service))
        })
    }
}

/// A connection with its limits.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// Until the first bytes have arrived.
    deadline: Option<Pin<Box<Sleep>>>,
    seen: usize,
    send_timeout: Duration,
    /// While the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    /// Passes on the result of a write; an error once the client has read nothing for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.send_timeout)));
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
        // Another first byte is not a preface; from there on hyper's own timeout applies.
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
