//! A disk that is full, read-only or failing: callers get the matching error, nothing partial is left, and the server
//! recovers without a restart.

use std::path::Path;

use secrecy::SecretString;
use strongroom::config::StoreConfig;
use tempfile::TempDir;

use crate::support::accounts::{log_in, same_session, sign_up};
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, content};
use crate::support::mount::{Mounted, new_image, or_skip};
use crate::support::program::Start;
use crate::support::{PASSWORD, Setup, TestApp, email};

const MIB: usize = 1024 * 1024;

/// A filesystem of 12 MiB, and the folder that it is mounted in. Create it before the app, so that it is dropped after it.
fn small_disk(test: &str) -> Option<(Mounted, TempDir)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = or_skip(test, Mounted::in_memory(&folder.path().join("disk"), "12m"))?;
    Some((disk, folder))
}

async fn app_with_its_store_on(disk: &Mounted) -> TestApp {
    let root = disk.folder.join("files");
    TestApp::start_with(Setup::SqliteAndDisk, |config| config.store = StoreConfig::Disk { root }).await
}

async fn app_with_its_database_on(folder: &Path) -> TestApp {
    let url = format!("sqlite:{}/rows.db", folder.display());
    TestApp::start_with(Setup::SqliteAndDisk, |config| config.database_url = SecretString::from(url)).await
}

fn post(client: &Client, bytes: Vec<u8>) -> reqwest::RequestBuilder {
    client.post("/v1/files?name=lost.bin").body(bytes)
}

/// Asserts a problem without internal details.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    let problem = answer.problem(status, code);
    let detail = problem["detail"].as_str().expect("a detail");
    for inside in ["/", "os error", "rows.db", "SQL", "disk", "sqlite"] {
        assert!(!detail.contains(inside), "{problem}");
    }
    assert_eq!(answer.header("retry-after"), if status == 503 { "5" } else { "" });
}

async fn files(client: &Client) -> usize {
    let answer = client.get("/v1/files").answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().expect("files").len()
}

async fn assert_nothing_but(app: &TestApp, files: usize) {
    app.expire_leases().await;
    app.assert_nothing_but(files).await;
}

