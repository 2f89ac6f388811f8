//! The paths of files in an archive. Names may be any Unicode; the system that unpacks the archive may allow fewer
//! characters, may not distinguish `A` from `a`, gives a meaning to some names, and has no path that is a file and a
//! folder at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use uuid::Uuid;

use crate::unicode::fold_case;

/// Paths that are remembered, at 25 bytes each.
const MOST: usize = 400_000;
/// The names of devices on Windows, with any extension.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The paths of an archive, each of which is used once.
#[derive(Debug, Default)]
pub struct Paths {
    /// By the hash of the path with its case folded: the path itself may be longer than all else that is known of it.
    known: HashMap<u64, Known>,
    hasher: RandomState,
    /// Where the folder of the last file is.
    last: Option<(String, String)>,
    /// The number of paths that were tried, for tests of the cost.
    #[cfg(test)]
    tried: usize,
}

/// A path of the archive.
#[derive(Debug, Clone, Copy)]
struct Known {
    kind: Kind,
    /// The number to try next for another file of this name: thousands of them are common in a trash.
    next: u32,
    /// The number of the folder of this name, if a file has the name itself.
    folder: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

impl Paths {
    /// A path below the folder `root` of the archive, or of the whole archive if that is empty, that no other file has, as similar as possible to its own. After
    /// hundreds of thousands of files it is only the id, so that nothing has to be remembered.
    pub fn place(&mut self, root: &str, path: &str, name: &str, id: Uuid) -> String {
        if self.known.len() >= MOST {
            let extension = split(name).1;
            let folder = if root.is_empty() { "more".to_owned() } else { format!("{root} (more)") };
            return format!("{folder}/{id}{}", if extension.len() > 16 { String::new() } else { safe(extension) });
        }
        let folder = self.folder(root, path);
        self.free(&folder, &safe(name), Kind::File)
    }

    /// The path of this folder, if it is not that of another one, such as one whose name differs in case only.
    pub fn place_folder(&mut self, root: &str, path: &str) -> Option<String> {
        if self.known.len() >= MOST {
            return None;
        }
        let known = self.known.len();
        let placed = self.folder(root, path);
        (self.known.len() > known).then_some(placed)
    }

    /// The path of this folder in the archive: the same for all of its files.
    fn folder(&mut self, root: &str, path: &str) -> String {
        let key = format!("{root}/{path}");
        if let Some((last, placed)) = &self.last
            && *last == key
        {
            return placed.clone();
        }
        let names = path.split('/').filter(|name| !name.is_empty());
        let placed = names.fold(root.to_owned(), |parent, name| self.free(&parent, &safe(name), Kind::Folder));
        self.last = Some((key, placed.clone()));
        placed
    }

    /// The name below its parent, with the next number that makes it free, if it is not. No number is tried twice.
    fn free(&mut self, parent: &str, name: &str, kind: Kind) -> String {
        let plain = join(parent, name);
        let Some(first) = self.claim(&plain, kind) else { return plain };
        let (stem, extension) = split(name);
        let Known { next, folder, .. } = self.known[&first];
        let mut number = if kind == Kind::Folder && folder > 0 { folder } else { next };
        loop {
            let path = join(parent, &format!("{stem} ({number}){extension}"));
            if self.claim(&path, kind).is_none() {
                if let Some(known) = self.known.get_mut(&first) {
                    match kind {
                        Kind::File => known.next = number + 1,
                        Kind::Folder => known.folder = number,
                    }
                }
                return path;
            }
            number += 1;
        }
    }

    /// Claims a path, unless it is taken; then the result is its hash. Files of one folder share its path.
    fn claim(&mut self, path: &str, kind: Kind) -> Option<u64> {
        #[cfg(test)]
        {
            self.tried += 1;
        }
        let hash = self.hasher.hash_one(fold_case(path));
        match self.known.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(Known { kind, next: 1, folder: 0 });
                None
            }
            Entry::Occupied(taken) => (kind == Kind::File || taken.get().kind == Kind::File).then_some(hash),
        }
    }
}

/// The path of a name in a folder; the folder of the whole archive has no name.
fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

