//! The byte stream of a connection with its limits: how long a client may stay silent, and how the connection ends.
//! hyper reads requests from it and is not aware of the limits.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::activity::Activity;
use super::problem::Problem;
use super::unread::{DrainLimits, SILENCE};
use crate::config::Config;

/// How long a client that has closed its half of the connection may wait for the response to a request that only reads.
/// Whether it still waits is not known before something is written, and a client that has gone must not keep what its
/// request holds. nginx stops working on any such request immediately, and Go cancels its context; but work that changes
/// something has its end anyway, and a client that does wait has to learn the result.
const HALF_CLOSED: Duration = Duration::from_secs(5);
/// Bytes of the head of a request, at most.
const HEAD_SIZE: usize = 64 * 1024;
/// Bytes that are read at a time of anything but content: hyper sizes its buffer by what it reads, and keeps it for the
/// next request.
const SMALL_READ: usize = 16 * 1024;
/// The client preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The limits of each connection.
#[derive(Debug)]
pub struct StreamLimits {
    /// The time within which the head of a request must arrive.
    pub header_timeout: Duration,
    /// How long a client may read nothing of its response.
    pub send_timeout: Duration,
    /// What is read and discarded after the last response.
    pub drain: DrainLimits,
    /// The response to a head that is too large.
    pub head_refusal: String,
}

/// A prepared 431 (Request Header Fields Too Large).
pub fn head_refusal(config: &Config) -> String {
    let detail = format!("the request line and the headers must not be longer than {} KiB in all", HEAD_SIZE / 1024);
    Problem::new("headers_too_large", detail).raw_response(config, "")
}

/// A connection with its limits.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    limits: Arc<StreamLimits>,
    activity: Arc<Activity>,
    protocol: Protocol,
    /// While the head of a request, or the preface, has not arrived completely: the number of requests before it.
    head: Option<u64>,
    /// Bytes that have arrived of that head.
    head_size: usize,
    /// Bytes of [`StreamLimits::head_refusal`] that were sent.
    refused: usize,
    head_deadline: Pin<Box<Sleep>>,
    /// While the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Bytes of the next request that arrived before the response to this one was sent.
    ahead: Vec<u8>,
    /// Whether the client has closed its half.
    has_ended: bool,
    /// Since then, while a request may be dropped: the time until it counts as disconnected.
    gone: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// This many bytes of the preface have arrived, and nothing else.
    Unknown(usize),
    Http1,
    Http2,
}

/// The remaining limits while bytes are discarded.
#[derive(Debug)]
struct Lingering {
    bytes: u64,
    deadline: Pin<Box<Sleep>>,
    silence: Pin<Box<Sleep>>,
}

impl<S> Connection<S> {
    pub fn new(stream: S, activity: Arc<Activity>, limits: Arc<StreamLimits>) -> Self {
        let head_deadline = Box::pin(sleep(limits.header_timeout));
        Self {
            stream,
            limits,
            activity,
            protocol: Protocol::Unknown(0),
            head: Some(0),
            head_size: 0,
            refused: 0,
            head_deadline,
            stalled: None,
            ahead: Vec::new(),
            has_ended: false,
            gone: None,
            lingering: None,
        }
    }

    /// Records bytes that have arrived.
    fn received(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Protocol::Unknown(seen) = self.protocol {
            let rest = &PREFACE[seen..];
            let new = bytes.len().min(rest.len());
            self.protocol = match bytes[..new] == rest[..new] {
                false => Protocol::Http1,
                true if new == rest.len() => Protocol::Http2,
                true => Protocol::Unknown(seen + new),
            };
        }
        let begun = self.activity.begun();
        match self.protocol {
            Protocol::Http2 => self.head = None,
            // The first bytes of another head.
            Protocol::Http1 if self.head != Some(begun) && !self.activity.is_open() => {
                self.head = Some(begun);
                self.head_size = 0;
                self.head_deadline.as_mut().reset(Instant::now() + self.limits.header_timeout);
            }
            _ => {}
        }
        self.head_size = self.head_size.saturating_add(bytes.len());
    }

