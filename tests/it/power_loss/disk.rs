//! A disk whose power can be cut: an ext4 filesystem in an image on a loop device.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::support::mount::{Mounted, new_image};

const MEBIBYTES: u64 = 192;

pub struct Disk {
    image: PathBuf,
    /// None while the power is off.
    mounted: Option<Mounted>,
}

impl Disk {
    /// A new disk, mounted at the path.
    ///
    /// # Errors
    /// The reason why it cannot be created here.
    pub fn new(path: &Path) -> Result<Self, String> {
        let image = path.with_extension("image");
        new_image(&image, MEBIBYTES)?;
        Ok(Self { mounted: Some(Mounted::image(&image, path)?), image })
    }

    pub fn folder(&self) -> &Path {
        &self.mounted.as_ref().expect("the power is on").folder
    }

    /// Copies the content of the device while the server that uses it is suspended.
    ///
    /// A single read copies the whole image. It holds the lock of the image's inode, for which each write of the loop
    /// device has to wait, so the copy is a consistent snapshot, in which a sync in progress in the kernel may be partial.
    /// The loop device itself works through the page cache (with direct I/O it would not wait for that lock), and a direct
    /// read sees its writes: the copy contains what ext4 has sent to the device, flushed or not, and nothing else.
    ///
    /// Two disks are copied one after the other. That is equivalent to one snapshot: meanwhile, the suspended server starts
    /// nothing, and operations that it had started on both disks do not depend on each other.
    pub fn copy(&self) {
        copy_at_once(&self.image, &self.image.with_extension("copy"));
    }

    /// Mounts the copy in place of the original.
    ///
    /// # Errors
    /// The reason why it cannot be mounted.
    pub fn switch_to_copy(&mut self) -> Result<(), String> {
        let folder = self.folder().to_owned();
        self.mounted = None;
        fs::rename(self.image.with_extension("copy"), &self.image).expect("the copy replaces the image");
        self.mounted = Some(Mounted::image(&self.image, &folder)?);
        Ok(())
    }
}

/// Copies the image in one read, past the page cache.
fn copy_at_once(from: &Path, to: &Path) {
    const PAGE: usize = 4096;
    let mut image = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(from);
    let image = image.as_mut().expect("the temporary folder is on a disk, as direct I/O requires");
    let length = image.metadata().expect("metadata").len() as usize;
    let mut memory = vec![0; length + PAGE];
    let start = memory.as_ptr().align_offset(PAGE);
    let bytes = &mut memory[start..start + length];
    let count = image.read(bytes).expect("the image can be read");
    assert_eq!(count, length, "several reads are not one snapshot");
    let copy = File::create(to).expect("a file");
    copy.set_len(length as u64).expect("a file");
    for (number, page) in bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        copy.write_all_at(page, (number * PAGE) as u64).expect("it can be written");
    }
}
