//! On SQLite one server runs alone: a second one is refused, and one that comes after a crash need
//! not wait for what the crash left.

use std::path::Path;

use serde_json::json;
use strongroom::config::StoreConfig;

use crate::support::accounts::sign_up;
use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, Feed, content, fed};
use crate::support::program::{Program, Start};
use crate::support::{Database, Setup, config, files_below, s3_config};

/// Begins an upload and sends half of it, until it has `accepted`; the client stays on the line.
async fn begin_upload(client: &Client, accepted: impl AsyncFn() -> bool) -> Feed {
    let (send, body) = fed();
    tokio::spawn(client.post("/v1/files?name=half.bin").body(body).send());
    send.send(Ok(noise(1024 * 1024))).await.expect("the client listens");
    while !accepted().await {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    send
}

/// How many files of blobs there are, whole and half.
fn bytes_in(folder: &Path) -> usize {
    let files = folder.join("strongroom-data/files");
    files_below(&files.join("blobs")) + files_below(&files.join("tmp"))
}

fn wait_until_bytes(program: &mut Program, folder: &Path, count: usize) {
    program.wait_for(|_| bytes_in(folder) == count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_and_commands_are_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut first = Start::default().serve(folder.path());
    let link = folder.path().join("strongroom-data/other.db");
    std::os::unix::fs::symlink(folder.path().join("strongroom-data/strongroom.db"), &link).unwrap();
    for url in ["sqlite:strongroom-data/strongroom.db".to_owned(), format!("sqlite://{}", link.display())] {
        let second = Start::default().variable("STRONGROOM_LISTEN", "127.0.0.1:0").variable("DATABASE_URL", url);
        let refused = second.run(folder.path(), "");
        assert_eq!((refused.status, refused.stdout.as_str()), (1, ""), "{}", refused.stderr);
        assert!(refused.stderr.starts_with("strongroom: DATABASE_URL: "), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("(process {})", first.id())), "{}", refused.stderr);
    }
    for command in [&["reap"][..], &["user", "list"], &["config"]] {
        let done = Start::with(command).run(folder.path(), "");
        assert_eq!(done.status, 0, "{command:?}: {}", done.stderr);
    }
    let ann = sign_up(&first, "ann@example.org").await;
    let file = ann.upload("a.txt", "kept").await;
    first.kill();

    let next = Start::default().serve(folder.path());
    let ann = next.stranger().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
    assert_eq!(ann.download(&file).await, b"kept");
    next.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_was_taking_in_is_cleared_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut program = Start::default().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.txt", "old").await;
    let signed = ann.sign(&file, "put").await;
    let put = ann.put(signed["url"].as_str().unwrap()).header("if-none-match", "*").body("new").answer().await;
    assert_eq!(put.status, 200, "{}", put.text());
    let tmp = folder.path().join("strongroom-data/files/tmp");
    let upload = begin_upload(&ann, async || files_below(&tmp) > 0).await;
    assert_eq!(bytes_in(folder.path()), 3);
    program.kill();
    drop(upload);

    // Of two that are not published, the one that belongs to nobody's URL goes.
    let mut program = Start::default().serve(folder.path());
    wait_until_bytes(&mut program, folder.path(), 2);
    let ann = program.stranger().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
    let complete = format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().unwrap());
    assert_eq!(ann.post(&complete).answer().await.status, 200);
    assert_eq!(ann.get(&content(&file)).answer().await.bytes, b"new");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_had_sent_to_a_bucket_may_still_arrive_for_a_minute() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = config(Setup::SqliteAndDisk, &folder).await;
    settings.store = StoreConfig::S3(Box::new(s3_config()));
    let start = Start::default().on(&settings);
    let mut program = start.clone().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let rows = Database::of(&settings).await;
    let pending = async || rows.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await;
    let _upload = begin_upload(&ann, async || pending().await > 0).await;
    let later = "SELECT COUNT(*) FROM blobs, clock WHERE lease_until > now + 60 * 1000000";
    assert_eq!(rows.count(later).await, 1);
    program.kill();

    let program = start.serve(folder.path());
    assert_eq!((pending().await, rows.count(later).await), (1, 0));
    program.stop();
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_that_was_killed_does_not_keep_the_next_server_waiting() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let armed = Start::default().variable("FAILPOINTS", "D3=return").variable("STRONGROOM_REAP_INTERVAL", "1s");
    let program = armed.serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let files = [ann.upload("a.txt", "a").await, ann.upload("b.txt", "b").await];
    // The pass may come between the two.
    for file in files {
        let _ = ann.delete_permanently(&file).send().await;
    }
    let (status, _, _) = program.ended();
    assert_eq!(status.code(), None, "a signal ended it");
    let mut program = Start::default().serve(folder.path());
    let ann = program.stranger().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
    for file in ann.get("/v1/files").answer().await.json()["items"].as_array().unwrap() {
        assert_eq!(ann.delete_permanently(file).answer().await.status, 204);
    }
    let reaped = Start::with(&["reap"]).run(folder.path(), "");
    assert_eq!(reaped.status, 0, "{}", reaped.stderr);
    wait_until_bytes(&mut program, folder.path(), 0);
    program.stop();
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_put_that_a_crash_broke_off_can_be_sent_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // One port for both lives, as the URL names it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Start::default().variable("STRONGROOM_LISTEN", format!("127.0.0.1:{port}"));
    let program = start.clone().variable("FAILPOINTS", "K7=1*off->return").serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.txt", "old").await;
    let signed = ann.sign(&file, "put").await;
    let put = program.stranger().put(signed["url"].as_str().unwrap()).header("if-none-match", "*").body("new");
    assert!(put.send().await.is_err(), "it was killed in the middle");
    let (status, ..) = program.ended();
    assert_eq!(status.code(), None);

    let program = start.serve(folder.path());
    let put = program.stranger().put(signed["url"].as_str().unwrap()).header("if-none-match", "*").body("new");
    assert_eq!(put.answer().await.status, 200);
    let complete = format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().unwrap());
    assert_eq!(ann.post(&complete).answer().await.status, 200);
    assert_eq!(ann.download(&file).await, b"new");
    program.stop();
}
