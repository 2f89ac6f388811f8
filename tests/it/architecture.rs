//! The rooms of the code and the arrows between them, as ARCHITECTURE.md draws them.

use std::fs;
use std::path::{Path, PathBuf};

/// What must not be found in a room, and why.
const RULES: &[(&str, &[&str], &str)] = &[
    ("files", &["axum::", "http::", "headers::"], "HTTP types stay in api/"),
    ("users", &["axum::", "http::", "headers::"], "HTTP types stay in api/"),
    ("db", &["axum::", "http::", "crate::api", "crate::files", "crate::users", "crate::store"], "db/ knows rows alone"),
    ("store", &["axum::", "crate::api", "crate::files", "crate::users", "crate::db"], "store/ knows bytes alone"),
    ("jobs", &["crate::api"], "jobs stand beside the doors"),
    ("files", &["crate::api", "crate::jobs", "crate::cli"], "the heart knows no door"),
    ("users", &["crate::api", "crate::jobs", "crate::cli", "crate::files"], "accounts know no door"),
    ("api", &["sqlx::", "object_store::"], "doors reach rows and bytes through the heart"),
    ("files", &["sqlx::", "object_store::", "std::fs"], "SQL stays in db/, paths in store/"),
    ("users", &["sqlx::", "object_store::", "std::fs"], "SQL stays in db/, paths in store/"),
    ("cli", &["sqlx::", "object_store::"], "SQL stays in db/, paths in store/"),
];

/// Rules for all rooms but those that are named.
const ONLY_IN: &[(&[&str], &[&str])] = &[
    (&["store/key.rs"], &["fn random() -> Self"]),
    // Who measures how long something takes. That is nothing to be told or compared with a row's time.
    (
        &[
            "http/middleware.rs",
            "db/probe.rs",
            "files/sharing/links/delivery.rs",
            "health/mod.rs",
            "jobs/fsck/pace.rs",
            "jobs/fsck/runner.rs",
            "store/disk/probe.rs",
        ],
        &["Instant::now()"],
    ),
];

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
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

#[test]
fn the_arrows_go_one_way() {
    for (room, forbidden, reason) in RULES {
        for (path, text) in sources(&source_root().join(room)) {
            if path.ends_with("tests.rs") {
                continue;
            }
            for word in *forbidden {
                let found = text
                    .match_indices(word)
                    .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
                assert!(!found, "{}: {word} ({reason})", path.display());
            }
        }
    }
}

#[test]
fn some_things_have_one_place() {
    for (places, words) in ONLY_IN {
        for (path, text) in sources(&source_root()) {
            let is_place = places.iter().any(|place| path.ends_with(place));
            for word in *words {
                assert!(
                    is_place || !text.contains(word),
                    "{}: {word} belongs to {}",
                    path.display(),
                    places.join(", ")
                );
            }
        }
    }
}
