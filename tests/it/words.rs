//! The terms in tests/banned-terms.txt, which says how they are matched, do not occur in the repository.
//! `scripts/words --list` finds the same without compiling anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::{Regex, RegexSet};

/// Build results, installed packages and data.
const SKIPPED_DIRECTORIES: &[&str] =
    &[".git", "target", "node_modules", "dist", "pictures", "__pycache__", "strongroom-data"];
const SKIPPED_SUFFIXES: &[&str] =
    &[".lock", ".pem", ".png", ".gen.ts", "package-lock.json", "LICENSE", "tests/banned-terms.txt"];

struct Term {
    expression: Regex,
    allowed: Option<Regex>,
    prefixes: Vec<String>,
}

impl Term {
    fn occurs(&self, text: &str) -> bool {
        let is_allowed = |found: &str| self.allowed.as_ref().is_some_and(|allowed| allowed.is_match(found));
        self.expression.find_iter(text).any(|found| !is_allowed(found.as_str()))
    }
}

struct Terms {
    list: Vec<Term>,
    /// All expressions at once: one pass over a text finds the few terms to look for in its lines.
    any: RegexSet,
}

fn parse(list: &str) -> Terms {
    let mut terms = Vec::new();
    let mut prefixes = vec![String::new()];
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(paths) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            prefixes = paths.split_whitespace().map(str::to_owned).collect();
            continue;
        }
        let (expression, allowed) = line.split_once("  except  ").unzip();
        terms.push(Term {
            expression: Regex::new(expression.unwrap_or(line)).unwrap(),
            allowed: allowed.map(|allowed| Regex::new(&format!("^(?:{allowed})$")).unwrap()),
            prefixes: prefixes.clone(),
        });
    }
    Terms { any: RegexSet::new(terms.iter().map(|term| term.expression.as_str())).unwrap(), list: terms }
}

/// The text in lower case, and the same with identifiers split into words.
fn variants(text: &str) -> [String; 2] {
    let mut split = String::with_capacity(text.len() + text.len() / 8);
    let mut before = ' ';
    for letter in text.chars() {
        if letter.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            split.push(' ');
        }
        split.push(if letter == '_' { ' ' } else { letter });
        before = letter;
    }
    [text.to_lowercase(), split.to_lowercase()]
}

/// `file:line: term` of each occurrence. Line 0 is the path.
fn search(path: &str, content: &str, terms: &Terms) -> Vec<String> {
    let text = format!("{path}\n{content}");
    let [lower, split] = variants(&text);
    let candidates: BTreeSet<usize> = terms.any.matches(&lower).iter().chain(&terms.any.matches(&split)).collect();
    let mut found = Vec::new();
    for term in candidates.into_iter().map(|index| &terms.list[index]) {
        if term.prefixes.iter().any(|prefix| path.starts_with(prefix)) {
            let lines = lower.lines().zip(split.lines()).enumerate();
            let hits = lines.filter(|(_, (lower, split))| term.occurs(lower) || term.occurs(split));
            found.extend(hits.map(|(number, _)| format!("{path}:{number}: {}", term.expression)));
        }
    }
    found
}

/// Calls `visit` with the path, relative to the repository, and the text of each file.
fn walk(root: &Path, folder: &Path, visit: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        if path.is_dir() {
            if !SKIPPED_DIRECTORIES.iter().any(|skipped| path.ends_with(skipped)) {
                walk(root, &path, visit);
            }
        } else if !SKIPPED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
            visit(name, &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn no_banned_term_occurs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let terms = parse(&fs::read_to_string(root.join("tests/banned-terms.txt")).unwrap());
    let mut found = Vec::new();
    walk(root, root, &mut |path, content| found.extend(search(path, content, &terms)));
    assert!(found.is_empty(), "{} banned terms:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_term_is_found_in_prose_and_in_identifiers() {
    let terms = parse("# comment\n\\bgadgets?\\b\n\\bhas no [a-z]+\\b  except  has no longer\n[docs]\n\\bfoo\\b\n");
    let count = |path, content| search(path, content, &terms).len();
    assert_eq!(count("src/a.rs", "A Gadget\nlet gadgetRow = gadget_row(GadgetRow);\ngadgetry"), 2);
    assert_eq!(count("src/a.rs", "it has no longer; it has no file"), 1);
    assert_eq!(count("src/gadgets.rs", ""), 1);
    assert_eq!((count("src/a.rs", "foo"), count("docs/a.md", "foo")), (0, 1));
    assert_eq!(search("src/a.rs", "\ngadget", &terms), [r"src/a.rs:2: \bgadgets?\b"]);
}
