//! The layers: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use secrecy::{ExposeSecret, SecretString};

use super::setting::Setting;
use super::settings::SETTINGS;
use super::value::{ConfigError, SettingValue, Value};
use crate::suggest::nearest;

/// The file that is read if none is named.
const FILE: &str = "strongroom.toml";
/// The variable that names a file.
const FILE_VARIABLE: &str = "STRONGROOM_CONFIG";

/// The prefix of Strongroom's own variables.
const PREFIX: &str = "STRONGROOM_";
/// Variables of the scripts and tests of this project, which the program ignores: names, and prefixes of names.
const FOREIGN: &[&str] = &[
    "STRONGROOM_BENCH_",
    "STRONGROOM_CRASH_",
    "STRONGROOM_NO_PAGE",
    "STRONGROOM_POWER_",
    "STRONGROOM_STACK_DIR",
    "STRONGROOM_TEST_",
];

/// The variables of the environment that have Unicode names, as no setting has another.
type Environment = BTreeMap<String, OsString>;

/// The texts of one source, or of several merged ones; not validated yet.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Value>,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
}

impl Settings {
    /// Merges the layers, flags over environment over file: the one that is named, else the one that
    /// the environment names, else `strongroom.toml` if it exists.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or has an unknown key, a variable is not Unicode, or a variable whose
    /// name starts with `STRONGROOM_` is unknown.
    pub fn load(
        flags: Settings,
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let environment: Environment =
            environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        check_names(&environment)?;
        let named = environment.get(FILE_VARIABLE).filter(|name| !name.is_empty());
        let named = file.or_else(|| named.map(PathBuf::from));
        let file = named.or_else(|| Some(PathBuf::from(FILE)).filter(|file| file.exists()));
        let below = file.as_deref().map(Self::from_file).transpose()?.unwrap_or_default();
        Ok(Self { file, ..flags.over(Self::from_environment(&environment)?).over(below) })
    }

    /// The layer of a TOML file.
    fn from_file(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::new(file.display(), error))?;
        Self::from_toml(&text, file)
    }

    pub(super) fn from_toml(text: &str, file: &Path) -> Result<Self, ConfigError> {
        // The error's own text quotes the line, which may have a secret.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            ConfigError::new(format_args!("{} line {line}", file.display()), error.message())
        })?;
        let mut settings = Self::default();
        for (key, value) in table {
            let location = format!("{}: {key}", file.display());
            let setting = SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| {
                let near = nearest_setting(&key).map(|setting| setting.key);
                ConfigError::new(file.display(), unknown("setting", &key, near))
            })?;
            let text = plain_text(value)
                .ok_or_else(|| ConfigError::new(&location, format_args!("expected {} as a string", setting.shape)))?;
            settings.insert(setting, Value::new(location, text));
        }
        Ok(settings)
    }

    pub(super) fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for setting in SETTINGS {
            for name in [setting.fallback, Some(setting.variable)].into_iter().flatten() {
                if let Some(text) = variable(environment, name)? {
                    settings.insert(setting, Value::new(name, text));
                }
            }
            if let Some(name) = setting.file_variable()
                && let Some(file) = variable(environment, &name)?.filter(|file| !file.is_empty())
            {
                if variable(environment, setting.variable)?.is_some_and(|text| !text.is_empty()) {
                    return Err(ConfigError::new(&name, format_args!("{} is set as well", setting.variable)));
                }
                settings.insert(setting, secret_in(file, name)?);
            }
        }
        Ok(settings)
    }

    /// These settings, with `default` for one that is absent.
    pub(super) fn or(mut self, setting: &'static Setting, default: impl Into<String>) -> Self {
        self.values.entry(setting.key).or_insert_with(|| Value::new(setting.variable, default));
        self
    }

    /// These settings; absent ones are taken from `lower`.
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

    pub(super) fn given(&self, setting: &'static Setting) -> SettingValue<'_> {
        SettingValue { setting, value: self.values.get(setting.key) }
    }
}

fn variable<'a>(environment: &'a Environment, name: &str) -> Result<Option<&'a str>, ConfigError> {
    let text =
        |value: &'a OsString| value.to_str().ok_or_else(|| ConfigError::new(name, "the value is not Unicode text"));
    environment.get(name).map(text).transpose()
}

/// The secret in a file, as container platforms mount it, without the line break at its end.
fn secret_in(file: &str, location: String) -> Result<Value, ConfigError> {
    let text = SecretString::from(
        std::fs::read_to_string(file).map_err(|error| ConfigError::new(&location, format_args!("{file}: {error}")))?,
    );
    let secret = text.expose_secret();
    let secret = secret.strip_suffix('\n').map_or(secret, |line| line.strip_suffix('\r').unwrap_or(line));
    match secret.is_empty() {
        true => Err(ConfigError::new(&location, format_args!("{file} is empty"))),
        false => Ok(Value::new(location, secret)),
    }
}

/// Variables that Kubernetes sets for a service named `strongroom`, or `strongroom-` and more.
fn is_of_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_address = value.to_str().is_some_and(|value| value.contains("://"));
    let is_port =
        name.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|digit: char| digit.is_ascii_digit()));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || is_port
        || (name.ends_with("_PORT") && is_address)
}

/// Refuses unknown variables: a misspelled setting would silently have no effect.
fn check_names(environment: &Environment) -> Result<(), ConfigError> {
    let is_known = |name: &str| {
        let is_of = |setting: &Setting| setting.variable == name || setting.file_variable().as_deref() == Some(name);
        name == FILE_VARIABLE || SETTINGS.iter().any(is_of)
    };
    let is_foreign = |name: &str| FOREIGN.iter().any(|foreign| name.starts_with(foreign));
    for (name, value) in environment.iter().filter(|(name, _)| !is_known(name) && !is_foreign(name)) {
        if let Some(key) = name.strip_prefix(PREFIX)
            && !is_of_kubernetes(name, value)
        {
            return Err(ConfigError::one_line(unknown(
                "variable",
                name,
                nearest_setting(key).map(|near| near.variable),
            )));
        }
    }
    Ok(())
}

fn nearest_setting(key: &str) -> Option<&'static Setting> {
    let key = nearest(key, SETTINGS.iter().map(|setting| setting.key))?;
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn unknown(what: &str, name: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("unknown {what} {name}; did you mean {near}?"),
        None => format!("unknown {what} {name} (see strongroom --help)"),
    }
}

/// A value of the file as a variable would have it; `None` if it is not a text, a number, a boolean or an array of
/// them.
fn plain_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(choice) => Some(choice.to_string()),
        toml::Value::Array(items) => Some(items.into_iter().map(plain_text).collect::<Option<Vec<_>>>()?.join(",")),
        _ => None,
    }
}

// clap does not validate the values of flags, because its errors would quote them. It does not read the environment
// either, because tests pass in another one.
impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(flags().map(flag))
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
        for setting in flags() {
            if let Some(text) = matches.get_one::<String>(setting.key) {
                self.insert(setting, Value::new(setting.variable, text));
            }
        }
        Ok(())
    }
}

/// The settings that have a flag. A secret has none: every user of the machine can read the command lines of all.
fn flags() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !setting.secret)
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
