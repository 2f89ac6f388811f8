//! Tries what the store on disk needs: a folder for us alone, and bytes that stay.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::no_follow;
use crate::health::check::{Check, ProbeLevel};
use crate::health::volume;
use crate::store::Key;

/// No disk is that fast, nor is a disk's memory that survives a power cut.
const TOO_FAST: Duration = Duration::from_micros(20);
/// Enough that there is something to make durable.
const LENGTH: usize = 64 * 1024;

/// Tries the folder `root`, which may be missing as yet. Nothing is made but one file, and that is
/// taken away. Blocks.
pub fn probe_disk(root: &Path, level: ProbeLevel) -> Vec<Check> {
    let mut checks = vec![folder(root)];
    if checks[0].has_failed() {
        return checks;
    }
    let place = nearest_folder(root);
    checks.push(bytes(&place));
    if level >= ProbeLevel::Full {
        checks.extend(volume::checks("store.space", "store.filesystem", &place));
    }
    checks
}

/// Whether the store's folders are folders, and nobody else's.
fn folder(root: &Path) -> Check {
    let name = "store.folder";
    let tried = format!("look at the rights of {}", root.display());
    let mut came_back = "it is for its owner alone".to_owned();
    let mut open_to_readers = false;
    for folder in [root.to_owned(), root.join("tmp"), root.join("blobs")] {
        let shown = folder.display();
        let mode = match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound && folder == root => {
                return Check::ok(name, tried, "it is not there yet: the first start makes it");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                let what_to_do = "correct STORE_URL, or let the server's user in";
                return Check::failed(name, tried, format!("{shown}: {error}"), what_to_do);
            }
            Ok(metadata) if !metadata.is_dir() => {
                let what_to_do = "name the folder itself in STORE_URL: links and other files are not followed";
                return Check::failed(name, tried, format!("{shown} is no folder"), what_to_do);
            }
            Ok(metadata) => metadata.mode() & 0o777,
        };
        // Folders inside are ours; the outermost may be a mounted one that others may look into.
        let too_open = if folder == root { 0o022 } else { 0o077 };
        if mode & too_open != 0 {
            let came_back = format!("{shown} has the rights {mode:o}: others could put files of their own there");
            return Check::failed(name, tried, came_back, format!("chmod 700 {shown}"));
        }
        if mode & 0o077 != 0 {
            came_back = format!("{shown} has the rights {mode:o}: others may look in, but find nothing they may open");
            open_to_readers = true;
        }
    }
    match open_to_readers {
        true => Check::warning(name, tried, came_back, format!("chmod 700 {}", root.display())),
        false => Check::ok(name, tried, came_back),
    }
}

/// The folder, or the first one above it that is there.
fn nearest_folder(root: &Path) -> PathBuf {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let found = absolute.ancestors().find(|folder| folder.is_dir());
    found.unwrap_or(&absolute).to_owned()
}

/// Writes as an upload does: staged, durable, renamed, read back.
fn bytes(place: &Path) -> Check {
    let name = "store.write";
    // No key looks like this: whatever becomes of the process, nobody takes it for a blob.
    let own = format!("doctor-{}", Key::random());
    // From one folder to another, as uploads go, when the store has its folders already.
    let [staged, published] = match (place.join("tmp"), place.join("blobs/00")) {
        (tmp, shard) if tmp.is_dir() && shard.is_dir() => [tmp.join(&own), shard.join(&own)],
        _ => [place.join(&own), place.join(format!("{own}-renamed"))],
    };
    let tried = format!("write, make durable, rename and read back a file in {}", place.display());
    let outcome = write_and_read(&staged, &published);
    let removed = remove(&staged).and(remove(&published));
    match (outcome, removed) {
        (Err(error), _) => {
            let what_to_do = match error.kind() {
                ErrorKind::PermissionDenied => "give the folder to the server's user",
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room",
                ErrorKind::ReadOnlyFilesystem => "mount the disk for writing",
                _ => "correct STORE_URL, or mend the disk",
            };
            Check::failed(name, tried, error.to_string(), what_to_do)
        }
        (_, Err(error)) => {
            let came_back = format!("{} stays: {error}", published.display());
            Check::failed(name, tried, came_back, "let the server's user delete files there")
        }
        (Ok(sync), Ok(())) if sync < TOO_FAST => {
            let hint = "so fast that bytes may lie in memory that a power cut empties";
            Check::ok(name, tried, format!("it works; making it durable took {sync:.1?}, {hint}"))
        }
        (Ok(sync), Ok(())) => Check::ok(name, tried, format!("it works; making it durable took {sync:.1?}")),
    }
}

/// Gives the time that it took to make the bytes durable.
fn write_and_read(staged: &Path, published: &Path) -> io::Result<Duration> {
    let content: Vec<u8> = (0..LENGTH).map(|place| (place % 251) as u8).collect();
    let mut file = no_follow().write(true).create_new(true).mode(0o600).open(staged)?;
    file.write_all(&content)?;
    let accepted = Instant::now();
    file.sync_data()?;
    let sync = accepted.elapsed();
    fs::rename(staged, published)?;
    if let Some(folder) = published.parent() {
        File::open(folder)?.sync_all()?;
    }
    let mut read = Vec::new();
    no_follow().read(true).open(published)?.read_to_end(&mut read)?;
    match read == content {
        true => Ok(sync),
        false => Err(io::Error::other("other bytes came back than were written")),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
