//! The top-level modules and the dependencies between them, as ARCHITECTURE.md lists them.
//!
//! Bans of single types and methods, such as reading the clock, are in `clippy.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room, from the top down: a room uses only those below it.
const MODULES: &[&str] = &[
    "main", "cli", "api", "jobs", "files", "users", "access", "app", "http", "chunks", "health", "events", "db",
    "store", "keys", "logs", "config", "budget", "net", "cursor", "clock", "error", "media", "suggest", "waiting",
    "unicode", "hex", "faults",
];

/// Arrows that go up, each with the reason why it may.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("app", "users", "the application holds the pool of password hashers"),
    ("db", "health", "a probe of the database reports checks"),
    ("store", "health", "a probe of a store reports checks"),
];

/// Crates and modules that belong to some rooms only.
const ONLY_IN: &[(&[&str], &[&str], &str)] = &[
    (&["api", "http"], &["axum", "headers", "http", "multer", "tower_http"], "HTTP types"),
    (&["api", "http"], &["utoipa", "utoipa_axum"], "the API document"),
    (&["db"], &["sqlx"], "SQL"),
    (&["store"], &["object_store", "quick_xml"], "object stores"),
];

/// Words that must not stand in a room.
const BANNED: &[(&str, &[&str], &str)] = &[
    ("files", &["std::fs", "\"/v1/", "/v1/"], "paths belong to store, routes to api"),
    ("users", &["std::fs", "/v1/"], "paths belong to store, routes to api"),
    ("jobs", &["std::fs", "/v1/"], "paths belong to store, routes to api"),
    ("db", &["/v1/"], "routes belong to api"),
    ("store", &["/v1/admin", "/v1/files", "/v1/uploads"], "routes belong to api"),
    ("http", &["crate::files", "crate::users", "crate::app", "crate::db", "crate::jobs"], "plumbing knows no resource"),
];

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push((path.clone(), code(&fs::read_to_string(&path).unwrap())));
        }
    }
    found
}

/// The source without comments and without its unit tests.
fn code(source: &str) -> String {
    let shipped = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The room that a file belongs to: the first part of its path below `src`.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(source_root()).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The names that follow `prefix` in a text, each up to the next character that is not of a name.
fn names_after<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    let name = |at: usize| {
        let rest = &text[at + prefix.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
    };
    text.match_indices(prefix).map(|(at, _)| name(at)).filter(|name| !name.is_empty()).collect()
}

/// The rooms that a file uses: `crate::room` and `use crate::{room, …}`.
fn used_rooms(text: &str) -> BTreeSet<&str> {
    let mut used = names_after(text, "crate::");
    for group in text.split("crate::{").skip(1) {
        let group = group.split(';').next().unwrap_or_default();
        used.extend(group.split([',', '{', '}']).map(|part| part.trim().split("::").next().unwrap_or_default()));
    }
    used.retain(|name| MODULES.contains(name));
    used
}

#[test]
fn every_module_is_listed() {
    let rooms: BTreeSet<String> = sources(&source_root()).iter().map(|(path, _)| room(path)).collect();
    let known: BTreeSet<String> = MODULES.iter().map(|room| (*room).to_owned()).chain(["lib".to_owned()]).collect();
    assert_eq!(rooms, known);
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for room in MODULES {
        assert!(
            map.contains(&format!("  {room}/")) || map.contains(&format!("  {room}.rs")),
            "ARCHITECTURE.md: {room}"
        );
    }
}

#[test]
fn dependencies_point_down() {
    let depth = |name: &str| MODULES.iter().position(|room| *room == name);
    let mut wrong = Vec::new();
    for (path, text) in sources(&source_root()) {
        let from = room(&path);
        if from == "lib" {
            continue;
        }
        for to in used_rooms(&text) {
            let allowed = EXCEPTIONS.iter().any(|(a, b, _)| *a == from && *b == to);
            if to != from && !allowed && depth(to) < depth(&from) {
                wrong.push(format!("{}: {from} uses {to}", path.display()));
            }
            if to == "http" && !["api", "cli", "http", "main"].contains(&from.as_str()) {
                wrong.push(format!("{}: {from} uses the HTTP plumbing", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_and_terms_stay_in_their_modules() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&source_root()) {
        let from = room(&path);
        for (rooms, crates, what) in ONLY_IN {
            for name in *crates {
                let used = text
                    .match_indices(&format!("{name}::"))
                    .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
                if used && !rooms.contains(&from.as_str()) {
                    wrong.push(format!("{}: {name} ({what} belong to {})", path.display(), rooms.join(", ")));
                }
            }
        }
        for (_, words, reason) in BANNED.iter().filter(|(room, ..)| *room == from) {
            for word in words.iter().filter(|word| text.contains(**word)) {
                wrong.push(format!("{}: {word} ({reason})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
