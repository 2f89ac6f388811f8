//! An HTTP client that uses so little CPU that the servers are measured and not the client.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::KIB;

/// A request without its body, created before the time is measured.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub target: String,
    /// Complete lines, each with its line break.
    pub headers: String,
    pub expected: u16,
}

impl Request {
    pub fn new(method: &'static str, target: impl Into<String>, expected: u16) -> Self {
        Self { method, target: target.into(), headers: String::new(), expected }
    }

    pub fn with(mut self, header: &str, value: &str) -> Self {
        write!(self.headers, "{header}: {value}\r\n").expect("a String");
        self
    }
}

/// A keep-alive connection with the subset of HTTP/1.1 that the benchmark requires.
pub struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
    head: String,
}

impl Connection {
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("a socket");
        Self { stream, host: address.to_owned(), buffer: vec![0; 256 * KIB], head: String::new() }
    }

    /// Sends a request; returns the body of the response.
    pub fn text(&mut self, request: &Request, body: &[u8]) -> String {
        let (_, response) = self.exchange(request, body, true);
        String::from_utf8(response).expect("UTF-8")
    }

    /// Sends a request and discards the body of the response; returns its length in bytes.
    pub fn count(&mut self, request: &Request) -> usize {
        self.exchange(request, &[], false).0
    }

    /// Sends a request; returns the length of the response's body and, if `keep` is set, the body.
    fn exchange(&mut self, request: &Request, body: &[u8], keep: bool) -> (usize, Vec<u8>) {
        let Request { method, target, headers, expected } = request;
        self.head.clear();
        write!(self.head, "{method} {target} HTTP/1.1\r\nhost: {}\r\n{headers}", self.host).expect("a String");
        if !body.is_empty() || ["POST", "PUT"].contains(method) {
            write!(self.head, "content-length: {}\r\n", body.len()).expect("a String");
        }
        self.head.push_str("\r\n");
        // A small body is sent together with the headers, as other clients do.
        let together = body.len().min(16 * KIB);
        let first = [self.head.as_bytes(), &body[..together]].concat();
        let sent = self.stream.write_all(&first).and_then(|()| self.stream.write_all(&body[together..]));

        let (mut filled, mut scanned) = (0, 0);
        let end = loop {
            let read = match self.stream.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.unwrap_or_else(|error| panic!("{method} {target}: {error}; sending: {sent:?}")),
            };
            assert!(read > 0, "{method} {target}: the connection was cut; sending: {sent:?}");
            filled += read;
            if let Some(at) = self.buffer[scanned..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break scanned + at + 4;
            }
            scanned = filled.saturating_sub(3);
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]);
        let status: u16 = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        let length = header(&head, "content-length").map_or(0, |value| value.parse().expect("a length"));
        assert!(header(&head, "transfer-encoding").is_none(), "{method} {target}: this client cannot read chunks");
        let head = if status == *expected { String::new() } else { head.into_owned() };
        let keep = keep || status != *expected;

        let (mut received, mut kept) = (filled - end, self.buffer[end..filled].to_vec());
        while received < length {
            let read = match keep {
                true => self.stream.read(&mut self.buffer).inspect(|read| kept.extend(&self.buffer[..*read])),
                false => discard(&self.stream, length - received),
            };
            let read = read.expect("the response was interrupted");
            assert!(read > 0, "{method} {target}: the response ended after {received} of {length} bytes");
            received += read;
        }
        assert_eq!(status, *expected, "{method} {target}: {head}{}", String::from_utf8_lossy(&kept));
        (received, kept)
    }
}

#[expect(unsafe_code, reason = "the standard library cannot discard received bytes without a copy")]
unsafe extern "C" {
    fn recv(socket: i32, buffer: *mut u8, length: usize, flags: i32) -> isize;
}

/// Receives bytes without copying them. With a copy the client would use more CPU than a server that sends files
/// with `sendfile`, and would be the bottleneck.
#[expect(unsafe_code, reason = "calls a C function")]
fn discard(stream: &TcpStream, most: usize) -> io::Result<usize> {
    const MSG_TRUNC: i32 = 0x20;
    loop {
        // SAFETY: with this flag Linux discards the bytes of a TCP connection and does not write to the buffer.
        let taken = unsafe { recv(stream.as_raw_fd(), ptr::null_mut(), most, MSG_TRUNC) };
        match usize::try_from(taken) {
            Ok(taken) => return Ok(taken),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Runs the job `count` times over `connections` connections; returns how long each one took.
pub fn concurrently(
    address: &str,
    count: usize,
    connections: usize,
    job: impl Fn(&mut Connection, usize) + Sync,
) -> Vec<Duration> {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut connection, mut times) = (Connection::open(address), Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return times;
            }
            let started = Instant::now();
            job(&mut connection, index);
            times.push(started.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections.min(count)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread failed")).collect()
    })
}

/// The value of the last string member with this name.
pub fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let rest = json.rsplit_once(&format!("\"{name}\":\""))?.1;
    rest.split('"').next()
}
