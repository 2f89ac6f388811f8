//! Settings as text: the example file, the output of `strongroom config`, and redacted URLs.

use std::fmt::Write;

use url::Url;

use super::value::ConfigError;
use super::{SETTINGS, Setting, Settings};

const INTRODUCTION: &str = "\
# Every setting of Strongroom. A line that is commented out shows an example.
# Environment variables override this file, and flags override both; see docs/configure.md.
# Relative paths start at the working directory of the server.
";

/// The example file: every setting at its default.
pub fn example() -> String {
    render(INTRODUCTION, |setting| match setting.default {
        Some(default) => line(setting, default),
        None => format!("# {}", line(setting, setting.example)),
    })
}

impl Settings {
    /// The effective settings, in the form of the file; secrets are redacted.
    ///
    /// # Errors
    /// [`ConfigError`] as for [`Settings::resolve`].
    pub fn effective(self) -> Result<String, ConfigError> {
        self.clone().resolve()?;
        let settings = self.completed()?;
        Ok(render("# The effective settings; secrets are redacted.\n", |setting| {
            match settings.given(setting).text() {
                Some(url) if setting.key == "database_url" => line(setting, &redacted_url(url)),
                Some(_) if setting.secret => format!("# {} is set", setting.key),
                Some(text) => line(setting, text),
                None => format!("# {} is not set", setting.key),
            }
        }))
    }
}

/// The URL of a database, with the password redacted.
pub fn redacted_url(text: &str) -> String {
    if text.starts_with("sqlite:") {
        // It has no password, and `Url` would give a relative path other slashes.
        return text.to_owned();
    }
    let Ok(mut url) = text.parse::<Url>() else {
        return "(an invalid URL)".into();
    };
    if url.password().is_some() {
        // It fails only for a URL without a host, which has no password either.
        let _ = url.set_password(Some("redacted"));
    }
    let parameters: Vec<_> = url.query_pairs().into_owned().collect();
    if parameters.iter().any(|(name, _)| name == "password") {
        let shown = parameters.iter().map(|(name, value)| (name, if name == "password" { "redacted" } else { value }));
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.into()
}

fn render(introduction: &str, show: impl Fn(&'static Setting) -> String) -> String {
    let mut text = introduction.to_owned();
    let mut section = "";
    for setting in SETTINGS {
        if setting.section != section {
            section = setting.section;
            let _ = write!(text, "\n# --- {section} ---\n");
        }
        let _ = write!(text, "\n# {}\n{}\n", setting.help(), show(setting));
    }
    text
}

/// `key = value`, quoted only where TOML requires it.
fn line(setting: &Setting, text: &str) -> String {
    let is_plain = text.parse::<bool>().is_ok() || text.bytes().all(|byte| byte.is_ascii_digit());
    let value = if setting.shape.ends_with(",...") {
        toml::Value::from(text.split(',').map(str::trim).collect::<Vec<_>>()).to_string()
    } else if is_plain {
        text.to_owned()
    } else {
        toml::Value::from(text).to_string()
    };
    format!("{} = {value}", setting.key)
}
