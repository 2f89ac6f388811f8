//! One setting: its names, its default, and its description.

/// One setting, as operators know it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The heading under which it is shown.
    pub section: &'static str,
    /// The name in the file; as a flag, with dashes.
    pub key: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// A second variable, used if the first is absent.
    pub fallback: Option<&'static str>,
    /// The placeholder of the value, such as `URL`.
    pub shape: &'static str,
    /// The default; `None` if the setting is then absent or derived from others.
    pub default: Option<&'static str>,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// Whether the value is redacted in errors and by `strongroom config`.
    pub secret: bool,
    help: &'static str,
}

/// A setting with this variable, whose values have this shape.
pub(super) const fn set(variable: &'static str, shape: &'static str) -> Setting {
    Setting {
        section: "",
        key: "",
        variable,
        fallback: None,
        shape,
        default: None,
        example: "",
        secret: false,
        help: "",
    }
}

impl Setting {
    /// The description, in one or two sentences.
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// The variable that names a file with the value, if the value is secret.
    pub fn file_variable(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.variable))
    }

    pub(super) const fn section(self, section: &'static str) -> Self {
        Self { section, ..self }
    }

    pub(super) const fn named(self, key: &'static str, help: &'static str) -> Self {
        Self { key, help, ..self }
    }

    pub(super) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn like(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    pub(super) const fn fallback(self, variable: &'static str) -> Self {
        Self { fallback: Some(variable), ..self }
    }
}
