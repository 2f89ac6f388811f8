//! What users say about a file: metadata, a JSON object, and tags. Both are found by equality, as attributes.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::name::cleaned;
use crate::config::Limits;
use crate::db::{Attribute, NewAttributes};
use crate::error::{Error, FieldError, Result};
use crate::unicode::is_misleading;

/// Tags of one file.
const MAX_TAGS: usize = 32;
/// Characters of a tag.
const TAG_CHARS: usize = 64;
/// Bytes of the name and of the value of an attribute: longer ones are stored and not found.
const ATTRIBUTE_BYTES: usize = 255;
/// Attributes that one list looks for.
pub(super) const MAX_ATTRIBUTES: usize = 8;

/// The member of metadata that says when the content was last changed where it comes from.
pub(super) const MTIME: &str = "mtime";

/// Metadata and tags of a new file, or of new content, as JSON; `None` if they are not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    pub(super) metadata: Option<String>,
    pub(super) tags: Option<String>,
}

impl Labels {
    /// Checks metadata and tags. Members of metadata that are null are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/metadata` or `/tags`.
    pub fn new(limits: &Limits, metadata: Option<Value>, tags: Option<&[String]>) -> Result<Self> {
        let metadata = metadata.map(|patch| {
            let mut metadata = Value::Object(Map::default());
            merge(&mut metadata, patch);
            checked(limits, &metadata)
        });
        Ok(Self { metadata: metadata.transpose()?, tags: tags.map(checked_tags).transpose()? })
    }

    /// Those that a row stores, which were checked before.
    pub(super) fn stored(metadata: Option<String>, tags: Option<String>) -> Self {
        Self { metadata, tags }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.metadata.is_none() && self.tags.is_none()
    }

    /// The attributes of a file that gets these, and keeps the rest.
    pub(super) fn attributes_of(&self, metadata: &str, tags: &str) -> Option<NewAttributes> {
        let list = attributes(metadata, tags);
        // What is kept of the metadata does not describe new content.
        let list = list.into_iter().filter(|attribute| attribute.key != MTIME || self.metadata.is_some());
        (!self.is_empty()).then(|| NewAttributes { list: list.collect(), keep_mtime: false })
    }
}

/// Applies a merge patch: null removes a member, an object is merged, everything else replaces (RFC 7396, section 2).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Default::default());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// The metadata with the patch applied; null becomes an empty object.
///
/// # Errors
/// [`Error::Invalid`] at `/metadata`.
pub(super) fn patched(limits: &Limits, metadata: &RawValue, patch: &Value) -> Result<Box<RawValue>> {
    let mut metadata = serde_json::from_str(metadata.get()).map_err(Error::internal)?;
    merge(&mut metadata, patch.clone());
    if metadata.is_null() {
        metadata = Value::Object(Default::default());
    }
    RawValue::from_string(checked(limits, &metadata)?).map_err(Error::internal)
}

/// Whether a patch of metadata says something about the content.
pub(super) fn mentions_mtime(patch: &Value) -> bool {
    patch.as_object().is_none_or(|patch| patch.contains_key(MTIME))
}

fn checked(limits: &Limits, metadata: &Value) -> Result<String> {
    let text = metadata.to_string();
    let limit = limits.metadata;
    // PostgreSQL does not store NUL in text.
    let has_nul = text.replace("\\\\", "").contains("\\u0000");
    if !metadata.is_object() || has_nul {
        return Err(Error::invalid("/metadata", "invalid", "must be a JSON object without NUL characters"));
    }
    if text.len() > limit {
        return Err(Error::invalid("/metadata", "too_long", format!("at most {limit} bytes of JSON")));
    }
    Ok(text)
}

