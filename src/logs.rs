//! The log: lines on the standard error, so that the standard output is for answers alone.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, LogFormat};

/// Begins to log as the settings say. Does nothing if logging has accepted already.
pub fn start(config: &Config) {
    let filter = filter(&config.log).unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Several tests in one process may all try; the first one wins.
    let _ = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// The filter that a text stands for: a bare level is for our own code; dependencies say no more
/// than warnings unless they are named. None if the text is neither a level nor directives.
pub fn filter(text: &str) -> Option<EnvFilter> {
    let directives = directives(text);
    // EnvFilter takes a misspelt level for the name of a module, and would show all of it.
    let is_complete = directives.split(',').skip(1).all(|directive| directive.contains(['=', '[', ']']));
    is_complete.then(|| EnvFilter::builder().parse(directives).ok()).flatten()
}

fn directives(text: &str) -> String {
    let own = text.split(',').map(str::trim).map(|directive| match directive.parse::<LevelFilter>() {
        Ok(level) => format!("strongroom={level}"),
        Err(_) => directive.to_owned(),
    });
    std::iter::once("warn".to_owned()).chain(own).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_code() {
        assert_eq!(directives("debug"), "warn,strongroom=debug");
        assert_eq!(directives("info, sqlx=trace"), "warn,strongroom=info,sqlx=trace");
        assert_eq!(directives("strongroom::store=debug"), "warn,strongroom::store=debug");
    }

    #[test]
    fn nonsense_is_no_filter() {
        assert!(filter("info").is_some());
        assert!(filter("off").is_some());
        assert!(filter("sqlx=loud").is_none());
        assert!(filter("verbose").is_none());
    }
}
