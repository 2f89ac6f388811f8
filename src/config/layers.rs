//! The layers: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use secrecy::ExposeSecret;

use super::settings::{SETTINGS, Setting};
use super::value::{ConfigError, Given, Value};

/// The file that is read when none is named.
const FILE: &str = "strongroom.toml";
/// The variable that names a file.
const FILE_VARIABLE: &str = "STRONGROOM_CONFIG";

/// The texts that were given, by one source or by several on top of each other; not checked yet.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Value>,
}

impl Settings {
    /// Puts the flags on top of the environment, and both on top of the file: the one that is
    /// named, else the one that the environment names, else `strongroom.toml` if there is one.
    ///
    /// # Errors
    /// If the file cannot be read or has an unknown key, or a variable is not Unicode.
    pub fn load(
        flags: Settings,
        file: Option<PathBuf>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let named = file.or_else(|| environment(FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from));
        let file = named.or_else(|| Some(PathBuf::from(FILE)).filter(|file| file.exists()));
        let below = file.map(|file| Self::from_file(&file)).transpose()?.unwrap_or_default();
        Ok(flags.over(Self::from_environment(environment)?).over(below))
    }

    /// The layer of a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or has an unknown key.
    fn from_file(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::new(file.display(), error))?;
        Self::from_toml(&text, file)
    }

    pub(super) fn from_toml(text: &str, file: &Path) -> Result<Self, ConfigError> {
        // Its own way to print an error quotes the line, which may hold a secret.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            ConfigError::new(format_args!("{} line {line}", file.display()), error.message())
        })?;
        let mut settings = Self::default();
        for (key, value) in table {
            let place = format!("{}: {key}", file.display());
            let setting = SETTINGS
                .iter()
                .find(|setting| setting.key == key)
                .ok_or_else(|| ConfigError::new(file.display(), format_args!("{key:?} is not a setting")))?;
            let text = plain_text(value)
                .ok_or_else(|| ConfigError::new(&place, format_args!("give {} as text", setting.shape)))?;
            settings.insert(setting, Value::new(place, text));
        }
        Ok(settings)
    }

    pub(super) fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for setting in SETTINGS {
            for name in [setting.fallback, Some(setting.variable)].into_iter().flatten() {
                if let Some(text) = variable(name) {
                    let text =
                        text.into_string().map_err(|_| ConfigError::new(name, "the value is not Unicode text"))?;
                    settings.insert(setting, Value::new(name, text));
                }
            }
        }
        Ok(settings)
    }

    /// The same with `default` where nothing was given.
    pub(super) fn or(mut self, setting: &'static Setting, default: impl Into<String>) -> Self {
        self.values.entry(setting.key).or_insert_with(|| Value::new(setting.variable, default));
        self
    }

    /// What was given here, and beneath it what `lower` says.
    fn over(mut self, lower: Self) -> Self {
        for (key, value) in lower.values {
            self.values.entry(key).or_insert(value);
        }
        self
    }

    /// An empty text counts as absent, as an empty variable does in a shell.
    fn insert(&mut self, setting: &Setting, value: Value) {
        if !value.text.expose_secret().is_empty() {
            self.values.insert(setting.key, value);
        }
    }

    pub(super) fn given(&self, setting: &'static Setting) -> Given<'_> {
        Given { setting, value: self.values.get(setting.key) }
    }
}

/// A value of the file in the form that a variable would have; none if it has no such form.
fn plain_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(choice) => Some(choice.to_string()),
        toml::Value::Array(items) => Some(items.into_iter().map(plain_text).collect::<Option<Vec<_>>>()?.join(",")),
        _ => None,
    }
}

// The flags are texts without any check by clap, whose complaints would quote the value. The
// environment is not left to clap either: a test could not hand in another one.
impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in SETTINGS {
            if let Some(text) = matches.get_one::<String>(setting.key) {
                self.insert(setting, Value::new(setting.variable, text));
            }
        }
        Ok(())
    }
}

fn flag(setting: &Setting) -> Arg {
    let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    Arg::new(setting.key)
        .long(setting.key.replace('_', "-"))
        .value_name(setting.shape)
        .help(format!("{}{default} [env: {}]", setting.help(), setting.variable))
        .help_heading(setting.section)
        .hide_short_help(true)
        .global(true)
}
