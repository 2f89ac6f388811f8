//! What clients leave behind who go away in the middle, and what is kept for a bucket that is silent:
//! the program itself, so that its memory can be looked at.

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
use crate::support::{Setup, TestApp};

const MIB: usize = 1024 * 1024;
const CLIENTS: usize = 20;

/// A program on the rows and bytes of the app that comes to its bucket through this endpoint.
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

/// Reads a little of a file, and goes.
async fn hang_up_in_a_download(client: &Client, path: &str) {
    let mut answer = client.get(path).send().await.expect("an answer");
    answer.chunk().await.expect("bytes").expect("a first chunk");
}

/// Begins uploads that send a part and a bit, and then nothing; goes when the server has them all.
async fn hang_up_in_uploads(app: &TestApp, client: &Client, bytes: &Bytes) {
    let uploads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let accepted = stream::iter([Ok::<_, std::io::Error>(bytes.clone())]).chain(stream::pending());
            let request = client.post(&format!("/v1/files?name={number}.bin"));
            tokio::spawn(request.body(reqwest::Body::wrap_stream(accepted)).send())
        })
        .collect();
    let accepted = "SELECT COUNT(*) FROM blobs WHERE state = 'pending'";
    let opened = "SELECT COUNT(*) FROM blobs WHERE state = 'pending' AND multipart_id IS NOT NULL";
    until(async || app.count(accepted).await == CLIENTS as i64 && app.count(opened).await > 0).await;
    uploads.iter().for_each(tokio::task::JoinHandle::abort);
    until(async || app.count(accepted).await == 0).await;
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("it comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hang_ups_leave_no_connection_to_the_store() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let (line, detour) = through_tcp_proxy(endpoint(&app)).await;
    let program = serve(&app, detour);
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.bin", noise(32 * MIB)).await;
    let (path, part) = (content(&file), Bytes::from(noise(6 * MIB)));
    let mut usual = None;
    for _ in 0..3 {
        hang_up_in_uploads(&app, &ann, &part).await;
        join_all((0..CLIENTS).map(|_| hang_up_in_a_download(&ann, &path))).await;
        // Those that stay are idle, and serve the next requests; a download that broke off can leave none.
        until(async || line.open() < CLIENTS).await;
        // The first round takes what memory it needs, the others give all of theirs back.
        let usual = *usual.get_or_insert_with(|| program.memory("VmRSS"));
        let now = program.memory("VmRSS");
        assert!(now < usual + 24 * 1024, "it has grown from {usual} to {now} KiB");
    }
    assert!(ann.download(&file).await == noise(32 * MIB));
    app.execute("UPDATE blobs SET lease_until = 1 WHERE state <> 'ready'").await;
    app.assert_nothing_but(1).await;
    program.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_bucket_does_not_fill_the_memory() {
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
    // Time for everything to come in that is let in.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let most = program.memory("VmHWM");
    assert!(most < before + 64 * 1024, "{before} KiB before, {most} for {CLIENTS} uploads of 16 MiB");
    // The lines break, and the bucket is back.
    assert!(proxy.mend() > 0);
    for upload in uploads {
        assert_eq!(upload.await.expect("no panic").expect("an answer").status(), 201);
    }
    app.assert_nothing_but(CLIENTS).await;
    program.stop();
}
