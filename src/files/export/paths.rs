//! Where files are in an archive. Names here are any Unicode; whoever unpacks it may have a system that
//! takes less, that knows no difference between `A` and `a`, and where nothing is a file and a folder at once.

use std::collections::{HashMap, HashSet};

/// The paths that were given out.
#[derive(Debug, Default)]
pub struct Paths {
    /// In lower case.
    files: HashSet<String>,
    folders: HashSet<String>,
    /// The number to try next for a file of this path, in lower case.
    next: HashMap<String, u64>,
}

impl Paths {
    /// A path below `folder` that no other file has, as like its own as can be.
    pub fn place(&mut self, folder: &str, path: &str, name: &str) -> String {
        let mut parent = folder.to_owned();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            parent = free(&parent, &safe(part), &mut 0, |path| !self.files.contains(path));
            self.folders.insert(parent.to_lowercase());
        }
        let (name, taken) = (safe(name), |path: &str| self.files.contains(path) || self.folders.contains(path));
        // Where the last one of this name ended: thousands of one name are common in a trash.
        let next = self.next.entry(format!("{parent}/{name}").to_lowercase()).or_default();
        let path = free(&parent, &name, next, |path| !taken(path));
        self.files.insert(path.to_lowercase());
        path
    }
}

/// The name below its parent, with the first number from `next` on that makes it free, if it is not.
fn free(parent: &str, name: &str, next: &mut u64, is_free: impl Fn(&str) -> bool) -> String {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    loop {
        let path = match *next {
            0 => format!("{parent}/{name}"),
            number => format!("{parent}/{stem} ({number}){extension}"),
        };
        *next += 1;
        if is_free(&path.to_lowercase()) {
            return path;
        }
    }
}

/// The name without what some system does not take or would follow somewhere else.
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
        assert_eq!(place("a.txt", "below"), "files/a (1).txt/below".replace("a (1)", "a (2)"));
        assert_eq!(place("..", ".."), "files/_/_");
        assert_eq!(place("", ".."), "files/_ (1)");
        assert_eq!(place("C:\\temp", "what?"), "files/C__temp/what_");
        assert_eq!(place("é/ü", "日本.txt"), "files/é/ü/日本.txt");
        assert_eq!(place("é", "ü"), "files/é/ü (1)");
    }
}
