//! What a file and a folder may be called. Names live in the database alone; they never become
//! part of a key or of a path on the disk.

use unicode_normalization::UnicodeNormalization;

use crate::db::FileLocation;
use crate::error::{Error, Result};
use crate::unicode::is_misleading;

/// Most bytes in one name.
const NAME_BYTES: usize = 255;
/// Most bytes in one folder path.
const PATH_BYTES: usize = 1024;

/// The name of a file: any Unicode without control characters, slashes and characters that change
/// the direction of what follows, at most 255 bytes, in normalisation form C, so that a name typed
/// on one system is found on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// # Errors
    /// `Invalid` at `pointer` if the name breaks a rule.
    pub fn new(name: &str, pointer: &str) -> Result<Self> {
        let name: String = name.nfc().collect();
        match fault(&name) {
            Some(fault) => Err(Error::invalid(pointer, "bad_name", fault)),
            None => Ok(Self(name)),
        }
    }

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
        // A long extension is no extension; what has to give way is the stem.
        let (stem, extension) = if extension.len() > 32 { (self.0.as_str(), "") } else { (stem, extension) };
        let mut room = (NAME_BYTES - mark.len() - extension.len()).min(stem.len());
        while !stem.is_char_boundary(room) {
            room -= 1;
        }
        Self(format!("{}{mark}{extension}", &stem[..room]))
    }
}

/// A folder: names joined by slashes, without slashes at the ends; empty at the top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderPath(String);

impl FolderPath {
    /// # Errors
    /// `Invalid` at `pointer` if one of the folders' names breaks a rule, or the whole is too long.
    pub fn new(path: &str, pointer: &str) -> Result<Self> {
        let path: String = path.nfc().collect();
        let path = path.trim_matches('/');
        if path.len() > PATH_BYTES {
            return Err(Error::invalid(pointer, "too_long", format!("at most {PATH_BYTES} bytes")));
        }
        let fault = path.split('/').filter(|_| !path.is_empty()).find_map(fault);
        match fault {
            Some(fault) => Err(Error::invalid(pointer, "bad_path", fault)),
            None => Ok(Self(path.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a file is, as the rows keep it.
pub(super) fn place(path: &FolderPath, name: &FileName) -> FileLocation {
    FileLocation { path: path.0.clone(), name: name.0.clone(), search: location(&path.0, &name.0).to_lowercase() }
}

/// The path and the name put together, as the rows keep them.
pub(super) fn location(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// What is wrong with a name, if anything is.
fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a name has at least one character");
    }
    if name.len() > NAME_BYTES {
        return Some("a name has at most 255 bytes");
    }
    if name == "." || name == ".." {
        return Some("`.` and `..` are no names");
    }
    if name.trim() != name {
        return Some("a name neither begins nor ends with white space");
    }
    name.chars().find_map(|c| match c {
        '/' | '\\' => Some("a name has no slashes"),
        c if c.is_control() => Some("a name has no control characters"),
        c if is_misleading(c) => Some("a name has no invisible characters and none that change the direction of text"),
        '\u{fdd0}'..='\u{fdef}' => Some("a name has no code points that are no characters"),
        c if (c as u32) & 0xfffe == 0xfffe => Some("a name has no code points that are no characters"),
        _ => None,
    })
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
        let long = numbered(&format!("{}.txt", "é".repeat(125)));
        assert!(long.len() <= 255 && long.ends_with(" (12).txt"), "{long}");
    }

    #[test]
    fn one_name_is_one_name_however_it_was_typed() {
        assert_eq!(FileName::new("cafe\u{301}", "/name").unwrap(), FileName::new("caf\u{e9}", "/name").unwrap());
    }
}
