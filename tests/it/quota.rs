//! Quotas: usage is counted to the byte, and never exceeds the quota.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use strongroom::users::{Quota, UpdateUser, update_user};

use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, content, path};
use crate::support::links::{complete, follow};
use crate::support::tus::{Tus, create, tus};
use crate::support::{Setup, TestApp, both, until};

const MIB: usize = 1024 * 1024;

async fn allow(app: &TestApp, user: &Client, bytes: Option<u64>, files: Option<u64>) {
    let quota = |most: Option<u64>| Some(most.map_or(Quota::Unlimited, Quota::Limit));
    let patch = UpdateUser { bytes: quota(bytes), files: quota(files), disabled: None };
    update_user(&app.app, None, user.id.parse().unwrap(), patch).await.unwrap();
}

async fn used(user: &Client) -> (u64, u64) {
    let usage = user.get("/v1/me/usage").answer().await.json();
    (usage["used"]["bytes"].as_u64().unwrap(), usage["used"]["files"].as_u64().unwrap())
}

/// A body without a Content-Length.
fn of_unknown_length(bytes: Vec<u8>) -> reqwest::Body {
    let chunks: Vec<_> = bytes.chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
}

async fn upload(user: &Client, body: impl Into<reqwest::Body>) -> Answer {
    user.post("/v1/files?name=a.bin").body(body).answer().await
}

