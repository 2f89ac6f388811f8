//! Resumable uploads whose server is killed repeatedly, between any two steps: the next server resumes them, the content
//! is identical, and nothing is left behind.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use reqwest::Method;

use crate::support::accounts::same_session;
use crate::support::bytes::noise;
use crate::support::client::Client;
use crate::support::fsck::assert_clean;
use crate::support::program::Start;
use crate::support::tus::{Tus, tus};
use crate::support::{Setup, TestApp};

const MIB: usize = 1024 * 1024;
/// A claim that nobody releases ends with its server, or never.
const NEVER_EXPIRES: &str =
    "UPDATE resumable_uploads SET claim_expires_at = claim_expires_at + 3600000000 WHERE claim_id IS NOT NULL";

fn server(app: &TestApp) -> Start {
    Start::default().variable("STRONGROOM_PART_SIZE", "5MiB").beside(app)
}

/// Appends the missing bytes in chunks of this size. Returns `false` if the server ended before the file existed.
async fn resume(client: &Client, upload: &Tus, bytes: &[u8], chunk: usize) -> bool {
    loop {
        let Ok(head) = tus(client, Method::HEAD, &upload.path).send().await else { return false };
        if head.headers().contains_key("strongroom-file-id") {
            return true;
        }
        if head.status() != 423 {
            assert_eq!(head.status(), 200);
            let offset: usize = head.headers()["upload-offset"].to_str().unwrap().parse().expect("a number");
            let end = (offset + chunk).min(bytes.len());
            // The server may refuse and close the connection before everything is sent.
            if let Ok(answer) = upload.append_request(client, offset, bytes[offset..end].to_vec()).send().await {
                assert!([204, 409, 423].contains(&answer.status().as_u16()), "{answer:?}");
            }
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One upload whose servers are killed, each at the next of these points after it has been passed this many times.
async fn survives(setup: Setup, size: usize, chunk: usize, points: &[(&str, usize)]) {
    let app = TestApp::start(setup).await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(size);
    let upload = Tus::create(&ann, Some(bytes.len()), "").await;
    for (point, passes) in points {
        let failpoints = format!("{point}={passes}*off->return");
        let program = server(&app).variable("FAILPOINTS", failpoints).serve(app.folder.path());
        assert!(!resume(&same_session(&ann, &program), &upload, &bytes, chunk).await, "{point} was not passed");
        let (status, _, stderr) = program.ended();
        assert_eq!(status.signal(), Some(9), "{point}: {stderr}");
        // The next server does not wait for the claim of the killed one to expire.
        app.execute(NEVER_EXPIRES).await;
        assert_clean(&app).await;
        app.assert_usage_is_exact().await;
    }
    let program = server(&app).serve(app.folder.path());
    assert!(resume(&same_session(&ann, &program), &upload, &bytes, chunk).await);
    assert!(upload.file(&ann).await.bytes == bytes);
    let (_, stderr) = program.stop();
    assert!(!stderr.contains("ERROR"), "{stderr}");
    // The reaper deletes what killed writers left once their leases have expired.
    app.expire_leases().await;
    app.execute("DELETE FROM job_leases").await;
    app.assert_nothing_but(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_kills_on_disk() {
    let first = [("T1", 0), ("T2", 0), ("T1", 1), ("T2", 2)];
    let last = ["T4", "K6", "K7", "K8", "T5", "K10", "K11"].map(|point| (point, 0));
    survives(Setup::SqliteAndDisk, 17 * MIB + 3, 3 * MIB, &[&first[..], &last].concat()).await;
    survives(Setup::SqliteAndDisk, 10, 5, &[("T2", 1), ("K9", 0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_kills_in_a_bucket() {
    // The first tail; a part, for which a multipart upload is created; further tails and parts; the completion.
    let tail = ["T3", "K6", "K7", "T1", "T2"].map(|point| (point, 0));
    let part = ["M1", "M2", "M3", "T1", "T2"].map(|point| (point, 0));
    let more = [("K6", 0), ("T2", 1), ("T3", 1)];
    let last = ["T4", "M5", "T5", "K10", "K11"].map(|point| (point, 0));
    survives(Setup::PostgresAndS3, 17 * MIB + 3, 3 * MIB, &[&tail[..], &part, &more, &last].concat()).await;
}

/// An upload that fits into one part does not use a multipart upload.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_upload_survives_kills_in_a_bucket() {
    let points = [("T2", 0), ("T1", 0), ("T2", 0), ("T4", 0), ("T5", 0), ("K10", 0), ("K11", 0)];
    survives(Setup::PostgresAndS3, 10, 5, &points).await;
}

/// Two servers share an upload: either can continue it, and simultaneous appends wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_can_alternate_on_one_upload() {
    for setup in [Setup::SqliteAndDisk, Setup::PostgresAndS3] {
        let app = TestApp::start(setup).await;
        let ann = app.sign_up("ann").await;
        let program = server(&app).serve(app.folder.path());
        let clients = [ann.clone(), same_session(&ann, &program)];
        let bytes = noise(13 * MIB);
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        for (turn, chunk) in bytes.chunks(MIB).enumerate() {
            let (client, other) = (&clients[turn % 2], &clients[(turn + 1) % 2]);
            // A server that could not release its claim keeps it until it expires.
            let append = async || upload.append(client, turn * MIB, chunk.to_vec()).await;
            let mut sent = append().await;
            while sent.status == 423 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                sent = append().await;
            }
            assert_eq!(sent.status, 204, "{}", sent.text());
            assert_eq!(upload.offset(other).await, (turn + 1) * MIB);
        }
        assert!(upload.file(&ann).await.bytes == bytes);

        // Both at once: each append is accepted from one of them.
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        let resume_with_retries = async |client| {
            // The connection of an append that was refused early may be closed while the next request is sent.
            for _ in 0..100 {
                if resume(client, &upload, &bytes, 4 * MIB).await {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            false
        };
        assert_eq!(tokio::join!(resume_with_retries(&clients[0]), resume_with_retries(&clients[1])), (true, true));
        assert!(upload.file(&ann).await.bytes == bytes);
        program.stop();
        app.assert_nothing_but(2).await;
    }
}
