//! What stands side by side in one run: servers that take bytes in and give them back over HTTP.

use std::fs;
use std::path::{Path, PathBuf};

use crate::client::Request;

pub trait Side: Sync {
    /// The column of its figures.
    fn name(&self) -> &'static str;

    fn address(&self) -> &str;

    /// Those whose CPU and memory count. None for a bucket: the store is in nobody's figures.
    fn processes(&self) -> Vec<u32>;

    /// A place for a file, with the request that fills it.
    fn slot(&self, owner: usize, name: &str) -> Slot;

    /// The bytes are there, and this was answered.
    fn arrived(&self, slot: &mut Slot, answer: &str);

    /// The request that reads the bytes.
    fn get(&self, slot: &Slot) -> Request;

    /// Takes files away, and leaves the disk as it was.
    fn remove(&self, slots: &[Slot]);
}

/// A file's place on one side.
pub struct Slot {
    pub put: Request,
    pub owner: usize,
    /// Its id, once it is known.
    pub file: String,
    /// The id of what brings its bytes, if that has one.
    pub upload: String,
}

/// A folder under target/, gone with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn fresh(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench").join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder under target/");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("bench: the log of the server stays at {}", self.0.join("log").display());
            for data in ["data", "files"] {
                let _ = fs::remove_dir_all(self.0.join(data));
            }
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