/// Starts more simultaneous uploads than fit, and checks meanwhile that the quota is never exceeded. Returns the number of
/// successful uploads.
async fn flood(app: &TestApp, ann: &Client, count: usize, body: impl Fn() -> reqwest::Body) -> usize {
    let uploads = join_all((0..count).map(|_| upload(ann, body())));
    let checking = async {
        loop {
            assert_eq!(app.count("SELECT COUNT(*) FROM spaces WHERE used_bytes > quota_bytes").await, 0);
            app.assert_usage_is_exact().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let answers = tokio::select! { answers = uploads => answers, () = checking => unreachable!() };
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let problem = answer.problem(507, "quota_exceeded");
        assert_eq!(problem["resource"], "bytes");
        let number = |name: &str| problem[name].as_u64().unwrap();
        assert!(number("used") + number("needed") > number("quota"), "{problem}");
    }
    answers.iter().filter(|answer| answer.status == 201).count()
}

both! {
    async fn simultaneous_uploads_never_exceed_the_quota(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(1_000_000), None).await;
        assert_eq!(flood(&app, &ann, 50, || noise(30_000).into()).await, 33);
        assert_eq!(used(&ann).await, (990_000, 33));
        app.assert_nothing_but(33).await;
        assert_eq!(upload(&ann, noise(10_000)).await.status, 201);
        let problem = upload(&ann, noise(1)).await.problem(507, "quota_exceeded");
        assert_eq!(
            (&problem["used"], &problem["quota"], &problem["needed"]),
            (&json!(1_000_000), &json!(1_000_000), &json!(1))
        );
        assert_eq!(upload(&ann, "").await.status, 201);
    }

    async fn a_full_quota_tells_what_is_in_the_trash(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(10_000), Some(3)).await;
        let trashed = ann.upload("a", noise(8_000)).await;
        ann.upload("b", noise(1_000)).await;
        let usage = || async { ann.get("/v1/me/usage").answer().await.json() };
        assert_eq!(usage().await["trash"], json!({"bytes": 0, "files": 0}));
        let problem = upload(&ann, noise(8_000)).await.problem(507, "quota_exceeded");
        assert_eq!((&problem["used"], &problem["trashed"]), (&json!(9_000), &json!(0)));
        assert_eq!(ann.delete(&path(&trashed)).answer().await.status, 204);
        assert_eq!(usage().await["trash"], json!({"bytes": 8_000, "files": 1}));
        let tus_refused = create(&ann, Some(8_000), "").answer().await;
        for refused in [upload(&ann, noise(8_000)).await, upload(&ann, of_unknown_length(noise(8_000))).await, tus_refused] {
            let problem = refused.problem(507, "quota_exceeded");
            // An upload of unknown length has reserved some by then.
            assert!(problem["used"].as_u64().unwrap() >= 9_000, "{problem}");
            assert_eq!(problem["trashed"], 8_000);
        }
        ann.upload("c", "x").await;
        let problem = upload(&ann, "x").await.problem(507, "quota_exceeded");
        assert_eq!((&problem["resource"], &problem["used"], &problem["trashed"]), (&json!("files"), &json!(3), &json!(1)));
    }

    async fn uploads_of_unknown_length_never_exceed_the_quota(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(1_000_000), None).await;
        let kept = flood(&app, &ann, 50, || of_unknown_length(noise(30_000))).await;
        assert!(kept > 0, "none of them was kept");
        // The reservations of the failed uploads are released, to the byte.
        for _ in kept..33 {
            assert_eq!(upload(&ann, of_unknown_length(noise(30_000))).await.status, 201);
        }
        upload(&ann, of_unknown_length(noise(10_001))).await.problem(507, "quota_exceeded");
        assert_eq!(upload(&ann, of_unknown_length(noise(10_000))).await.status, 201);
        assert_eq!(used(&ann).await, (1_000_000, 34));
        app.assert_nothing_but(34).await;
    }

    async fn an_upload_of_unknown_length_reserves_in_steps(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(20 * MIB as u64), None).await;
        assert_eq!(upload(&ann, of_unknown_length(noise(12 * MIB))).await.status, 201);
        // The server may respond and close the connection before the client has sent everything.
        if let Ok(refused) = ann.post("/v1/files?name=b").body(of_unknown_length(noise(12 * MIB))).send().await {
            assert_eq!(refused.status(), 507);
        }
        let rest = Part::bytes(noise(8 * MIB)).file_name("c.bin");
        assert_eq!(ann.post("/v1/files").multipart(Form::new().part("file", rest)).answer().await.status, 201);
        assert_eq!(used(&ann).await, (20 * MIB as u64, 2));
        app.assert_nothing_but(2).await;
    }

    async fn the_number_of_files_is_limited(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, None, Some(3)).await;
        let statuses = join_all((0..10).map(|_| upload(&ann, noise(10)))).await;
        assert_eq!(statuses.iter().filter(|answer| answer.status == 201).count(), 3);
        let problem = upload(&ann, "").await.problem(507, "quota_exceeded");
        assert_eq!((&problem["resource"], &problem["used"], &problem["needed"]), (&json!("files"), &json!(3), &json!(1)));
        // Operations that create no file are not affected.
        let file = &ann.get("/v1/files").answer().await.json()["items"][0];
        assert_eq!(ann.put(&content(file)).header("if-match", "*").body("new").answer().await.status, 200);
        let gif = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
        assert_eq!(ann.put("/v1/me/avatar").body(gif).answer().await.status, 201);
        assert_eq!(ann.delete_permanently(file).answer().await.status, 204);
        assert_eq!(upload(&ann, "").await.status, 201);
        app.assert_nothing_but(4).await;
    }

    async fn failed_uploads_replacements_and_deletions_release_their_quota(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(300_000), Some(2)).await;
        let file = ann.upload("kept.bin", noise(100_000)).await;
        for _ in 0..3 {
            // Refused at the end ...
            let digest = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
            let wrong = ann.post("/v1/files?name=b").header("repr-digest", digest).body(noise(200_000)).answer().await;
            wrong.problem(422, "digest_mismatch");
            // ... and interrupted.
            let chunks = vec![Ok(noise(100_000)), Err(std::io::Error::other("gone"))];
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
            ann.post("/v1/files?name=b").body(body).send().await.expect_err("the client disconnects");
            until(async || app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await == 0).await;
            assert_eq!(used(&ann).await, (100_000, 1));
        }
        for size in [150_000, 20_000, 150_000, 0, 100_000] {
            let replaced = ann.put(&content(&file)).header("if-match", "*").body(noise(size)).answer().await;
            assert_eq!(replaced.status, 200, "{size}: {}", replaced.text());
            assert_eq!(used(&ann).await, (size as u64, 1));
        }
        // During a replacement, old and new content count.
        let both = ann.put(&content(&file)).header("if-match", "*").body(noise(200_001)).answer().await;
        both.problem(507, "quota_exceeded");

        crate::support::abandoned::abandon(&app, &ann.id, Duration::ZERO, 200_000).await;
        upload(&ann, "x").await.problem(507, "quota_exceeded");
        assert_eq!(app.reap().await.abandoned, 1);
        assert_eq!(used(&ann).await, (100_000, 1));
        assert_eq!(ann.delete_permanently(&file).answer().await.status, 204);
        assert_eq!(used(&ann).await, (0, 0));
        app.assert_nothing_but(0).await;
    }

    async fn simultaneous_changes_do_not_deadlock_and_are_counted_exactly(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let worker = async |number: usize| {
            for round in 0..5 {
                let key = format!("{round}-{}", number / 2);
                let mut answers = vec![
                    ann.post("/v1/files?name=a").header("idempotency-key", key).body("same").answer().await,
                    upload(&ann, of_unknown_length(noise(100_000))).await,
                ];
                let file = answers[1].json();
                let sign = || ann.post(&format!("{}/signed-urls", path(&file))).json(&json!({"operation": "put"})).answer();
                let replace = |size| ann.put(&content(&file)).header("if-match", "*").body(noise(size)).answer();
                let delete = ann.delete_permanently(&file).answer();
                let (one, two, three, four, five) = tokio::join!(sign(), replace(10), replace(20_000), sign(), delete);
                answers.extend([one, two, three, four, five]);
                for answer in answers {
                    assert!(answer.status < 500, "{}", answer.text());
                }
                app.assert_usage_is_exact().await;
            }
        };
        tokio::join!(join_all((0..6).map(worker)), async {
            for _ in 0..10 {
                app.reap().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        // One file for each key.
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["used"], json!({"bytes": 60, "files": 15}));
        app.expire_leases().await;
        app.assert_nothing_but(15).await;
    }

    async fn lowering_the_quota_below_the_usage_deletes_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (kept, other) = (ann.upload("a.txt", noise(1000)).await, ann.upload("b.txt", noise(1000)).await);
        allow(&app, &ann, Some(1500), Some(1)).await;
        assert_eq!(ann.download(&kept).await, noise(1000));
        assert_eq!(ann.patch(&path(&kept)).json(&json!({"name": "c.txt"})).answer().await.status, 200);
        upload(&ann, "").await.problem(507, "quota_exceeded");
        upload(&ann, of_unknown_length(noise(1))).await.problem(507, "quota_exceeded");
        let smaller = ann.put(&content(&kept)).header("if-match", "*").body("x").answer().await;
        smaller.problem(507, "quota_exceeded");
        let url = ann.post(&format!("{}/signed-urls", path(&kept))).json(&json!({"operation": "put"})).answer().await;
        url.problem(507, "quota_exceeded");
        assert_eq!(ann.delete_permanently(&other).answer().await.status, 204);
        assert_eq!(ann.put(&content(&kept)).header("if-match", "*").body("x").answer().await.status, 200);
        app.assert_nothing_but(1).await;
    }

    async fn an_interrupted_signed_put_releases_its_quota(app: TestApp) {
        // The server does not see writes to a bucket.
        if app.setup == Setup::SqliteAndDisk {
            let ann = app.sign_up("ann").await;
            let file = ann.upload("a.bin", noise(1000)).await;
            allow(&app, &ann, Some(10_000), None).await;
            let signed = ann.sign(&file, "put").await;
            let chunks = [Ok(noise(100)), Err(std::io::Error::other("interrupted"))];
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
            let put = app.anonymous().put(signed["url"].as_str().unwrap()).header("if-none-match", "*");
            assert!(put.header("content-length", "8500").body(body).send().await.is_err());
            until(async || used(&ann).await == (1000, 1)).await;
            assert_eq!(follow(&app.anonymous(), &signed, noise(8_500)).await.status, 200);
            assert_eq!(complete(&ann, &signed).await.status, 200);
            assert_eq!(used(&ann).await, (8_500, 1));
            app.assert_nothing_but(1).await;
        }
    }

    async fn a_signed_put_is_checked_against_the_quota_by_its_completion(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (file, other) = (ann.upload("a.bin", noise(1000)).await, ann.upload("b.bin", noise(1000)).await);
        allow(&app, &ann, Some(10_000), None).await;
        let signed = ann.sign(&file, "put").await;
        let put = follow(&app.anonymous(), &signed, noise(8_500)).await;
        let refused = match app.setup {
            Setup::SqliteAndDisk => put,
            // The server does not see writes to a bucket.
            Setup::PostgresAndS3 => {
                assert_eq!(put.status, 200);
                complete(&ann, &signed).await
            }
        };
        assert_eq!(refused.problem(507, "quota_exceeded")["needed"], 8_500);
        assert_eq!(used(&ann).await, (2000, 2));
        // It can be repeated once there is space.
        assert_eq!(ann.delete_permanently(&other).answer().await.status, 204);
        if app.setup == Setup::SqliteAndDisk {
            assert_eq!(follow(&app.anonymous(), &signed, noise(8_500)).await.status, 200);
            assert_eq!(used(&ann).await, (9_500, 1));
        }
        assert_eq!(complete(&ann, &signed).await.status, 200);
        assert_eq!(used(&ann).await, (8_500, 1));
        app.assert_nothing_but(1).await;
    }

    async fn a_resumable_upload_reserves_its_length_at_creation(app: TestApp) {
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(10 * MIB as u64), None).await;
        let upload = Tus::create(&ann, Some(6 * MIB), "").await;
        assert_eq!(used(&ann).await, (6 * MIB as u64, 1));
        let problem = create(&ann, Some(4 * MIB + 1), "").answer().await.problem(507, "quota_exceeded");
        let (used_bytes, quota, needed) = (6 * MIB, 10 * MIB, 4 * MIB + 1);
        assert_eq!(
            (&problem["used"], &problem["quota"], &problem["needed"]),
            (&json!(used_bytes), &json!(quota), &json!(needed))
        );
        assert_eq!(app.count("SELECT COUNT(*) FROM resumable_uploads").await, 1);
        for (offset, length) in [(0, MIB), (MIB, 4 * MIB + 5)] {
            assert_eq!(upload.append(&ann, offset, noise(length)).await.status, 204);
            assert_eq!(used(&ann).await, (6 * MIB as u64, 1));
            app.assert_usage_is_exact().await;
        }
        assert_eq!(tus(&ann, Method::DELETE, &upload.path).answer().await.status, 204);
        assert_eq!(used(&ann).await, (0, 0));
        // This one is never resumed.
        let upload = Tus::create(&ann, Some(10 * MIB), "").await;
        assert_eq!(upload.append(&ann, 0, noise(6 * MIB)).await.status, 204);
        app.expire_leases().await;
        app.assert_nothing_but(0).await;
        assert_eq!(used(&ann).await, (0, 0));

        for size in [10, 9 * MIB] {
            let upload = Tus::create(&ann, Some(size), "").await;
            assert_eq!(upload.append(&ann, 0, noise(size)).await.status, 204);
        }
        assert_eq!(used(&ann).await, (9 * MIB as u64 + 10, 2));
        app.assert_nothing_but(2).await;
    }

    async fn a_resumable_upload_of_unknown_length_reserves_with_each_append(app: TestApp) {
        let app = app.restart_with(|config| config.quotas.open_uploads = 1).await;
        let ann = app.sign_up("ann").await;
        allow(&app, &ann, Some(10 * MIB as u64), None).await;
        let upload = Tus::create(&ann, None, "").await;
        assert_eq!(used(&ann).await, (0, 1));
        create(&ann, None, "").answer().await.problem(429, "too_many_uploads");
        assert_eq!(upload.append(&ann, 0, noise(6 * MIB)).await.status, 204);
        assert_eq!(used(&ann).await, (6 * MIB as u64, 1));
        let more = |length| upload.append(&ann, 6 * MIB, noise(length));
        more(4 * MIB + 1).await.problem(507, "quota_exceeded");
        let declare = |length: usize| upload.append_request(&ann, 6 * MIB, "").header("upload-length", length.to_string());
        declare(10 * MIB + 1).answer().await.problem(507, "quota_exceeded");
        assert_eq!((upload.offset(&ann).await, used(&ann).await), (6 * MIB, (6 * MIB as u64, 1)));
        // An append of unknown length is refused too; the connection may be closed before everything is sent.
        if let Ok(refused) = upload.append_request(&ann, 6 * MIB, of_unknown_length(noise(5 * MIB))).send().await {
            assert_eq!(refused.status(), 507);
        }
        app.assert_usage_is_exact().await;
        let offset = upload.offset(&ann).await;
        let rest = upload.append_request(&ann, offset, noise(10 * MIB - offset));
        let declared = rest.header("upload-length", (10 * MIB).to_string());
        assert_eq!(declared.answer().await.status, 204);
        assert_eq!(used(&ann).await, (10 * MIB as u64, 1));
        app.assert_nothing_but(1).await;
    }

    async fn the_number_of_open_uploads_is_limited(app: TestApp) {
        let app = app.restart_with(|config| config.quotas.open_uploads = 5).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let sign = || ann.post(&format!("{}/signed-urls", path(&file))).json(&json!({"operation": "put"})).answer();
        let answers = join_all((0..20).map(|_| sign())).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 5);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.problem(429, "too_many_uploads");
            assert_eq!(answer.header("retry-after"), "5");
        }
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["open_uploads"], 5);
        upload(&ann, "x").await.problem(429, "too_many_uploads");
        // Downloads, and uploads of other users, still work.
        assert_eq!(ann.download(&file).await, b"old");
        app.sign_up("bob").await.upload("b.txt", "x").await;

        app.expire_leases().await;
        assert_eq!(app.reap().await.abandoned, 5);
        assert_eq!(sign().await.status, 201);
        assert_eq!(ann.delete_permanently(&file).answer().await.status, 204);
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["open_uploads"], 0);
        app.assert_usage_is_exact().await;
    }

    async fn metadata_counts_toward_the_quota_until_it_is_removed(app: TestApp) {
        let app = app.restart_with(|config| config.quotas.bytes = Some(1000)).await;
        let ann = app.sign_up("ann").await;
        let file = upload(&ann, "x").await.json();
        let describe = async |metadata: Value| ann.patch(&path(&file)).json(&json!({"metadata": metadata})).answer().await;
        let used = async || ann.get("/v1/me/usage").answer().await.json()["used"]["bytes"].as_u64().unwrap();
        assert_eq!(describe(json!({"d": "x".repeat(900)})).await.status, 200);
        assert_eq!(used().await, 1 + r#""d":"""#.len() as u64 + 900);
        assert_eq!(describe(json!({"more": "x".repeat(100)})).await.problem(507, "quota_exceeded")["quota"], 1000);
        app.assert_usage_is_exact().await;
        assert_eq!(describe(json!({"d": "short"})).await.status, 200);
        upload(&ann, noise(900)).await;
        ann.delete(&path(&file)).answer().await;
        assert_eq!(used().await, 1 + r#""d":"short""#.len() as u64 + 900);
        ann.delete("/v1/trash").answer().await;
        assert_eq!(used().await, 900);
        app.assert_usage_is_exact().await;
    }

    async fn accounts_without_a_quota_have_the_default_quota(app: TestApp) {
        let app = app.restart_with(|config| (config.quotas.bytes, config.quotas.files) = (Some(100), Some(2))).await;
        let ann = app.sign_up("ann").await;
        let usage = ann.get("/v1/me/usage").answer().await.json();
        let none = json!({"bytes": 0, "files": 0});
        let expected = json!({"used": none, "trash": none, "quota": {"bytes": 100, "files": 2}, "open_uploads": 0});
        assert_eq!(usage, expected);
        upload(&ann, noise(101)).await.problem(507, "quota_exceeded");
        allow(&app, &ann, Some(101), None).await;
        assert_eq!(upload(&ann, noise(101)).await.status, 201);
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["quota"], json!({"bytes": 101, "files": null}));
    }

    async fn a_quota_that_cannot_be_stored_is_refused(app: TestApp) {
        let boss = app.sign_up("boss").await;
        app.execute("UPDATE users SET is_admin = TRUE").await;
        let ann = app.sign_up("ann").await;
        for quota in ["bytes", "files"] {
            let account = format!("/v1/admin/users/{}", ann.id);
            let change = async |most: u64| boss.patch(&account).json(&json!({"quota": {quota: most}})).answer().await;
            let error = change(1 << 63).await.problem(422, "invalid")["errors"][0].clone();
            assert_eq!((&error["pointer"], &error["code"]), (&json!(format!("/quota/{quota}")), &json!("out_of_range")));
            assert_eq!(change(7).await.json()["quota"][quota], 7);
        }
    }

    async fn admins_can_read_and_change_quotas(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        app.execute("UPDATE users SET is_admin = NOT (1 = 2) WHERE email = 'ann@example.org'").await;
        bob.upload("b.txt", noise(1000)).await;
        let first = ann.get("/v1/admin/users?limit=1").answer().await.json();
        assert_eq!((&first["items"][0]["id"], first["items"].as_array().unwrap().len()), (&json!(ann.id), 1));
        let next = format!("/v1/admin/users?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
        let second = ann.get(&next).answer().await.json();
        assert_eq!((&second["items"][0]["id"], &second["next_cursor"]), (&json!(bob.id), &Value::Null));
        assert_eq!(second["items"][0]["usage"]["used"], json!({"bytes": 1000, "files": 1}));
        ann.get("/v1/admin/users?cursor=x").answer().await.problem(400, "bad_cursor");
        ann.get("/v1/admin/users?limit=0").answer().await.problem(422, "invalid");

        let account = format!("/v1/admin/users/{}", bob.id);
        let patch = async |body: Value| ann.patch(&account).json(&body).answer().await;
        let changed = patch(json!({"quota": {"bytes": 1200, "files": "unlimited"}})).await.json();
        assert_eq!(changed["quota"], json!({"bytes": 1200, "files": "unlimited"}));
        assert_eq!(changed["usage"]["quota"], json!({"bytes": 1200, "files": null}));
        upload(&bob, noise(201)).await.problem(507, "quota_exceeded");
        assert_eq!(patch(json!({"quota": {"files": null}})).await.json()["quota"], json!({"bytes": 1200, "files": null}));
        assert_eq!(patch(json!({"quota": {"bytes": null}})).await.json()["quota"], json!({"bytes": null, "files": null}));
        assert_eq!(upload(&bob, noise(201)).await.status, 201);
        for wrong in [json!({"quota": {"bytes": -1}}), json!({"quota": {"bytes": "much"}}), json!({"quota": 1}), json!({"disabled": null})] {
            patch(wrong).await.problem(422, "invalid");
        }

        assert!(patch(json!({"disabled": true})).await.json()["disabled_at"].is_string());
        bob.get("/v1/me").answer().await.problem(401, "unauthorized");
        assert!(patch(json!({"disabled": false})).await.json()["disabled_at"].is_null());
        assert_eq!(ann.get(&account).answer().await.json()["usage"]["used"]["bytes"], 1201);
        let own = ann.patch(&format!("/v1/admin/users/{}", ann.id)).json(&json!({"disabled": true})).answer().await;
        own.problem(422, "invalid");
        let missing = format!("/v1/admin/users/{}", uuid::Uuid::now_v7());
        ann.get(&missing).answer().await.problem(404, "not_found");
        ann.patch(&missing).json(&json!({})).answer().await.problem(404, "not_found");
    }

    async fn wrong_usage_can_be_recalculated(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.bin", noise(1000)).await;
        ann.sign(&file, "put").await;
        assert_eq!(strongroom::users::recalculate_usage(&app.app).await.unwrap(), 0);
        // As if more had been released than reserved.
        app.execute("UPDATE spaces SET used_bytes = -7, used_files = -7, open_uploads = -7").await;
        assert_eq!(used(&ann).await, (0, 0));
        assert_eq!(strongroom::users::recalculate_usage(&app.app).await.unwrap(), 1);
        app.assert_usage_is_exact().await;
        assert_eq!(used(&ann).await, (1000, 1));
    }
}
