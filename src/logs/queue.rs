//! The queue of lines for standard error, and the thread that writes them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Bytes of lines that may wait for the reader. What does not fit is dropped.
const CAPACITY: usize = 1024 * 1024;
/// Pause before the next attempt to write to a full pipe that does not block.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Lines on their way to standard error.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// A line was added, or written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of the lines, including the one that is being written.
    bytes: usize,
    /// Lines that were dropped since the start.
    dropped: u64,
    /// How many of them the log has reported.
    reported: u64,
}

/// The queue for standard error. The first call starts its thread.
pub(super) fn stderr() -> &'static Queue {
    static QUEUE: OnceLock<&'static Queue> = OnceLock::new();
    QUEUE.get_or_init(|| {
        let queue: &'static Queue = Box::leak(Box::default());
        // The descriptor itself, because a writer that blocks would hold the lock of `std::io::stderr`.
        if let Ok(output) = std::io::stderr().as_fd().try_clone_to_owned() {
            let thread = std::thread::Builder::new().name("log".into());
            // Without a thread the lines are dropped, and the server serves.
            let _ = thread.spawn(move || queue.write_to(File::from(output), report));
        }
        queue
    })
}

fn report(dropped: u64) {
    tracing::warn!(dropped, "log lines were dropped since the start: the reader of the log was gone or too slow");
}

impl Queue {
    /// Adds a line, or drops it if too many wait. Never blocks.
    pub fn push(&self, line: Vec<u8>) {
        let mut state = self.lock();
        if state.bytes + line.len() > CAPACITY {
            state.dropped += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        self.changed.notify_all();
    }

    /// Waits until every line has been written or dropped.
    pub fn flush(&self, timeout: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| state.bytes > 0);
        drop(waited);
    }

    /// Writes the lines forever. When the reader is back, or has caught up, reports how many lines were dropped.
    fn write_to(&self, mut output: impl Write, report: impl Fn(u64)) {
        loop {
            let line = self.next();
            let written = write_line(&mut output, &line);
            let mut state = self.lock();
            state.bytes -= line.len();
            state.dropped += u64::from(written.is_err());
            self.changed.notify_all();
            if written.is_ok() && state.lines.is_empty() && state.dropped > state.reported {
                state.reported = state.dropped;
                let dropped = state.dropped;
                drop(state);
                report(dropped);
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event of the log, which the subscriber writes in one call.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a line. A process that shares the pipe may have made it non-blocking, so that a full one is an error.
#[allow(clippy::disallowed_methods, reason = "it runs in the thread of the log, not in a worker of the runtime")]
fn write_line(output: &mut impl Write, mut line: &[u8]) -> std::io::Result<()> {
    while !line.is_empty() {
        match output.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => line = &line[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    /// A queue that a thread writes to a pipe, and the end to read from.
    fn queue() -> (&'static Queue, std::io::PipeReader) {
        let queue: &'static Queue = Box::leak(Box::default());
        let (reader, writer) = pipe().unwrap();
        std::thread::spawn(move || {
            queue.write_to(writer, |dropped| queue.push(format!("dropped {dropped}\n").into_bytes()));
        });
        (queue, reader)
    }

    fn read_until(reader: &mut impl Read, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let mut bytes = [0; 4096];
            let count = reader.read(&mut bytes).unwrap();
            assert!(count > 0, "{text}");
            text += std::str::from_utf8(&bytes[..count]).unwrap();
        }
        text
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_reported_once_they_are_read() {
        let (queue, mut reader) = queue();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..2000 {
            queue.push(line.clone());
        }
        assert!(queue.lock().bytes <= CAPACITY);
        let text = read_until(&mut reader, "\n");
        let text = text + &read_until(&mut reader, &format!("dropped {}\n", queue.lock().dropped));
        let (kept, dropped) = (text.matches("x\n").count() as u64, queue.lock().dropped);
        assert!(dropped > 0);
        assert_eq!(kept + dropped, 2000);
        queue.push(b"and on\n".to_vec());
        assert_eq!(read_until(&mut reader, "\n"), "and on\n");
    }

    #[test]
    fn a_reader_that_is_gone_costs_its_lines_only() {
        let (queue, reader) = queue();
        drop(reader);
        for _ in 0..10 {
            queue.push(b"lost\n".to_vec());
        }
        queue.flush(Duration::from_secs(60));
        let state = queue.lock();
        assert_eq!((state.bytes, state.dropped), (0, 10));
    }
}
