//! The reaper deletes what crashes and disconnects leave, and nothing else.

use std::time::Duration;

use strongroom::config::StoreConfig;

use crate::support::abandoned::abandon;
use crate::support::bytes::noise;
use crate::support::client::{Ask, fed, open_multipart_uploads, path};
use crate::support::program::Start;
use crate::support::{Setup, TestApp, both, until};

both! {
    async fn an_abandoned_upload_is_deleted_when_its_lease_expires(app: TestApp) {
        let ann = app.sign_up("ann").await;
        ann.upload("kept.txt", "kept").await;
        abandon(&app, &ann.id, Duration::ZERO, 100).await;
        abandon(&app, &ann.id, Duration::ZERO, 11 * 1024 * 1024).await;
        abandon(&app, &ann.id, Duration::from_secs(3600), 100).await;
        assert_eq!(app.blobs_and_objects().await, (4, 4));
        let report = app.reap().await;
        assert_eq!((report.abandoned, report.deleted, report.failed), (2, 2, 0));
        assert_eq!(app.blobs_and_objects().await, (2, 2));
        assert_eq!(app.reap().await.deleted, 0);
    }

    async fn concurrent_reapers_delete_each_blob_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for _ in 0..20 {
            abandon(&app, &ann.id, Duration::ZERO, 10).await;
        }
        let reports = futures_util::future::join_all((0..4).map(|_| app.reap())).await;
        assert_eq!(reports.iter().map(|report| report.deleted).sum::<u64>(), 20);
        app.assert_nothing_but(0).await;
    }

    async fn a_run_that_loses_its_job_lease_is_reported_as_interrupted(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for _ in 0..60 {
            abandon(&app, &ann.id, Duration::ZERO, 10).await;
        }
        // Every deletion takes so long that the run outlasts the first renewal of its lease.
        let slow = Start::with(&["reap"]).beside(&app).variable("FAILPOINTS", "D3=sleep(300)");
        let folder = app.folder.path().to_owned();
        let run = tokio::task::spawn_blocking(move || slow.run(&folder, ""));
        until(async || app.count("SELECT COUNT(*) FROM job_leases").await != 0).await;
        app.execute("UPDATE job_leases SET holder = (SELECT id FROM users), lease_until = lease_until + 600000000").await;
        let outcome = run.await.unwrap();
        assert_eq!(outcome.status, 1, "{}", outcome.stdout);
        assert!(outcome.stdout.contains("interrupted: another server has taken over"), "{}", outcome.stdout);
        let error = "strongroom: interrupted: another server has taken over\n";
        assert!(outcome.stderr.ends_with(error), "{}", outcome.stderr);
        assert!(app.count("SELECT COUNT(*) FROM blobs").await > 0, "the run ended early");

        app.execute("DELETE FROM job_leases").await;
        app.assert_nothing_but(0).await;
    }

    async fn what_cannot_be_restored_waits_after_a_jump_of_the_clock(app: TestApp) {
        const IN_TRASH: &str = "SELECT COUNT(*) FROM files WHERE trashed_at IS NOT NULL";
        let app = app.restart_with(|config| config.reap_interval = Duration::from_millis(500)).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "to keep").await;
        assert_eq!(ann.delete(&path(&file)).answer().await.status, 204);
        let jobs = strongroom::jobs::spawn(app.app.clone());
        until(async || app.count("SELECT COUNT(*) FROM job_runs").await == 1).await;
        app.advance(Duration::from_secs(40 * 24 * 60 * 60));
        tokio::time::sleep(Duration::from_millis(1200)).await;
        jobs.abort();
        assert_eq!(app.count(IN_TRASH).await, 1);
        assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 1);
        // A server that starts with the wrong clock knows when the reaper ran last.
        let jobs = strongroom::jobs::spawn(app.app.clone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        jobs.abort();
        assert_eq!(app.count(IN_TRASH).await, 1);
        // An operator decides.
        assert_eq!(app.reap().await.purged, 1);
        app.assert_nothing_but(0).await;
    }

    async fn a_stale_writer_publishes_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (send, body) = fed();
        let upload = tokio::spawn(ann.post("/v1/files?name=late.bin").body(body).send());
        send.send(Ok(noise(1000))).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM blobs").await != 0).await;
        // As if its lease had expired: the reaper marks its row for deletion.
        app.execute("UPDATE blobs SET lease_until = 1").await;
        assert_eq!(app.reap().await.abandoned, 1);
        drop(send);
        let answer = upload.await.unwrap().unwrap();
        assert_eq!(answer.status(), 410);
        assert_eq!(ann.get("/v1/files").answer().await.json()["items"], serde_json::json!([]));
        app.assert_nothing_but(0).await;
    }
}

/// The server is killed between the store's response and the row: no row has the id of the upload.
#[tokio::test]
async fn an_upload_whose_id_was_never_recorded_is_aborted() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let StoreConfig::S3(s3) = &app.app.config.store else { unreachable!("it is on S3") };
    let ann = app.sign_up("ann").await;
    ann.upload("kept.bin", noise(11 * 1024 * 1024)).await;
    let folder = tempfile::tempdir().unwrap();
    let program = Start::default().beside(&app).variable("FAILPOINTS", "M2=return").serve(folder.path());
    let upload = program.anonymous().post("/v1/files?name=lost.bin").bearer_auth(ann.token.as_deref().unwrap());
    assert!(upload.body(noise(20 * 1024 * 1024)).send().await.is_err());
    let (status, ..) = program.ended();
    assert_eq!(status.code(), None, "it was killed");
    assert_eq!(open_multipart_uploads(s3).await.len(), 1);
    assert_eq!(app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending' AND multipart_id IS NULL").await, 1);

    // The killed server may hold the job lease.
    app.execute("DELETE FROM job_leases").await;
    assert_eq!(app.reap().await.abandoned, 0, "its lease has not expired");
    assert_eq!(open_multipart_uploads(s3).await.len(), 1);
    app.execute("UPDATE blobs SET lease_until = 1").await;
    app.assert_nothing_but(1).await;
}
