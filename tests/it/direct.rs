//! Direct uploads: parts go straight to the store through signed URLs, in any order, and the completion verifies them.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use strongroom::users::{Quota, UpdateUser, update_user};

use crate::support::accounts::same_session;
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, fed, path};
use crate::support::fsck::assert_clean;
use crate::support::program::Start;
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both, until};

const MIB: usize = 1024 * 1024;
const PART: usize = 5 * MIB;

/// An upload, identified by its id.
struct Direct {
    id: String,
}

impl Direct {
    async fn create(client: &Client, size: usize) -> Self {
        Self::created(&create(client, size, json!({})).answer().await)
    }

    fn created(answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        assert!(answer.header("location").ends_with(&format!("/v1/uploads/{id}")));
        Self { id }
    }

    fn path(&self) -> String {
        format!("/v1/uploads/{}", self.id)
    }

    async fn state(&self, client: &Client) -> Value {
        let answer = client.get(&self.path()).answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn sign(&self, client: &Client, numbers: &[usize]) -> Vec<Value> {
        let body = if numbers.is_empty() { json!({}) } else { json!({"numbers": numbers}) };
        let answer = client.post(&format!("{}/parts", self.path())).json(&body).answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["parts"].as_array().expect("parts").clone()
    }

    async fn send(&self, client: &Client, number: usize, bytes: impl Into<reqwest::Body>) -> Answer {
        let signed = &self.sign(client, &[number]).await[0];
        assert_eq!((&signed["number"], &signed["method"]), (&json!(number), &json!("PUT")));
        client.put(signed["url"].as_str().expect("a URL")).body(bytes).answer().await
    }

    /// Sends every part, several at once, the last first.
    async fn send_all(&self, client: &Client, bytes: &[u8]) {
        let parts: Vec<_> = bytes.chunks(PART).enumerate().collect();
        let sending = parts.into_iter().rev().map(|(index, part)| self.send(client, index + 1, part.to_vec()));
        for answer in join_all(sending).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(!answer.header("etag").is_empty());
        }
    }

    async fn complete(&self, client: &Client) -> Answer {
        client.post(&format!("{}/complete", self.path())).answer().await
    }
}

