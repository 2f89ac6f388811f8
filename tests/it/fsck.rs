//! Comparison of database and store: every inconsistency is found and named, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::ObjectStoreExt;
use object_store::multipart::MultipartStore;
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::config::{Config, StoreConfig};
use strongroom::db::NewBlobRow;
use strongroom::error::Error;
use strongroom::jobs::fsck::{self, FsckFindingKind, FsckRun, Options, Repair};
use strongroom::store::Key;
use uuid::Uuid;

use crate::support::accounts::another_session;
use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, bucket, content, fed};
use crate::support::fsck::{CHECK_ONLY, assert_clean, run_fsck};
use crate::support::program::{Outcome, Start};
use crate::support::tus::{Tus, tus};
use crate::support::{Setup, TestApp, both};

const FULL: Options = Options { full: true, ..CHECK_ONLY };
const REPAIR: Options = Options { repair: Repair::Everything, ..CHECK_ONLY };

/// Runs `strongroom fsck` on the database and the store of this app.
fn command(app: &TestApp, arguments: &[&str]) -> Outcome {
    Start::with(&[&["fsck"], arguments].concat()).beside(app).run(app.folder.path(), "")
}

/// The findings, by kind and name.
fn found(run: &FsckRun) -> Vec<(FsckFindingKind, String)> {
    let mut found: Vec<_> = run.report.findings.iter().map(|finding| (finding.kind, finding.key.clone())).collect();
    found.sort();
    let counts: u64 = run.report.counts.values().sum();
    assert_eq!(counts, found.len() as u64, "every finding is counted");
    found
}

async fn upload_many(client: &Client, count: usize) -> Vec<Value> {
    let uploads = (0..count)
        .map(|number| async move { client.upload(&format!("{number}.txt"), format!("the bytes of {number}")).await });
    futures_util::stream::iter(uploads).buffered(8).collect().await
}

/// The key of a file's bytes.
async fn key(app: &TestApp, file: &Value) -> Key {
    let id: Uuid = file["id"].as_str().unwrap().parse().unwrap();
    let rows = app.app.db.referenced_blobs("", 100_000).await.unwrap();
    rows.iter().find(|row| row.file_id == Some(id)).expect("a row").key.parse().unwrap()
}

/// Records an upload under this key.
async fn record_upload(app: &TestApp, owner: &str, key: &Key, lease: Duration) {
    let row = NewBlobRow {
        id: Uuid::now_v7(),
        space: owner.parse().unwrap(),
        key: key.to_string(),
        lease,
        reserve: 0,
        new_file: false,
        aside: false,
        claim: None,
        now: app.app.clock.now(),
    };
    app.app.db.insert_pending_blob(&row, &app.app.config.quotas).await.unwrap();
}

/// The path of an object in the bucket.
fn in_bucket(prefix: &str, name: &str) -> object_store::path::Path {
    object_store::path::Path::parse(format!("{prefix}/{name}")).unwrap()
}

/// Writes an object under a name directly into the store: beside the server's keys, or over one of them.
async fn write(app: &TestApp, name: &str, bytes: &str) {
    match &app.app.config.store {
        StoreConfig::Disk { root } => {
            let is_key = name.parse::<Key>().is_ok();
            let path = if is_key { root.join("blobs").join(&name[..2]).join(name) } else { root.join(name) };
            std::fs::write(path, bytes).unwrap();
        }
        StoreConfig::S3(s3) => {
            bucket(s3).put(&in_bucket(&s3.prefix, name), bytes.to_owned().into()).await.map(drop).unwrap();
        }
    }
}

/// Starts an upload under a key directly in the store.
async fn half_write(app: &TestApp, key: &Key) {
    match &app.app.config.store {
        StoreConfig::Disk { root } => std::fs::write(root.join("tmp").join(key.as_str()), "half").unwrap(),
        StoreConfig::S3(s3) => {
            bucket(s3).create_multipart(&in_bucket(&s3.prefix, key.as_str())).await.map(drop).unwrap();
        }
    }
}

