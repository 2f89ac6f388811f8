//! A request that is sent twice under one key is done once: also when the first answer was lost,
//! also when the server died before it could answer.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use sha2::{Digest, Sha256};
use strongroom::db::{KeyClaim, NewBlobRow};
use strongroom::users::{AccountPatch, Quota, patch_account};

use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, fed, path};
use crate::support::program::Start;
use crate::support::{Setup, TestApp, both};

fn upload(who: &Client, key: &str) -> RequestBuilder {
    who.post("/v1/files?name=a.bin&path=docs").header("idempotency-key", key)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

both! {
    async fn the_same_request_gives_the_same_answer(app: TestApp) {
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
        // The digest may tell what is in the body, and a form may bring it.
        same(upload(&ann, "k-1").header("content-digest", digest(&bytes)).body(bytes.clone())).await;
        let chunks = vec![Ok::<_, std::io::Error>(bytes.clone())];
        same(upload(&ann, "k-1").body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)))).await;
        let form = Form::new().text("path", "docs").part("file", Part::bytes(bytes.clone()).file_name("a.bin"));
        same(ann.post("/v1/files").header("idempotency-key", "k-1").multipart(form)).await;
        app.assert_nothing_but(1).await;
        // What became of the file, and of the quota, does not change what was answered.
        let renamed = ann.patch(&path(&first.json())).json(&json!({"name": "b.bin", "metadata": {"a": 1}})).answer().await;
        assert_eq!(renamed.status, 200);
        let patch = AccountPatch { bytes: Some(Quota::Most(0)), ..AccountPatch::default() };
        patch_account(&app.app, ann.id.parse().unwrap(), patch).await.unwrap();
        same(upload(&ann, "k-1").body(bytes.clone())).await;
        assert_eq!(ann.delete_permanently(&first.json()).answer().await.status, 204);
        same(upload(&ann, "k-1").body(bytes)).await;
        app.assert_nothing_but(0).await;
    }

    async fn a_condition_is_judged_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let request = |key| upload(&ann, key).header("if-none-match", "*").body("one");
        let first = request("k-1").answer().await;
        assert_eq!((first.status, request("k-1").answer().await.json()), (201, first.json()));
        request("k-2").answer().await.problem(412, "precondition_failed");
        app.assert_nothing_but(1).await;
    }

    async fn another_request_under_the_key_is_refused(app: TestApp) {
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
        // A key is its owner's alone, and without one every request is another one.
        assert_eq!(upload(&bob, "k-1").body("some bytes").answer().await.status, 201);
        assert_eq!(upload(&ann, "k-2").body("some bytes").answer().await.json()["name"], "a (1).bin");
        assert_eq!(ann.post("/v1/files?name=a.bin&path=docs").body("some bytes").answer().await.json()["name"], "a (2).bin");
        app.assert_nothing_but(4).await;
    }

    async fn a_key_is_visible_ascii(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for key in ["", "a b", "ä", &"x".repeat(256)] {
            let problem = upload(&ann, key).body("x").answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], "/idempotency-key");
        }
        let two = upload(&ann, "a").header("idempotency-key", "b").body("x").answer().await;
        two.problem(422, "invalid");
        assert_eq!(upload(&ann, &"\"~".repeat(127)).body("x").answer().await.status, 201);
        app.assert_nothing_but(1).await;
    }

    async fn while_the_first_is_under_way_a_second_one_waits(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (send, body) = fed();
        let first = tokio::spawn(upload(&ann, "k-1").body(body).send());
        send.send(Ok(noise(1000))).await.unwrap();
        while app.count("SELECT COUNT(*) FROM blobs").await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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

    async fn many_at_once_make_one_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for round in 0..5 {
            let key = format!("k-{round}");
            let answers = join_all((0..12).map(|_| upload(&ann, &key).body(noise(round)).answer())).await;
            let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.json()).collect();
            assert!(!made.is_empty() && made.iter().all(|file| *file == made[0]), "{made:?}");
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                answer.problem(409, "idempotency_in_progress");
            }
        }
        app.assert_nothing_but(5).await;
    }

    async fn a_key_whose_request_failed_is_free(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let wrong = upload(&ann, "k-1").header("repr-digest", digest(b"others")).body("some bytes").answer().await;
        wrong.problem(422, "digest_mismatch");
        let other = ann.post("/v1/files?name=b.bin").header("idempotency-key", "k-1").body("x").answer().await;
        assert_eq!((other.status, &other.json()["name"]), (201, &json!("b.bin")));
        app.assert_nothing_but(1).await;
    }

    async fn a_key_whose_writer_died_is_free_once_its_lease_is_over(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let blob = NewBlobRow {
            id: uuid::Uuid::now_v7(),
            owner: ann.id.parse().unwrap(),
            key: strongroom::store::Key::random().to_string(),
            lease: Duration::from_secs(3600),
            reserve: 10,
            new_file: true,
            aside: false,
            claim: Some(KeyClaim { key: "k-1".into(), fingerprint: vec![1] }),
            now: app.app.clock.now().as_microsecond(),
        };
        app.app.db.insert_pending_blob(&blob, &app.app.config.quotas).await.unwrap();
        upload(&ann, "k-1").body("x").answer().await.problem(422, "idempotency_mismatch");
        app.execute("UPDATE blobs SET lease_until = 1").await;
        let file = upload(&ann, "k-1").body("x").answer().await;
        assert_eq!((file.status, upload(&ann, "k-1").body("x").answer().await.json()), (201, file.json()));
        app.assert_nothing_but(1).await;
    }

    async fn a_key_lives_for_a_day(app: TestApp) {
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

    async fn what_a_crash_left_is_done_once(app: TestApp) {
        let folder = tempfile::tempdir().unwrap();
        let ann = app.sign_up("ann").await;
        let at = |url: &str| Client::new(url).with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
        for (round, (point, published)) in [("K2", 0), ("K10", 0), ("K11", 1)].into_iter().enumerate() {
            let key = format!("k-{point}");
            let program = Start::default().beside(&app).variable("FAILPOINTS", format!("{point}=return")).serve(folder.path());
            let lost = upload(&at(&program.url), &key).body(noise(1000)).send().await;
            lost.expect_err("the server died before it answered");
            assert!(!program.ended().0.success());
            // It may have died as the reaper, too.
            app.execute("DELETE FROM job_leases").await;
            assert_eq!(app.count("SELECT COUNT(*) FROM files").await, (round + published) as i64, "{point}");

            if published == 0 {
                upload(&ann, &key).body(noise(1000)).answer().await.problem(409, "idempotency_in_progress");
                app.execute("UPDATE blobs SET lease_until = 1 WHERE state = 'pending'").await;
            }
            let retried = upload(&ann, &key).body(noise(1000)).answer().await;
            assert_eq!(retried.status, 201, "{point}: {}", retried.text());
            assert!(ann.download(&retried.json()).await == noise(1000));
            assert_eq!(upload(&ann, &key).body(noise(1000)).answer().await.json(), retried.json());
            app.assert_nothing_but(round + 1).await;
        }
    }
}