#[tokio::test]
async fn a_full_disk_refuses_uploads_and_keeps_no_partial_file() {
    let Some((disk, _folder)) = small_disk("a full disk") else { return };
    let app = app_with_its_store_on(&disk).await;
    let ann = app.sign_up("ann").await;
    let (kept, gone) = (ann.upload("kept.bin", noise(MIB)).await, ann.upload("gone.bin", noise(MIB)).await);
    // It becomes full during the upload. The server may close the connection before the client has sent everything.
    if let Ok(answer) = post(&ann, noise(20 * MIB)).send().await {
        assert_eq!(answer.status(), 507);
    }
    let filler = disk.fill();
    assert_problem(&post(&ann, noise(1)).answer().await, 507, "storage_full");
    assert_problem(&post(&ann, noise(300_000)).answer().await, 507, "storage_full");
    let replacing = ann.put(&content(&kept)).header("if-match", "*").body(noise(1000));
    assert_problem(&replacing.answer().await, 507, "storage_full");
    assert_eq!(files(&ann).await, 2);
    assert!(ann.download(&kept).await == noise(MIB));

    // Deletion needs no space, and frees some.
    assert_eq!(ann.delete_permanently(&gone).answer().await.status, 204);
    assert_nothing_but(&app, 1).await;
    ann.upload("new.bin", noise(MIB / 2)).await;
    std::fs::remove_file(filler).expect("space");
    ann.upload("big.bin", noise(5 * MIB)).await;
    assert_nothing_but(&app, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_on_a_full_disk_so_that_files_can_be_deleted() {
    let Some((disk, _folder)) = small_disk("a start on a full disk") else { return };
    let program = Start::default().serve(&disk.folder);
    let ann = sign_up(&program, "ann@example.org").await;
    let [first, second] = [ann.upload("first.bin", noise(MIB)).await, ann.upload("second.bin", noise(MIB)).await];
    program.stop();
    let filler = disk.fill();
    let program = Start::default().serve(&disk.folder);
    let ann = same_session(&ann, &program);
    assert!(ann.download(&second).await == noise(MIB));
    assert_eq!(ann.delete_permanently(&first).answer().await.status, 204);
    for command in ["reap", "fsck", "doctor"] {
        let outcome = Start::with(&[command]).run(&disk.folder, "");
        assert_eq!(outcome.status, 0, "{command}: {}{}", outcome.stdout, outcome.stderr);
    }
    ann.upload("third.bin", noise(MIB / 2)).await;
    program.stop();

    // Without the reserved space, everything says why it does not start.
    std::fs::remove_file(&filler).expect("space");
    let _ = std::fs::remove_file(disk.folder.join("strongroom-data/strongroom.db.reserve"));
    let filler = disk.fill();
    for arguments in [&[][..], &["reap"], &["fsck"], &["doctor"]] {
        let start = Start::with(arguments).variable("STRONGROOM_LISTEN", "127.0.0.1:0");
        let outcome = start.run(&disk.folder, "");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.status, 1, "{arguments:?}: {said}");
        assert!(said.contains("no space left"), "{arguments:?}: {said}");
    }
    std::fs::remove_file(filler).expect("space");
    let program = Start::default().serve(&disk.folder);
    assert!(same_session(&ann, &program).download(&second).await == noise(MIB));
    program.stop();
}

#[tokio::test]
async fn a_full_database_disk_is_reported_and_reads_still_work() {
    let Some((disk, _folder)) = small_disk("a full disk of the database") else { return };
    let app = app_with_its_database_on(&disk.folder).await;
    let ann = app.sign_up("ann").await;
    let kept = ann.upload("kept.bin", noise(1000)).await;
    let filler = disk.fill();
    // The space that is allocated to the write-ahead log is used first.
    let full = loop {
        let answer = post(&ann, noise(1000)).answer().await;
        if answer.status != 201 {
            break answer;
        }
    };
    assert_problem(&full, 507, "storage_full");
    let there = files(&ann).await;
    assert_problem(&ann.delete_permanently(&kept).answer().await, 507, "storage_full");
    assert_problem(&log_in(&app.anonymous(), &email("ann"), PASSWORD).await, 507, "storage_full");
    assert!(ann.download(&kept).await == noise(1000));
    assert_eq!(files(&ann).await, there);

    std::fs::remove_file(filler).expect("space");
    ann.upload("new.bin", noise(1000)).await;
    assert_eq!(log_in(&app.anonymous(), &email("ann"), PASSWORD).await.status, 200);
    assert_nothing_but(&app, there + 1).await;
}

#[tokio::test]
async fn a_read_only_disk_can_be_read() {
    let Some((disk, _folder)) = small_disk("a read-only disk") else { return };
    let app = app_with_its_store_on(&disk).await;
    let ann = app.sign_up("ann").await;
    let (kept, gone) = (ann.upload("kept.bin", noise(MIB)).await, ann.upload("gone.bin", noise(1000)).await);
    disk.remount("ro");
    for size in [0, 1, MIB] {
        assert_problem(&post(&ann, noise(size)).answer().await, 503, "unavailable");
    }
    assert_problem(&app.anonymous().until_readyz(503).await, 503, "unavailable");
    assert!(ann.download(&kept).await == noise(MIB));
    assert_eq!(ann.delete_permanently(&gone).answer().await.status, 204);
    assert_eq!((app.reap().await.failed, files(&ann).await), (1, 1));

    disk.remount("rw");
    app.anonymous().until_readyz(200).await;
    ann.upload("new.bin", noise(MIB)).await;
    assert_nothing_but(&app, 2).await;
}

/// When a disk fails, the kernel remounts it read-only while programs write to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_a_failed_database_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, at) = (folder.path().join("image"), folder.path().join("disk"));
    let mount = || Mounted::image(&image, &at);
    let Some(disk) = or_skip("a failed disk", new_image(&image, 32).and_then(|()| mount())) else { return };
    let program = Start::default().serve(&at);
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("kept.bin", noise(1000)).await;
    disk.remount("abort");
    for _ in 0..3 {
        assert_problem(&post(&ann, noise(1000)).answer().await, 503, "unavailable");
        assert_problem(&ann.delete_permanently(&file).answer().await, 503, "unavailable");
        assert_problem(&program.anonymous().until_readyz(503).await, 503, "unavailable");
    }
    assert_eq!(files(&ann).await, 1);
    assert!(ann.download(&file).await == noise(1000));
    program.terminate();
    let (_, _, log) = program.ended();
    assert!(!log.contains("panicked"), "{log}");

    drop(disk);
    let disk = mount().expect("it can be mounted again");
    let program = Start::default().serve(&disk.folder);
    let ann = program.anonymous().with_token(ann.token.as_deref().expect("a token"), &ann.id.into());
    assert!(ann.download(&file).await == noise(1000));
    ann.upload("new.bin", noise(1000)).await;
    program.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_error_is_reported_and_the_next_upload_succeeds() {
    let full = (507, "storage_full");
    let away = (503, "unavailable");
    for (errno, expected) in [(libc::ENOSPC, full), (libc::EDQUOT, full), (libc::EIO, away), (libc::EROFS, away)] {
        for point in ["disk_write", "disk_sync"] {
            let app = TestApp::start(Setup::SqliteAndDisk).await;
            let failing = format!("{point}=2*return({errno})->off");
            let start = Start::default().on(&app.app.config).variable("FAILPOINTS", failing);
            let program = start.serve(app.folder.path());
            let ann = sign_up(&program, "ann@example.org").await;
            assert_problem(&post(&ann, noise(1000)).answer().await, expected.0, expected.1);
            assert_problem(&post(&ann, noise(MIB)).answer().await, expected.0, expected.1);
            assert_eq!(files(&ann).await, 0, "{point} {errno}");
            let file = ann.upload("kept.bin", noise(MIB)).await;
            assert!(ann.download(&file).await == noise(MIB));
            program.stop();
            assert_nothing_but(&app, 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_is_aborted_when_the_disk_fails() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let failing = format!("disk_read=1*return({})->2*off->1*return({})->off", libc::EIO, libc::EIO);
    let program = Start::default().on(&app.app.config).variable("FAILPOINTS", failing).serve(app.folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let bytes = noise(3 * MIB);
    let file = ann.upload("a.bin", bytes.clone()).await;
    // Before the response has started, its status can still report the error.
    assert_problem(&ann.get(&content(&file)).answer().await, 503, "unavailable");
    let answer = ann.get(&content(&file)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect_err("the client can see that bytes are missing");
    assert!(ann.download(&file).await == bytes);
    program.stop();
    assert_nothing_but(&app, 1).await;
}