/// The tags as JSON, in normalization form C, without white space at their ends.
///
/// # Errors
/// [`Error::Invalid`] at `/tags`.
pub(super) fn checked_tags(tags: &[String]) -> Result<String> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid("/tags", "too_many", format!("at most {MAX_TAGS} tags")));
    }
    let tags: Vec<String> = tags.iter().map(|tag| cleaned(tag).trim().to_owned()).collect();
    let mut errors = Vec::new();
    for (index, tag) in tags.iter().enumerate() {
        let pointer = || format!("/tags/{index}");
        if let Some(rule) = broken_rule(tag) {
            errors.push(FieldError::at(pointer(), "invalid", rule));
        } else if tags[..index].contains(tag) {
            errors.push(FieldError::at(pointer(), "repeated", "allowed once only"));
        }
    }
    if errors.is_empty() { serde_json::to_string(&tags).map_err(Error::internal) } else { Err(Error::Invalid(errors)) }
}

fn broken_rule(tag: &str) -> Option<&'static str> {
    match tag {
        "" => Some("must not be empty"),
        tag if tag.chars().count() > TAG_CHARS => Some("must have at most 64 characters"),
        tag if tag.contains(',') => Some("must not contain a comma"),
        tag if tag.chars().any(|c| c.is_control() || is_misleading(c)) => {
            Some("must not contain control, invisible or bidirectional characters")
        }
        _ => None,
    }
}

/// What a file with this metadata and these tags is found by.
pub(super) fn attributes(metadata: &str, tags: &str) -> Vec<Attribute> {
    let metadata: Map<String, Value> = serde_json::from_str(metadata).unwrap_or_default();
    let tags: Vec<String> = serde_json::from_str(tags).unwrap_or_default();
    let mut found = BTreeSet::new();
    for (name, value) in &metadata {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values.iter().filter_map(text_of).filter(|value| value.len() <= ATTRIBUTE_BYTES) {
            if name.len() <= ATTRIBUTE_BYTES {
                found.insert(Attribute { key: format!("metadata.{name}"), value: value.clone() });
            }
            if name == MTIME && !matches!(metadata[name], Value::Array(_)) {
                found.insert(Attribute { key: MTIME.to_owned(), value });
            }
        }
    }
    found.extend(tags.into_iter().map(|value| Attribute { key: "tag".to_owned(), value }));
    found.into_iter().collect()
}

/// The text by which a value is found: of a number, the shortest decimal one, so that 17, 17.0 and "17" are the same.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string().trim_end_matches(".0").to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The attributes to look for. Names of tags are stored in normalization form C.
///
/// # Errors
/// [`Error::Invalid`] at the parameter.
pub(super) fn wanted(metadata: &[(String, String)], tags: &[String]) -> Result<Vec<Attribute>> {
    let members = metadata.iter().map(|(name, value)| {
        let attribute = Attribute { key: format!("metadata.{name}"), value: value.clone() };
        (attribute.key.clone(), name.len(), attribute)
    });
    let tags = tags.iter().map(|tag| {
        let value = cleaned(tag).trim().to_owned();
        ("tag".to_owned(), 0, Attribute { key: "tag".to_owned(), value })
    });
    let mut wanted = Vec::new();
    for (parameter, name, attribute) in members.chain(tags) {
        if wanted.len() == MAX_ATTRIBUTES {
            let detail = format!("at most {MAX_ATTRIBUTES} tags and members of metadata");
            return Err(Error::invalid_parameter(parameter, "too_many", detail));
        }
        if name > ATTRIBUTE_BYTES || attribute.value.len() > ATTRIBUTE_BYTES || attribute.value.contains('\0') {
            let detail = format!("names and values of at most {ATTRIBUTE_BYTES} bytes are found, without NUL");
            return Err(Error::invalid_parameter(parameter.chars().take(64).collect::<String>(), "invalid", detail));
        }
        wanted.push(attribute);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_follows_the_rfc() {
        // RFC 7396, appendix A.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!(["a", "b"]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        ];
        for (mut target, patch, expected) in cases {
            merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }

    #[test]
    fn a_number_is_found_as_its_text() {
        for (value, text) in [
            (json!(17), "17"),
            (json!(17.0), "17"),
            (json!("17"), "17"),
            (json!(-0.5), "-0.5"),
            (json!("1.0"), "1.0"),
            (json!(true), "true"),
            (json!(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(text_of(&value).as_deref(), Some(text));
        }
        assert_eq!(text_of(&json!({})), None);
    }
}