async fn is_half_written(app: &TestApp, key: &Key) -> bool {
    app.app.store.list_uploads(Some(key)).next().await.is_some()
}

async fn abort_all(app: &TestApp) {
    let mut uploads = app.app.store.list_uploads(None);
    while let Some(upload) = uploads.next().await {
        let upload = upload.unwrap().known().expect("not foreign");
        app.app.store.abort(&upload.key, upload.id.as_deref()).await.unwrap();
    }
}

/// Makes the objects in quarantine a day older.
async fn age_quarantine(app: &TestApp) {
    app.execute("UPDATE orphans SET first_seen_at = first_seen_at - 90000000000").await;
}

both! {
    async fn a_healthy_store_is_clean(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let files = upload_many(&ann, 5).await;
        ann.upload("empty.txt", "").await;
        ann.upload("large.bin", noise(11 * 1024 * 1024)).await;
        // As if they were old.
        app.execute("UPDATE blobs SET lease_until = 1").await;
        let replaced = ann.put(&content(&files[0])).header("if-match", "*").body("new bytes").answer().await;
        assert_eq!(replaced.status, 200);
        assert_eq!(ann.delete_permanently(&files[1]).answer().await.status, 204);
        ann.sign(&files[2], "put").await;
        let gif = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
        assert_eq!(ann.put("/v1/me/avatar").body(gif).answer().await.status, 201);

        // Two blobs wait for the reaper, and one for its content.
        let outcome = command(&app, &[]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
        assert_eq!(outcome.stdout, "10 rows, 9 objects, 0 uploads: no problems found\n");
        let outcome = command(&app, &["--full", "--rate", "1GB", "--json"]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
        let run: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((&run["state"], &run["clean"], &run["findings"]), (&json!("done"), &json!(true), &json!([])));
        let sizes = app.count("SELECT CAST(SUM(size) AS BIGINT) FROM blobs WHERE state = 'ready'").await;
        assert_eq!(run["hashed_bytes"], sizes);
        app.reap().await;
        assert_eq!(found(&run_fsck(&app, FULL).await), []);
    }

    async fn each_kind_of_damage_is_reported_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let files = upload_many(&ann, 8).await;
        let (missing, shorter, other) = (key(&app, &files[0]).await, key(&app, &files[1]).await, key(&app, &files[2]).await);
        app.app.store.delete(&missing, None).await.unwrap();
        write(&app, shorter.as_str(), "the byt").await;
        write(&app, other.as_str(), "the bytes of 3").await;
        let (unknown, half) = (Key::random(), Key::random());
        write(&app, unknown.as_str(), "whose?").await;
        half_write(&app, &half).await;
        // An upload under a key whose object exists already is orphaned too.
        let again = key(&app, &files[3]).await;
        half_write(&app, &again).await;
        write(&app, "README", "theirs").await;
        let (pending, waiting) = (Key::random(), Key::random());
        for (key, lease) in [(&pending, 0), (&waiting, 3600)] {
            record_upload(&app, &ann.id, key, Duration::from_secs(lease)).await;
            half_write(&app, key).await;
        }
        app.execute("UPDATE blobs SET lease_until = lease_until - 7200000000 WHERE state = 'pending' AND lease_until < (SELECT now FROM clock)").await;
        let dangling = key(&app, &files[4]).await;
        app.execute("UPDATE blobs SET state = 'deleting', lease_until = 9000000000000000
            WHERE id = (SELECT blob_id FROM files WHERE name = '4.txt')").await;
        assert_eq!(app.text("SELECT b.key FROM blobs b JOIN files f ON f.blob_id = b.id WHERE b.state = 'deleting'").await, dangling.as_str());

        let name = match &app.app.config.store {
            StoreConfig::Disk { .. } => "README".to_owned(),
            StoreConfig::S3(s3) => format!("{}/README", s3.prefix),
        };
        let mut expected = vec![
            (FsckFindingKind::Missing, missing.to_string()),
            (FsckFindingKind::SizeMismatch, shorter.to_string()),
            (FsckFindingKind::DanglingReference, dangling.to_string()),
            (FsckFindingKind::Stale, pending.to_string()),
            (FsckFindingKind::OrphanedObject, unknown.to_string()),
            (FsckFindingKind::OrphanedUpload, half.to_string()),
            (FsckFindingKind::OrphanedUpload, again.to_string()),
            (FsckFindingKind::Foreign, name),
        ];
        expected.sort();
        let quick = run_fsck(&app, CHECK_ONLY).await;
        assert_eq!(found(&quick), expected, "the content was not read");
        expected.push((FsckFindingKind::HashMismatch, other.to_string()));
        expected.sort();
        // The run changed nothing, apart from when content was verified.
        const VERIFIED: &str = "SELECT COUNT(*) FROM blobs WHERE verified_at IS NOT NULL";
        assert_eq!(app.count(VERIFIED).await, 0, "a quick run reads no content");
        assert_eq!(found(&run_fsck(&app, FULL).await), expected);
        // The content of a file with an orphaned upload is right.
        let is_damaged = |kind: &FsckFindingKind| !matches!(kind, FsckFindingKind::OrphanedUpload);
        let damaged = expected.iter().filter(|(kind, _)| is_damaged(kind)).map(|(_, name)| name.as_str());
        let verified = app.text("SELECT COALESCE(MIN(key), '') FROM blobs WHERE verified_at IS NOT NULL").await;
        assert!(app.count(VERIFIED).await > 0 && damaged.clone().all(|name| name != verified), "{verified}");
        assert_eq!(app.count("SELECT COUNT(*) FROM blobs WHERE verified_at IS NOT NULL AND state <> 'ready'").await, 0);

        let outcome = command(&app, &["--full", "--json"]);
        assert_eq!(outcome.status, 1, "{}", outcome.stderr);
        let run: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(run["clean"], json!(false));
        let counts: BTreeMap<String, u64> = serde_json::from_value(run["counts"].clone()).unwrap();
        let expected_counts = [
            ("missing", 1), ("size_mismatch", 1), ("hash_mismatch", 1), ("dangling_reference", 1), ("stale", 1),
            ("orphaned_object", 1), ("orphaned_upload", 2), ("foreign", 1),
        ];
        assert_eq!(counts, expected_counts.map(|(kind, count)| (kind.to_owned(), count)).into());
        let lost = run["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == "missing").unwrap();
        assert_eq!((&lost["file_id"], &lost["space_id"]), (&files[0]["id"], &json!(ann.id)));
        let outcome = command(&app, &[]);
        assert_eq!((outcome.status, outcome.stdout.lines().count()), (1, 9), "{}", outcome.stdout);
        assert!(outcome.stderr.contains("7 problems found"), "{}", outcome.stderr);
        for (_, name) in &expected {
            assert!(outcome.stdout.contains(name) != (*name == other.as_str()), "{name}: {}", outcome.stdout);
        }
        // Foreign objects alone are harmless.
        app.execute("DELETE FROM files").await;
        app.execute("UPDATE blobs SET state = 'deleting', lease_until = 1").await;
        app.reap().await;
        app.app.store.delete(&unknown, None).await.unwrap();
        abort_all(&app).await;
        let outcome = command(&app, &[]);
        assert_eq!((outcome.status, outcome.stdout.lines().count()), (0, 2), "{}", outcome.stdout);
    }

    async fn formats_that_are_not_known_are_reported(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in ["0", "1", "2"] {
            ann.upload(name, "content").await;
        }
        app.execute("UPDATE blobs SET format = 'zstd' WHERE id = (SELECT blob_id FROM files WHERE name = '0')").await;
        app.execute("UPDATE blobs SET location = 'archive' WHERE id = (SELECT blob_id FROM files WHERE name = '1')").await;
        let findings = run_fsck(&app, FULL).await;
        let kinds: Vec<_> = found(&findings).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [FsckFindingKind::UnknownFormat; 2]);
        assert_eq!(app.count("SELECT COUNT(*) FROM blobs WHERE verified_at IS NOT NULL").await, 1);
        app.execute("UPDATE blobs SET format = 'raw', location = 'main'").await;
        assert_clean(&app).await;
    }

    async fn orphans_are_quarantined_for_a_day_before_deletion(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let files = upload_many(&ann, 25).await;
        let (unknown, half) = (Key::random(), Key::random());
        write(&app, unknown.as_str(), "whose?").await;
        half_write(&app, &half).await;
        write(&app, "README", "theirs").await;
        assert_eq!(run_fsck(&app, CHECK_ONLY).await.report.quarantined, 0, "a run without repair puts nothing into quarantine");
        let background = Options { repair: Repair::Quarantined, ..CHECK_ONLY };
        assert_eq!(run_fsck(&app, background).await.report.quarantined, 0, "nor does a scheduled run");

        for _ in 0..2 {
            let outcome = command(&app, &["--repair"]);
            assert_eq!(outcome.status, 1, "{}", outcome.stderr);
            assert!(outcome.stdout.contains("2 in quarantine, 0 deleted"), "{}", outcome.stdout);
            assert_eq!(app.app.store.size(&unknown).await.unwrap(), Some(6));
            assert!(is_half_written(&app, &half).await);
        }
        age_quarantine(&app).await;
        let report = run_fsck(&app, CHECK_ONLY).await.report;
        assert_eq!((report.quarantined, report.deleted), (2, 0), "a run without repair removes nothing");
        // A scheduled run removes what was put into quarantine on request.
        let newcomer = Key::random();
        half_write(&app, &newcomer).await;
        let deleted = run_fsck(&app, background).await.report;
        assert_eq!((deleted.quarantined, deleted.deleted), (0, 2));
        assert_eq!(deleted.findings.iter().filter(|finding| finding.action == Some(fsck::FsckAction::Deleted)).count(), 2);
        assert_eq!(app.app.store.size(&unknown).await.unwrap(), None);
        assert!(!is_half_written(&app, &half).await);
        assert!(is_half_written(&app, &newcomer).await, "it was not in quarantine");
        abort_all(&app).await;

        let left = run_fsck(&app, CHECK_ONLY).await;
        assert!(left.clean && left.report.count(FsckFindingKind::Foreign) == 1, "{left}");
        for file in &files {
            assert_eq!(ann.download(file).await.len() as u64, file["size"].as_u64().unwrap());
        }
    }

    async fn an_object_with_a_row_again_leaves_the_quarantine(app: TestApp) {
        let ann = app.sign_up("ann").await;
        upload_many(&ann, 25).await;
        let orphan = Key::random();
        write(&app, orphan.as_str(), "from the future").await;
        assert_eq!(run_fsck(&app, REPAIR).await.report.quarantined, 1);
        age_quarantine(&app).await;
        // The current database is restored.
        record_upload(&app, &ann.id, &orphan, Duration::from_secs(60)).await;
        let known = run_fsck(&app, CHECK_ONLY).await;
        assert!(known.clean && known.report.quarantined == 0, "{known}");
        // If it becomes unknown again, its time in quarantine restarts.
        app.execute("DELETE FROM blobs WHERE state = 'pending'").await;
        let unknown = run_fsck(&app, REPAIR).await.report;
        assert_eq!((unknown.quarantined, unknown.deleted), (1, 0));
        assert_eq!(app.app.store.size(&orphan).await.unwrap(), Some(15));
    }

    async fn nothing_is_repaired_if_many_objects_are_orphaned(app: TestApp) {
        let ann = app.sign_up("ann").await;
        upload_many(&ann, 19).await;
        let (first, second) = (Key::random(), Key::random());
        write(&app, first.as_str(), "whose?").await;
        assert_eq!(run_fsck(&app, REPAIR).await.report.quarantined, 1, "one of twenty is below the limit");
        age_quarantine(&app).await;
        write(&app, second.as_str(), "whose?").await;
        let half = Key::random();
        half_write(&app, &half).await;
        let outcome = command(&app, &["--repair"]);
        assert_eq!(outcome.status, 1, "{}", outcome.stderr);
        assert!(outcome.stdout.contains("2 of 21 objects are orphans, more than 5 in 100"), "{}", outcome.stdout);
        assert_eq!(app.count("SELECT COUNT(*) FROM orphans").await, 1);
        for key in [&first, &second] {
            assert_eq!(app.app.store.size(key).await.unwrap(), Some(6));
        }
        assert!(is_half_written(&app, &half).await);
    }

    async fn the_space_of_many_orphans_comes_back_after_a_restore(app: TestApp) {
        let ann = app.sign_up("ann").await;
        upload_many(&ann, 2).await;
        let orphans = [Key::random(), Key::random(), Key::random()];
        for key in &orphans {
            write(&app, key.as_str(), "later").await;
        }
        let refused = command(&app, &["--repair"]);
        assert!(refused.stdout.contains("--accept-orphans 3"), "{}", refused.stdout);
        let fewer = command(&app, &["--repair", "--accept-orphans", "2"]);
        assert!(fewer.stdout.contains("--accept-orphans 3"), "{}", fewer.stdout);
        assert_eq!(app.count("SELECT COUNT(*) FROM orphans").await, 0);
        command(&app, &["--repair", "--accept-orphans", "3"]);
        assert_eq!(app.count("SELECT COUNT(*) FROM orphans").await, 3);
        age_quarantine(&app).await;
        command(&app, &["--repair", "--accept-orphans", "3"]);
        for key in &orphans {
            assert_eq!(app.app.store.size(key).await.unwrap(), None);
        }
        assert!(run_fsck(&app, CHECK_ONLY).await.clean);
        app.assert_nothing_but(2).await;
    }

    async fn a_busy_server_causes_no_false_findings(app: TestApp) {
        let ann = app.sign_up("ann").await;
        upload_many(&ann, 20).await;
        let busy = Arc::new(AtomicUsize::new(5));
        let workers = (0..5).map(|worker| {
            let (ann, busy) = (ann.clone(), busy.clone());
            tokio::spawn(async move {
                for turn in 0..12 {
                    work(&ann, worker, turn).await;
                }
                busy.fetch_sub(1, Ordering::Relaxed);
            })
        });
        let workers = futures_util::future::join_all(workers.collect::<Vec<_>>());
        let reaping = async {
            while busy.load(Ordering::Relaxed) > 0 {
                app.reap().await;
            }
        };
        let checking = async {
            let mut runs = 0;
            while busy.load(Ordering::Relaxed) > 0 {
                let run = run_fsck(&app, if runs % 4 == 0 { FULL } else { CHECK_ONLY }).await;
                assert!(run.clean && run.report.counts.is_empty(), "{run}");
                runs += 1;
            }
            runs
        };
        let (done, (), runs) = tokio::join!(workers, reaping, checking);
        done.into_iter().for_each(|worker| worker.expect("a worker"));
        assert!(runs > 3, "{runs} runs");
        app.reap().await;
        assert_eq!(found(&run_fsck(&app, FULL).await), []);
    }

    async fn uploads_in_progress_are_not_reported(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(12 * 1024 * 1024);
        // Nothing yet; a tail; parts and a tail; complete.
        for received in [0, 10, 11 * 1024 * 1024, bytes.len()] {
            let upload = Tus::create(&ann, Some(bytes.len()), "").await;
            assert_eq!(upload.append(&ann, 0, bytes[..received].to_vec()).await.status, 204);
            assert_clean(&app).await;
            app.reap().await;
            assert_eq!(found(&run_fsck(&app, FULL).await), []);
        }
        app.expire_leases().await;
        app.assert_nothing_but(1).await;
        assert_clean(&app).await;
    }

    async fn admins_can_start_runs_and_read_their_results(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let start = |options: Value| ann.post("/v1/admin/fsck").json(&options).answer();
        start(json!({})).await.problem(403, "admin_required");
        app.execute("UPDATE users SET is_admin = TRUE WHERE email_key = 'ann@example.org'").await;
        ann.get("/v1/admin/fsck").answer().await.problem(404, "not_found");
        bob.get("/v1/admin/fsck").answer().await.problem(403, "admin_required");
        start(json!({"ful": true})).await.problem(422, "invalid");

        upload_many(&ann, 3).await;
        let unknown = Key::random();
        write(&app, unknown.as_str(), "whose?").await;
        let started = start(json!({"full": true})).await;
        assert_eq!((started.status, &started.json()["full"]), (202, &json!(true)), "{}", started.text());
        let ended = latest(&ann).await;
        assert_eq!((&ended["id"], &ended["state"]), (&started.json()["id"], &json!("done")));
        assert_eq!((&ended["rows"], &ended["counts"]), (&json!(3), &json!({"orphaned_object": 1})), "{ended}");
        assert_eq!((&ended["findings"][0]["key"], &ended["clean"]), (&json!(unknown.as_str()), &json!(false)));

        // One run at a time, on any server.
        let running = fsck::start(&app.app, CHECK_ONLY).await.unwrap();
        start(json!({})).await.problem(409, "fsck_running");
        let outcome = command(&app, &[]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (1, "strongroom: fsck is already running\n"));
        assert_eq!(ann.get("/v1/admin/fsck").answer().await.json()["state"], "running");
        // Its server is killed.
        drop(running);
        app.execute("UPDATE job_leases SET lease_until = 1").await;
        let run = ann.get("/v1/admin/fsck").answer().await.json();
        assert_eq!((&run["state"], &run["clean"]), (&json!("failed"), &json!(false)));
        assert_eq!(start(json!({})).await.status, 202);
        assert_eq!(latest(&ann).await["state"], "done");
    }

    async fn a_run_that_does_not_begin_does_not_prevent_the_next_one(app: TestApp) {
        let ann = app.sign_up("ann").await;
        app.execute("UPDATE users SET is_admin = TRUE").await;
        let ended = another_session(&app, "ann").await;
        let (feed, fed) = fed();
        let request = ended.post("/v1/admin/fsck").header("content-type", "application/json").body(fed);
        let answer = tokio::spawn(request.answer());
        feed.send(Ok(b"{".to_vec())).await.unwrap();
        // The server has read the head, and decided.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(ended.post("/v1/auth/logout").answer().await.status, 204);
        feed.send(Ok(b"}".to_vec())).await.unwrap();
        drop(feed);
        answer.await.unwrap().problem(401, "unauthorized");
        let started = ann.post("/v1/admin/fsck").json(&json!({})).answer().await;
        assert_eq!(started.status, 202, "{}", started.text());
        assert_eq!(latest(&ann).await["state"], "done");
    }
}

/// Waits until the latest run has ended, and returns it.
async fn latest(admin: &Client) -> Value {
    loop {
        let answer = admin.get("/v1/admin/fsck").answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if answer.json()["state"] != "running" {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Typical operations of a user.
async fn work(client: &Client, worker: usize, turn: usize) {
    let size = if (worker + turn).is_multiple_of(6) { 6 * 1024 * 1024 } else { 1000 * turn };
    let file = client.upload(&format!("{worker}.bin"), noise(size)).await;
    let replaced = client.put(&content(&file)).header("if-match", "*").body(noise(500)).answer().await;
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    if !turn.is_multiple_of(3) {
        assert_eq!(client.delete_permanently(&file).answer().await.status, 204);
    }
    if turn.is_multiple_of(5) {
        let bytes = noise(6 * 1024 * 1024);
        let upload = Tus::create(client, Some(bytes.len()), "").await;
        let (first, second) = bytes.split_at(if worker == 0 { 5_500_000 } else { 1000 });
        assert_eq!(upload.append(client, 0, first.to_vec()).await.status, 204);
        match worker % 2 {
            0 => assert_eq!(upload.append(client, first.len(), second.to_vec()).await.status, 204),
            _ => assert_eq!(tus(client, Method::DELETE, &upload.path).answer().await.status, 204),
        }
    }
    if turn.is_multiple_of(4) {
        // The body is interrupted.
        let chunks = [Ok(noise(5_500_000)), Err(std::io::Error::other("gone"))];
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        assert!(client.post("/v1/files?name=broken.bin").body(body).send().await.is_err());
    }
}

#[tokio::test]
async fn many_pages_are_compared_completely() {
    const ROWS: usize = 3000;
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    app.sign_up("ann").await;
    app.execute(
        "INSERT INTO blobs (id, space_id, key, state, lease_until, size, sha256, content_type, created_at, ready_at)
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
        SELECT randomblob(16), (SELECT id FROM users), lower(hex(randomblob(16))), 'ready', 0, 5, x'00', 'text/plain', 0, 0
        FROM numbers",
    )
    .await;
    let rows = app.app.db.referenced_blobs("", ROWS + 1).await.unwrap();
    let keys: Vec<_> = rows.into_iter().map(|row| row.key).collect();
    assert!(keys.len() == ROWS && keys.is_sorted());
    let missing = [0, 1, 998, 999, 1000, 1001, 1999, 2000, 2998, 2999];
    let present = keys.iter().enumerate().filter(|(number, _)| !missing.contains(number));
    for (_, key) in present {
        write(&app, key, "12345").await;
    }
    let unknown: BTreeSet<_> = (0..250).map(|_| Key::random().to_string()).collect();
    for key in &unknown {
        write(&app, key, "whose?").await;
    }
    let report = run_fsck(&app, CHECK_ONLY).await.report;
    assert_eq!((report.rows, report.objects), (3000, 3240));
    assert_eq!(report.counts, [(FsckFindingKind::Missing, 10), (FsckFindingKind::OrphanedObject, 250)].into());
    // Many findings of one kind do not hide the few of another.
    let named = |kind| -> BTreeSet<_> {
        report.findings.iter().filter(|finding| finding.kind == kind).map(|finding| finding.key.clone()).collect()
    };
    assert_eq!(named(FsckFindingKind::Missing), missing.map(|number| keys[number].clone()).into());
    let orphans = named(FsckFindingKind::OrphanedObject);
    assert!(orphans.len() == 200 && orphans.is_subset(&unknown));
}

#[tokio::test]
async fn an_unavailable_store_is_not_treated_as_empty() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    upload_many(&ann, 3).await;
    app.execute("UPDATE users SET is_admin = TRUE").await;
    let StoreConfig::Disk { root } = &app.app.config.store else { unreachable!("it is on disk") };
    std::fs::rename(root, app.folder.path().join("elsewhere")).unwrap();
    for options in [CHECK_ONLY, FULL, REPAIR] {
        let outcome = fsck::start(&app.app, options).await.unwrap().run(|_| {}).await;
        assert!(matches!(outcome, Err(Error::Unavailable { what: "store", .. })), "{outcome:?}");
        let run = latest(&ann).await;
        assert_eq!((&run["state"], &run["clean"], &run["counts"]), (&json!("failed"), &json!(false), &json!({})));
        assert_eq!(run["error"], "the store is not available");
    }
}

#[tokio::test]
async fn scheduled_runs_log_their_findings() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    app.sign_up("ann").await;
    let unknown = Key::random();
    write(&app, unknown.as_str(), "whose?").await;
    let folder = tempfile::tempdir().unwrap();
    let mut program = Start::default().variable("STRONGROOM_FSCK_INTERVAL", "1s").beside(&app).serve(folder.path());
    program.wait_for(|program| {
        let log = program.stderr();
        log.lines()
            .any(|line| line.contains("ERROR") && line.contains("orphaned_object") && line.contains(unknown.as_str()))
    });
    program.stop();
    assert_eq!(app.app.store.size(&unknown).await.unwrap(), Some(6));
}

#[test]
fn a_rate_requires_a_full_run() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Start::with(&["fsck", "--rate", "5MB"]).run(folder.path(), "");
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (2, 1), "{}", outcome.stderr);
    assert_eq!(Config::default().fsck.rate, 50_000_000);
}
