//! Small filesystems for one test, which only root can mount: in memory, or in an image on a loop device. They are
//! unmounted however the test ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::print_skipped;

/// Mounts, prints a line, waits for the end of its input, and unmounts. The input ends with the test, also when that
/// panics or is killed; the script itself ignores Ctrl-C. It first kills a server that a killed test left in the folder.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1
shift
mount "$@" "$folder" || exit 1
echo mounted
cat >/dev/null
for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in
    "$folder"*) kill -KILL "${process#/proc/}" ;;
    esac
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    umount "$folder" 2>/dev/null && exit
    sleep 0.2
done
umount --lazy "$folder"
"#;

/// A filesystem that is mounted until the value is dropped.
pub struct Mounted {
    pub folder: PathBuf,
    keeper: Child,
}

impl Mounted {
    /// A filesystem in memory of this size (`8m`).
    ///
    /// # Errors
    /// The reason why it cannot be mounted here.
    pub fn in_memory(folder: &Path, size: &str) -> Result<Self, String> {
        Self::mount(folder, &["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"])
    }

    /// The filesystem in an image, through a loop device that is released with it.
    ///
    /// # Errors
    /// The reason why it cannot be mounted here.
    pub fn image(image: &Path, folder: &Path) -> Result<Self, String> {
        Self::mount(folder, &["-t", "ext4", "-o", "loop", &image.display().to_string()])
    }

    fn mount(folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        std::fs::create_dir_all(folder).expect("a folder");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let mut stdout = BufReader::new(keeper.stdout.take().expect("an output"));
        stdout.read_line(&mut line).expect("text");
        if line == "mounted\n" {
            return Ok(Self { folder: folder.to_owned(), keeper });
        }
        let mut reason = String::new();
        let _ = keeper.stderr.take().expect("an output").read_to_string(&mut reason);
        let _ = keeper.wait();
        Err(reason.trim().to_owned())
    }

    /// Remounts it with other options, such as `ro` or `rw`.
    pub fn remount(&self, options: &str) {
        let mut command = Command::new("mount");
        let status = command.arg("-o").arg(format!("remount,{options}")).arg(&self.folder).status();
        assert!(status.expect("mount runs").success(), "remounting with {options}");
    }

    /// Fills the remaining space with one file and returns its path.
    pub fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let mut filler = File::create(&path).expect("a file");
        // In ever smaller blocks, down to the last byte.
        for size in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Writes an image with an empty ext4 filesystem of this size in MiB.
///
/// # Errors
/// The reason why it cannot be created here.
pub fn new_image(path: &Path, mebibytes: u64) -> Result<(), String> {
    File::create(path).and_then(|file| file.set_len(mebibytes << 20)).expect("a file");
    let output = Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(path).output();
    let output = output.map_err(|error| format!("mkfs.ext4: {error}"))?;
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// The filesystem; without one, prints a line that the test is skipped and why. With `STRONGROOM_TEST_MOUNTS`, panics
/// instead.
pub fn or_skip<T>(test: &str, mounted: Result<T, String>) -> Option<T> {
    let reason = match mounted {
        Ok(mounted) => return Some(mounted),
        Err(reason) => reason,
    };
    assert!(std::env::var_os("STRONGROOM_TEST_MOUNTS").is_none(), "{test}: {reason}");
    let reason = reason.lines().next().unwrap_or_default();
    print_skipped(test, &format!("it needs root and loop devices ({reason})"));
    None
}
