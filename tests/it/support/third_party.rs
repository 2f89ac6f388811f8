//! Third-party programs, installed by scripts/clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::print_skipped;

/// The exit code of scripts/clients if Node, Python or the package registries are not available.
const CANNOT_INSTALL: i32 = 75;

/// Installs the programs of a folder of tests/clients, and returns the folder in which they run, with the scripts beside
/// them. If they cannot be installed, prints a line that says why.
pub fn install(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("scripts/clients")).arg(name).output().expect("scripts/clients runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(CANNOT_INSTALL) {
        let reason = stderr.lines().last().unwrap_or_default();
        print_skipped(&format!("the third-party programs of tests/clients/{name}"), reason);
        return None;
    }
    assert!(output.status.success(), "{stderr}");
    Some(root.join("target/clients").join(name))
}
