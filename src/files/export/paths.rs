//! Where files are in an archive. Names may be any Unicode; the system that unpacks the archive may allow fewer
//! characters, may not distinguish `A` from `a`, and has no path that is a file and a folder at once.

use std::collections::{HashMap, HashSet};

/// The paths of an archive, each of which is used once.
#[derive(Debug, Default)]
pub struct Paths {
    /// In lower case.
    files: HashSet<String>,
    /// In lower case.
    folders: HashSet<String>,
    /// Where each folder is, by the path that it has in Strongroom, below its root in the archive.
    placed: HashMap<String, String>,
    /// The number to try next for this path, in lower case: thousands of files of one name are common in a trash.
    next: HashMap<String, u64>,
    /// Paths that were tried, which bounds the work.
    #[cfg(test)]
    tried: usize,
}

impl Paths {
    /// A path below the folder `root` of the archive that no other file has, as similar as possible to its own.
    pub fn place(&mut self, root: &str, path: &str, name: &str) -> String {
        let folder = self.folder(root, path);
        let path =
            self.free(&folder, &safe(name), |paths, path| !paths.files.contains(path) && !paths.folders.contains(path));
        self.files.insert(path.to_lowercase());
        path
    }

    /// Where this folder is: in one place, however many files it has.
    fn folder(&mut self, root: &str, path: &str) -> String {
        if path.is_empty() {
            return root.to_owned();
        }
        let key = format!("{root}/{path}");
        if let Some(placed) = self.placed.get(&key) {
            return placed.clone();
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (parent, name) = (self.folder(root, parent), safe(name));
        let plain = format!("{parent}/{name}");
        let placed = match self.files.contains(&plain.to_lowercase()) {
            true => self.free(&parent, &name, |paths, path| !paths.files.contains(path)),
            false => plain,
        };
        self.folders.insert(placed.to_lowercase());
        self.placed.insert(key, placed.clone());
        placed
    }

    /// The name below its parent, with the next number that makes it free, if it is not. No number is tried twice.
    fn free(&mut self, parent: &str, name: &str, is_free: impl Fn(&Self, &str) -> bool) -> String {
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name, ""),
        };
        let plain = format!("{parent}/{name}");
        let key = plain.to_lowercase();
        let mut next = self.next.get(&key).copied().unwrap_or_default();
        loop {
            let path = match next {
                0 => plain.clone(),
                number => format!("{parent}/{stem} ({number}){extension}"),
            };
            next += 1;
            #[cfg(test)]
            {
                self.tried += 1;
            }
            if is_free(self, &path.to_lowercase()) {
                self.next.insert(key, next);
                return path;
            }
        }
    }
}

/// The name without characters that some system does not allow or gives a meaning to.
fn safe(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if r#"<>:"|?*\/"#.contains(c) || c.is_control() { '_' } else { c }).collect();
    match safe.trim_end_matches(['.', ' ']) {
        trimmed if trimmed.len() == safe.len() => safe,
        trimmed => format!("{trimmed}_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_path_of_its_own_that_stays_where_it_is_unpacked() {
        let mut paths = Paths::default();
        let mut place = |path, name| paths.place("files", path, name);
        assert_eq!(place("", "a.txt"), "files/a.txt");
        assert_eq!(place("", "A.TXT"), "files/A (1).TXT");
        assert_eq!(place("a.txt", "below"), "files/a (2).txt/below");
        assert_eq!(place("a.txt", "beside"), "files/a (2).txt/beside");
        assert_eq!(place("a.txt/deep/down", "c"), "files/a (2).txt/deep/down/c");
        assert_eq!(place("..", ".."), "files/_/_");
        assert_eq!(place("", ".."), "files/_ (1)");
        assert_eq!(place("C:\\temp", "what?"), "files/C__temp/what_");
        assert_eq!(place("é/ü", "日本.txt"), "files/é/ü/日本.txt");
        assert_eq!(place("é", "ü"), "files/é/ü (1)");
    }

    #[test]
    fn the_work_grows_with_the_number_of_files_alone() {
        const FILES: usize = 3000;
        let mut paths = Paths::default();
        paths.place("files", "", "a");
        for number in 1..FILES {
            paths.place("files", "", &format!("a ({number})"));
        }
        for number in 0..FILES {
            paths.place("files", "a", &format!("{number}"));
            paths.place("files", if number % 2 == 0 { "A" } else { "a" }, "one name");
        }
        for _ in 0..FILES {
            paths.place("trash", "", "a");
        }
        assert!(paths.tried < 6 * FILES, "{} paths were tried", paths.tried);
    }
}
