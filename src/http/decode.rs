//! Decoding errors of JSON bodies and queries, in the API's terms: serde's own texts name Rust types.

use std::fmt::Display;

use serde::de::{Expected, Unexpected};
use serde_path_to_error::{Path, Segment};

/// The decoding error of one value.
#[derive(Debug)]
pub struct DecodeError {
    /// The code of the field error.
    pub code: &'static str,
    pub detail: String,
    /// The member of the value that is meant, if it is not the value itself.
    member: Option<String>,
}

impl DecodeError {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), member: None }
    }

    fn of_member(code: &'static str, member: &str, detail: impl Into<String>) -> Self {
        Self { member: Some(member.to_owned()), ..Self::new(code, detail) }
    }

    /// The error of an object that has this member twice.
    pub fn repeated(name: &str) -> Self {
        Self::of_member("repeated", name, "allowed once only")
    }

    /// The path of the value in the document: names of members and indices of arrays. `path` leads to where
    /// decoding stopped.
    pub fn keys(&self, path: &Path) -> Vec<String> {
        let mut keys: Vec<String> = path
            .iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        // Decoding stops at the name of an unknown member, but at the object around a missing or repeated one.
        keys.extend(self.member.iter().filter(|member| keys.last() != Some(*member)).cloned().collect::<Vec<_>>());
        keys
    }
}

/// A JSON pointer (RFC 6901).
pub fn pointer(keys: &[String]) -> String {
    keys.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

impl serde::de::Error for DecodeError {
    /// The text comes from the type that decoded the value, and is not meant for clients.
    fn custom<T: Display>(message: T) -> Self {
        let is_uuid = message.to_string().starts_with("UUID");
        Self::new("malformed", if is_uuid { "expected a UUID" } else { "the value has the wrong format" })
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("wrong_type", format!("expected {}, got {}", wanted(expected), given(&unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match unexpected {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => {
                Self::new("out_of_range", format!("expected {}", range(expected)))
            }
            _ => Self::new("malformed", format!("expected {}", wanted(expected))),
        }
    }

    fn invalid_length(length: usize, _: &dyn Expected) -> Self {
        Self::new("invalid", format!("an array of {length} items is not allowed"))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new("invalid", format!("expected {}", list(known)))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let detail =
            if known.is_empty() { "no members are allowed".to_owned() } else { format!("expected {}", list(known)) };
        Self::of_member("unknown_field", name, detail)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::of_member("required", name, "required")
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::repeated(name)
    }
}

impl std::error::Error for DecodeError {}

impl Display for DecodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.detail)
    }
}

/// What a visitor expects, in JSON's words.
fn wanted(expected: &dyn Expected) -> &'static str {
    match expected.to_string().as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a boolean" => "a boolean",
        "a sequence" => "an array",
        text if text.contains("UUID") => "a UUID",
        text if text.contains("string") || text.contains("variant") => "a string",
        text if text.starts_with("struct ") || text.contains("map") => "an object",
        _ => "another type",
    }
}

/// The integers that a visitor expects.
fn range(expected: &dyn Expected) -> String {
    let maximum = match expected.to_string().as_str() {
        "u8" => u64::from(u8::MAX),
        "u16" => u64::from(u16::MAX),
        "u32" => u64::from(u32::MAX),
        "u64" | "usize" => u64::MAX,
        _ => return "a smaller number".to_owned(),
    };
    format!("an integer from 0 to {maximum}")
}

fn given(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "another type",
    }
}

/// `a`, `b` or `c`.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
