//! Outages of the database or the store: callers are asked to retry, nothing partial is left, and no restart is needed.

use secrecy::{ExposeSecret, SecretString};
use strongroom::config::StoreConfig;

use crate::support::accounts::log_in;
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, content, fed};
use crate::support::tcp_proxy::TcpProxy;
use crate::support::tcp_proxy::through_tcp_proxy;
use crate::support::{PASSWORD, Setup, TestApp, both, email, until};

const MIB: usize = 1024 * 1024;

/// A server whose connections to the database can be cut.
async fn with_cuttable_database() -> (TcpProxy, TestApp) {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let url = app.app.config.database_url.expose_secret().parse().expect("a URL");
    let (network, detour) = through_tcp_proxy(&url).await;
    (network, app.restart_with(|config| config.database_url = SecretString::from(String::from(detour))).await)
}

/// A server whose connections to the bucket can be cut.
async fn with_cuttable_bucket() -> (TcpProxy, TestApp) {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let StoreConfig::S3(s3) = &app.app.config.store else { unreachable!("it is on S3") };
    let (network, detour) = through_tcp_proxy(s3.endpoint.as_ref().expect("an endpoint")).await;
    let app = app.restart_with(|config| {
        if let StoreConfig::S3(s3) = &mut config.store {
            s3.endpoint = Some(detour);
        }
    });
    (network, app.await)
}

#[track_caller]
fn assert_try_again_later(answer: &Answer) {
    let problem = answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    for inside in ["127.0.0.1", "postgres", "Io", "os error", "bucket"] {
        assert!(!problem["detail"].as_str().unwrap().contains(inside), "{problem}");
    }
}

#[tokio::test]
async fn it_recovers_from_a_database_outage() {
    let (network, app) = with_cuttable_database().await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "kept").await;
    network.cut();
    // Simultaneously: each of them waits for the database for a while.
    let (stranger, path) = (app.anonymous(), content(&file));
    let (list, download, upload, login, ready, alive) = tokio::join!(
        ann.get("/v1/files").answer(),
        ann.get(&path).answer(),
        ann.post("/v1/files?name=b.txt").body("lost").answer(),
        log_in(&stranger, "ann@example.org", PASSWORD),
        stranger.get("/readyz").answer(),
        stranger.get("/healthz").answer(),
    );
    for answer in [list, download, upload, login, ready] {
        assert_try_again_later(&answer);
    }
    assert_eq!(alive.status, 200);

    network.restore();
    stranger.until_readyz(200).await;
    assert_eq!(ann.download(&file).await, b"kept");
    ann.upload("c.txt", "new").await;
    app.assert_nothing_but(2).await;
}

#[tokio::test]
async fn an_upload_interrupted_by_a_database_outage_is_not_kept() {
    let (network, app) = with_cuttable_database().await;
    let ann = app.sign_up("ann").await;
    let (send, body) = fed();
    let upload = tokio::spawn(ann.post("/v1/files?name=a.bin").body(body).send());
    send.send(Ok(noise(MIB))).await.unwrap();
    until(async || app.count("SELECT COUNT(*) FROM blobs").await > 0).await;
    network.cut();
    send.send(Ok(noise(MIB))).await.unwrap();
    drop(send);
    assert_eq!(upload.await.unwrap().unwrap().status(), 503);

    network.restore();
    app.anonymous().until_readyz(200).await;
    assert_eq!(ann.get("/v1/files").answer().await.json()["items"], serde_json::json!([]));
    // The failure could not be recorded, so its lease has to expire.
    app.expire_leases().await;
    app.assert_nothing_but(0).await;
}

#[tokio::test]
async fn it_recovers_from_a_bucket_outage() {
    let (network, app) = with_cuttable_bucket().await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "kept").await;
    network.cut();
    let (stranger, path) = (app.anonymous(), content(&file));
    let (small, large, download, part, ready) = tokio::join!(
        ann.post("/v1/files?name=b.txt").body("lost").answer(),
        ann.post("/v1/files?name=c.bin").body(noise(11 * MIB)).send(),
        ann.get(&path).answer(),
        ann.get(&path).header("range", "bytes=1-2").answer(),
        stranger.get("/readyz").answer(),
    );
    for answer in [small, download, part, ready] {
        assert_try_again_later(&answer);
    }
    // The server may respond and close the connection before the client has sent everything.
    assert!(large.map_or(true, |answer| answer.status() == 503));
    // Operations on the database alone still work, deletions included: the objects are deleted later.
    assert_eq!(ann.get("/v1/files").answer().await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(ann.head(&path).answer().await.status, 200);
    assert_eq!(ann.delete_permanently(&file).answer().await.status, 204);
    assert_eq!(app.reap().await.deleted, 0);

    network.restore();
    stranger.until_readyz(200).await;
    let file = ann.upload("d.txt", "new").await;
    assert_eq!(ann.download(&file).await, b"new");
    app.expire_leases().await;
    app.assert_nothing_but(1).await;
}

