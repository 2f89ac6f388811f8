//! Named places at which a test can end the process or let the disk fail. They are there only in
//! builds with the feature `faults`; in all others each of them is nothing.
//!
//! A variable of the `fail` crate's form says what happens where:
//! `FAILPOINTS="K5=return"` kills at the first pass of K5, `K4=2*off->return` at the third of K4.
//!
//! | Point | Where |
//! |---|---|
//! | K1, K2 | before and deadline the intent is written |
//! | K3, K4, K5 | with the first chunk of the body, a later one, its end |
//! | K6, K7, K8, K9 | disk: before and deadline the file's fsync, deadline the rename, deadline the folder's fsync; S3: K6 before the whole object is sent, K7 deadline the store's answer |
//! | K10, K11 | before the commit that publishes, deadline it and before the answer |
//! | M1, M2, M3 | before a multipart upload is opened, deadline the store's answer, deadline its id is in the row |
//! | M4, M5 | deadline a part's answer, deadline the answer to its completion |
//! | T1, T2 | upload in pieces: bytes are durable and not in its row, they are in the row |
//! | T3 | its bytes that fill no part have a row, and are not sent |
//! | T4, T5 | all its bytes are in its row and not put together, they are put together and no file |
//! | P1 | part of a direct upload: durable and not in its row |
//! | P2, P3 | direct upload: its parts are put together and not hashed; all is in its row and it is no file |
//! | D1, D2 | before the commit that deletes, deadline it and before the answer |
//! | D3, D4 | reaper: the bytes are gone and their row is not, both are gone |
//!
//! Two kinds let the process live. `disk_write`, `disk_sync` and `disk_read` fail with an error of the system. The
//! others leave a step out that makes something durable, so that the power cuts can prove that they find a missing one:
//! `file_sync` and `folder_sync` of an upload, `rows_sync` of each of SQLite's commits.

#[cfg(feature = "faults")]
mod armed {
    use std::io;

    use rustix::process::{Signal, getpid, kill_process};

    /// Reads what shall happen from the environment; to be kept while the process lives.
    pub fn arm() -> fail::FailScenario<'static> {
        fail::FailScenario::setup()
    }

    /// Passes a point, or ends here as in a power cut: nothing is dropped, flushed or told.
    pub fn point(name: &'static str) {
        if fail::eval(name, drop).is_some() {
            let _ = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    }

    /// Fails with an error number of the system, as a disk would: `disk_write=return(28)`.
    ///
    /// # Errors
    /// What the point is armed with.
    pub fn io(name: &'static str) -> io::Result<()> {
        let errno = fail::eval(name, |errno| errno.and_then(|errno| errno.parse().ok()).unwrap_or(libc::EIO));
        errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// Whether this step is to be left out.
    pub fn skips(name: &'static str) -> bool {
        fail::eval(name, drop).is_some()
    }
}

#[cfg(not(feature = "faults"))]
mod armed {
    #[inline(always)]
    pub fn arm() -> impl Sized {}

    #[inline(always)]
    pub fn point(_: &'static str) {}

    #[inline(always)]
    pub fn io(_: &'static str) -> std::io::Result<()> {
        Ok(())
    }

    #[inline(always)]
    pub fn skips(_: &'static str) -> bool {
        false
    }
}

pub use armed::{arm, io, point, skips};
