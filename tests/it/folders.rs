//! Folders: common prefixes of the paths of files.

use serde_json::{Value, json};

use crate::support::client::{Ask, Client};
use crate::support::{Setup, TestApp, both};

async fn folders(client: &Client, path: &str) -> Vec<String> {
    pages_of(client, path, "1000").await.concat()
}

/// All pages with at most `limit` folders each.
async fn pages_of(client: &Client, path: &str, limit: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let query = [("path", path), ("limit", limit), ("cursor", &cursor)];
        let answer = client.get("/v1/folders").query(&query).answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let name = |folder: &Value| {
            let whole = [path, folder["name"].as_str().unwrap()].join("/");
            assert_eq!(folder["path"], whole.trim_start_matches('/'));
            folder["name"].as_str().unwrap().to_owned()
        };
        pages.push(page["items"].as_array().unwrap().iter().map(name).collect());
        let Some(next) = page["next_cursor"].as_str() else { return pages };
        cursor = next.to_owned();
    }
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

    async fn pages_are_in_the_order_of_names(app: TestApp) {
        let ann = app.sign_up("ann").await;
        // Paths have another order: `s-t` and `s.t` come before `s/x`, but the name `s` comes first.
        for path in ["%_", "s/x", "s-t", "s.t/deep", "s0", "t", "Ä/b", "-", "-/a", "2026-01/a", "2026/b", "2026-02", "s!"] {
            put(&ann, path).await;
        }
        let all = folders(&ann, "").await;
        assert_eq!(all, ["%_", "-", "2026", "2026-01", "2026-02", "s", "s!", "s-t", "s.t", "s0", "t", "Ä"]);
        for limit in 1..=13 {
            let pages = pages_of(&ann, "", &limit.to_string()).await;
            assert_eq!(pages.concat(), all, "{limit}");
            let (last, full) = pages.split_last().unwrap();
            assert!(!last.is_empty() && full.iter().all(|page| page.len() == limit), "{limit}: {pages:?}");
        }
        for folder in 0..450 {
            put(&ann, &format!("many/s-{folder:04}")).await;
        }
        put(&ann, "many/s/x").await;
        assert_eq!(pages_of(&ann, "many", "2").await[0], ["s", "s-0000"]);
        assert_eq!(folders(&ann, "many").await.len(), 451);
        for cursor in ["?", "cw%3D", "YS9i"] {
            ann.get(&format!("/v1/folders?cursor={cursor}")).answer().await.problem(400, "bad_cursor");
        }
    }
}
