//! Query parameters, decoded from their text, with errors that name the parameter.

use percent_encoding::percent_decode_str;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use url::form_urlencoded;

use super::decode::DecodeError;
use crate::error::{Error, Result};

/// The parameters of a query, in their order.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

/// Decodes those parameters of a query that `T` knows.
///
/// # Errors
/// [`Error::Invalid`] if a value is not acceptable or not UTF-8, or a parameter is repeated.
pub fn decode<T: DeserializeOwned>(query: &str) -> Result<T> {
    let raw = query.split('&').filter(|pair| !pair.is_empty());
    let parameters =
        MapDeserializer::new(raw.flat_map(|pair| pairs(pair).map(move |(name, value)| (name, Text::new(pair, value)))));
    serde_path_to_error::deserialize(parameters).map_err(|error| {
        let name = error.inner().keys(error.path()).into_iter().next().unwrap_or_default();
        let DecodeError { code, detail, .. } = error.into_inner();
        Error::invalid_parameter(name, code, detail)
    })
}

/// The parameters of a query with these names, in their order; a name may be repeated.
///
/// # Errors
/// [`Error::Invalid`] if one is not UTF-8.
pub fn texts(query: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        for (name, value) in pairs(pair).filter(|(name, _)| is_wanted(name)) {
            let value = Text::new(pair, value).decoded();
            let value =
                value.map_err(|DecodeError { code, detail, .. }| Error::invalid_parameter(&name, code, detail))?;
            found.push((name, value));
        }
    }
    Ok(found)
}

/// The value of one parameter; `None` if it is not UTF-8. Its other bytes would be replaced, and a file stored under
/// another name.
struct Text(Option<String>);

impl Text {
    fn new(pair: &str, value: String) -> Self {
        Self(percent_decode_str(pair).decode_utf8().is_ok().then_some(value))
    }

    fn decoded(self) -> Result<String, DecodeError> {
        self.0.ok_or_else(|| DecodeError::new("malformed", "expected UTF-8, percent-encoded"))
    }
}

impl<'de> IntoDeserializer<'de, DecodeError> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A number is given to its visitor in the widest type, which then knows whether it fits.
macro_rules! number {
    ($parsed:ty, $visit:ident: $($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let number = self.decoded()?.parse::<$parsed>();
            visitor.$visit(number.map_err(|_| DecodeError::new("wrong_type", "expected an integer"))?)
        })*
    };
}

impl<'de> Deserializer<'de> for Text {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_string(self.decoded()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.decoded()?.as_str() {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(DecodeError::new("wrong_type", "expected `true` or `false`")),
        }
    }

    number!(u64, visit_u64: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);
    number!(i64, visit_i64: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(self.decoded()?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}
