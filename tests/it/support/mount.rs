//! Filesystems of a test's own, which only root can make: one that is soon full, one whose power
//! can be cut. However the test ends, they are unmounted.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts, says so, waits for the end of its input, and unmounts. That end comes with the end of
/// the test, be it a panic, Ctrl-C or a kill; Ctrl-C is meant for the test, not for this. A server
/// that a killed test left in the folder is ended first.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1
shift
mount "$@" "$folder" || exit 1
echo mounted
cat >/dev/null
for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in
    "$folder"*) kill -ANONYMIZE_USER "${process#/proc/}" ;;
    esac
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    umount "$folder" 2>/dev/null && exit
    sleep 0.2
done
umount --lazy "$folder"
"#;

/// A filesystem that is mounted as long as the value lives.
pub struct Mounted {
    pub folder: PathBuf,
    keeper: Child,
}

impl Mounted {
    /// A filesystem in memory, as small as told (`8m`).
    ///
    /// # Errors
    /// Why there can be none here.
    pub fn in_memory(folder: &Path, size: &str) -> Result<Self, String> {
        Self::mount(folder, &["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"])
    }

    /// The filesystem in an image. The loop device goes with it.
    ///
    /// # Errors
    /// Why there can be none here.
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
        let mut told = String::new();
        let mut stdout = BufReader::new(keeper.stdout.take().expect("an output"));
        stdout.read_line(&mut told).expect("text");
        if told == "mounted\n" {
            return Ok(Self { folder: folder.to_owned(), keeper });
        }
        let mut why = String::new();
        let _ = keeper.stderr.take().expect("an output").read_to_string(&mut why);
        let _ = keeper.wait();
        Err(why.trim().to_owned())
    }

    /// Mounts it anew with other options: `ro`, `rw`.
    pub fn remount(&self, options: &str) {
        let mut command = Command::new("mount");
        let status = command.arg("-o").arg(format!("remount,{options}")).arg(&self.folder).status();
        assert!(status.expect("mount runs").success(), "remounting with {options}");
    }

    /// Takes what space there is left.
    pub fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let mut filler = File::create(&path).expect("a file");
        // By ever smaller pieces, down to the last byte.
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

/// Writes an image with an empty ext4 of so many MiB.
///
/// # Errors
/// Why there can be none here.
pub fn new_image(path: &Path, mebibytes: u64) -> Result<(), String> {
    File::create(path).and_then(|file| file.set_len(mebibytes << 20)).expect("a file");
    let made = Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(path).output();
    let made = made.map_err(|error| format!("mkfs.ext4: {error}"))?;
    made.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&made.stderr).trim().to_owned())
}

/// What was made, or nothing and one line that says why the test is skipped. A run that is there
/// for such tests fails instead.
pub fn or_skip<T>(test: &str, made: Result<T, String>) -> Option<T> {
    let why = match made {
        Ok(made) => return Some(made),
        Err(why) => why,
    };
    assert!(std::env::var_os("STRONGROOM_TEST_MOUNTS").is_none(), "{test}: {why}");
    let why = why.lines().next().unwrap_or_default();
    // Not by a macro, whose output the test harness would keep to itself.
    let _ = writeln!(std::io::stderr(), "skipped {test}: it needs root and loop devices ({why})");
    None
}
