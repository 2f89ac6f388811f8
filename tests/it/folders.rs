//! Folders: rows of their own, which are created by uploads and by themselves, and changed with all below them.

use serde_json::{Value, json};

use crate::support::client::{Ask, Client, path};
use crate::support::{Setup, TestApp, both};

async fn folders(client: &Client, path: &str) -> Vec<String> {
    pages_of(client, path, "1000").await.concat()
}

/// All pages with at most `limit` folders each.
async fn pages_of(client: &Client, inside: &str, limit: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let query = [("path", inside), ("limit", limit), ("cursor", &cursor)];
        let answer = client.get("/v1/folders").query(&query).answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let name = |folder: &Value| {
            let whole = [inside, folder["name"].as_str().unwrap()].join("/");
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

async fn create(client: &Client, path: &str) -> Value {
    let answer = client.post("/v1/folders").json(&json!({"path": path})).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn url(folder: &Value) -> String {
    format!("/v1/folders/{}", folder["id"].as_str().unwrap())
}

fn change(client: &Client, folder: &Value, patch: Value) -> reqwest::RequestBuilder {
    client.patch(&url(folder)).json(&patch)
}

/// The locations of the files on all pages of a list.
async fn files(client: &Client, query: &[(&str, &str)]) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get("/v1/files").query(query).query(&[("cursor", &cursor)]).answer().await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        for file in page["items"].as_array().unwrap() {
            let location = [file["path"].as_str().unwrap(), file["name"].as_str().unwrap()].join("/");
            found.push(location.trim_start_matches('/').to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { return found };
        cursor = next.to_owned();
    }
}

async fn folder_at(client: &Client, parent: &str, name: &str) -> Value {
    let page = client.get("/v1/folders").query(&[("path", parent), ("limit", "1000")]).answer().await.json();
    let found = page["items"].as_array().unwrap().iter().find(|folder| folder["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {page}")).clone()
}

both! {
    async fn a_folder_is_created_by_an_upload_and_stays(app: TestApp) {
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
        assert!(folders(&ann, "t").await.is_empty());

        let listed = ann.get("/v1/files").query(&[("path", "t")]).answer().await.json();
        let [file] = listed["items"].as_array().unwrap().as_slice() else { panic!("{listed}") };
        assert_eq!((&file["path"], &file["name"]), (&json!("t"), &json!("a.txt")));
        assert_eq!(file["folder_id"], folder_at(&ann, "", "t").await["id"]);
        let at_the_top = ann.get("/v1/files?path=").answer().await.json();
        assert_eq!(at_the_top["items"].as_array().unwrap().len(), 1, "{at_the_top}");
        assert_eq!(at_the_top["items"][0]["folder_id"], ann.id.as_str());

        let deleted = ann.delete(&format!("/v1/files/{}", file["id"].as_str().unwrap())).answer().await;
        assert_eq!(deleted.status, 204);
        assert!(folders(&ann, "").await.contains(&"t".to_owned()), "an empty folder exists");
        assert_eq!(files(&ann, &[("path", "t")]).await, [""; 0]);
        for query in ["folders?path=nowhere", "files?path=nowhere", "files?under=nowhere", "files?path=of-bob"] {
            ann.get(&format!("/v1/{query}")).answer().await.problem(404, "not_found");
        }
        ann.get("/v1/folders?path=a/../b").answer().await.problem(422, "invalid");
        ann.get("/v1/files?path=..").answer().await.problem(422, "invalid");
    }

    async fn a_folder_is_created_by_itself(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let november = create(&ann, "/2026/november/").await;
        assert_eq!((&november["name"], &november["path"]), (&json!("november"), &json!("2026/november")));
        assert_eq!(folders(&ann, "").await, ["2026"]);
        let year = folder_at(&ann, "", "2026").await;
        assert_eq!((&november["parent_id"], &year["parent_id"]), (&year["id"], &json!(ann.id)));

        let inside = json!({"path": "december", "parent_id": year["id"]});
        let answer = ann.post("/v1/folders").json(&inside).answer().await;
        let december = answer.json();
        assert_eq!((answer.status, &december["path"]), (201, &json!("2026/december")));
        assert!(answer.header("location").ends_with(&url(&december)));
        assert_eq!(ann.get(&url(&december)).answer().await.json()["parent_id"], year["id"]);
        let between = json!({"path": "q1/january", "parent_id": year["id"]});
        assert_eq!(ann.post("/v1/folders").json(&between).answer().await.json()["path"], "2026/q1/january");

        ann.post("/v1/folders").json(&inside).answer().await.problem(409, "path_taken");
        ann.post("/v1/folders").json(&json!({"path": "2026"})).answer().await.problem(409, "path_taken");
        put(&ann, "").await;
        ann.post("/v1/folders").json(&json!({"path": "a.txt"})).answer().await.problem(409, "path_taken");
        ann.post("/v1/folders").json(&json!({"path": "a.txt/b"})).answer().await.problem(409, "not_a_folder");
        bob.post("/v1/folders").json(&inside).answer().await.problem(404, "not_found");
        for method in ["get", "patch", "delete"] {
            let request = match method {
                "get" => bob.get(&url(&year)),
                "patch" => change(&bob, &year, json!({"name": "mine"})),
                _ => bob.delete(&url(&year)),
            };
            request.answer().await.problem(404, "not_found");
        }
        for (body, pointer) in [
            (json!({}), "/path"),
            (json!({"path": ".."}), "/path"),
            (json!({"path": ""}), "/path"),
            (json!({"path": vec!["a"; 65].join("/")}), "/path"),
            (json!({"path": vec!["a".repeat(200); 21].join("/")}), "/path"),
        ] {
            let problem = ann.post("/v1/folders").json(&body).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        }
    }

    async fn names_are_unique_among_files_and_folders(app: TestApp) {
        let ann = app.sign_up("ann").await;
        create(&ann, "report.pdf").await;
        let file = ann.upload("report.pdf", "1").await;
        assert_eq!(file["name"], "report (1).pdf");
        ann.patch(&path(&file)).json(&json!({"name": "report.pdf"})).answer().await.problem(409, "path_taken");
        let refused = ann.post("/v1/files?name=report.pdf").header("if-none-match", "*").body("2").answer().await;
        refused.problem(412, "precondition_failed");
        let below = ann.post("/v1/files?name=x&path=report%20(1).pdf").body("3").answer().await;
        below.problem(409, "not_a_folder");
        ann.delete(&path(&file)).answer().await;
        create(&ann, "report (1).pdf").await;
        let restored = ann.post(&format!("/v1/trash/{}/restore", file["id"].as_str().unwrap())).answer().await.json();
        assert_eq!(restored["name"], "report (1) (1).pdf");

        // At once: the first one has the name.
        let (made, stored) = tokio::join!(
            ann.post("/v1/folders").json(&json!({"path": "same"})).answer(),
            ann.post("/v1/files?name=same").body("4").answer(),
        );
        match made.status {
            201 => assert_eq!(stored.json()["name"], "same (1)"),
            _ => assert_eq!((made.status, &stored.json()["name"]), (409, &json!("same"))),
        }
        let many = (0..8).map(|_| ann.post("/v1/files?name=a&path=new/deep").body("5").answer());
        let many = futures_util::future::join_all(many).await;
        assert!(many.iter().all(|answer| answer.status == 201), "{:?}", many.iter().map(|a| a.text()).collect::<Vec<_>>());
        assert_eq!(folders(&ann, "new").await, ["deep"]);
        assert_eq!(files(&ann, &[("path", "new/deep")]).await.len(), 8);
        app.assert_nothing_but(10).await;
    }

    async fn a_folder_is_renamed_and_moved_with_all_below_it(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for path in ["a/b", "a/b/c", "a/bb", "d/É/x"] {
            put(&ann, path).await;
        }
        let (a, b) = (folder_at(&ann, "", "a").await, folder_at(&ann, "a", "b").await);
        let file = ann.get("/v1/files?path=a/b").answer().await.json()["items"][0].clone();
        let renamed = change(&ann, &b, json!({"name": "Straße"})).answer().await.json();
        assert_eq!((&renamed["id"], &renamed["path"]), (&b["id"], &json!("a/Straße")));
        assert_eq!(files(&ann, &[]).await, ["a/Straße/a.txt", "a/Straße/c/a.txt", "a/bb/a.txt", "d/É/x/a.txt"]);
        assert_eq!(files(&ann, &[("q", "strasse c")]).await, ["a/Straße/c/a.txt"]);
        assert!(files(&ann, &[("q", "b/c")]).await.is_empty());
        assert_eq!(ann.get(&path(&file)).answer().await.json()["path"], "a/Straße", "the file keeps its id");

        let d = folder_at(&ann, "", "d").await;
        let moved = change(&ann, &a, json!({"parent_id": d["id"], "name": "A"})).answer().await.json();
        assert_eq!(moved["path"], "d/A");
        assert_eq!(files(&ann, &[("limit", "1")]).await, ["d/A/Straße/a.txt", "d/A/Straße/c/a.txt", "d/A/bb/a.txt", "d/É/x/a.txt"]);
        assert_eq!(files(&ann, &[("q", "d/a/strasse")]).await.len(), 2);
        assert_eq!(folders(&ann, "d/A").await, ["Straße", "bb"]);
        ann.get("/v1/folders?path=a").answer().await.problem(404, "not_found");

        assert_eq!(change(&ann, &a, json!({"path": "new/place"})).answer().await.json()["path"], "new/place");
        assert_eq!(change(&ann, &a, json!({"path": "d/A"})).answer().await.json()["path"], "d/A");
        assert!(folders(&ann, "new").await.is_empty());
        change(&ann, &a, json!({"path": "d/A", "name": "B"})).answer().await.problem(422, "invalid");
        let c = folder_at(&ann, "d/A/Straße", "c").await;
        for into in [&a, &c, &d] {
            change(&ann, &d, json!({"parent_id": into["id"]})).answer().await.problem(409, "into_itself");
        }
        change(&ann, &a, json!({"name": "É"})).answer().await.problem(409, "path_taken");
        put(&ann, "d").await;
        change(&ann, &a, json!({"name": "a.txt"})).answer().await.problem(409, "path_taken");
        change(&ann, &a, json!({"parent_id": uuid::Uuid::nil()})).answer().await.problem(404, "not_found");
        change(&ann, &json!({"id": ann.id}), json!({"name": "top"})).answer().await.problem(422, "invalid");
        assert_eq!(change(&ann, &a, json!({"name": "A"})).answer().await.status, 200, "its own name is not taken");

        let deep = create(&ann, &vec!["x"; 61].join("/")).await;
        change(&ann, &d, json!({"parent_id": deep["id"]})).answer().await.problem(422, "too_deep");
        let long = create(&ann, &vec!["y".repeat(250); 16].join("/")).await;
        put(&ann, &format!("z/{}", "z".repeat(100))).await;
        let z = folder_at(&ann, "", "z").await;
        change(&ann, &z, json!({"parent_id": long["id"]})).answer().await.problem(422, "too_deep");
        app.app.events.flush().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM audit_events WHERE kind = 'folder_changed'").await, 5);
    }

    async fn a_folder_is_trashed_and_restored_as_one(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for path in ["a", "a/b", "a/b/c", "d"] {
            put(&ann, path).await;
        }
        let (a, b) = (folder_at(&ann, "", "a").await, folder_at(&ann, "a", "b").await);
        let all = ann.get("/v1/files").answer().await.json()["items"].clone();
        let [_, inner, innermost, _] = all.as_array().unwrap().as_slice() else { panic!("{all}") };
        let link = ann.post(&format!("{}/links", path(inner))).json(&json!({})).answer().await.json();
        let signed = ann.post(&format!("{}/signed-urls", path(inner))).json(&json!({"operation": "get"})).answer().await.json();
        ann.delete(&path(innermost)).answer().await;
        assert_eq!(ann.delete(&url(&a)).answer().await.status, 204);

        // Nothing of it is found by any way.
        assert_eq!(files(&ann, &[]).await, ["d/a.txt"]);
        for sort in ["-path", "name", "natural", "-natural", "created_at", "updated_at", "size"] {
            assert_eq!(files(&ann, &[("sort", sort)]).await, ["d/a.txt"], "{sort}");
        }
        assert_eq!(files(&ann, &[("q", "a.txt")]).await, ["d/a.txt"]);
        assert!(files(&ann, &[("prefix", "a")]).await.is_empty());
        assert!(files(&ann, &[("prefix", "a"), ("sort", "size")]).await.is_empty());
        assert_eq!(folders(&ann, "").await, ["d"]);
        for request in [ann.get(&url(&a)), ann.get(&url(&b)), ann.get(&path(inner)), ann.delete(&url(&b))] {
            request.answer().await.problem(404, "not_found");
        }
        ann.get(&format!("{}/content", path(inner))).answer().await.problem(404, "not_found");
        ann.patch(&path(inner)).json(&json!({"name": "n"})).answer().await.problem(404, "not_found");
        assert!([404, 410].contains(&app.anonymous().get(link["url"].as_str().unwrap()).answer().await.status));
        if app.setup == Setup::SqliteAndDisk {
            assert_eq!(app.anonymous().get(signed["url"].as_str().unwrap()).answer().await.status, 404);
        }
        let quota = ann.get("/v1/me/usage").answer().await.json();
        assert_eq!(quota["used"]["files"], 4, "{quota}");

        // It is one item of the trash, beside the file that was deleted before.
        let trash = ann.get("/v1/trashed-folders").answer().await.json();
        let [item] = trash["items"].as_array().unwrap().as_slice() else { panic!("{trash}") };
        assert_eq!((&item["id"], &item["path"]), (&a["id"], &json!("a")));
        let trashed = ann.get("/v1/trash").answer().await.json();
        assert_eq!(trashed["items"].as_array().unwrap().len(), 1, "{trashed}");

        // Its place is free. A file of it that is restored gets a new folder there.
        let restored = ann.post(&format!("/v1/trash/{}/restore", innermost["id"].as_str().unwrap())).answer().await.json();
        assert_eq!((&restored["path"], &restored["name"]), (&json!("a/b/c"), &json!("a.txt")));
        assert_ne!(restored["folder_id"], innermost["folder_id"]);

        let restore = format!("/v1/trashed-folders/{}/restore", a["id"].as_str().unwrap());
        app.sign_up("bob").await.post(&restore).answer().await.problem(404, "not_found");
        let restored = ann.post(&restore).answer().await.json();
        assert_eq!((&restored["id"], &restored["path"]), (&a["id"], &json!("a (1)")));
        assert_eq!(files(&ann, &[]).await, ["a (1)/a.txt", "a (1)/b/a.txt", "a/b/c/a.txt", "d/a.txt"]);
        assert_eq!(ann.download(inner).await, b"a");
        ann.post(&restore).answer().await.problem(404, "not_found");
        app.assert_nothing_but(4).await;
    }

    async fn a_folder_in_a_trashed_folder_is_an_item_of_its_own(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for path in ["a/b", "a/b/c"] {
            put(&ann, path).await;
        }
        let (a, b) = (folder_at(&ann, "", "a").await, folder_at(&ann, "a", "b").await);
        ann.delete(&url(&b)).answer().await;
        let renamed = change(&ann, &a, json!({"name": "A"})).answer().await.json();
        assert_eq!(renamed["path"], "A");
        ann.delete(&url(&a)).answer().await;
        let trash = ann.get("/v1/trashed-folders").answer().await.json();
        assert_eq!(trash["items"].as_array().unwrap().iter().map(|item| &item["path"]).collect::<Vec<_>>(), ["A", "A/b"]);
        let page = ann.get("/v1/trashed-folders?limit=1").answer().await.json();
        let next = ann.get("/v1/trashed-folders").query(&[("cursor", page["next_cursor"].as_str().unwrap())]).answer().await.json();
        assert_eq!(next["items"][0]["id"], b["id"]);

        let restore = |folder: &Value| format!("/v1/trashed-folders/{}/restore", folder["id"].as_str().unwrap());
        ann.post(&restore(&b)).answer().await;
        assert_eq!(files(&ann, &[]).await, ["A/b/a.txt", "A/b/c/a.txt"]);
        assert_eq!(ann.post(&restore(&a)).answer().await.json()["path"], "A (1)");
        assert_eq!(folders(&ann, "").await, ["A", "A (1)"]);
    }

    async fn a_folder_is_deleted_permanently(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for path in ["a", "a/b", "a/b/c", "d", "e/f", "g"] {
            put(&ann, path).await;
        }
        let trashed = ann.get("/v1/files?path=a").answer().await.json()["items"][0].clone();
        ann.delete(&path(&trashed)).answer().await;
        let a = folder_at(&ann, "", "a").await;
        assert_eq!(ann.delete(&format!("{}?permanent=true", url(&a))).answer().await.status, 204);
        assert_eq!(files(&ann, &[]).await, ["d/a.txt", "e/f/a.txt", "g/a.txt"]);
        assert_eq!(ann.get("/v1/trash").answer().await.json()["items"], json!([]));
        assert_eq!(app.count("SELECT COUNT(*) FROM files").await, 3);
        app.assert_nothing_but(3).await;

        // From the trash: one folder, all of it, and what has expired.
        let d = folder_at(&ann, "", "d").await;
        ann.delete(&url(&d)).answer().await;
        let in_trash = format!("/v1/trashed-folders/{}", d["id"].as_str().unwrap());
        assert_eq!(ann.delete(&in_trash).answer().await.status, 204);
        ann.delete(&in_trash).answer().await.problem(404, "not_found");
        ann.delete(&url(&folder_at(&ann, "", "e").await)).answer().await;
        assert_eq!(ann.delete("/v1/trash").answer().await.json(), json!({"deleted": 1}));
        ann.delete(&url(&folder_at(&ann, "", "g").await)).answer().await;
        app.advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM folders WHERE parent_id IS NOT NULL").await, 0);
        app.assert_nothing_but(0).await;
    }

    async fn the_contents_of_a_folder_are_counted(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for path in ["a", "a/b", "a/b/c"] {
            put(&ann, path).await;
        }
        create(&ann, "a/empty").await;
        let a = ann.get(&url(&folder_at(&ann, "", "a").await)).answer().await.json();
        assert_eq!(a["directly"], json!({"files": 1, "folders": 2, "size": 1}));
        assert_eq!(a["below"], json!({"files": 3, "folders": 3, "size": 3}));
        let at: jiff::Timestamp = a["below_at"].as_str().unwrap().parse().unwrap();
        put(&ann, "a").await;
        let later = ann.get(&url(&a)).answer().await.json();
        assert_eq!(later["directly"], json!({"files": 2, "folders": 2, "size": 2}), "exact");
        assert_eq!((&later["below"], &later["below_at"]), (&a["below"], &a["below_at"]), "a minute old at most");
        app.advance(std::time::Duration::from_secs(61));
        let later = ann.get(&url(&a)).answer().await.json();
        assert_eq!(later["below"], json!({"files": 4, "folders": 3, "size": 4}));
        assert!(later["below_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() > at);
        let top = ann.get(&format!("/v1/folders/{}", ann.id)).answer().await.json();
        assert_eq!((&top["path"], &top["directly"]), (&json!(""), &json!({"files": 0, "folders": 1, "size": 0})));
    }

    async fn a_list_is_in_the_order_of_whole_paths(app: TestApp) {
        let ann = app.sign_up("ann").await;
        // A folder sorts as its name with a slash.
        let mut all = Vec::new();
        for (folder, name) in [
            ("", "b"), ("", "b-"), ("", "b0"), ("b1", "x"), ("a", "z"), ("a/m", "n"), ("a/m", "0"), ("a/m!", "q"), ("a", "m~"),
            ("a", "A"), ("a/m/deep/er", "1"), ("users/3", "x"), ("users/30", "y"), ("users/3/a", "z"), ("", "~"), ("é", "ü"),
        ] {
            let answer = ann.post("/v1/files").query(&[("name", name), ("path", folder)]).body("x").answer().await;
            assert_eq!(answer.status, 201);
            all.push([folder, name].join("/").trim_start_matches('/').to_owned());
        }
        for empty in ["a/a", "a/m/0-", "zzz"] {
            create(&ann, empty).await;
        }
        for number in 0..30 {
            let folder = format!("many/{number:02}");
            put(&ann, &folder).await;
            all.push(format!("{folder}/a.txt"));
        }
        all.sort();
        let reversed: Vec<_> = all.iter().rev().cloned().collect();
        for limit in ["1", "2", "3", "7", "1000"] {
            assert_eq!(files(&ann, &[("limit", limit)]).await, all, "{limit}");
            assert_eq!(files(&ann, &[("limit", limit), ("sort", "-path")]).await, reversed, "{limit}");
            for prefix in ["a", "a/", "a/m", "a/m/", "b", "users/3", "users/3/", "many/1", "~", "é/", "nothing"] {
                let matching: Vec<_> = all.iter().filter(|location| location.starts_with(prefix)).cloned().collect();
                let backward: Vec<_> = matching.iter().rev().cloned().collect();
                assert_eq!(files(&ann, &[("limit", limit), ("prefix", prefix)]).await, matching, "{prefix} {limit}");
                let listed = files(&ann, &[("limit", limit), ("prefix", prefix), ("sort", "-path")]).await;
                assert_eq!(listed, backward, "{prefix} {limit}");
                for sort in ["natural", "-natural", "name", "-size", "created_at"] {
                    let mut listed = files(&ann, &[("limit", limit), ("prefix", prefix), ("sort", sort)]).await;
                    listed.sort();
                    assert_eq!(listed, matching, "{prefix} {limit} {sort}");
                }
            }
            let natural = files(&ann, &[("limit", limit), ("sort", "natural")]).await;
            let mut backward = files(&ann, &[("limit", limit), ("sort", "-natural")]).await;
            backward.reverse();
            assert_eq!(natural, backward, "{limit}");
            assert_eq!(natural[..4], ["b", "b-", "b0", "~"], "{limit}");
            assert_eq!(natural.len(), all.len());
        }
        // This folder and below: not `users/30`.
        assert_eq!(files(&ann, &[("under", "users/3")]).await, ["users/3/a/z", "users/3/x"]);
        assert_eq!(files(&ann, &[("under", "users/3"), ("sort", "size")]).await.len(), 2);
        assert_eq!(files(&ann, &[("under", "users/3"), ("prefix", "users/3/a")]).await, ["users/3/a/z"]);
        assert!(files(&ann, &[("under", "users/3"), ("prefix", "b")]).await.is_empty());
        assert_eq!(files(&ann, &[("under", "")]).await, all);
        assert_eq!(files(&ann, &[("path", "a"), ("prefix", "a/m")]).await, ["a/m~"]);
        for (query, total) in [("under=users", 3), ("path=a", 3), ("prefix=many/1", 10), ("q=n", 31), ("sort=size", 46)] {
            let page = ann.get(&format!("/v1/files?limit=1&total=true&{query}")).answer().await.json();
            assert_eq!(page["total"], total, "{query}");
        }
        assert_eq!(ann.get("/v1/files").answer().await.json().get("total"), None);
    }

    async fn a_list_is_limited_to_some_members_of_its_files(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "a/b").await;
        let whole = ann.get("/v1/files").answer().await.json();
        let some = ann.get("/v1/files?fields=name,id,path&total=true").answer().await.json();
        let file = &whole["items"][0];
        let expected = json!({"id": file["id"], "name": "a.txt", "path": "a/b"});
        assert_eq!(some, json!({"items": [expected], "next_cursor": null, "total": 1}));
        let every = file.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(",");
        assert_eq!(ann.get(&format!("/v1/files?fields={every}")).answer().await.json(), whole);
        let signed = ann.get("/v1/files?urls=signed&fields=id").answer().await.json();
        let members: Vec<_> = signed["items"][0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["id", "url", "url_expires_at"]);
        for bad in ["", "id,", "ID", "nonsense", "id,blob_id", "url", "id%20", "id;name"] {
            let problem = ann.get(&format!("/v1/files?fields={bad}")).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["parameter"], "fields", "{bad}");
        }
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
