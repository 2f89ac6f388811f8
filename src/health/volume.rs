//! Checks of a filesystem: its free space and its kind.

use std::io;
use std::path::Path;

use crate::health::check::Check;

const MIB: u64 = 1024 * 1024;
/// Free space below which a check warns, in bytes.
const LITTLE_SPACE: u64 = 1024 * MIB;
/// Free inodes below which a check warns.
const FEW_FILES: u64 = 10_000;

/// Network filesystems, by the magic numbers of Linux (`statfs(2)`).
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

/// Checks the filesystem of `path`: its free space as the check `space`, its kind as `filesystem`.
pub fn checks(space: &'static str, filesystem: &'static str, path: &Path) -> Vec<Check> {
    vec![free_space(space, path), kind(filesystem, path)]
}

fn free_space(name: &'static str, path: &Path) -> Check {
    let action = format!("measure the free space at {}", path.display());
    let found = match rustix::fs::statvfs(path) {
        Ok(found) => found,
        Err(error) => return Check::skipped(name, action, io::Error::from(error).to_string()),
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some filesystems allocate inodes on demand, and report a total of zero.
    let files = (found.f_files > 0).then_some(found.f_favail);
    let mut observed = format!("{} MiB", free / MIB);
    if let Some(files) = files {
        observed += &format!(", {files} files");
    }
    if free < LITTLE_SPACE || files.is_some_and(|files| files < FEW_FILES) {
        return Check::warning(name, action, observed, "free space: uploads to a full disk are refused with 507");
    }
    Check::ok(name, action, observed)
}

fn kind(name: &'static str, path: &Path) -> Check {
    let action = format!("determine the filesystem of {}", path.display());
    match magic_number(path) {
        Ok(Some(magic)) => match NETWORK.iter().find(|(known, _)| *known == magic) {
            Some((_, kind)) => Check::warning(
                name,
                action,
                format!("{kind}, which may be on another machine"),
                "use a local disk: network filesystems may lose locks, renames or bytes that were synced",
            ),
            None => Check::ok(name, action, "a local filesystem"),
        },
        Ok(None) => Check::skipped(name, action, "not reported by this operating system"),
        Err(error) => Check::skipped(name, action, error.to_string()),
    }
}

#[cfg(target_os = "linux")]
fn magic_number(path: &Path) -> io::Result<Option<u64>> {
    // The numbers have 32 bits; on some architectures the field is sign-extended.
    Ok(Some(rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff))
}

#[cfg(not(target_os = "linux"))]
fn magic_number(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}
