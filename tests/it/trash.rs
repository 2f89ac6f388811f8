//! The trash: deleted files can be restored for a while, and are not accessible meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::accounts::another_session;
use crate::support::client::{Ask, Client, content, fed, path};
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both, until};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn in_trash(file: &Value) -> String {
    format!("/v1/trash/{}", file["id"].as_str().expect("an id"))
}

async fn trash(client: &Client, file: &Value) {
    assert_eq!(client.delete(&path(file)).answer().await.status, 204);
}

fn restore(client: &Client, file: &Value) -> reqwest::RequestBuilder {
    client.post(&format!("{}/restore", in_trash(file)))
}

fn ids(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect()
}

both! {
    async fn a_deleted_file_can_be_restored_unchanged(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "bytes").await;
        let described = ann.patch(&path(&file)).json(&json!({"path": "letters", "metadata": {"a": 1}})).answer().await.json();
        let stale = ann.delete(&path(&file)).header("if-match", "\"0000\"").answer().await;
        stale.problem(412, "precondition_failed");
        trash(&ann, &file).await;

        let page = ann.get("/v1/trash").answer().await.json();
        let shown = &page["items"][0];
        assert_eq!((shown["id"].clone(), shown["path"].clone(), shown["sha256"].clone()), (file["id"].clone(), json!("letters"), file["sha256"].clone()));
        let time = |name: &str| shown[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert_eq!(time("purge_at").duration_since(time("trashed_at")), DAY.checked_mul(30).unwrap().try_into().unwrap());
        assert_eq!(ids(&page).len(), 1);
        assert!(page["next_cursor"].is_null());
        app.assert_nothing_but(1).await;

        let restored = restore(&ann, &file).answer().await;
        assert_eq!((restored.status, restored.header("etag")), (200, file["etag"].as_str().unwrap()));
        assert_eq!(restored.json(), described);
        assert_eq!(ann.get(&path(&file)).answer().await.json(), described);
        assert_eq!(ann.download(&file).await, b"bytes");
        restore(&ann, &file).answer().await.problem(404, "not_found");
        assert_eq!(ann.get("/v1/trash").answer().await.json(), json!({"items": [], "retention": 2592000, "next_cursor": null}));
        app.assert_nothing_but(1).await;
    }

    async fn files_in_the_trash_are_not_accessible(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "bytes").await;
        let url = ann.sign(&file, "get").await["url"].as_str().unwrap().to_owned();
        trash(&ann, &file).await;
        for request in [
            ann.get(&path(&file)),
            ann.get(&content(&file)),
            ann.get(&format!("{}?via=redirect", content(&file))),
            ann.put(&content(&file)).header("if-match", "*").body("new"),
            ann.patch(&path(&file)).json(&json!({"name": "b.txt"})),
            ann.delete(&path(&file)),
            ann.delete_permanently(&file),
            ann.post(&format!("{}/signed-urls", path(&file))).json(&json!({"operation": "get"})),
        ] {
            request.answer().await.problem(404, "not_found");
        }
        assert_eq!(ann.head(&content(&file)).answer().await.status, 404);
        if app.setup == Setup::SqliteAndDisk {
            app.anonymous().get(&url).answer().await.problem(404, "not_found");
        }
        assert_eq!(ann.get("/v1/files?q=a").answer().await.json()["items"], json!([]));
        let batch = json!({"op": "sign", "ids": [file["id"]]});
        assert_eq!(ann.post("/v1/files/batch").json(&batch).answer().await.json()["items"][0]["status"], 404);
        assert_eq!(restore(&ann, &file).answer().await.status, 200);
        assert_eq!(app.anonymous().get(&url).answer().await.bytes, b"bytes");
    }

    async fn the_trash_counts_toward_the_quota(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (one, two) = (ann.upload("one", "12345").await, ann.upload("two", "678").await);
        trash(&ann, &one).await;
        trash(&ann, &two).await;
        let used = async || ann.get("/v1/me/usage").answer().await.json()["used"].clone();
        assert_eq!(used().await, json!({"bytes": 8, "files": 2}));
        assert_eq!(ann.delete(&in_trash(&one)).answer().await.status, 204);
        ann.delete(&in_trash(&one)).answer().await.problem(404, "not_found");
        restore(&ann, &one).answer().await.problem(404, "not_found");
        assert_eq!(used().await, json!({"bytes": 3, "files": 1}));
        app.assert_nothing_but(1).await;
        assert_eq!(ann.delete("/v1/trash").answer().await.json(), json!({"deleted": 1}));
        assert_eq!(ann.delete("/v1/trash").answer().await.json(), json!({"deleted": 0}));
        app.assert_nothing_but(0).await;
    }

    async fn a_restored_file_is_numbered_if_its_path_is_taken(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        trash(&ann, &file).await;
        let newer = ann.upload("a.txt", "new").await;
        assert_eq!(newer["name"], "a.txt");
        trash(&ann, &newer).await;
        let newest = ann.upload("a.txt", "newest").await;
        assert_eq!(restore(&ann, &file).answer().await.json()["name"], "a (1).txt");
        assert_eq!(restore(&ann, &newer).answer().await.json()["name"], "a (2).txt");
        assert_eq!((ann.download(&file).await, ann.download(&newest).await), (b"old".to_vec(), b"newest".to_vec()));
        app.assert_nothing_but(3).await;
    }

    async fn files_are_deleted_after_the_retention_period(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let files = [ann.upload("a", "1").await, ann.upload("b", "2").await];
        ann.upload("kept", "3").await;
        trash(&ann, &files[0]).await;
        app.advance(DAY);
        trash(&ann, &files[1]).await;
        app.advance(29 * DAY);
        assert_eq!(app.reap().await.purged, 1);
        assert_eq!(ids(&another_session(&app, "ann").await.get("/v1/trash").answer().await.json()), [files[1]["id"].clone()]);
        app.assert_nothing_but(2).await;
        app.advance(DAY);
        app.assert_nothing_but(1).await;
    }

    async fn restoring_resets_the_retention_period(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "1").await;
        trash(&ann, &file).await;
        app.advance(20 * DAY);
        let ann = another_session(&app, "ann").await;
        restore(&ann, &file).answer().await;
        trash(&ann, &file).await;
        app.advance(20 * DAY);
        assert_eq!(app.reap().await.purged, 0);
        app.advance(10 * DAY);
        assert_eq!(app.reap().await.purged, 1);
    }

    async fn the_trash_is_paged_from_newest_to_oldest(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut expected = Vec::new();
        for number in 0..5 {
            let file = ann.upload(&number.to_string(), "x").await;
            trash(&ann, &file).await;
            expected.insert(0, file["id"].clone());
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ann.get(&format!("/v1/trash?limit=2{cursor}")).answer().await.json();
            found.extend(ids(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, expected);
        ann.get("/v1/trash?cursor=x").answer().await.problem(400, "bad_cursor");
        ann.get("/v1/trash?limit=0").answer().await.problem(422, "invalid");
    }

    async fn uploads_in_progress_do_not_restore_a_deleted_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let put = ann.sign(&file, "put").await;
        let sent = ann.put(put["url"].as_str().unwrap()).header("if-none-match", "*").body("put").answer().await;
        assert_eq!(sent.status, 200);
        let (send, body) = fed();
        let replacing = tokio::spawn(ann.put(&content(&file)).header("if-match", "*").body(body).send());
        send.send(Ok(b"half".to_vec())).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await >= 2).await;
        trash(&ann, &file).await;
        drop(send);
        assert_eq!(replacing.await.unwrap().unwrap().status(), 404);
        let complete = format!("/v1/uploads/{}/complete", put["upload_id"].as_str().unwrap());
        ann.post(&complete).answer().await.problem(404, "not_found");
        assert_eq!(restore(&ann, &file).answer().await.status, 200);
        ann.post(&complete).answer().await.problem(410, "upload_gone");
        assert_eq!(ann.download(&file).await, b"old");
        app.expire_leases().await;
        app.assert_nothing_but(1).await;
    }

    async fn either_a_restore_or_a_simultaneous_deletion_succeeds(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut kept = 0;
        for round in 0..8 {
            let file = ann.upload(&round.to_string(), "x").await;
            trash(&ann, &file).await;
            let (restored, deleted) = tokio::join!(restore(&ann, &file).answer(), ann.delete(&in_trash(&file)).answer());
            match (restored.status, deleted.status) {
                (200, 404) => kept += 1,
                (404, 204) => {}
                both => panic!("{both:?}"),
            }
            assert_eq!(ann.get(&content(&file)).answer().await.status, restored.status);
        }
        app.assert_nothing_but(kept).await;
    }

    async fn a_batch_can_delete_to_the_trash_or_permanently(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (a, b) = (ann.upload("a", "1").await, ann.upload("b", "2").await);
        let delete = async |id: &Value, permanent: bool| {
            let body = json!({"op": "delete", "ids": [id], "permanent": permanent});
            assert_eq!(ann.post("/v1/files/batch").json(&body).answer().await.json()["items"][0]["status"], 204);
        };
        delete(&a["id"], false).await;
        delete(&b["id"], true).await;
        assert_eq!(ids(&ann.get("/v1/trash").answer().await.json()), [a["id"].clone()]);
        app.assert_nothing_but(1).await;
    }

    async fn emptying_the_trash_does_not_affect_resumable_uploads(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let tus = Tus::create(&ann, Some(4), "").await;
        let file = ann.upload("a", "1").await;
        trash(&ann, &file).await;
        assert_eq!(ann.delete("/v1/trash").answer().await.json(), json!({"deleted": 1}));
        assert_eq!(tus.append(&ann, 0, "mine").await.status, 204);
        app.assert_nothing_but(1).await;
    }
}

#[tokio::test]
async fn without_a_trash_deletion_is_permanent() {
    let app = TestApp::start_with(Setup::SqliteAndDisk, |config| config.trash_retention = Duration::ZERO).await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "bytes").await;
    trash(&ann, &file).await;
    restore(&ann, &file).answer().await.problem(404, "not_found");
    app.assert_nothing_but(0).await;
}