/// The request that creates a direct upload.
fn create(client: &Client, size: usize, more: Value) -> RequestBuilder {
    let mut body = json!({"name": "film.bin", "path": "direct", "size": size, "mode": "direct", "part_size": PART});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    client.post("/v1/uploads").json(&body)
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn used(client: &Client) -> (u64, u64) {
    let usage = client.get("/v1/me/usage").answer().await.json();
    (usage["used"]["bytes"].as_u64().unwrap(), usage["used"]["files"].as_u64().unwrap())
}

impl TestApp {
    /// Expires the leases of abandoned uploads and asserts that only these files are left.
    async fn assert_tidy(&self, files: usize) {
        self.expire_leases().await;
        self.assert_nothing_but(files).await;
    }
}

both! {
    async fn parts_can_be_sent_in_any_order(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for size in [1, PART, PART + 1, 17 * MIB + 3] {
            let bytes = noise(size);
            let upload = Direct::create(&ann, size).await;
            assert_eq!(upload.state(&ann).await["part_count"], size.div_ceil(PART));
            upload.send_all(&ann, &bytes).await;

            let state = upload.state(&ann).await;
            assert_eq!((&state["received"], &state["file_id"]), (&json!(size), &Value::Null));
            let answer = upload.complete(&ann).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let file = answer.json();
            assert_eq!((&file["sha256"], &file["path"]), (&json!(sha256_hex(&bytes)), &json!("direct")));
            assert!(ann.download(&file).await == bytes);
            // A client that lost the response repeats the request.
            assert_eq!(upload.complete(&ann).await.json()["id"], file["id"]);
            assert_eq!(upload.state(&ann).await["file_id"], file["id"]);
            assert_gone(&ann, &upload).await;
        }
        assert_eq!(ann.get("/v1/uploads").answer().await.json()["items"], json!([]));
        app.assert_nothing_but(4).await;
    }

    async fn missing_parts_are_reported_and_can_be_sent(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(2 * PART + 7);
        let upload = Direct::create(&ann, bytes.len()).await;
        let nothing = upload.complete(&ann).await.problem(409, "upload_incomplete");
        let named: Vec<_> = nothing["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
        assert_eq!(named, ["/parts/1", "/parts/2", "/parts/3"]);

        assert_eq!(upload.send(&ann, 2, bytes[PART..2 * PART].to_vec()).await.status, 200);
        let named = upload.complete(&ann).await.problem(409, "upload_incomplete")["errors"].clone();
        let missing = |number| json!({"pointer": format!("/parts/{number}"), "code": "missing", "detail": "this part was not received"});
        assert_eq!(named, json!([missing(1), missing(3)]));
        // Without numbers, the missing parts are signed.
        let numbers: Vec<_> = upload.sign(&ann, &[]).await.iter().map(|part| part["number"].clone()).collect();
        assert_eq!(numbers, [1, 3]);
        upload.send_all(&ann, &bytes).await;
        assert!(ann.download(&upload.complete(&ann).await.json()).await == bytes);
        app.assert_nothing_but(1).await;
    }

    async fn a_part_can_be_replaced_before_completion(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(PART + 9);
        let upload = Direct::create(&ann, bytes.len()).await;
        upload.send(&ann, 1, vec![7; PART]).await;
        let first = upload.send(&ann, 1, bytes[..PART].to_vec()).await.header("etag").to_owned();
        upload.send(&ann, 2, bytes[PART..].to_vec()).await;
        let other = noise(9).iter().map(|byte| !byte).collect::<Vec<_>>();
        let etag = upload.send(&ann, 2, other.clone()).await.header("etag").to_owned();
        let parts = |etag: &str| json!({"parts": [{"number": 1, "etag": first}, {"number": 2, "etag": etag}]});
        let complete = format!("{}/complete", upload.path());
        let problem = ann.post(&complete).json(&parts("0")).answer().await.problem(409, "upload_incomplete");
        assert_eq!(problem["errors"][0]["code"], "etag_mismatch");
        let file = ann.post(&complete).json(&parts(&etag)).answer().await.json();
        assert!(ann.download(&file).await == [&bytes[..PART], &other].concat());
        app.assert_nothing_but(1).await;
    }

    async fn parts_larger_than_declared_are_refused_and_deleted(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let upload = Direct::create(&ann, PART + 1).await;
        let sent = upload.send(&ann, 2, noise(PART)).await;
        upload.send(&ann, 1, noise(PART)).await;
        match app.setup {
            // A bucket accepts any size.
            Setup::PostgresAndS3 => {
                assert_eq!(sent.status, 200);
                upload.complete(&ann).await.problem(413, "too_large");
                assert_gone(&ann, &upload).await;
            }
            Setup::SqliteAndDisk => {
                sent.problem(413, "too_large");
                upload.complete(&ann).await.problem(409, "upload_incomplete");
                assert_eq!(ann.delete(&upload.path()).answer().await.status, 204);
            }
        }
        assert_eq!(used(&ann).await, (0, 0));
        app.assert_tidy(0).await;
    }

    async fn a_wrong_digest_aborts_the_upload(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(PART + 1);
        let other = sha256_hex(&noise(5));
        let upload = Direct::created(&create(&ann, bytes.len(), json!({"sha256": other})).answer().await);
        upload.send_all(&ann, &bytes).await;
        upload.complete(&ann).await.problem(422, "digest_mismatch");
        assert_gone(&ann, &upload).await;
        let upload = Direct::created(&create(&ann, bytes.len(), json!({"sha256": sha256_hex(&bytes).to_uppercase()})).answer().await);
        upload.send_all(&ann, &bytes).await;
        assert_eq!(upload.complete(&ann).await.status, 200);
        app.assert_tidy(1).await;
    }

    async fn the_quota_is_reserved_at_creation_and_released_on_cancellation(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let patch = UpdateUser { bytes: Some(Quota::Limit(3 * PART as u64)), files: None, disabled: None };
        update_user(&app.app, None, ann.id.parse().unwrap(), patch).await.unwrap();
        let upload = Direct::create(&ann, 2 * PART).await;
        assert_eq!(used(&ann).await, (2 * PART as u64, 1));
        let problem = create(&ann, 2 * PART, json!({})).answer().await.problem(507, "quota_exceeded");
        assert_eq!((&problem["needed"], &problem["used"]), (&json!(2 * PART), &json!(2 * PART)));
        assert_eq!(ann.delete(&upload.path()).answer().await.status, 204);
        assert_eq!(used(&ann).await, (0, 0));
        let answers = join_all((0..20).map(|_| create(&ann, PART, json!({})).answer())).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
        app.assert_usage_is_exact().await;
    }

    async fn invalid_requests_are_refused_and_leave_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let largest = app.app.config.limits.file_size;
        for (more, status, pointer) in [
            (json!({"size": null}), 422, "/size"),
            (json!({"size": largest + 1}), 413, ""),
            (json!({"size": u64::MAX}), 422, "/size"),
            (json!({"part_size": PART - 1}), 422, "/part_size"),
            (json!({"part_size": 6 << 30}), 422, "/part_size"),
            (json!({"size": 10_001 * PART}), 422, "/part_size"),
            (json!({"sha256": "00"}), 422, "/sha256"),
            (json!({"sha256": "é".repeat(32)}), 422, "/sha256"),
            (json!({"name": "a/b"}), 422, "/name"),
            (json!({"path": "../x"}), 422, "/path"),
            (json!({"mode": "carrier pigeon"}), 422, "/mode"),
            (json!({"mode": "tus"}), 422, "/part_size"),
            (json!({"mode": "tus", "part_size": null, "sha256": sha256_hex(b"")}), 422, "/sha256"),
            (json!({"colour": "red"}), 422, ""),
        ] {
            let answer = create(&ann, 10, more.clone()).answer().await;
            assert_eq!(answer.status, status, "{more}: {}", answer.text());
            if !pointer.is_empty() {
                assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{more}");
            }
        }
        let upload = Direct::create(&ann, PART + 1).await;
        let parts = format!("{}/parts", upload.path());
        for (body, pointer) in [
            (json!({"numbers": [1, 0]}), "/numbers/1"),
            (json!({"numbers": [3]}), "/numbers/0"),
            (json!({"numbers": [u64::MAX]}), "/numbers/0"),
            (json!({"numbers": vec![1; 1001]}), "/numbers"),
            (json!({"numbers": [1], "expires_in": 0}), "/expires_in"),
        ] {
            let problem = ann.post(&parts).json(&body).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], pointer);
        }
        let unknown = json!({"parts": [{"number": 3, "etag": "x"}]});
        ann.post(&format!("{}/complete", upload.path())).json(&unknown).answer().await.problem(422, "invalid");
        ann.post(&format!("{}/complete", upload.path())).json(&json!({"parts": 1})).answer().await.problem(422, "invalid");
        ann.get("/v1/uploads?cursor=x").answer().await.problem(400, "bad_cursor");
        ann.get("/v1/uploads?limit=0").answer().await.problem(422, "invalid");
        ann.delete(&upload.path()).answer().await;
        app.assert_tidy(0).await;
    }

    async fn an_interrupted_part_counts_as_missing(app: TestApp) {
        // A bucket checks that itself.
        if app.setup == Setup::SqliteAndDisk {
            let ann = app.sign_up("ann").await;
            let bytes = noise(PART + 1);
            let upload = Direct::create(&ann, bytes.len()).await;
            upload.send_all(&ann, &bytes).await;
            let chunks = [Ok(vec![0; MIB]), Err(std::io::Error::other("interrupted"))];
            let url = upload.sign(&ann, &[1]).await[0]["url"].as_str().unwrap().to_owned();
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
            assert!(ann.put(&url).body(body).send().await.is_err());
            until(async || upload.state(&ann).await["received"] == 1).await;
            // The server may not have noticed yet that the client is gone.
            let short = async || ann.put(&url).body(bytes[..PART - 1].to_vec()).answer().await;
            until(async || short().await.status != 423).await;
            short().await.problem(400, "part_size_mismatch");
            let wrong = format!("sha-256=:{}:", "A".repeat(43) + "=");
            ann.put(&url).header("content-digest", wrong).body(bytes[..PART].to_vec()).answer().await.problem(422, "digest_mismatch");
            upload.complete(&ann).await.problem(409, "upload_incomplete");
            assert_eq!(ann.put(&url).body(bytes[..PART].to_vec()).answer().await.status, 200);
            for altered in [url.replace("part=1", "part=2"), url.replace("&part=1", ""), url.replace("part=1", "part=99")] {
                ann.put(&altered).body("x").answer().await.problem(403, "bad_signature");
            }
            ann.get(&url).answer().await.problem(403, "bad_signature");
            assert!(ann.download(&upload.complete(&ann).await.json()).await == bytes);
            // The completed file cannot be overwritten.
            ann.put(&url).body(bytes[..PART].to_vec()).answer().await.problem(410, "upload_gone");
            app.assert_nothing_but(1).await;
        }
    }

    async fn a_second_simultaneous_request_for_one_part_is_refused(app: TestApp) {
        // A bucket separates them itself.
        if app.setup == Setup::SqliteAndDisk {
            let ann = app.sign_up("ann").await;
            let bytes = noise(PART);
            let upload = Direct::create(&ann, PART).await;
            let url = upload.sign(&ann, &[1]).await[0]["url"].as_str().unwrap().to_owned();
            assert_eq!(ann.put(&url).body(bytes.clone()).answer().await.status, 200);
            let (send, body) = fed();
            let wrong = format!("sha-256=:{}:", "A".repeat(43) + "=");
            let slow = ann.put(&url).header("content-digest", wrong).body(body);
            let slow = tokio::spawn(async move { slow.answer().await });
            send.send(Ok(vec![7; MIB])).await.unwrap();
            // The server has accepted the request once the previous part no longer counts.
            until(async || upload.state(&ann).await["received"] == 0).await;
            ann.put(&url).body(bytes.clone()).answer().await.problem(423, "upload_busy");
            upload.complete(&ann).await.problem(409, "upload_incomplete");
            send.send(Ok(vec![7; PART - MIB])).await.unwrap();
            drop(send);
            slow.await.unwrap().problem(422, "digest_mismatch");
            upload.complete(&ann).await.problem(409, "upload_incomplete");
            assert_eq!(ann.put(&url).body(bytes.clone()).answer().await.status, 200);
            assert!(ann.download(&upload.complete(&ann).await.json()).await == bytes);
            app.assert_nothing_but(1).await;
        }
    }

    async fn a_part_that_differs_from_its_record_is_detected(app: TestApp) {
        if app.setup == Setup::SqliteAndDisk {
            let ann = app.sign_up("ann").await;
            let upload = Direct::create(&ann, PART + 1).await;
            upload.send_all(&ann, &noise(PART + 1)).await;
            // As if another server had written the same part a moment later.
            let staged = std::fs::read_dir(app.folder.path().join("files/tmp")).unwrap().next().unwrap().unwrap().path();
            let mut bytes = std::fs::read(&staged).unwrap();
            bytes[PART] ^= 1;
            std::fs::write(&staged, bytes).unwrap();
            upload.complete(&ann).await.problem(422, "digest_mismatch");
            assert_gone(&ann, &upload).await;
            app.assert_tidy(0).await;
        }
    }

    async fn a_completion_can_list_the_maximum_number_of_parts(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let upload = Direct::create(&ann, PART).await;
        let parts: Vec<_> = (0..10_000).map(|_| json!({"number": 1, "etag": "0123456789abcdef0123456789abcdef"})).collect();
        let complete = format!("{}/complete", upload.path());
        ann.post(&complete).json(&json!({"parts": parts})).answer().await.problem(409, "upload_incomplete");
        ann.delete(&upload.path()).answer().await;
        app.assert_tidy(0).await;
    }

    async fn an_empty_upload_is_a_file_immediately(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let upload = create(&ann, 0, json!({})).answer().await.json();
        let file = format!("/v1/files/{}/content", upload["file_id"].as_str().unwrap());
        assert_eq!(ann.get(&file).answer().await.bytes, b"");
        // A client that walks all steps finds nothing to send.
        let id = upload["id"].as_str().unwrap();
        for body in [json!({}), json!({"numbers": []})] {
            let signed = ann.post(&format!("/v1/uploads/{id}/parts")).json(&body).answer().await;
            assert_eq!((signed.status, signed.json()), (200, json!({"parts": []})));
        }
        let completed = ann.post(&format!("/v1/uploads/{id}/complete")).answer().await;
        assert_eq!((completed.status, &completed.json()["id"]), (200, &upload["file_id"]));
        create(&ann, 0, json!({"sha256": sha256_hex(b"x")})).answer().await.problem(422, "digest_mismatch");
        assert_eq!(create(&ann, 0, json!({"sha256": sha256_hex(b""), "name": "b"})).answer().await.status, 201);
        app.assert_nothing_but(2).await;
    }

    async fn uploads_of_every_protocol_are_listed(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let direct = Direct::create(&ann, PART).await;
        let tus = Tus::create(&ann, Some(10), "by tus.txt").await;
        assert_eq!(tus.append(&ann, 0, "12345").await.status, 204);
        let created = ann.post("/v1/uploads").json(&json!({"name": "later.txt", "mode": "tus"})).answer().await.json();
        let later = Tus { path: created["tus_url"].as_str().unwrap().parse::<url::Url>().unwrap().path().to_owned() };

        let page = ann.get("/v1/uploads?limit=2").answer().await.json();
        let rest = ann.get(&format!("/v1/uploads?cursor={}", page["next_cursor"].as_str().unwrap())).answer().await.json();
        let items: Vec<_> = [&page, &rest].iter().flat_map(|page| page["items"].as_array().unwrap().clone()).collect();
        let ids: Vec<_> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [direct.id.as_str(), tus.id(), later.id()]);
        assert_eq!((&items[1]["received"], &items[1]["mode"]), (&json!(5), &json!("tus")));
        assert_eq!(rest["next_cursor"], Value::Null);
        assert_eq!(ann.get("/v1/uploads?limit=3").answer().await.json()["next_cursor"], Value::Null);

        assert_eq!(later.offset(&ann).await, 0);
        ann.post(&format!("/v1/uploads/{}/complete", tus.id())).answer().await.problem(409, "upload_incomplete");
        assert_eq!(tus.append(&ann, 5, "67890").await.status, 204);
        let file = ann.post(&format!("/v1/uploads/{}/complete", tus.id())).answer().await.json();
        assert_eq!(ann.download(&file).await, b"1234567890");
        // tus cannot express the progress of parts in any order.
        assert_eq!(Tus { path: format!("/v1/tus/{}", direct.id) }.head(&ann).await.status, 404);
        for id in [&direct.id, later.id()] {
            assert_eq!(ann.delete(&format!("/v1/uploads/{id}")).answer().await.status, 204);
        }
        ann.delete(&format!("/v1/uploads/{}", tus.id())).answer().await.problem(410, "upload_gone");
        app.assert_tidy(1).await;
    }

    async fn a_signed_put_can_be_canceled(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        let upload = format!("/v1/uploads/{}", signed["upload_id"].as_str().unwrap());
        assert_eq!(ann.delete(&upload).answer().await.status, 204);
        ann.delete(&upload).answer().await.problem(410, "upload_gone");
        ann.post(&format!("{upload}/complete")).answer().await.problem(410, "upload_gone");
        assert_eq!(ann.get(&path(&file)).answer().await.status, 200);
        app.assert_tidy(1).await;
    }

    async fn an_inactive_upload_expires(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let upload = Direct::create(&ann, PART + 1).await;
        assert_eq!(upload.send(&ann, 2, "x").await.status, 200);
        app.advance(Duration::from_secs(23 * 3600));
        // A request for URLs extends the expiry.
        upload.sign(&ann, &[1]).await;
        app.advance(Duration::from_secs(23 * 3600));
        upload.state(&ann).await;
        app.advance(Duration::from_secs(2 * 3600));
        ann.get(&upload.path()).answer().await.problem(410, "upload_gone");
        ann.post(&format!("{}/parts", upload.path())).json(&json!({})).answer().await.problem(410, "upload_gone");
        upload.complete(&ann).await.problem(410, "upload_gone");
        app.assert_tidy(0).await;
        assert_eq!(used(&ann).await, (0, 0));
    }

    async fn creation_is_idempotent_under_a_key(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let create_with_key = |size| create(&ann, size, json!({})).header("idempotency-key", "once");
        let answers = join_all((0..8).map(|_| create_with_key(PART + 1).answer())).await;
        let mut ids: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status != 409)
            .map(|answer| Direct::created(answer).id)
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{answers:?}");
        let upload = Direct::created(&create_with_key(PART + 1).answer().await);
        assert_eq!(upload.id, ids[0]);
        create_with_key(PART).answer().await.problem(422, "idempotency_mismatch");
        assert_eq!(app.count("SELECT COUNT(*) FROM resumable_uploads").await, 1);
        upload.send_all(&ann, &noise(PART + 1)).await;
        let file = upload.complete(&ann).await.json();
        assert_eq!(create_with_key(PART + 1).answer().await.json()["file_id"], file["id"]);

        let create_tus = || crate::support::tus::create(&ann, Some(10), "").header("idempotency-key", "tus");
        let (first, again) = (Tus::located(&create_tus().answer().await), Tus::located(&create_tus().answer().await));
        assert_eq!(first.path, again.path);
        assert_eq!(first.append(&ann, 0, "12345").await.status, 204);
        let with_bytes = create_tus().header("content-type", "application/offset+octet-stream").body("12345");
        assert_eq!(with_bytes.answer().await.header("upload-offset"), "5");
        assert_eq!(ann.delete(&first.path.replace("tus", "uploads")).answer().await.status, 204);
        create_tus().answer().await.problem(410, "upload_gone");
        app.assert_tidy(1).await;
    }

    async fn companion_clients_can_upload(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(PART + 3);
        let create_multipart = |metadata: Value| {
            let file = json!({"filename": "photo.jpg", "type": "image/jpeg", "metadata": metadata});
            ann.post("/v1/companion/s3/multipart").json(&file)
        };
        for wrong in [json!({}), json!({"size": 0}), json!({"size": "much"})] {
            let problem = create_multipart(wrong).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], "/metadata/size");
        }
        let created = create_multipart(json!({"size": bytes.len(), "path": "companion", "caption": null})).answer().await.json();
        assert_eq!(created["key"], created["uploadId"]);
        let base = format!("/v1/companion/s3/multipart/{}", created["uploadId"].as_str().unwrap());
        let mut sent = Vec::new();
        for (index, part) in bytes.chunks(PART).enumerate() {
            let signed = ann.get(&format!("{base}/{}?key=x", index + 1)).answer().await.json();
            let answer = ann.put(signed["url"].as_str().unwrap()).body(part.to_vec()).answer().await;
            sent.push(json!({"PartNumber": index + 1, "ETag": answer.header("etag").trim_matches('"')}));
        }
        let listed = ann.get(&base).answer().await.json();
        let sizes: Vec<_> = listed.as_array().unwrap().iter().map(|part| part["Size"].clone()).collect();
        assert_eq!(sizes, [PART, 3]);
        let done = ann.post(&format!("{base}/complete?key=x")).json(&json!({"parts": sent})).answer().await.json();
        let content: url::Url = done["location"].as_str().unwrap().parse().unwrap();
        assert!(ann.get(content.path()).answer().await.bytes == bytes);

        let created = create_multipart(json!({"size": "10"})).answer().await.json();
        let base = format!("/v1/companion/s3/multipart/{}", created["uploadId"].as_str().unwrap());
        ann.get(&format!("{base}/x")).answer().await.problem(404, "not_found");
        assert_eq!(ann.delete(&base).answer().await.status, 200);
        app.assert_tidy(1).await;
    }
}

