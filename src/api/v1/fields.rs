//! The members of files that a list is limited to (`fields=`).

use std::collections::BTreeSet;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::files::FileView;
use crate::error::{Error, Result};

/// The members of files on a page.
#[derive(Debug, Clone)]
pub struct Fields(BTreeSet<&'static str>);

/// A file with only these members, and its URL if it has one.
pub struct Selected<'a>(pub &'a FileView, pub &'a Fields);

/// A page of files with only some members.
#[derive(Serialize)]
pub struct SelectedPage<'a> {
    pub items: Vec<Selected<'a>>,
    pub next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Declares the members that can be selected, and serializes those that are.
macro_rules! members {
    ($($name:ident)*) => {
        /// The names that `fields` may have.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Serialize for Selected<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Self(file, Fields(names)) = self;
                let mut map = serializer.serialize_map(None)?;
                $(if names.contains(stringify!($name)) {
                    map.serialize_entry(stringify!($name), &file.$name)?;
                })*
                if let Some((url, expires_at)) = file.url.as_ref().zip(file.url_expires_at.as_ref()) {
                    map.serialize_entry("url", url)?;
                    map.serialize_entry("url_expires_at", expires_at)?;
                }
                map.end()
            }
        }
    };
}

members! { id name path folder_id space_id size content_type sha256 etag created_at updated_at metadata tags }

impl Fields {
    /// The members in a list of names, separated by commas.
    ///
    /// # Errors
    /// [`Error::Invalid`] at the parameter if a name is unknown.
    pub fn new(text: &str) -> Result<Self> {
        let known = |name: &str| NAMES.iter().copied().find(|known| *known == name);
        let names: Option<BTreeSet<_>> = text.split(',').map(known).collect();
        let detail = || format!("expected names separated by commas, of {}", NAMES.join(", "));
        names.map(Self).ok_or_else(|| Error::invalid_parameter("fields", "invalid", detail()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::NAMES;
    use crate::api::description;

    #[test]
    fn every_member_of_a_file_can_be_selected() {
        let document: Value = serde_json::from_str(description()).expect("JSON");
        let members = document["components"]["schemas"]["StoredFile"]["properties"].as_object().expect("members");
        let selectable = members.keys().map(String::as_str).filter(|name| !name.starts_with("url"));
        assert_eq!(selectable.collect::<BTreeSet<_>>(), NAMES.iter().copied().collect());
    }
}
