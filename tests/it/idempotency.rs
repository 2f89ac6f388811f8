//! Requests with the same idempotency key are executed once, also if the first response was lost or the server was killed
//! before it could respond.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use sha2::{Digest, Sha256};
use strongroom::db::{KeyClaim, NewBlobRow};
use strongroom::users::{Quota, UpdateUser, update_user};

use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, fed, path};
use crate::support::program::Start;
use crate::support::{Setup, TestApp, both, until};

fn upload(client: &Client, key: &str) -> RequestBuilder {
    client.post("/v1/files?name=a.bin&path=docs").header("idempotency-key", key)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

both! {
    async fn a_repeated_request_gets_the_same_response(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(6 * 1024 * 1024);
        let first = upload(&ann, "k-1").body(bytes.clone()).answer().await;
        assert_eq!(first.status, 201, "{}", first.text());
        let same = async |request: RequestBuilder| {
            let again = request.answer().await;
            assert_eq!((again.status, again.json()), (201, first.json()));
            for name in ["location", "etag", "repr-digest"] {
                assert_eq!(again.header(name), first.header(name));
            }
        };
        same(upload(&ann, "k-1").body(bytes.clone())).await;
        // The digest is part of the comparison only as a description of the body, and the body may be in a form.
        same(upload(&ann, "k-1").header("content-digest", digest(&bytes)).body(bytes.clone())).await;
        let chunks = vec![Ok::<_, std::io::Error>(bytes.clone())];
        same(upload(&ann, "k-1").body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)))).await;
        let form = Form::new().text("path", "docs").part("file", Part::bytes(bytes.clone()).file_name("a.bin"));
        same(ann.post("/v1/files").header("idempotency-key", "k-1").multipart(form)).await;
        app.assert_nothing_but(1).await;
        // Later changes of the file and of the quota do not change the stored response.
        let renamed = ann.patch(&path(&first.json())).json(&json!({"name": "b.bin", "metadata": {"a": 1}})).answer().await;
        assert_eq!(renamed.status, 200);
        let patch = UpdateUser { bytes: Some(Quota::Limit(0)), ..UpdateUser::default() };
        update_user(&app.app, None, ann.id.parse().unwrap(), patch).await.unwrap();
        same(upload(&ann, "k-1").body(bytes.clone())).await;
        assert_eq!(ann.delete_permanently(&first.json()).answer().await.status, 204);
        same(upload(&ann, "k-1").body(bytes)).await;
        app.assert_nothing_but(0).await;
    }

    async fn preconditions_are_not_evaluated_again(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let request = |key| upload(&ann, key).header("if-none-match", "*").body("one");
        let first = request("k-1").answer().await;
        assert_eq!((first.status, request("k-1").answer().await.json()), (201, first.json()));
        request("k-2").answer().await.problem(412, "precondition_failed");
        app.assert_nothing_but(1).await;
    }

    async fn a_different_request_with_the_same_key_is_refused(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        assert_eq!(upload(&ann, "k-1").body("some bytes").answer().await.status, 201);
        let chunks = |text: &'static str| reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]));
        for other in [
            upload(&ann, "k-1").body("same count"),
            upload(&ann, "k-1").body("longer than that"),
            upload(&ann, "k-1").body("less"),
            upload(&ann, "k-1").body(""),
            upload(&ann, "k-1").body(chunks("longer than that")),
            upload(&ann, "k-1").body(chunks("less")),
            upload(&ann, "k-1").header("repr-digest", digest(b"others")).body("some bytes"),
            upload(&ann, "k-1").header("if-none-match", "*").body("some bytes"),
            upload(&ann, "k-1").header("content-type", "text/csv").body("some bytes"),
            ann.post("/v1/files?name=b.bin&path=docs").header("idempotency-key", "k-1").body("some bytes"),
            ann.post("/v1/files?name=a.bin").header("idempotency-key", "k-1").body("some bytes"),
        ] {
            other.answer().await.problem(422, "idempotency_mismatch");
        }
        // A key belongs to one user, and requests without a key are independent.
        assert_eq!(upload(&bob, "k-1").body("some bytes").answer().await.status, 201);
        assert_eq!(upload(&ann, "k-2").body("some bytes").answer().await.json()["name"], "a (1).bin");
        assert_eq!(ann.post("/v1/files?name=a.bin&path=docs").body("some bytes").answer().await.json()["name"], "a (2).bin");
        app.assert_nothing_but(4).await;
    }

    async fn keys_must_be_visible_ascii(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for key in ["", "a b", "ä", &"x".repeat(256)] {
            let problem = upload(&ann, key).body("x").answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["header"], "idempotency-key");
        }
        let two = upload(&ann, "a").header("idempotency-key", "b").body("x").answer().await;
        two.problem(422, "invalid");
        assert_eq!(upload(&ann, &"\"~".repeat(127)).body("x").answer().await.status, 201);
        app.assert_nothing_but(1).await;
    }

    async fn a_repeated_request_is_refused_while_the_first_is_in_progress(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (send, body) = fed();
        let first = tokio::spawn(upload(&ann, "k-1").body(body).send());
        send.send(Ok(noise(1000))).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM blobs").await > 0).await;
        let second = upload(&ann, "k-1").body(noise(1000)).answer().await;
        second.problem(409, "idempotency_in_progress");
        assert_eq!(second.header("retry-after"), "5");
        let other = ann.post("/v1/files?name=b.bin").header("idempotency-key", "k-1").body("x").answer().await;
        other.problem(422, "idempotency_mismatch");
        drop(send);
        assert_eq!(first.await.unwrap().unwrap().status(), 201);
        assert_eq!(upload(&ann, "k-1").body(noise(1000)).answer().await.status, 201);
        app.assert_nothing_but(1).await;
    }

    async fn simultaneous_requests_create_one_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for round in 0..5 {
            let key = format!("k-{round}");
            let answers = join_all((0..12).map(|_| upload(&ann, &key).body(noise(round)).answer())).await;
            let created: Vec<_> = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.json()).collect();
            assert!(!created.is_empty() && created.iter().all(|file| *file == created[0]), "{created:?}");
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                answer.problem(409, "idempotency_in_progress");
            }
        }
        app.assert_nothing_but(5).await;
    }

    async fn a_key_can_be_reused_after_a_failed_request(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let wrong = upload(&ann, "k-1").header("repr-digest", digest(b"others")).body("some bytes").answer().await;
        wrong.problem(422, "digest_mismatch");
        let other = ann.post("/v1/files?name=b.bin").header("idempotency-key", "k-1").body("x").answer().await;
        assert_eq!((other.status, &other.json()["name"]), (201, &json!("b.bin")));
        app.assert_nothing_but(1).await;
    }

    async fn a_key_can_be_reused_once_the_lease_of_a_crashed_writer_expires(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let blob = NewBlobRow {
            id: uuid::Uuid::now_v7(),
            space: ann.id.parse().unwrap(),
            key: strongroom::store::Key::random().to_string(),
            lease: Duration::from_secs(3600),
            reserve: 10,
            new_file: true,
            aside: false,
            claim: Some(KeyClaim { user: ann.id.parse().unwrap(), key: "k-1".into(), fingerprint: vec![1] }),
            now: app.app.clock.now(),
        };
        app.app.db.insert_pending_blob(&blob, &app.app.config.quotas).await.unwrap();
        upload(&ann, "k-1").body("x").answer().await.problem(422, "idempotency_mismatch");
        app.execute("UPDATE blobs SET lease_until = 1").await;
        let file = upload(&ann, "k-1").body("x").answer().await;
        assert_eq!((file.status, upload(&ann, "k-1").body("x").answer().await.json()), (201, file.json()));
        app.assert_nothing_but(1).await;
    }

    async fn keys_expire_after_a_day(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let first = upload(&ann, "k-1").body("x").answer().await.json();
        assert_eq!(app.reap().await.expired, 0);
        let a_day = app.count("SELECT COUNT(*) FROM idempotency_keys, clock WHERE expires_at - now
            BETWEEN 86300000000 AND 86400000000").await;
        assert_eq!(a_day, 1);
        app.execute("UPDATE idempotency_keys SET expires_at = 1").await;
        let second = upload(&ann, "k-1").body("x").answer().await.json();
        assert_ne!(first["id"], second["id"]);
        app.execute("UPDATE idempotency_keys SET expires_at = 1").await;
        assert_eq!(app.reap().await.expired, 1);
        app.assert_nothing_but(2).await;
    }

    async fn the_latest_keys_of_an_account_are_kept(app: TestApp) {
        let app = app.restart_with(|config| config.limits.idempotency_keys = 3).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let of_bob = upload(&bob, "0").body("x").answer().await.json();
        let mut files = Vec::new();
        for key in 0..6 {
            files.push(upload(&ann, &key.to_string()).body("x").answer().await.json());
        }
        app.reap().await;
        for (key, file) in files.iter().enumerate() {
            let again = upload(&ann, &key.to_string()).body("x").answer().await.json();
            assert_eq!(again["id"] == file["id"], key >= 3, "{key}");
        }
        assert_eq!(upload(&bob, "0").body("x").answer().await.json()["id"], of_bob["id"]);
    }

    async fn a_request_interrupted_by_a_crash_is_executed_once(app: TestApp) {
        let folder = tempfile::tempdir().unwrap();
        let ann = app.sign_up("ann").await;
        let at = |url: &str| Client::new(url).with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
        for (round, (point, published)) in [("K2", 0), ("K10", 0), ("K11", 1)].into_iter().enumerate() {
            let key = format!("k-{point}");
            let program = Start::default().beside(&app).variable("FAILPOINTS", format!("{point}=return")).serve(folder.path());
            let lost = upload(&at(&program.url), &key).body(noise(1000)).send().await;
            lost.expect_err("the server was killed before it responded");
            assert!(!program.ended().0.success());
            // It may have held the reaper's job lease.
            app.execute("DELETE FROM job_leases").await;
            assert_eq!(app.count("SELECT COUNT(*) FROM files").await, (round + published) as i64, "{point}");

            // The next server knows that the killed one does not finish the request.
            let next = Start::default().beside(&app).serve(folder.path());
            let retried = upload(&at(&next.url), &key).body(noise(1000)).answer().await;
            next.stop();
            app.expire_leases().await;
            app.execute("DELETE FROM job_leases").await;
            assert_eq!(retried.status, 201, "{point}: {}", retried.text());
            assert!(ann.download(&retried.json()).await == noise(1000));
            assert_eq!(upload(&ann, &key).body(noise(1000)).answer().await.json(), retried.json());
            app.assert_nothing_but(round + 1).await;
        }
    }
}