/// Asserts that no more parts are accepted, and that it cannot be canceled.
async fn assert_gone(client: &Client, upload: &Direct) {
    let answer = client.post(&format!("{}/parts", upload.path())).json(&json!({"numbers": [1]})).answer().await;
    assert!([404, 410].contains(&answer.status), "{}", answer.text());
    let over = client.delete(&upload.path()).answer().await;
    assert!([404, 410].contains(&over.status), "{}", over.text());
}

/// Creates the upload, sends its missing parts and completes it. Returns the file, or nothing if the server ended.
async fn upload_or_resume(client: &Client, bytes: &[u8]) -> Option<Value> {
    let create = create(client, bytes.len(), json!({})).header("idempotency-key", "once");
    let created = create.try_answer().await.ok()?;
    let upload = Direct::created(&created);
    if created.json()["file_id"].is_null() {
        let signed = client.post(&format!("{}/parts", upload.path())).json(&json!({})).try_answer().await.ok()?;
        for part in signed.json()["parts"].as_array().map_or(&[][..], Vec::as_slice) {
            let start = (part["number"].as_u64().unwrap() as usize - 1) * PART;
            let body = bytes[start..(start + PART).min(bytes.len())].to_vec();
            let sent = client.put(part["url"].as_str().unwrap()).body(body).try_answer().await.ok()?;
            assert_eq!(sent.status, 200, "{}", sent.text());
        }
    }
    let done = client.post(&format!("{}/complete", upload.path())).try_answer().await.ok()?;
    assert_eq!(done.status, 200, "{}", done.text());
    Some(done.json())
}

