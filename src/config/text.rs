//! Settings as text: the example file, what `strongroom config` prints, and URLs without passwords.

use std::fmt::Write;

use url::Url;

use super::value::ConfigError;
use super::{SETTINGS, Setting, Settings};

const INTRODUCTION: &str = "\
# Every setting of Strongroom. A line that is commented out shows an example.
# What is set here gives way to environment variables, and those give way to flags;
# docs/configure.md tells more. Relative paths begin where the server is started.
";

/// The example file: every setting, at its default.
pub fn example() -> String {
    written(INTRODUCTION, |setting| match setting.default {
        Some(default) => line(setting, default),
        None => format!("# {}", line(setting, setting.example)),
    })
}

impl Settings {
    /// What is in force, in the form of the file; secrets are not told.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub fn in_force(self) -> Result<String, ConfigError> {
        self.clone().resolve()?;
        let settings = self.completed()?;
        Ok(written("# The settings in force; secrets are left out.\n", |setting| {
            match settings.given(setting).text() {
                Some(url) if setting.key == "database_url" => line(setting, &redacted_url(url)),
                Some(_) if setting.secret => format!("# {} is set", setting.key),
                Some(text) => line(setting, text),
                None => format!("# {} is not set", setting.key),
            }
        }))
    }
}

/// A URL of a database without the password that may be in it.
pub fn redacted_url(text: &str) -> String {
    if text.starts_with("sqlite:") {
        // It has no password, and `Url` would give a relative path other slashes.
        return text.to_owned();
    }
    let Ok(mut url) = text.parse::<Url>() else {
        return "(a URL that cannot be read)".into();
    };
    if url.password().is_some() {
        // It fails for a URL without a host alone, which has no password either.
        let _ = url.set_password(Some("hidden"));
    }
    let parameters: Vec<_> = url.query_pairs().into_owned().collect();
    if parameters.iter().any(|(name, _)| name == "password") {
        let shown = parameters.iter().map(|(name, value)| (name, if name == "password" { "hidden" } else { value }));
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.into()
}

fn written(introduction: &str, show: impl Fn(&'static Setting) -> String) -> String {
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

/// `key = value`, with quotes only where TOML needs them.
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
