//! JSON bodies, decoded strictly: an object where an object is expected, each member once.
//!
//! Serde's own deserializer also reads a struct from an array of its members' values, so that `[]` would be an
//! object with nothing set.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Number;

use super::decode::{DecodeError, pointer};
use crate::error::{Error, Result};

/// Decodes a body that is one JSON object. A byte order mark in front is ignored (RFC 8259, section 8.1).
///
/// # Errors
/// [`Error::Malformed`] if it is not JSON; [`Error::Invalid`] if it is not an object or not the one expected, or has a
/// number that would be changed.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let node: Node = serde_json::from_slice(text).map_err(|error| {
        Error::Malformed(format!("the body is not JSON (line {}, column {})", error.line(), error.column()))
    })?;
    if let Some(number) = inexact_number(text) {
        let number = String::from_utf8_lossy(&number[..number.len().min(40)]);
        let detail = format!("a 64-bit number cannot keep {number} exactly; send it as a string");
        return Err(Error::invalid("", "out_of_range", detail));
    }
    if !matches!(node, Node::Object(_)) {
        let detail = format!("expected an object, got {}", node.kind());
        return Err(Error::invalid("", "wrong_type", detail));
    }
    serde_path_to_error::deserialize(node).map_err(|error| {
        let keys = error.inner().keys(error.path());
        let DecodeError { code, detail, .. } = error.into_inner();
        Error::invalid(pointer(&keys), code, detail)
    })
}

/// Decimal digits that a 64-bit floating-point number keeps, whatever they are.
const EXACT_DIGITS: usize = 15;
/// Decimal digits that programs write of such a number, so that it can be read back.
const WRITTEN_DIGITS: usize = 17;

/// The first number of a JSON text that would be changed: an integer beyond 64 bits, or a decimal that is none of those
/// that programs write of a 64-bit floating-point number.
fn inexact_number(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    while let Some(byte) = rest.first() {
        let length = match byte {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| is_of_number(**byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        let is_number = matches!(byte, b'-' | b'0'..=b'9');
        if is_number && !is_exact(token) {
            return Some(token);
        }
        rest = after;
    }
    None
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// The bytes of the string at the beginning, with its quotes.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|byte| match byte {
        b'\\' => {
            is_escaped = !is_escaped;
            false
        }
        b'"' => !std::mem::take(&mut is_escaped),
        _ => {
            is_escaped = false;
            false
        }
    });
    end.map_or(text.len(), |end| end + 2)
}

fn is_exact(number: &[u8]) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    let is_integer = !text.contains(['.', 'e', 'E']);
    if is_integer {
        return text.parse::<u64>().is_ok() || text.parse::<i64>().is_ok();
    }
    let is_short = text.len() <= EXACT_DIGITS && !text.contains(['e', 'E']);
    is_short || text.parse().is_ok_and(|nearest: f64| is_written_as(nearest, text))
}

/// Whether this text is the number as programs write it: with as few digits as identify it, or rounded to as many as
/// the text has.
fn is_written_as(number: f64, text: &str) -> bool {
    let Some(wanted) = scientific(text) else { return number == 0.0 };
    let rounded = || format!("{number:.*e}", wanted.0.len().min(WRITTEN_DIGITS) - 1);
    let is_wanted = |written: &str| scientific(written).as_ref() == Some(&wanted);
    is_wanted(&format!("{number:e}")) || is_wanted(&rounded())
}

/// The digits of a number without zeros at the ends, and the exponent of the first; `None` for zero.
fn scientific(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    // An exponent that is no 64-bit number is negative: JSON with a greater one is not read.
    let first = exponent.parse().unwrap_or(i64::MIN).saturating_add(whole.len() as i64 - 1 - leading as i64);
    let significant = significant.trim_end_matches('0');
    (!significant.is_empty()).then(|| (significant.to_owned(), first))
}

/// A JSON value that preserves duplicate members.
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::Text(_) => "a string",
            Node::Array(_) => "an array",
            Node::Object(_) => "an object",
        }
    }

    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Node::Null => Unexpected::Unit,
            Node::Bool(value) => Unexpected::Bool(*value),
            Node::Number(number) if number.is_f64() => Unexpected::Float(number.as_f64().unwrap_or_default()),
            Node::Number(number) => Unexpected::Signed(number.as_i64().unwrap_or_default()),
            Node::Text(text) => Unexpected::Str(text),
            Node::Array(_) => Unexpected::Seq,
            Node::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Number::from_f64(value).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Node::Object(object))
    }
}

/// The first name that an object has twice. A map or a free-form value would keep the last of its values.
fn repeated(members: &[(String, Node)]) -> Option<&str> {
    let mut names = HashSet::with_capacity(members.len());
    members.iter().map(|(name, _)| name.as_str()).find(|name| !names.insert(*name))
}

impl<'de> IntoDeserializer<'de, DecodeError> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Node::Text(text) => visitor.visit_string(text),
            Node::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Node::Object(members) => match repeated(&members) {
                Some(name) => Err(DecodeError::repeated(name)),
                None => visitor.visit_map(MapDeserializer::new(members.into_iter())),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self {
            Node::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self {
            Node::Object(_) => self.deserialize_any(visitor),
            other => Err(serde::de::Error::invalid_type(other.unexpected(), &"struct ")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self {
            Node::Text(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(serde::de::Error::invalid_type(other.unexpected(), &"string")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::inexact_number;

    #[test]
    fn a_number_that_would_be_rounded_is_found() {
        for exact in [
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "1e300",
            "3.141592653589793",
            "0.30000000000000004",
            "0.10000000000000001",
            "9007199254740992.0",
            "5e-324",
            "2.2250738585072014E-308",
            "1.7976931348623157e+308",
            "-0.00e5",
            "-1e23",
            "1.50",
            "120e-1",
            "100000000000000000000000.0",
            r#""12345678901234567890123""#,
            r#""\"12345678901234567890123""#,
        ] {
            assert_eq!(inexact_number(format!("{{\"n\": [{exact}]}}").as_bytes()), None, "{exact}");
        }
        for inexact in [
            "12345678901234567890123",
            "18446744073709551616",
            "-9223372036854775809",
            "3.14159265358979323846",
            "9007199254740993.0",
            "9007199254740993e0",
            "-1e-400",
            "1e-99999999999999999999",
            "2e-324",
        ] {
            let body = format!("{{\"text\\\"\": \"\\\\\", \"n\": {inexact}}}");
            assert_eq!(inexact_number(body.as_bytes()), Some(inexact.as_bytes()), "{body}");
        }
    }
}