/// The name before its extension, and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The name without characters that some system does not allow or gives a meaning to, and not the name of a device.
fn safe(name: &str) -> String {
    let mut safe: String =
        name.chars().map(|c| if r#"<>:"|?*\/"#.contains(c) || c.is_control() { '_' } else { c }).collect();
    let trimmed = safe.trim_end_matches(['.', ' ']).len();
    if trimmed < safe.len() {
        safe.truncate(trimmed);
        safe.push('_');
    }
    let stem = safe.split('.').next().unwrap_or_default();
    if is_device(stem.trim_end()) {
        safe.insert(stem.len(), '_');
    }
    shortened(safe)
}

/// Maximum length of a name in an archive, in bytes. File systems allow 255; the rest is left for a number.
const NAME_BYTES: usize = 240;

/// The name without the end of its stem, if it is longer than file systems allow.
fn shortened(name: String) -> String {
    if name.len() <= NAME_BYTES {
        return name;
    }
    let (stem, extension) = split(&name);
    let (stem, extension) = if extension.len() > NAME_BYTES / 2 { (&*name, "") } else { (stem, extension) };
    let end = stem.floor_char_boundary(NAME_BYTES - extension.len());
    [stem[..end].trim_end_matches(['.', ' ']), extension].concat()
}

/// Whether Windows opens a device of this name: `COM1` and `LPT¹` as well.
fn is_device(stem: &str) -> bool {
    let stem = stem.to_lowercase();
    let numbered = ["com", "lpt"].iter().filter_map(|port| stem.strip_prefix(port));
    let is_number = |rest: &str| rest.chars().count() == 1 && rest.contains(|c: char| "0123456789¹²³".contains(c));
    DEVICES.contains(&&*stem) || numbered.into_iter().any(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_path_of_its_own_that_stays_where_it_is_unpacked() {
        let mut paths = Paths::default();
        let mut place = |path, name| paths.place("files", path, name, Uuid::nil());
        assert_eq!(place("", "a.txt"), "files/a.txt");
        assert_eq!(place("", "A.TXT"), "files/A (1).TXT");
        assert_eq!(place("a.txt", "below"), "files/a (2).txt/below");
        assert_eq!(place("a.txt", "beside"), "files/a (2).txt/beside");
        assert_eq!(place("", "a.txt"), "files/a (3).txt");
        assert_eq!(place("a.txt/deep/down", "c"), "files/a (2).txt/deep/down/c");
        assert_eq!(place("..", ".."), "files/_/_");
        assert_eq!(place("", ".."), "files/_ (1)");
        assert_eq!(place("C:\\temp", "what?"), "files/C__temp/what_");
        assert_eq!(place("é/ü", "日本.txt"), "files/é/ü/日本.txt");
        assert_eq!(place("é", "ü"), "files/é/ü (1)");
        assert_eq!(place("", "Straße"), "files/Straße");
        assert_eq!(place("", "STRASSE"), "files/STRASSE (1)");
        assert_eq!(place("", "STRA\u{1e9e}E"), "files/STRA\u{1e9e}E (2)");
        let (folder, long) = ("文".repeat(255), format!("{}.txt", "あ".repeat(251)));
        for number in ["", " (1)"] {
            let placed = place(&folder, &long);
            let names: Vec<&str> = placed.split('/').collect();
            assert!(names.iter().all(|name| name.len() <= 255), "{placed}");
            assert!(names[2].ends_with(&format!("あ{number}.txt")), "{placed}");
        }
    }

    #[test]
    fn names_of_devices_are_those_of_files() {
        for (name, expected) in [
            ("CON", "CON_"),
            ("nul", "nul_"),
            ("aux.txt", "aux_.txt"),
            ("Aux .tar.gz", "Aux _.tar.gz"),
            ("com1", "com1_"),
            ("LPT³.log", "LPT³_.log"),
            ("conout$", "conout$_"),
            ("com", "com"),
            ("com10", "com10"),
            ("console", "console"),
            ("nul. ", "nul_"),
            ("a. .", "a_"),
        ] {
            assert_eq!(safe(name), expected, "{name}");
        }
        assert_eq!(Paths::default().place("files", "prn", "com1.txt", Uuid::nil()), "files/prn_/com1_.txt");
    }

    #[test]
    fn the_work_is_linear_in_the_number_of_files() {
        const FILES: usize = 3000;
        let mut paths = Paths::default();
        let mut place = |root, path: &str, name: &str| paths.place(root, path, name, Uuid::nil());
        place("files", "", "a");
        for number in 1..FILES {
            place("files", "", &format!("a ({number})"));
        }
        for number in 0..FILES {
            place("files", "a", &format!("{number}"));
            place("files", if number % 2 == 0 { "A" } else { "a" }, "one name");
        }
        for _ in 0..FILES {
            place("trash", "", "a");
        }
        assert!(paths.tried < 12 * FILES, "{} paths were tried", paths.tried);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut paths = Paths::default();
        for number in 0..MOST {
            paths.place("files", "", &number.to_string(), Uuid::nil());
        }
        assert_eq!(paths.place("files", "a/b", "c.tar.gz", Uuid::nil()), format!("files (more)/{}.gz", Uuid::nil()));
        assert_eq!(paths.known.len(), MOST);
    }
}
