//! Names and paths of files, changes of them, lists, and batches.

use serde_json::{Value, json};

use crate::support::client::{Ask, Client, content, path};
use crate::support::{Setup, TestApp, both};

async fn upload_at(client: &Client, folder: &str, name: &str) -> Value {
    let request = client.post("/v1/files").query(&[("path", folder), ("name", name)]).body(name.to_owned());
    let answer = request.answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// Reads all pages of a list. Returns the values of one member, and the number of pages.
async fn walk(client: &Client, query: &str, member: &str) -> (Vec<String>, usize) {
    let (mut values, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let after = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = client.get(&format!("/v1/files?{query}{after}")).answer().await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        values.extend(page["items"].as_array().unwrap().iter().map(|file| match &file[member] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return (values, pages),
        }
    }
}

both! {
    async fn names_in_any_script_are_preserved(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in ["naïve café.txt", "日本語.pdf", "🦀.rs", "a'b\"c;d=e%20.txt", "=SUM(A1).csv", "-rf", ".hidden", "a..b", "%2e%2e%2f", "con"] {
            let file = upload_at(&ann, "", name).await;
            assert_eq!(file["name"], name);
            assert_eq!(ann.download(&file).await, name.as_bytes());
            let disposition = ann.get(&content(&file)).answer().await.header("content-disposition").to_owned();
            assert!(disposition.is_ascii(), "{disposition}");
        }
        // Composed and decomposed accents are the same name.
        let composed = upload_at(&ann, "x", "caf\u{e9}").await;
        assert_eq!(upload_at(&ann, "x", "cafe\u{301}").await["name"], "caf\u{e9} (1)");
        assert_eq!(composed["name"], "caf\u{e9}");
    }

    async fn hostile_names_are_refused_and_leave_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let long = "x".repeat(256);
        let hostile = ["", " ", ".", "..", "a/b", "../../etc/passwd", "a\\b", "a\0b", "a\nb", "a\u{202e}txt.exe", "\u{feff}a", " a", "a ", long.as_str()];
        for name in hostile {
            let problem = ann.post("/v1/files").query(&[("name", name)]).body("x").answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["parameter"], "name", "{name:?}");
        }
        for folder in ["..", "a/../b", "a//b", "a/./b", "a\0b", "a\\b", &"x/".repeat(600)] {
            let request = ann.post("/v1/files").query(&[("name", "a"), ("path", folder)]).body("x");
            let problem = request.answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["parameter"], "path", "{folder:?}");
        }
        app.assert_nothing_but(0).await;
    }

    async fn a_file_can_be_renamed_moved_and_annotated(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = upload_at(&ann, "inbox", "draft.txt").await;
        let other = upload_at(&ann, "archive", "final.txt").await;
        let change = |body: Value| ann.patch(&path(&file)).header("content-type", "application/merge-patch+json").body(body.to_string());

        let moved = change(json!({"name": "notes.txt", "path": "archive", "metadata": {"a": 1, "b": {"c": 2}}})).answer().await;
        assert_eq!(moved.status, 200, "{}", moved.text());
        let moved = moved.json();
        assert_eq!((&moved["name"], &moved["path"]), (&json!("notes.txt"), &json!("archive")));
        assert_eq!((&moved["id"], &moved["etag"]), (&file["id"], &file["etag"]));
        let patched = change(json!({"metadata": {"a": null, "b": {"d": 3}}})).answer().await.json();
        assert_eq!(patched["metadata"], json!({"b": {"c": 2, "d": 3}}));
        assert_eq!(ann.download(&file).await, b"draft.txt");

        assert_eq!(change(json!({"metadata": null})).answer().await.json()["metadata"], json!({}));
        change(json!({"name": null})).answer().await.problem(422, "invalid");
        change(json!({"name": "final.txt"})).answer().await.problem(409, "path_taken");
        change(json!({"name": "a/b"})).answer().await.problem(422, "invalid");
        change(json!({"title": "x"})).answer().await.problem(422, "invalid");
        change(json!({"metadata": {"long": "x".repeat(9000)}})).answer().await.problem(422, "invalid");
        let stale = ann.patch(&path(&file)).header("if-match", "\"0000\"").json(&json!({"name": "x"})).answer().await;
        stale.problem(412, "precondition_failed");
        ann.patch(&path(&file)).header("content-type", "application/json").body("{").answer().await.problem(400, "malformed");
        ann.patch(&path(&file)).body("{}").answer().await.problem(415, "unsupported_media_type");
        assert_eq!(ann.get(&path(&other)).answer().await.json()["name"], "final.txt");
    }

    async fn simultaneous_changes_do_not_overwrite_each_other(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = upload_at(&ann, "", "a.txt").await;
        let changes = (0..8).map(|number| {
            let request = ann.patch(&path(&file)).json(&json!({"metadata": {format!("m{number}"): number}}));
            async move { request.answer().await.status }
        });
        assert_eq!(futures_util::future::join_all(changes).await, [200; 8]);
        let metadata = &ann.get(&path(&file)).answer().await.json()["metadata"];
        assert_eq!(metadata.as_object().unwrap().len(), 8, "{metadata}");
    }

    async fn lists_are_paged_in_every_order(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        bob.upload("not yours", "x").await;
        // The order is by bytes on every database: upper case, lower case, then other characters.
        let names = ["B", "a", "Z", "é", "b", "10", "9", "_", "ab", "日"];
        for name in names {
            upload_at(&ann, "", name).await;
        }
        let mut sorted = names.map(str::to_owned).to_vec();
        sorted.sort();
        for query in ["limit=3", "limit=3&sort=path", "limit=3&sort=name"] {
            let (found, pages) = walk(&ann, query, "name").await;
            assert_eq!((&found, pages), (&sorted, 4), "{query}");
        }
        sorted.reverse();
        assert_eq!(walk(&ann, "limit=4&sort=-name", "name").await.0, sorted);
        assert_eq!(walk(&ann, "limit=1&sort=created_at", "name").await.0, names);
        for sort in ["size", "-size", "updated_at", "-updated_at", "-created_at"] {
            let (mut found, _) = walk(&ann, &format!("limit=3&sort={sort}"), "name").await;
            let sizes = walk(&ann, &format!("limit=3&sort={sort}"), "size").await.0;
            if sort == "size" {
                assert!(sizes.is_sorted_by_key(|size| size.parse::<u64>().unwrap()), "{sizes:?}");
            }
            found.sort();
            found.reverse();
            assert_eq!(found, sorted, "{sort}");
        }
        assert_eq!(walk(&ann, "limit=10", "name").await.1, 1);
    }

    async fn lists_can_be_filtered_by_prefix_and_search(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (folder, name) in [("docs", "a.txt"), ("docs/2026", "B.txt"), ("docs2", "c.txt"), ("", "docs"), ("", "100%_x"), ("", "100ax"), ("ÉTÉ", "plage.jpg")] {
            upload_at(&ann, folder, name).await;
        }
        assert_eq!(walk(&ann, "limit=1&prefix=docs/", "name").await, (vec!["B.txt".into(), "a.txt".into()], 2));
        assert_eq!(walk(&ann, "prefix=docs", "name").await.0.len(), 4);
        assert_eq!(walk(&ann, "prefix=nothing", "name").await.0.len(), 0);
        assert_eq!(walk(&ann, "q=b.TXT", "name").await.0, ["B.txt"]);
        assert_eq!(walk(&ann, "q=%25_", "name").await.0, ["100%_x"]);
        assert_eq!(walk(&ann, "q=%C3%A9t%C3%A9", "name").await.0, ["plage.jpg"]);
        assert_eq!(walk(&ann, "prefix=docs&q=txt&sort=-size&limit=1", "name").await.0.len(), 3);
    }

    async fn a_search_has_as_many_bytes_as_a_name_at_most(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let name = "é".repeat(127);
        upload_at(&ann, "", &name).await;
        assert_eq!(walk(&ann, &format!("q={}", "%C3%A9".repeat(127)), "name").await.0, [name]);
        assert!(walk(&ann, &format!("q={}", "a".repeat(255)), "name").await.0.is_empty());
        let refused = ann.get(&format!("/v1/files?q={}", "a".repeat(256))).answer().await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["parameter"], "q");
        assert_eq!(refused["errors"][0]["detail"], "at most 255 bytes, without control characters");
    }

    async fn lists_refuse_invalid_parameters(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in ["a", "b", "c"] {
            ann.upload(name, "x").await;
        }
        let page = ann.get("/v1/files?limit=1").answer().await.json();
        let cursor = page["next_cursor"].as_str().unwrap();
        for cursor in ["x", "!!", "e30", &cursor[..cursor.len() - 4]] {
            ann.get(&format!("/v1/files?cursor={cursor}")).answer().await.problem(400, "bad_cursor");
        }
        ann.get(&format!("/v1/files?sort=size&cursor={cursor}")).answer().await.problem(400, "bad_cursor");
        ann.get(&format!("/v1/files?sort=-path&cursor={cursor}")).answer().await.problem(400, "bad_cursor");
        for query in ["limit=0", "limit=1001", "limit=x", "sort=color", "urls=plain", "prefix=a%00b"] {
            let problem = ann.get(&format!("/v1/files?{query}")).answer().await.problem(422, "invalid");
            let name = query.split('=').next().unwrap();
            let error = &problem["errors"][0];
            assert!(error["parameter"] == name || error["pointer"] == format!("/{name}"), "{query}: {error}");
        }
    }

    async fn a_cursor_remains_valid_when_its_file_is_deleted(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut files = Vec::new();
        for name in ["a", "b", "c", "d"] {
            files.push(ann.upload(name, "x").await);
        }
        let page = ann.get("/v1/files?limit=2").answer().await.json();
        ann.delete(&path(&files[1])).answer().await;
        ann.upload("aa", "x").await;
        let next = ann.get(&format!("/v1/files?cursor={}", page["next_cursor"].as_str().unwrap())).answer().await.json();
        let names: Vec<&str> = next["items"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["c", "d"]);
    }

    async fn a_batch_returns_a_result_per_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let (a, b, c) = (ann.upload("a", "1").await, ann.upload("b", "2").await, ann.upload("c", "3").await);
        let foreign = bob.upload("d", "4").await;
        upload_at(&ann, "archive", "b").await;
        let batch = |body: Value| ann.post("/v1/files/batch").json(&body);

        let ids = json!([a["id"], b["id"], foreign["id"], uuid::Uuid::nil()]);
        let moved = batch(json!({"op": "move", "ids": ids, "path": "archive"})).answer().await.json();
        let statuses: Vec<_> = moved["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [200, 409, 404, 404]);
        assert_eq!(moved["items"][0]["file"]["path"], "archive");
        assert_eq!(moved["items"][1]["code"], "path_taken");

        let signed = batch(json!({"op": "sign", "ids": [c["id"], foreign["id"]]})).answer().await.json();
        let url = signed["items"][0]["signed_url"]["url"].as_str().unwrap();
        assert_eq!(app.stranger().get(url).answer().await.bytes, b"3");
        assert_eq!(signed["items"][1]["status"], 404);

        let deleted = batch(json!({"op": "delete", "ids": [a["id"], a["id"], foreign["id"]]})).answer().await.json();
        let statuses: Vec<_> = deleted["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [204, 404, 404]);
        assert_eq!(bob.download(&foreign).await, b"4");

        batch(json!({"op": "move", "ids": []})).answer().await.problem(422, "invalid");
        batch(json!({"op": "delete", "ids": vec![uuid::Uuid::nil(); 1001]})).answer().await.problem(422, "invalid");
        batch(json!({"op": "shred", "ids": []})).answer().await.problem(422, "invalid");
        batch(json!({"op": "delete", "ids": ["no id"]})).answer().await.problem(422, "invalid");
    }
}
