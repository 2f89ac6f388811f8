//! The memory that requests hold while they wait, and what is left of it afterwards.

use futures_util::future::join_all;

use crate::support::accounts::{log_in, sign_up};
use crate::support::program::Start;
use crate::support::{PASSWORD, email};

/// KiB of a number of MiB.
const fn mib(count: u64) -> u64 {
    count * 1024
}

#[tokio::test]
async fn sign_ins_take_the_memory_of_the_hashers_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = Start::default().serve(folder.path());
    sign_up(&program, &email("ann")).await;
    let before = program.memory("VmRSS");
    for _ in 0..3 {
        let sign_ins = (0..30).map(|_| async { log_in(&program.stranger(), &email("ann"), PASSWORD).await.status });
        assert_eq!(join_all(sign_ins).await, [200; 30]);
    }
    // Two hashers of 19 MiB, one of which exists already.
    let growth = program.memory("VmHWM") - before;
    assert!(growth < mib(64), "{growth} KiB");
    program.stop();
}
