//! Uploads in pieces whose server is killed again and again, between any two steps: they go on on
//! the next one, come out byte for byte, and leave nothing behind.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::bytes::noise;
use crate::support::client::Client;
use crate::support::fsck::assert_clean;
use crate::support::program::{Program, Start};
use crate::support::tus::{Tus, tus};
use crate::support::{Setup, TestApp};

const MIB: usize = 1024 * 1024;

fn server(app: &TestApp) -> Start {
    Start::default().variable("STRONGROOM_PART_SIZE", "5MiB").beside(app)
}

/// The same person, on another server.
fn known(person: &Client, program: &Program) -> Client {
    program.stranger().with_token(person.token.as_deref().expect("a token"), &json!(person.id))
}

/// Sends what is missing, piece by piece; `false` if the server ended before there was a file.
async fn go_on(client: &Client, upload: &Tus, bytes: &[u8], piece: usize) -> bool {
    loop {
        let Ok(head) = tus(client, Method::HEAD, &upload.path).send().await else { return false };
        if head.headers().contains_key("strongroom-file-id") {
            return true;
        }
        if head.status() != 423 {
            assert_eq!(head.status(), 200);
            let offset: usize = head.headers()["upload-offset"].to_str().unwrap().parse().expect("a number");
            let end = (offset + piece).min(bytes.len());
            // A refusal may come, and the connection end, before everything is sent.
            if let Ok(answer) = upload.piece(client, offset, bytes[offset..end].to_vec()).send().await {
                assert!([204, 409, 423].contains(&answer.status().as_u16()), "{answer:?}");
            }
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One upload, of which each server dies at the next of these points, when it has been passed so often.
async fn survives(setup: Setup, size: usize, piece: usize, points: &[(&str, usize)]) {
    let app = TestApp::start(setup).await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(size);
    let upload = Tus::create(&ann, Some(bytes.len()), "").await;
    for (point, passes) in points {
        let failpoints = format!("{point}={passes}*off->return");
        let program = server(&app).variable("FAILPOINTS", failpoints).serve(app.folder.path());
        assert!(!go_on(&known(&ann, &program), &upload, &bytes, piece).await, "{point} was not passed");
        let (status, _, stderr) = program.ended();
        assert_eq!(status.signal(), Some(9), "{point}: {stderr}");
        if setup == Setup::PostgresAndS3 {
            // Who does not know that no writer lives waits until the claim of the dead one is over.
            app.execute("UPDATE resumable_uploads SET claim_expires_at = 0").await;
        }
        assert_clean(&app).await;
        app.assert_usage_is_exact().await;
    }
    let program = server(&app).serve(app.folder.path());
    assert!(go_on(&known(&ann, &program), &upload, &bytes, piece).await);
    assert!(upload.file(&ann).await.bytes == bytes);
    let (_, stderr) = program.stop();
    assert!(!stderr.contains("ERROR"), "{stderr}");
    // What dead writers set aside is the reaper's when their leases are over, and that of a dead reaper.
    app.execute("UPDATE blobs SET lease_until = 1 WHERE state <> 'ready'").await;
    app.execute("UPDATE job_leases SET lease_until = 1").await;
    app.assert_nothing_but(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_its_servers_on_disk() {
    let first = [("T1", 0), ("T2", 0), ("T1", 1), ("T2", 2)];
    let last = ["T4", "K6", "K7", "K8", "T5", "K10", "K11"].map(|point| (point, 0));
    survives(Setup::SqliteAndDisk, 17 * MIB + 3, 3 * MIB, &[&first[..], &last].concat()).await;
    survives(Setup::SqliteAndDisk, 10, 5, &[("T2", 1), ("K9", 0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_its_servers_in_a_bucket() {
    // The first tail; a part, for which a multipart upload is opened; further tails and parts; the end.
    let tail = ["T3", "K6", "K7", "T1", "T2"].map(|point| (point, 0));
    let part = ["M1", "M2", "M3", "T1", "T2"].map(|point| (point, 0));
    let more = [("K6", 0), ("T2", 1), ("T3", 1)];
    let last = ["T4", "M5", "T5", "K10", "K11"].map(|point| (point, 0));
    survives(Setup::PostgresAndS3, 17 * MIB + 3, 3 * MIB, &[&tail[..], &part, &more, &last].concat()).await;
}

/// What fits into one part never sees a multipart upload; its last steps are others.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_upload_survives_its_servers_in_a_bucket_too() {
    let points = [("T2", 0), ("T1", 0), ("T2", 0), ("T4", 0), ("T5", 0), ("K10", 0), ("K11", 0)];
    survives(Setup::PostgresAndS3, 10, 5, &points).await;
}

/// Two servers share an upload: whoever comes next goes on, and who comes at the same time waits.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_take_turns_at_one_upload() {
    for setup in [Setup::SqliteAndDisk, Setup::PostgresAndS3] {
        let app = TestApp::start(setup).await;
        let ann = app.sign_up("ann").await;
        let program = server(&app).serve(app.folder.path());
        let clients = [ann.clone(), known(&ann, &program)];
        let bytes = noise(13 * MIB);
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        for (turn, piece) in bytes.chunks(MIB).enumerate() {
            let (client, other) = (&clients[turn % 2], &clients[(turn + 1) % 2]);
            let sent = upload.append(client, turn * MIB, piece.to_vec()).await;
            assert_eq!(sent.status, 204, "{}", sent.text());
            assert_eq!(upload.offset(other).await, (turn + 1) * MIB);
        }
        assert!(upload.file(&ann).await.bytes == bytes);

        // Both at once: each piece is taken from one of them.
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        let go_on = async |client| {
            // The connection of a piece that was refused early may end with the next request on its way.
            for _ in 0..10 {
                if go_on(client, &upload, &bytes, 4 * MIB).await {
                    return true;
                }
            }
            false
        };
        assert_eq!(tokio::join!(go_on(&clients[0]), go_on(&clients[1])), (true, true));
        assert!(upload.file(&ann).await.bytes == bytes);
        program.stop();
        app.assert_nothing_but(2).await;
    }
}