/// One upload whose servers are killed, each at the next of these points.
async fn survives(setup: Setup, points: &[&str]) {
    let app = TestApp::start(setup).await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(2 * PART + 3);
    let server = || Start::default().beside(&app);
    for point in points {
        let program = server().variable("FAILPOINTS", format!("{point}=return")).serve(app.folder.path());
        let file = upload_or_resume(&same_session(&ann, &program), &bytes).await;
        assert!(file.is_none(), "{point} was not passed");
        let (status, _, stderr) = program.ended();
        assert_eq!(status.signal(), Some(9), "{point}: {stderr}");
        // The next server does not wait for the claim of the killed one to expire.
        app.execute("UPDATE resumable_uploads SET claim_expires_at = claim_expires_at + 3600000000").await;
        assert_clean(&app).await;
        app.assert_usage_is_exact().await;
    }
    let program = server().serve(app.folder.path());
    let file = upload_or_resume(&same_session(&ann, &program), &bytes).await.expect("this server is not killed");
    assert!(ann.download(&file).await == bytes);
    let (_, stderr) = program.stop();
    assert!(!stderr.contains("ERROR"), "{stderr}");
    app.execute("UPDATE job_leases SET lease_until = 1").await;
    app.assert_tidy(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_upload_survives_kills_on_disk() {
    survives(Setup::SqliteAndDisk, &["P1", "K6", "K7", "K8", "P2", "P3", "T4", "T5", "K10", "K11"]).await;
    survives(Setup::SqliteAndDisk, &["K9"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_upload_survives_kills_in_a_bucket() {
    survives(Setup::PostgresAndS3, &["M1", "M2", "M3", "M5", "P2", "P3", "T4", "T5", "K10", "K11"]).await;
}
