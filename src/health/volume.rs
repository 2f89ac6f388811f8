//! The filesystem that something lies on: how much room is left, and whether it is one to trust.

use std::io;
use std::path::Path;

use crate::health::check::Check;

const MIB: u64 = 1024 * 1024;
/// Less room than this is worth a word, in bytes and in files.
const LITTLE_ROOM: u64 = 1024 * MIB;
const FEW_FILES: u64 = 10_000;

/// Filesystems whose bytes lie elsewhere, by the magic numbers of Linux.
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x6573_5546, "FUSE"),
];

/// Looks at the filesystem of `path`: its room, under `space`, and its kind, under `filesystem`.
pub fn checks(space: &'static str, filesystem: &'static str, path: &Path) -> Vec<Check> {
    vec![room(space, path), kind(filesystem, path)]
}

fn room(name: &'static str, path: &Path) -> Check {
    let tried = format!("ask how much room is left at {}", path.display());
    let found = match rustix::fs::statvfs(path) {
        Ok(found) => found,
        Err(error) => return Check::skipped(name, tried, io::Error::from(error).to_string()),
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some filesystems make room for files as they need it, and count none.
    let files = (found.f_files > 0).then_some(found.f_favail);
    let mut came_back = format!("{} MiB", free / MIB);
    if let Some(files) = files {
        came_back += &format!(", {files} files");
    }
    if free < LITTLE_ROOM || files.is_some_and(|files| files < FEW_FILES) {
        return Check::warning(name, tried, came_back, "make room: when it is full, uploads are refused with 507");
    }
    Check::ok(name, tried, came_back)
}

fn kind(name: &'static str, path: &Path) -> Check {
    let tried = format!("ask what filesystem {} is on", path.display());
    match magic_number(path) {
        Ok(Some(magic)) => match NETWORK.iter().find(|(known, _)| *known == magic) {
            Some((_, kind)) => Check::warning(
                name,
                tried,
                format!("{kind}, which may not lie on this machine"),
                "use a local disk: others may lose locks, renames or bytes that were written already",
            ),
            None => Check::ok(name, tried, "a local one"),
        },
        Ok(None) => Check::skipped(name, tried, "this system does not tell"),
        Err(error) => Check::skipped(name, tried, error.to_string()),
    }
}

#[cfg(target_os = "linux")]
fn magic_number(path: &Path) -> io::Result<Option<u64>> {
    // The kernel's numbers have 32 bits; what is above is the sign on some machines.
    Ok(Some(rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff))
}

#[cfg(not(target_os = "linux"))]
fn magic_number(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}
