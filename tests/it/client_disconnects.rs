//! Memory and connections after clients disconnect in the middle of a transfer, and while the bucket does not respond.
//! Uses the compiled program, so that its memory can be measured.

use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use strongroom::config::StoreConfig;

use crate::support::accounts::sign_up;
use crate::support::bucket_proxy::{BucketProxy, Fault, Site};
use crate::support::bytes::noise;
use crate::support::client::{Client, content};
use crate::support::program::{Program, Start};
use crate::support::tcp_proxy::through_tcp_proxy;
use crate::support::{Setup, TestApp, until};

const MIB: usize = 1024 * 1024;
const CLIENTS: usize = 20;

/// A program with the database and the store of the app that reaches the bucket through this endpoint.
fn serve(app: &TestApp, endpoint: url::Url) -> Program {
    let mut config = app.app.config.clone();
    let StoreConfig::S3(s3) = &mut config.store else { unreachable!("it is on S3") };
    s3.endpoint = Some(endpoint);
    let start = Start::default().on(&config).variable("STRONGROOM_PART_SIZE", "5MiB");
    start.variable("STRONGROOM_UPLOAD_MEMORY", "32MiB").serve(app.folder.path())
}

fn endpoint(app: &TestApp) -> &url::Url {
    let StoreConfig::S3(s3) = &app.app.config.store else { unreachable!("it is on S3") };
    s3.endpoint.as_ref().expect("an endpoint")
}

/// Reads the first bytes of a file and disconnects.
async fn disconnect_from_a_download(client: &Client, path: &str) {
    let mut answer = client.get(path).send().await.expect("an answer");
    answer.chunk().await.expect("bytes").expect("a first chunk");
}

/// Starts uploads that send a little more than a part and then stall, and disconnects once the server has recorded all.
async fn disconnect_from_uploads(app: &TestApp, client: &Client, bytes: &Bytes) {
    let uploads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let stalled = stream::iter([Ok::<_, std::io::Error>(bytes.clone())]).chain(stream::pending());
            let request = client.post(&format!("/v1/files?name={number}.bin"));
            tokio::spawn(request.body(reqwest::Body::wrap_stream(stalled)).send())
        })
        .collect();
    let pending = "SELECT COUNT(*) FROM blobs WHERE state = 'pending'";
    let opened = "SELECT COUNT(*) FROM blobs WHERE state = 'pending' AND multipart_id IS NOT NULL";
    until(async || app.count(pending).await == CLIENTS as i64 && app.count(opened).await > 0).await;
    uploads.iter().for_each(tokio::task::JoinHandle::abort);
    until(async || app.count(pending).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnected_clients_leave_no_connection_to_the_store_and_no_memory() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let (network, detour) = through_tcp_proxy(endpoint(&app)).await;
    let program = serve(&app, detour);
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.bin", noise(32 * MIB)).await;
    let (path, part) = (content(&file), Bytes::from(noise(6 * MIB)));
    let mut usual = None;
    for _ in 0..3 {
        disconnect_from_uploads(&app, &ann, &part).await;
        join_all((0..CLIENTS).map(|_| disconnect_from_a_download(&ann, &path))).await;
        // Remaining connections are idle and serve later requests; an interrupted download leaves none.
        until(async || network.open() < CLIENTS).await;
        // The first round may grow the heap; later rounds must not.
        let usual = *usual.get_or_insert_with(|| program.memory("VmRSS"));
        let now = program.memory("VmRSS");
        assert!(now < usual + 24 * 1024, "memory grew from {usual} to {now} KiB");
    }
    assert!(ann.download(&file).await == noise(32 * MIB));
    app.expire_leases().await;
    app.assert_nothing_but(1).await;
    program.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_bucket_does_not_exhaust_memory() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let proxy = BucketProxy::before(endpoint(&app)).await;
    let program = serve(&app, proxy.url.clone());
    let ann = sign_up(&program, "ann@example.org").await;
    let before = program.memory("VmHWM");
    proxy.always(Site::new("PUT", ""), Fault::Hang);
    let bytes = Bytes::from(noise(16 * MIB));
    let uploads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let request = ann.post(&format!("/v1/files?name={number}.bin")).body(bytes.clone());
            tokio::spawn(request.send())
        })
        .collect();
    until(async || app.count("SELECT COUNT(*) FROM blobs").await == CLIENTS as i64).await;
    // Time for the server to receive as much as it accepts.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let most = program.memory("VmHWM");
    assert!(most < before + 64 * 1024, "{before} KiB before, {most} for {CLIENTS} uploads of 16 MiB");
    // The connections are closed, and the bucket is back.
    assert!(proxy.clear() > 0);
    for upload in uploads {
        assert_eq!(upload.await.expect("no panic").expect("an answer").status(), 201);
    }
    app.assert_nothing_but(CLIENTS).await;
    program.stop();
}
