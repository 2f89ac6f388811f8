//! Checks a store on disk: a private directory, and files that can be made durable.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::layout::{no_follow, remove};
use crate::health::check::{Check, ProbeLevel};
use crate::health::volume;
use crate::store::Key;

/// A sync that is faster than this did not reach a disk, nor a cache that survives a power loss.
const TOO_FAST: Duration = Duration::from_micros(20);
/// Bytes of the test file: enough to make the sync measurable.
const LENGTH: usize = 64 * 1024;

/// Checks the directory `root`, which need not exist yet. Creates one file and deletes it. Blocks.
pub fn probe_disk(root: &Path, level: ProbeLevel) -> Vec<Check> {
    let mut checks = vec![folder(root)];
    // Rights that are too wide do not keep it from being used.
    if checks[0].has_failed() && !fs::symlink_metadata(root).is_ok_and(|metadata| metadata.is_dir()) {
        return checks;
    }
    let place = nearest_directory(root);
    checks.push(write(&place));
    if level >= ProbeLevel::Full {
        checks.extend(volume::checks("store.space", "store.filesystem", &place));
    }
    checks
}

/// Whether the directories of the store are directories, and private.
fn folder(root: &Path) -> Check {
    let name = "store.directory";
    let action = format!("check the permissions of {}", root.display());
    let mut observed = "only the server's user has access".to_owned();
    let mut remedy = None;
    for folder in [root.to_owned(), root.join("tmp"), root.join("blobs")] {
        let shown = folder.display();
        let mode = match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound && folder == root => {
                return Check::ok(name, action, "it does not exist yet: the first start creates it");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                let remedy = "correct STORE_URL, or give the server's user access";
                return Check::failed(name, action, format!("{shown}: {error}"), remedy);
            }
            Ok(metadata) if !metadata.is_dir() => {
                let remedy = "set STORE_URL to the directory itself: symbolic links are not followed";
                return Check::failed(name, action, format!("{shown} is not a directory"), remedy);
            }
            Ok(metadata) => metadata.mode() & 0o777,
        };
        // The outermost directory may be a mount point that others may list; those inside are private.
        let too_open = if folder == root { 0o002 } else { 0o007 };
        if mode & too_open != 0 {
            let observed = format!("the mode of {shown} is {mode:o}: others could create files there");
            return Check::failed(name, action, observed, format!("chmod 700 {shown}"));
        }
        // A volume may belong to a group of which the server's user is a member, and which it cannot change.
        if mode & 0o020 != 0 {
            observed =
                format!("the mode of {shown} is {mode:o}: members of its group can create and delete files there");
            let only = "make sure that the server's user is the only member of the group";
            remedy = Some(format!("{only}, or make it the owner and chmod 700 {shown}"));
        } else if mode & 0o077 != 0 {
            observed = format!("the mode of {shown} is {mode:o}: others may list it, but cannot open what is inside");
            remedy = Some(format!("chmod 700 {}", root.display()));
        }
    }
    match remedy {
        Some(remedy) => Check::warning(name, action, observed, remedy),
        None => Check::ok(name, action, observed),
    }
}

/// The directory, or its nearest ancestor that exists.
fn nearest_directory(root: &Path) -> PathBuf {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let found = absolute.ancestors().find(|folder| folder.is_dir());
    found.unwrap_or(&absolute).to_owned()
}

/// Writes a file as an upload does: staged, synced, renamed, read back.
fn write(place: &Path) -> Check {
    let name = "store.write";
    // Not the form of a key: even if the process dies, nothing mistakes the file for a blob.
    let own = format!("doctor-{}", Key::random());
    // From one directory to another, as an upload is renamed, if the store has its directories.
    let [staged, published] = match (place.join("tmp"), place.join("blobs/00")) {
        (tmp, shard) if tmp.is_dir() && shard.is_dir() => [tmp.join(&own), shard.join(&own)],
        _ => [place.join(&own), place.join(format!("{own}-renamed"))],
    };
    let action = format!("write, sync, rename and read back a file in {}", place.display());
    let outcome = write_and_read(&staged, &published);
    let removed = remove(&staged).and(remove(&published));
    match (outcome, removed) {
        (Err(error), _) => {
            let remedy = match error.kind() {
                ErrorKind::PermissionDenied => "make the server's user the owner of the directory",
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space",
                ErrorKind::ReadOnlyFilesystem => "mount the disk for writing",
                _ => "correct STORE_URL, or repair the disk",
            };
            Check::failed(name, action, error.to_string(), remedy)
        }
        (_, Err(error)) => {
            let observed = format!("{} could not be deleted: {error}", published.display());
            Check::failed(name, action, observed, "allow the server's user to delete files there")
        }
        (Ok(sync), Ok(())) if sync < TOO_FAST => {
            let hint = "which is implausibly fast: a power loss may lose synced files";
            Check::ok(name, action, format!("it works; the sync took {sync:.1?}, {hint}"))
        }
        (Ok(sync), Ok(())) => Check::ok(name, action, format!("it works; the sync took {sync:.1?}")),
    }
}

/// Returns how long the sync took.
fn write_and_read(staged: &Path, published: &Path) -> io::Result<Duration> {
    let content: Vec<u8> = (0..LENGTH).map(|place| (place % 251) as u8).collect();
    let mut file = no_follow().write(true).create_new(true).mode(0o600).open(staged)?;
    file.write_all(&content)?;
    let started = Instant::now();
    file.sync_data()?;
    let sync = started.elapsed();
    fs::rename(staged, published)?;
    if let Some(folder) = published.parent() {
        File::open(folder)?.sync_all()?;
    }
    let mut read = Vec::new();
    no_follow().read(true).open(published)?.read_to_end(&mut read)?;
    match read == content {
        true => Ok(sync),
        false => Err(io::Error::other("the content read differs from what was written")),
    }
}
