//! The log: lines on standard error, so that standard output has only the output of commands.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat, log_filter};

/// Starts logging as the settings say. Does nothing if logging has already started.
pub fn start(config: &Config) {
    let filter = log_filter(&config.log).unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Several tests in one process may all try; the first one wins.
    let _ = match config.log_format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).finish();
            lines.with(filter_fn(is_below_the_ceiling)).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).finish().with(filter_fn(is_below_the_ceiling)).try_init(),
    };
}

/// Dependencies trace what they handle: whole URLs, and with them the tokens of links. Whatever the settings say, this is
/// not logged.
fn is_below_the_ceiling(metadata: &Metadata<'_>) -> bool {
    let is_own = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_own || *metadata.level() <= Level::DEBUG
}
