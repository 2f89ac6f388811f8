//! The text of one setting, and its conversion into a valid value. Every error is one line.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::setting::Setting;

/// A setting that is not valid: one line that names it, and its value unless that is secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// `location: why`
    pub(super) fn new(location: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::one_line(format!("{location}: {why}"))
    }

    /// The text, without the line breaks that names and values may have.
    pub(super) fn one_line(text: String) -> Self {
        Self(text.replace(['\n', '\r'], " "))
    }
}

/// A text, and where it was set: a variable, or a key of the file. Every text is treated as a secret
/// until it is known not to be one.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) location: String,
    pub(super) text: SecretString,
}

impl Value {
    pub(super) fn new(location: impl Into<String>, text: impl Into<String>) -> Self {
        Self { location: location.into(), text: SecretString::from(text.into()) }
    }
}

/// A setting and, if it is set, its value.
pub(super) struct SettingValue<'a> {
    pub(super) setting: &'static Setting,
    pub(super) value: Option<&'a Value>,
}

impl<'a> SettingValue<'a> {
    pub(super) fn is_set(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.map(|value| value.text.expose_secret())
    }

    /// The error of this setting, whatever its value is.
    pub(super) fn refuse(&self, why: impl fmt::Display) -> ConfigError {
        ConfigError::new(self.value.map_or(self.setting.variable, |value| &value.location), why)
    }

    /// The error of a value that is not what was expected.
    pub(super) fn invalid(&self, expected: impl fmt::Display) -> ConfigError {
        match self.text() {
            Some(text) if !self.setting.secret => {
                self.refuse(format_args!("invalid value {text:?}: expected {expected}"))
            }
            _ => self.refuse(format_args!("invalid value: expected {expected}")),
        }
    }

    /// The value, parsed, if it is set.
    pub(super) fn optional<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.text().map(|text| parse(text).ok_or_else(|| self.invalid(expected))).transpose()
    }

    /// The value, parsed.
    pub(super) fn required<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.optional(expected, parse)?.ok_or_else(|| self.refuse(format_args!("must be set to {expected}")))
    }

    /// The choice that the value names.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.required(&names.join(" or "), |text| {
            choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice)
        })
    }

    /// A whole number.
    pub(super) fn number<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Result<T, ConfigError> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.required(&expected, |text| within(text.parse().ok()?, &range))
    }

    /// A size in bytes, such as 128MiB.
    pub(super) fn size<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Result<T, ConfigError> {
        let [start, end] =
            [range.start(), range.end()].map(|bytes| ByteSize(*bytes).to_string().replace(".0", "").replace(' ', ""));
        let expected = format!("a size such as 128MiB, from {start} to {end}");
        self.required(&expected, |text| within(text.parse::<ByteSize>().ok()?.as_u64(), &range))
    }

    /// A duration, such as 15min.
    pub(super) fn time(&self, range: RangeInclusive<Duration>) -> Result<Duration, ConfigError> {
        let [start, end] = [range.start(), range.end()].map(|time| humantime::format_duration(*time).to_string());
        let expected = format!("a duration such as 15min, from {start} to {end}");
        self.required(&expected, |text| humantime::parse_duration(text).ok().filter(|time| range.contains(time)))
    }

    /// An `http` or `https` URL that can be the base of others: its path ends with a slash.
    pub(super) fn base_url(&self) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.text() else {
            return Ok(None);
        };
        let expected = "a URL such as https://files.example.org";
        let mut url: Url = text.parse().map_err(|_| self.invalid(expected))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self.refuse("must not have a user name or password"));
        }
        if !["http", "https"].contains(&url.scheme()) || url.query().is_some() || url.fragment().is_some() {
            return Err(self.invalid("an http or https URL without ? and #"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Some(url))
    }
}

fn within<T: TryFrom<u64>>(number: u64, range: &RangeInclusive<u64>) -> Option<T> {
    if range.contains(&number) { T::try_from(number).ok() } else { None }
}
