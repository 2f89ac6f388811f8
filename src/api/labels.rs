//! Metadata and tags in requests that create files, and in queries of lists.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use utoipa::IntoParams;

use crate::app::App;
use crate::error::{Error, FieldError, Location, Result};
use crate::files::Labels;
use crate::http::{json, query};

/// The metadata of a file whose content is the body.
pub const METADATA: &str = "strongroom-metadata";
/// What the parameters of a query by metadata begin with.
const MEMBER: &str = "metadata.";
/// The parameter of a query by tags.
const TAG: &str = "tag";

/// A text of a request, and its location.
pub type Located = (String, Location);

/// The header with the metadata of a file, if it is there.
///
/// # Errors
/// [`Error::Invalid`] if it is repeated or not UTF-8.
pub fn metadata_header(headers: &HeaderMap) -> Result<Option<Located>> {
    let mut values = headers.get_all(METADATA).into_iter().map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match std::str::from_utf8(value) {
            Ok(text) => Ok(Some((text.to_owned(), Location::Header(METADATA.to_owned())))),
            Err(_) => Err(Error::invalid_header(METADATA, "malformed", "expected JSON in UTF-8")),
        },
        _ => Err(Error::invalid_header(METADATA, "repeated", "allowed once only")),
    }
}

/// Metadata as JSON and tags separated by commas, as texts of a request.
///
/// # Errors
/// [`Error::Invalid`] at their locations.
pub fn parse(app: &App, metadata: Option<Located>, tags: Option<Located>) -> Result<Labels> {
    let value = match &metadata {
        None => None,
        Some((text, location)) => {
            let decoded = json::decode::<Value>(text.as_bytes()).map_err(|error| match error {
                Error::Malformed(_) => Error::invalid("", "malformed", "expected a JSON object"),
                error => error,
            });
            Some(decoded.map_err(|error| relocated(error, location, ""))?)
        }
    };
    let list = tags.as_ref().map(|(text, _)| match text.trim() {
        "" => Vec::new(),
        text => text.split(',').map(str::to_owned).collect(),
    });
    let place = |error| match (&metadata, &tags) {
        (Some((_, location)), _) if is_of_metadata(&error) => relocated(error, location, "/metadata"),
        (_, Some((_, location))) => relocated(error, location, "/tags"),
        _ => error,
    };
    Labels::new(&app.config.limits, value, list.as_deref()).map_err(place)
}

fn is_of_metadata(error: &Error) -> bool {
    matches!(error, Error::Invalid(errors) if errors.iter().all(|error| error.location.name().starts_with("metadata")))
}

/// The same error at another location: below it if that is a pointer.
fn relocated(error: Error, location: &Location, prefix: &str) -> Error {
    let Error::Invalid(errors) = error else { return error };
    let relocate = |error: FieldError| {
        let rest = match &error.location {
            Location::Pointer(pointer) => pointer.strip_prefix(prefix).unwrap_or(pointer).to_owned(),
            _ => String::new(),
        };
        let location = match location {
            Location::Pointer(base) => Location::Pointer(format!("{base}{rest}")),
            other => other.clone(),
        };
        FieldError { location, ..error }
    };
    Error::Invalid(errors.into_iter().map(relocate).collect())
}

/// What [`WantedLabels`] reads, for the description of the API.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes parameters")]
pub struct LabelParams {
    /// Only files with this tag; repeat it for files with each of several.
    #[param(example = json!(["paid"]))]
    tag: Option<Vec<String>>,
    /// `metadata.order=17`: only files whose metadata has the member `order` with the value 17, `"17"` or an array that
    /// contains one of them. Several are combined with AND; at most 8 with the tags. Values of at most 255 bytes are found.
    #[param(rename = "metadata.*", example = "17")]
    metadata: Option<String>,
}

/// The tags and the members of metadata that a list asks for: the query parameters `tag` and `metadata.*`.
pub struct WantedLabels {
    pub metadata: Vec<(String, String)>,
    pub tags: Vec<String>,
}

impl FromRequestParts<Arc<App>> for WantedLabels {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self> {
        let mut wanted = Self { metadata: Vec::new(), tags: Vec::new() };
        let is_wanted = |name: &str| name == TAG || name.starts_with(MEMBER);
        for (name, value) in query::texts(parts.uri.query().unwrap_or_default(), is_wanted)? {
            match name.strip_prefix(MEMBER) {
                Some(member) => wanted.metadata.push((member.to_owned(), value)),
                None => wanted.tags.push(value),
            }
        }
        Ok(wanted)
    }
}
