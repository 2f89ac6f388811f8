//! The log and other output: a reader that is gone or slow does not matter to those who are served.

use std::io::Read;
use std::process::ChildStderr;

use tempfile::TempDir;

use crate::support::accounts::sign_up;
use crate::support::client::Ask;
use crate::support::program::Start;
use crate::support::{Setup, TestApp, both};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

both! {
    async fn requests_are_served_when_the_reader_of_the_log_is_gone(app: TestApp) {
        for format in ["text", "json"] {
            let folder = folder();
            let mut start = Start::default().variable("STRONGROOM_LOG_FORMAT", format);
            if app.setup == Setup::PostgresAndS3 {
                start = start.beside(&app);
            }
            let (program, log) = start.serve_unread(folder.path());
            let ann = sign_up(&program, &format!("{format}@example.org")).await;
            drop(log);
            for number in 0..5 {
                ann.upload(&format!("{number}.txt"), "kept").await;
            }
            assert_eq!(program.anonymous().get("/healthz").answer().await.status, 200);
            program.stop();
        }
    }
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn a_panic_is_answered_when_the_reader_of_the_log_is_gone() {
    let folder = folder();
    let (program, log) = Start::default().variable("FAILPOINTS", "K1=1*panic").serve_unread(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    drop(log);
    let panicked = ann.post("/v1/files?name=a.txt").body("hi").answer().await;
    panicked.problem(500, "internal");
    ann.upload("b.txt", "kept").await;
    program.stop();
}

#[cfg(feature = "faults")]
#[tokio::test]
async fn a_panic_is_one_event_of_the_log() {
    let folder = folder();
    let start = Start::default().variable("FAILPOINTS", "K1=1*panic").variable("STRONGROOM_LOG_FORMAT", "json");
    let program = start.serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    ann.post("/v1/files?name=a.txt").body("hi").answer().await.problem(500, "internal");
    program.terminate();
    let (_, _, log) = program.ended();
    let events = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
    assert_eq!(events.filter(|event| event["message"] == "panicked").count(), 1, "{log}");
}

/// More than the pipe can hold is written while nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_delays_neither_requests_nor_the_end() {
    let folder = folder();
    let start = Start::default().variable("STRONGROOM_LOG", "trace,hyper=trace,sqlx=trace,tower_http=trace");
    let (program, mut log) = start.serve_unread(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let long = "x".repeat(200);
    for number in 0..100 {
        let request =
            ann.post("/v1/files").query(&[("name", format!("{number}{long}"))]).header("x-long", "y".repeat(4000));
        assert_eq!(request.body("kept").answer().await.status, 201);
    }
    // It was not lost, because the queue has room for it.
    let text = read_until(&mut log, "/v1/files");
    assert!(text.contains("/v1/auth/register"), "{text}");
    // Nobody reads again, and the server stops nonetheless.
    for _ in 0..100 {
        assert_eq!(ann.get("/v1/files").header("x-long", "y".repeat(4000)).answer().await.status, 200);
    }
    program.terminate();
    assert_eq!(program.ended().0.code(), Some(0));
}

fn read_until(log: &mut ChildStderr, expected: &str) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 65536]);
    while !text.contains(expected) {
        let count = log.read(&mut bytes).expect("bytes");
        assert!(count > 0, "the log ended without {expected}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    text
}

#[tokio::test]
async fn commands_end_quietly_when_their_output_is_closed() {
    let folder = folder();
    let program = Start::default().serve(folder.path());
    sign_up(&program, "ann@example.org").await;
    program.stop();
    for arguments in
        [&["fsck"][..], &["fsck", "--json"], &["reap"], &["doctor"], &["user", "list"], &["config"], &["--help"]]
    {
        let mut child = Start::with(arguments).spawn(folder.path());
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an exit");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("roken pipe"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_failure_has_its_exit_status_when_nobody_reads_why() {
    let folder = folder();
    for arguments in [&["--no-such-flag"][..], &["user", "disable", "nobody@example.org"]] {
        let mut child = Start::with(arguments).spawn(folder.path());
        drop(child.stderr.take());
        let status = child.wait_with_output().expect("an exit").status;
        assert!([Some(1), Some(2)].contains(&status.code()), "{arguments:?}: {status}");
    }
}

#[tokio::test]
async fn a_server_starts_when_its_standard_output_is_closed() {
    let folder = folder();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let mut child = Start::default().variable("STRONGROOM_LISTEN", free.to_string()).spawn(folder.path());
    drop(child.stdout.take());
    let client = crate::support::Client::new(&format!("http://{free}"));
    crate::support::until(async || client.get("/healthz").try_answer().await.is_ok_and(|answer| answer.status == 200))
        .await;
    child.kill().expect("it runs");
    child.wait().expect("a child");
}
