//! Fault points, at which a test can kill the process or make the disk fail. They exist only in builds with the feature
//! `faults`; otherwise they compile to nothing.
//!
//! A variable in the format of the crate `fail` configures them: `FAILPOINTS="K5=return"` kills the process when it
//! first reaches K5, `K4=2*off->return` when it reaches K4 for the third time.
//!
//! | Point | Where |
//! |---|---|
//! | K1, K2 | before and after the intent is committed |
//! | K3, K4, K5 | at the first chunk of the body, at a later one, at its end |
//! | K6, K7, K8, K9 | disk: before and after the fsync of the file, after the rename, after the fsync of the directory; S3: K6 before an object is sent in one request, K7 after the response |
//! | K10, K11 | before the commit that publishes, after it and before the response |
//! | M1, M2, M3 | before a multipart upload is created, after the response, after its id is in the row |
//! | M4, M5 | after the response to a part, after the response to its completion |
//! | T1, T2 | resumable upload: an append is durable and not recorded in the row, it is recorded |
//! | T3 | its unflushed tail is recorded in the row, and not stored |
//! | T4, T5 | all its content is recorded and not assembled, it is assembled and not published |
//! | P1 | direct upload: a part is durable and not recorded in its row |
//! | P2, P3 | direct upload: its parts are assembled and not hashed, everything is recorded and it is not published |
//! | D1, D2 | before the commit that deletes, after it and before the response |
//! | D3, D4 | reaper: the object is deleted and its row is not, both are deleted |
//!
//! Other points do not kill the process. `disk_write`, `disk_sync` and `disk_read` fail with an error of the operating
//! system. `file_sync` and `directory_sync` of an upload, and `database_sync` of each SQLite commit, skip a step that makes
//! data durable: with them the power-loss tests prove that they detect a missing sync.

#[cfg(feature = "faults")]
mod armed {
    use std::io;

    use rustix::process::{Signal, getpid, kill_process};

    /// Reads the configuration from the environment. The result must be kept until the process ends.
    pub fn arm() -> fail::FailScenario<'static> {
        fail::FailScenario::setup()
    }

    /// Passes a point, or kills the process as a crash would: nothing is dropped, flushed or reported.
    pub fn point(name: &'static str) {
        if fail::eval(name, drop).is_some() {
            let _ = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    }

    /// Fails with an error number of the operating system, as a disk would: `disk_write=return(28)`.
    ///
    /// # Errors
    /// The configured error number.
    pub fn io(name: &'static str) -> io::Result<()> {
        let errno = fail::eval(name, |errno| errno.and_then(|errno| errno.parse().ok()).unwrap_or(libc::EIO));
        errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// Whether to skip this step.
    pub fn skips(name: &'static str) -> bool {
        fail::eval(name, drop).is_some()
    }
}

#[cfg(not(feature = "faults"))]
mod armed {
    /// Does nothing.
    #[inline(always)]
    pub fn arm() -> impl Sized {}

    /// Does nothing.
    #[inline(always)]
    pub fn point(_: &'static str) {}

    /// Does nothing.
    ///
    /// # Errors
    /// Never.
    #[inline(always)]
    pub fn io(_: &'static str) -> std::io::Result<()> {
        Ok(())
    }

    /// `false`.
    #[inline(always)]
    pub fn skips(_: &'static str) -> bool {
        false
    }
}

pub use armed::{arm, io, point, skips};
