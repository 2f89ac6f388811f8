//! The log: lines on standard error, so that standard output has only the output of commands.

use std::io::IsTerminal;

use crate::config::{Config, LogFormat, log_filter};

/// Starts logging as the settings say. Does nothing if logging has already started.
pub fn start(config: &Config) {
    let filter = log_filter(&config.log).unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Several tests in one process may all try; the first one wins.
    let _ = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
