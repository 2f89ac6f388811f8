//! The log: lines on standard error, so that standard output has only the output of commands.
//!
//! Nothing that serves a request waits for the reader of the log. Lines go through a bounded queue, which one thread
//! writes; if the reader is slow or gone, lines are dropped and counted.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat, log_filter};

/// How long the end of the process waits for the reader of the log.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts logging as the settings say, panics included. Does nothing if logging has already started.
pub fn start(config: &Config) {
    let filter = log_filter(&config.log).unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| queue::stderr());
    // Otherwise the subscriber would report a line that it cannot format to a standard error that may be gone.
    let lines = lines.log_internal_errors(false);
    let started = match config.log_format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).finish();
            lines.with(filter_fn(is_below_the_ceiling)).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).finish().with(filter_fn(is_below_the_ceiling)).try_init(),
    };
    // Several tests in one process may all try; the first one wins.
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Prints one line for an operator on standard error, after the lines of the log so far.
pub fn print_line(line: &str) {
    queue::stderr().push(format!("{line}\n").into_bytes());
}

/// Waits until every line has been written, for a second at most.
pub fn flush() {
    queue::stderr().flush(FLUSH_TIMEOUT);
}

/// The standard hook writes to standard error itself: it would panic again if that is closed, and block if it is full.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let cause = panic.payload_as_str().unwrap_or("unknown");
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(cause, thread, location, %backtrace, "panicked"),
        _ => tracing::error!(cause, thread, location, "panicked"),
    }
    if thread == "main" {
        flush();
    }
}

/// At trace level, dependencies log what they handle: whole URLs, including the tokens of links. These lines are
/// dropped, whatever the settings.
fn is_below_the_ceiling(metadata: &Metadata<'_>) -> bool {
    let is_own = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_own || *metadata.level() <= Level::DEBUG
}
