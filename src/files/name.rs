//! Names of files and paths of folders. They are stored only in the database, and never become part of a key or of a
//! path on the disk.

use unicode_normalization::UnicodeNormalization;

use crate::db::{FileLocation, Place, TreeLimits};
use crate::error::{Error, FieldError, Location, Result};
use crate::unicode::{fold, is_misleading, is_unseen_mark, is_visible, natural_key};

/// Maximum length of a name in characters.
const NAME_CHARS: usize = 255;
/// The limits of the path of a folder.
pub(super) const LIMITS: TreeLimits = TreeLimits { depth: 64, bytes: 4096 };

/// The name of a file: any Unicode except slashes, control characters, invisible characters and those that change the
/// direction of text; at least one visible character, at most 255 characters. It is in normalization form C, so that a name typed on one system is found
/// from another, without white space at its ends, and without the marks that [`is_unseen_mark`] knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] at this location if the name breaks a rule.
    pub fn new(name: &str, at: impl Into<Location>) -> Result<Self> {
        let name = cleaned(name).trim().to_owned();
        match broken_rule(&name) {
            Some(rule) => Err(invalid(at, "bad_name", rule)),
            None => Ok(Self(name)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with a number before its extension: `report.pdf` becomes `report (2).pdf`.
    pub fn numbered(&self, number: u64) -> Self {
        let (stem, extension) = match self.0.rfind('.') {
            Some(dot) if dot > 0 => self.0.split_at(dot),
            _ => (self.0.as_str(), ""),
        };
        let mark = format!(" ({number})");
        // A long extension is part of the name. What must be shortened is the stem.
        let (stem, extension) = if extension.len() > 32 { (self.0.as_str(), "") } else { (stem, extension) };
        let room = NAME_CHARS - mark.chars().count() - extension.chars().count();
        let end = stem.char_indices().nth(room).map_or(stem.len(), |(end, _)| end);
        Self(format!("{}{mark}{extension}", &stem[..end]))
    }
}

/// The path of a folder: names joined by slashes, without slashes at the ends; empty for the top folder. At most 64 names
/// and 4096 bytes; its names have the rules of file names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderPath(String);

impl FolderPath {
    /// Parses a path; slashes at its ends are ignored.
    ///
    /// # Errors
    /// [`Error::Invalid`] at this location if a name in the path breaks a rule, or the path is too long.
    pub fn new(path: &str, at: impl Into<Location>) -> Result<Self> {
        let names: Vec<String> = cleaned(path).split('/').map(|name| name.trim().to_owned()).collect();
        let path = names.join("/");
        let path = path.trim_matches('/');
        if path.len() > LIMITS.bytes {
            return Err(invalid(at, "too_long", format!("at most {} bytes", LIMITS.bytes)));
        }
        if path.split('/').count() > LIMITS.depth {
            return Err(invalid(at, "too_deep", format!("at most {} folders", LIMITS.depth)));
        }
        match path.split('/').filter(|_| !path.is_empty()).find_map(broken_rule) {
            Some(rule) => Err(invalid(at, "bad_path", format!("a folder name {rule}"))),
            None => Ok(Self(path.to_owned())),
        }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The location of the folder, as rows store it.
    pub(super) fn location(&self) -> String {
        location(&self.0)
    }
}

/// The location of a file, as rows store it.
pub(super) fn file_location(place: Place, name: &FileName) -> FileLocation {
    FileLocation { place, name: name.0.clone(), search: fold(&name.0), sort_key: natural_key(&name.0) }
}

/// The location of the folder with this path: each name followed by a slash.
pub(super) fn location(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

/// The location of the folder that a text begins in.
pub(super) fn folder_of(text: &str) -> &str {
    &text[..text.rfind('/').map_or(0, |slash| slash + 1)]
}

/// The path of the folder at this location.
pub(super) fn path(location: &str) -> &str {
    location.strip_suffix('/').unwrap_or(location)
}

fn invalid(at: impl Into<Location>, code: &'static str, detail: impl Into<String>) -> Error {
    Error::Invalid(vec![FieldError { location: at.into(), code, detail: detail.into() }])
}

/// In normalization form C, without marks that nobody sees.
pub(super) fn cleaned(text: &str) -> String {
    text.chars().filter(|c| !is_unseen_mark(*c)).nfc().collect()
}

/// The rule that a name breaks, if any.
fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("must not be empty");
    }
    if name.chars().count() > NAME_CHARS {
        return Some("must have at most 255 characters");
    }
    if name == "." || name == ".." {
        return Some("must not be `.` or `..`");
    }
    name.chars()
        .find_map(|c| match c {
            '/' | '\\' => Some("must not contain slashes"),
            c if c.is_control() => Some("must not contain control characters"),
            c if is_misleading(c) => Some("must not contain invisible or bidirectional characters"),
            '\u{fdd0}'..='\u{fdef}' => Some("must not contain Unicode noncharacters"),
            c if (c as u32) & 0xfffe == 0xfffe => Some("must not contain Unicode noncharacters"),
            _ => None,
        })
        .or_else(|| (!name.chars().any(is_visible)).then_some("must have a visible character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension_and_fits() {
        let numbered = |name: &str| FileName::new(name, "/name").unwrap().numbered(12).0;
        assert_eq!(numbered("report.pdf"), "report (12).pdf");
        assert_eq!(numbered("README"), "README (12)");
        assert_eq!(numbered(".profile"), ".profile (12)");
        let long = numbered(&format!("{}.txt", "é".repeat(251)));
        assert!(long.chars().count() == 255 && long.ends_with(" (12).txt"), "{long}");
    }

    #[test]
    fn composed_and_decomposed_names_are_equal() {
        let named = |name| FileName::new(name, "/name").unwrap().0;
        assert_eq!(named("cafe\u{301}"), named("caf\u{e9}"));
        assert_eq!(named("\u{feff} עברית (v2)\u{200e}.pdf "), "עברית (v2).pdf");
        assert_eq!(FolderPath::new("/a /\u{200b}b/", "/path").unwrap().0, "a/b");
        for hostile in ["\u{200b}", "..\u{200e}", "a\u{202e}txt.exe", "a\u{2066}b"] {
            assert!(FileName::new(hostile, "/name").is_err(), "{hostile:?}");
        }
    }
}