#[tokio::test]
async fn a_download_interrupted_by_a_bucket_outage_never_looks_complete() {
    let (network, app) = with_cuttable_bucket().await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(48 * MIB);
    let file = ann.upload("a.bin", bytes.clone()).await;
    let mut answer = ann.get(&content(&file)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut received = answer.chunk().await.unwrap().expect("a first chunk").len();
    network.cut();
    let error = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => panic!("the response looks complete after {received} bytes"),
            Err(error) => break error,
        }
    };
    assert!(received < bytes.len(), "{error}");
    network.restore();
    app.anonymous().until_readyz(200).await;
    assert!(ann.download(&file).await == bytes);
}

#[tokio::test]
async fn an_upload_interrupted_by_a_bucket_outage_is_not_kept() {
    let (network, app) = with_cuttable_bucket().await;
    let ann = app.sign_up("ann").await;
    let (send, body) = fed();
    let upload = tokio::spawn(ann.post("/v1/files?name=a.bin").body(body).send());
    send.send(Ok(noise(6 * MIB))).await.unwrap();
    // The first part is on its way, or has arrived.
    until(async || app.count("SELECT COUNT(*) FROM blobs WHERE multipart_id IS NOT NULL").await > 0).await;
    network.cut();
    send.send(Ok(noise(6 * MIB))).await.unwrap();
    drop(send);
    let answer = upload.await.unwrap().expect("the whole body was read");
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.unwrap();
    assert!(!text.contains(&network.address.port().to_string()) && !text.contains("bucket"), "{text}");

    network.restore();
    app.anonymous().until_readyz(200).await;
    app.expire_leases().await;
    app.assert_nothing_but(0).await;
}

#[tokio::test]
async fn it_recovers_from_a_missing_disk() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "kept").await;
    let (root, away) = (app.folder.path().join("files"), app.folder.path().join("away"));
    std::fs::rename(&root, &away).unwrap();
    assert_try_again_later(&app.anonymous().get("/readyz").answer().await);
    for answer in [
        ann.get(&content(&file)).answer().await,
        ann.post("/v1/files?name=b.txt").body("lost").answer().await,
        ann.post("/v1/files?name=c.bin").body(noise(MIB)).answer().await,
    ] {
        assert!([500, 503].contains(&answer.status), "{}", answer.text());
        assert!(!answer.text().contains(app.folder.path().to_str().unwrap()), "{}", answer.text());
    }
    assert_eq!(ann.get("/v1/files").answer().await.json()["items"].as_array().unwrap().len(), 1);

    std::fs::rename(&away, &root).unwrap();
    app.anonymous().until_readyz(200).await;
    assert_eq!(ann.download(&file).await, b"kept");
    ann.upload("d.txt", "new").await;
    app.expire_leases().await;
    app.assert_nothing_but(2).await;
}

#[tokio::test]
async fn reads_work_while_another_program_locks_the_database() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "kept").await;
    let other = sqlx::SqlitePool::connect(app.app.config.database_url.expose_secret()).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let upload = ann.post("/v1/files?name=b.txt").body("lost").answer();
    let login = log_in(&app.anonymous(), &email("ann"), PASSWORD).await;
    assert_try_again_later(&login);
    assert_eq!(ann.download(&file).await, b"kept");
    lock.rollback().await.unwrap();
    assert_eq!(upload.await.status, 201);
    assert_eq!(log_in(&app.anonymous(), &email("ann"), PASSWORD).await.status, 200);
}

both! {
    async fn health_endpoints_need_no_authentication(app: TestApp) {
        for path in ["/healthz", "/readyz"] {
            let answer = app.anonymous().get(path).answer().await;
            assert_eq!((answer.status, &answer.json()["status"]), (200, &serde_json::json!("ok")));
        }
    }
}
