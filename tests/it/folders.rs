//! Folders: common prefixes of the paths of files.

use serde_json::{Value, json};

use crate::support::client::{Ask, Client};
use crate::support::{Setup, TestApp, both};

async fn folders(client: &Client, path: &str) -> Vec<String> {
    let answer = client.get("/v1/folders").query(&[("path", path)]).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json();
    let name = |folder: &Value| {
        let whole = [path, folder["name"].as_str().unwrap()].join("/");
        assert_eq!(folder["path"], whole.trim_start_matches('/'));
        folder["name"].as_str().unwrap().to_owned()
    };
    list["items"].as_array().unwrap().iter().map(name).collect()
}

async fn put(client: &Client, path: &str) {
    let answer = client.post("/v1/files").query(&[("name", "a.txt"), ("path", path)]).body("a").answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

both! {
    async fn a_folder_exists_while_it_contains_a_file_at_any_depth(app: TestApp) {
        let ann = app.sign_up("ann").await;
        assert!(folders(&ann, "").await.is_empty());
        for path in ["", "s", "s-t", "s/x", "s/x/y", "s0", "s.t/deep/down", "Ä/b", "%_", "t"] {
            put(&ann, path).await;
        }
        put(&app.sign_up("bob").await, "of-bob").await;
        assert_eq!(folders(&ann, "").await, ["%_", "s", "s-t", "s.t", "s0", "t", "Ä"]);
        assert_eq!(folders(&ann, "s").await, ["x"]);
        assert_eq!(folders(&ann, "s/x").await, ["y"]);
        assert_eq!(folders(&ann, "s.t").await, ["deep"]);
        assert!(folders(&ann, "t").await.is_empty() && folders(&ann, "nowhere").await.is_empty());

        let listed = ann.get("/v1/files").query(&[("path", "s")]).answer().await.json();
        let [file] = listed["items"].as_array().unwrap().as_slice() else { panic!("{listed}") };
        assert_eq!((&file["path"], &file["name"]), (&json!("s"), &json!("a.txt")));
        let at_the_top = ann.get("/v1/files?path=").answer().await.json();
        assert_eq!(at_the_top["items"].as_array().unwrap().len(), 1, "{at_the_top}");

        let deleted = ann.delete(&format!("/v1/files/{}", file["id"].as_str().unwrap())).answer().await;
        assert_eq!(deleted.status, 204);
        assert_eq!(folders(&ann, "").await[1], "s", "there are files further down");
        ann.get("/v1/folders?path=a/../b").answer().await.problem(422, "invalid");
        ann.get("/v1/files?path=..").answer().await.problem(422, "invalid");
    }

    async fn folders_are_listed_without_reading_their_files(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for path in ["a", "a/0", "b", "b-c", "c/d"] {
            put(&ann, path).await;
        }
        // More folders in one folder than are read in one batch.
        for folder in 0..210 {
            put(&ann, &format!("a/{folder:04}")).await;
        }
        assert_eq!(folders(&ann, "").await, ["a", "b", "b-c", "c"]);
        assert_eq!(folders(&ann, "a").await.len(), 211);
    }
}