    /// Nothing has arrived: an error if that takes too long.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_within_head() {
            return Poll::Pending;
        }
        self.head_deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn is_within_head(&self) -> bool {
        self.head == Some(self.activity.begun())
    }

    /// Passes on the result of a write; an error once the client has read nothing for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.limits.send_timeout)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether bytes may arrive that nobody reads. To these the system replies with a reset, and a reset can destroy a
    /// response on its way.
    fn must_linger(&self) -> bool {
        let is_refused_head = self.protocol == Protocol::Http1 && self.is_within_head();
        !self.has_ended && (is_refused_head || self.activity.has_unread())
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    fn poll_small_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; SMALL_READ];
        let length = space.len().min(buffer.remaining());
        let mut small = ReadBuf::new(&mut space[..length]);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut small))?;
        buffer.put_slice(small.filled());
        Poll::Ready(Ok(()))
    }

    /// Checks whether the client has disconnected while its request is being handled; hyper does not read then. An end
    /// of stream may also mean that the client is waiting for the response.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.protocol != Protocol::Http1 || !self.activity.is_answering() {
            return Poll::Pending;
        }
        if !self.has_ended && self.ahead.is_empty() {
            let mut space = [0; 1024];
            let mut buffer = ReadBuf::new(&mut space);
            if let Err(error) = std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                return Poll::Ready(error);
            }
            self.has_ended = buffer.filled().is_empty();
            self.ahead.extend_from_slice(buffer.filled());
        }
        if !self.has_ended || !self.activity.is_droppable() {
            self.gone = None;
            return Poll::Pending;
        }
        let gone = self.gone.get_or_insert_with(|| Box::pin(sleep(HALF_CLOSED)));
        gone.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl Lingering {
    fn new(limits: DrainLimits) -> Self {
        Self { bytes: limits.bytes, deadline: Box::pin(sleep(limits.time)), silence: Box::pin(sleep(SILENCE)) }
    }

    /// Discards what arrives, until the client closes its half or a limit is reached.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let read = Pin::new(&mut *stream).poll_read(context, &mut buffer);
            let length = buffer.filled().len() as u64;
            match read {
                Poll::Ready(Ok(())) if length > 0 && length <= self.bytes => {
                    self.bytes -= length;
                    self.silence.as_mut().reset(Instant::now() + SILENCE);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let is_over = self.deadline.as_mut().poll(context).is_ready() || self.silence.as_mut().poll(context).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sends the response to a head that is too large, and ends the connection.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limits = self.limits.clone();
        while let Some(unsent) = limits.head_refusal.as_bytes().get(self.refused..).filter(|unsent| !unsent.is_empty())
        {
            let sent = Pin::new(&mut *self).poll_write(context, unsent);
            self.refused += std::task::ready!(sent)?;
        }
        std::task::ready!(Pin::new(self).poll_shutdown(context))?;
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_within_head() && this.head_size > HEAD_SIZE {
            return this.poll_refuse(context);
        }
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(&this.ahead[..length]);
            this.received(&buffer.filled()[buffer.filled().len() - length..]);
            this.ahead.drain(..length);
            return Poll::Ready(Ok(()));
        }
        if this.has_ended || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = match this.protocol == Protocol::Http2 || this.activity.receives_content() {
            true => Pin::new(&mut this.stream).poll_read(context, buffer),
            false => this.poll_small_read(context, buffer),
        };
        match read {
            Poll::Pending => this.poll_head(context),
            Poll::Ready(Ok(())) => {
                let new = &buffer.filled()[before..];
                this.has_ended = new.is_empty();
                this.received(new);
                read
            }
            Poll::Ready(Err(_)) => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
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
        let flushed = self.watch(context, flushed);
        match self.poll_gone(context) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => flushed,
        }
    }

    /// Closes this half, and reads what the client still sends: it may be sending the rest of a body before it reads the
    /// response (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let ended = Pin::new(&mut this.stream).poll_shutdown(context);
            std::task::ready!(this.watch(context, ended))?;
            if !this.must_linger() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this.lingering.get_or_insert_with(|| Lingering::new(this.limits.drain));
        lingering.poll(&mut this.stream, context).map(Ok)
    }
}
