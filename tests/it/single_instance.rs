//! A single instance on SQLite: a second server is refused, and a server after a crash need not wait for leases of the
//! killed one.

use std::path::Path;

use serde_json::json;
use strongroom::config::StoreConfig;

use crate::support::accounts::sign_up;
use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, Feed, content, fed};
use crate::support::program::{Program, Start};
use crate::support::{Database, Setup, config, files_below, s3_config, until};

/// Starts an upload, sends half of it, and waits until it has `started`. The client stays connected.
async fn start_upload(client: &Client, started: impl AsyncFnMut() -> bool) -> Feed {
    let (send, body) = fed();
    tokio::spawn(client.post("/v1/files?name=half.bin").body(body).send());
    send.send(Ok(noise(1024 * 1024))).await.expect("the client reads");
    until(started).await;
    send
}

/// The number of objects on disk, complete and partial.
fn objects_in(folder: &Path) -> usize {
    let files = folder.join("strongroom-data/files");
    files_below(&files.join("blobs")) + files_below(&files.join("tmp"))
}

fn wait_for_objects(program: &mut Program, folder: &Path, count: usize) {
    program.wait_for(|_| objects_in(folder) == count);
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
    let ann = next.anonymous().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
    assert_eq!(ann.download(&file).await, b"kept");
    next.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_deletes_uploads_of_a_killed_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut program = Start::default().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.txt", "old").await;
    let signed = ann.sign(&file, "put").await;
    let put = ann.put(signed["url"].as_str().unwrap()).header("if-none-match", "*").body("new").answer().await;
    assert_eq!(put.status, 200, "{}", put.text());
    let tmp = folder.path().join("strongroom-data/files/tmp");
    let upload = start_upload(&ann, async || files_below(&tmp) > 0).await;
    assert_eq!(objects_in(folder.path()), 3);
    program.kill();
    drop(upload);

    // Of the two unpublished objects, the one without a signed URL is deleted.
    let mut program = Start::default().serve(folder.path());
    wait_for_objects(&mut program, folder.path(), 2);
    let ann = program.anonymous().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
    let complete = format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().unwrap());
    assert_eq!(ann.post(&complete).answer().await.status, 200);
    assert_eq!(ann.get(&content(&file)).answer().await.bytes, b"new");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_shortens_the_leases_of_uploads_to_a_bucket() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = config(Setup::SqliteAndDisk, &folder).await;
    settings.store = StoreConfig::S3(Box::new(s3_config()));
    let start = Start::default().on(&settings);
    let mut program = start.clone().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let database = Database::of(&settings).await;
    let pending = async || database.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await;
    let _upload = start_upload(&ann, async || pending().await > 0).await;
    let later = "SELECT COUNT(*) FROM blobs, clock WHERE lease_until > now + 60 * 1000000";
    assert_eq!(database.count(later).await, 1);
    program.kill();

    let program = start.serve(folder.path());
    assert_eq!((pending().await, database.count(later).await), (1, 0));
    program.stop();
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn the_job_lease_of_a_killed_reaper_does_not_delay_the_next_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let armed = Start::default().variable("FAILPOINTS", "D3=return").variable("STRONGROOM_REAP_INTERVAL", "1s");
    let program = armed.serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let files = [ann.upload("a.txt", "a").await, ann.upload("b.txt", "b").await];
    // The reaper may run between the two deletions.
    for file in files {
        let _ = ann.delete_permanently(&file).send().await;
    }
    let (status, _, _) = program.ended();
    assert_eq!(status.code(), None, "it was killed");
    let mut program = Start::default().serve(folder.path());
    let ann = program.anonymous().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
    for file in ann.get("/v1/files").answer().await.json()["items"].as_array().unwrap() {
        assert_eq!(ann.delete_permanently(file).answer().await.status, 204);
    }
    let reaped = Start::with(&["reap"]).run(folder.path(), "");
    assert_eq!(reaped.status, 0, "{}", reaped.stderr);
    wait_for_objects(&mut program, folder.path(), 0);
    program.stop();
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_put_interrupted_by_a_crash_can_be_repeated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Both servers use the same port, which is part of the URL.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Start::default().variable("STRONGROOM_LISTEN", format!("127.0.0.1:{port}"));
    let program = start.clone().variable("FAILPOINTS", "K7=1*off->return").serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.txt", "old").await;
    let signed = ann.sign(&file, "put").await;
    let put = program.anonymous().put(signed["url"].as_str().unwrap()).header("if-none-match", "*").body("new");
    assert!(put.send().await.is_err(), "the server was killed during the request");
    let (status, ..) = program.ended();
    assert_eq!(status.code(), None);

    let program = start.serve(folder.path());
    let put = program.anonymous().put(signed["url"].as_str().unwrap()).header("if-none-match", "*").body("new");
    assert_eq!(put.answer().await.status, 200);
    let complete = format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().unwrap());
    assert_eq!(ann.post(&complete).answer().await.status, 200);
    assert_eq!(ann.download(&file).await, b"new");
    program.stop();
}
