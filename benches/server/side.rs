//! The sides of a comparison: servers that receive and return bytes over HTTP.

use std::fs;
use std::path::{Path, PathBuf};

use crate::client::Request;

pub trait Side: Sync {
    /// The name of its column.
    fn name(&self) -> &'static str;

    fn address(&self) -> &str;

    /// The processes whose CPU and memory count; none for a bucket, since the store is never included.
    fn processes(&self) -> Vec<u32>;

    /// Prepares a file, with the request that sends its content.
    fn slot(&self, owner: usize, name: &str) -> Slot;

    /// Called with the response to that request.
    fn arrived(&self, slot: &mut Slot, answer: &str);

    /// The request that reads the bytes.
    fn get(&self, slot: &Slot) -> Request;

    /// Deletes files, and frees their space.
    fn remove(&self, slots: &[Slot]);
}

/// A file on one side.
pub struct Slot {
    pub put: Request,
    pub owner: usize,
    /// Its id, once it is known.
    pub file: String,
    /// The id of its upload, if there is one.
    pub upload: String,
}

/// A directory under target/. Dropping it deletes the directory.
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
            eprintln!("bench: the log of the server is kept at {}", self.0.join("log").display());
            for data in ["data", "files"] {
                let _ = fs::remove_dir_all(self.0.join(data));
            }
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
