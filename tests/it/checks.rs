//! `POST /v1/files/check`: what of a list is new, before any of it is uploaded.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::client::{Ask, Client};
use crate::support::{Setup, TestApp, both};

async fn put(client: &Client, folder: &str, name: &str, metadata: Value, text: &str) -> Value {
    let request = client.post("/v1/files").query(&[("path", folder), ("name", name)]);
    let answer = request.header("strongroom-metadata", metadata.to_string()).body(text.to_owned()).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn compare(client: &Client, files: Value) -> Vec<Value> {
    let answer = client.post("/v1/files/check").json(&json!({"files": files})).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

both! {
    async fn a_list_is_compared_in_its_order(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        put(&bob, "docs", "of-bob", json!({}), "x").await;
        let a = put(&ann, "docs", "a", json!({"mtime": "2026-11-22T09:30:00Z"}), "one").await;
        let b = put(&ann, "", "ä b", json!({}), "one").await;
        ann.post("/v1/folders").json(&json!({"path": "docs/folder"})).answer().await;
        let trashed = put(&ann, "docs", "trashed", json!({}), "x").await;
        ann.delete(&format!("/v1/files/{}", trashed["id"].as_str().unwrap())).answer().await;
        let (new, same, differs) = (json!({"status": "new"}), |file: &Value| json!({"status": "identical", "id": file["id"]}), |file: &Value| json!({"status": "differs", "id": file["id"]}));
        let cases = [
            (json!({"path": "docs", "name": "a", "size": 3, "sha256": sha256("one")}), same(&a)),
            (json!({"path": "/docs/", "name": "a", "size": 3, "sha256": sha256("one").to_uppercase()}), same(&a)),
            (json!({"path": "docs", "name": "a", "size": 3, "sha256": sha256("two")}), differs(&a)),
            (json!({"path": "docs", "name": "a", "size": 4, "sha256": sha256("one")}), differs(&a)),
            (json!({"path": "docs", "name": "a", "size": 3, "mtime": "2026-11-22T09:30:00Z"}), same(&a)),
            (json!({"path": "docs", "name": "a", "size": 4, "mtime": "2026-11-22T09:30:00Z"}), differs(&a)),
            (json!({"path": "docs", "name": "a", "size": 3, "mtime": "2026-11-22T09:30:01Z"}), differs(&a)),
            (json!({"path": "docs", "name": "a", "size": 3, "sha256": sha256("two"), "mtime": "2026-11-22T09:30:00Z"}), differs(&a)),
            (json!({"path": "docs", "name": "a", "size": 3}), differs(&a)),
            (json!({"name": "a\u{308} b", "size": 3, "sha256": sha256("one")}), same(&b)),
            (json!({"name": "ä b", "size": 3, "mtime": ""}), differs(&b)),
            (json!({"path": "docs", "name": "folder", "size": 3}), json!({"status": "differs"})),
            (json!({"path": "docs", "name": "b", "size": 3}), new.clone()),
            (json!({"path": "docs", "name": "trashed", "size": 1}), new.clone()),
            (json!({"path": "docs", "name": "of-bob", "size": 1}), new.clone()),
            (json!({"path": "nowhere/at/all", "name": "a", "size": 0}), new.clone()),
            (json!({"path": "docs", "name": "a", "size": 3, "sha256": sha256("one")}), same(&a)),
        ];
        let (files, expected): (Vec<Value>, Vec<Value>) = cases.into_iter().unzip();
        assert_eq!(compare(&ann, json!(files)).await, expected);
        assert!(compare(&ann, json!([])).await.is_empty());
    }

    async fn a_folder_that_is_dropped_twice_is_uploaded_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let files: Vec<Value> = (0..20)
            .map(|number| json!({"path": format!("drop/{}", number % 3), "name": format!("{number}.txt"), "size": 1, "mtime": number}))
            .collect();
        for (round, uploads) in [(0, 20), (1, 0)] {
            let mut sent = 0;
            for (file, result) in files.iter().zip(compare(&ann, json!(files)).await) {
                if result["status"] != "identical" {
                    put(&ann, file["path"].as_str().unwrap(), file["name"].as_str().unwrap(), json!({"mtime": file["mtime"]}), "x").await;
                    sent += 1;
                }
            }
            assert_eq!(sent, uploads, "round {round}");
        }
        app.assert_nothing_but(20).await;
    }

    async fn a_thousand_files_are_compared_at_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let existing = put(&ann, "a/b/c", "777", json!({}), "x").await;
        let file = |number: usize| json!({"path": "a/b/c", "name": number.to_string(), "size": 1, "sha256": sha256("x")});
        let files: Vec<Value> = (0..1000).map(file).collect();
        let checked = compare(&ann, json!(files)).await;
        assert_eq!(checked.len(), 1000);
        assert_eq!(checked[777], json!({"status": "identical", "id": existing["id"]}));
        assert_eq!(checked.iter().filter(|result| result["status"] == "new").count(), 999);
        let files: Vec<Value> = (0..1001).map(file).collect();
        let problem = ann.post("/v1/files/check").json(&json!({"files": files})).answer().await.problem(422, "invalid");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&json!("/files"), &json!("too_many")));
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("1000"));
    }

    async fn each_invalid_file_of_a_list_is_named(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let files = json!([
            {"name": "a", "size": 1},
            {"name": "a/b", "size": 1},
            {"path": "x/../y", "name": "a", "size": 1},
            {"name": "a", "size": 1, "sha256": "abc"},
            {"name": "a", "size": 1, "mtime": [1]},
        ]);
        let problem = ann.post("/v1/files/check").json(&json!({"files": files})).answer().await.problem(422, "invalid");
        let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/files/1/name", "/files/2/path", "/files/3/sha256", "/files/4/mtime"]);
        for (body, pointer) in [
            (json!({"files": [{"name": "a"}]}), "/files/0/size"),
            (json!({"files": [{"name": "a", "size": -1}]}), "/files/0/size"),
            (json!({"files": [{"name": "a", "size": 1, "more": 1}]}), "/files/0/more"),
            (json!({"files": {}}), "/files"),
            (json!({}), "/files"),
        ] {
            let problem = ann.post("/v1/files/check").json(&body).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        }
    }
}
