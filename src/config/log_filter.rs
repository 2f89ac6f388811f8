//! Parses the setting `log` into a log filter.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The filter of a level or of directives. A bare level applies to Strongroom's own code; dependencies log only
/// warnings unless they are named. `None` if the text is neither a level nor directives.
pub fn log_filter(text: &str) -> Option<EnvFilter> {
    let directives = directives(text);
    // EnvFilter interprets a misspelled level as a module name, and would enable all of its levels.
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
    fn a_bare_level_applies_to_our_own_code() {
        assert_eq!(directives("debug"), "warn,strongroom=debug");
        assert_eq!(directives("info, sqlx=trace"), "warn,strongroom=info,sqlx=trace");
        assert_eq!(directives("strongroom::store=debug"), "warn,strongroom::store=debug");
    }

    #[test]
    fn other_texts_are_not_filters() {
        assert!(log_filter("info").is_some());
        assert!(log_filter("off").is_some());
        assert!(log_filter("sqlx=loud").is_none());
        assert!(log_filter("verbose").is_none());
    }
}
