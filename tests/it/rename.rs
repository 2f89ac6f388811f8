//! Names and paths of files, changes of them, lists, and batches.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::client::{Ask, Client, content, path};
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both};

async fn upload_at(client: &Client, folder: &str, name: &str) -> Value {
    let request = client.post("/v1/files").query(&[("path", folder), ("name", name)]).body(name.to_owned());
    let answer = request.answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
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

    async fn marks_and_blanks_that_nobody_sees_are_not_part_of_a_name(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (sent, name) in [
            ("עברית (v2)\u{200e}.pdf", "עברית (v2).pdf"),
            ("\u{200f}\u{61c}عربي.txt", "عربي.txt"),
            ("\u{feff}bom.txt", "bom.txt"),
            ("zero\u{200b}width\u{2060}.txt", "zerowidth.txt"),
            (" blanks.txt \u{3000}", "blanks.txt"),
            ("\u{2764}\u{fe0f} \u{1f469}\u{200d}\u{1f4bb}.txt", "\u{2764}\u{fe0f} \u{1f469}\u{200d}\u{1f4bb}.txt"),
            ("\u{2764}\u{fe0f}", "\u{2764}\u{fe0f}"),
        ] {
            let file = upload_at(&ann, "a\u{200e} / b\u{200b}", sent).await;
            assert_eq!((&file["name"], &file["path"]), (&json!(name), &json!("a/b")));
            let renamed = ann.patch(&path(&file)).json(&json!({"name": format!("x{sent}")})).answer().await;
            assert_eq!(renamed.status, 200, "{}", renamed.text());
            let upload = Tus::create(&ann, Some(0), &format!("{sent},path {}", base64("t"))).await;
            assert_eq!(upload.file(&ann).await.status, 200);
            let direct = json!({"name": sent, "path": "d", "size": 0, "mode": "direct"});
            assert_eq!(ann.post("/v1/uploads").json(&direct).answer().await.status, 201);
        }
        for folder in ["t", "d"] {
            let names = walk(&ann, &format!("path={folder}"), "name").await.0;
            assert_eq!(names.len(), 7);
            assert!(names.contains(&"עברית (v2).pdf".to_owned()), "{names:?}");
        }
        // A text to search for may have been copied from such a name.
        assert_eq!(walk(&ann, "q=(v2)%E2%80%8E.pdf&path=d", "name").await.0, ["עברית (v2).pdf"]);
    }

    async fn a_name_has_255_characters_of_any_script(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in [format!("{}.pdf", "あ".repeat(251)), "🦀".repeat(255), format!("{}.txt", "ß".repeat(251))] {
            let folder = ["文".repeat(170).as_str(); 3].join("/");
            let file = upload_at(&ann, &folder, &name).await;
            assert_eq!((&file["name"], &file["path"]), (&json!(name), &json!(folder)));
            assert_eq!(ann.download(&file).await, name.as_bytes());
            let signed = ann.sign(&file, "get").await;
            assert_eq!(app.anonymous().get(signed["url"].as_str().unwrap()).answer().await.bytes, name.as_bytes());
            let again = upload_at(&ann, &folder, &name).await["name"].as_str().unwrap().to_owned();
            assert!(again.chars().count() == 255 && again.contains(" (1)"), "{again}");
            let refused = ann.post("/v1/files").query(&[("name", format!("{name}x"))]).body("x").answer().await;
            refused.problem(422, "invalid");
            assert_eq!(walk(&ann, "sort=natural&limit=1", "name").await.0.len(), walk(&ann, "", "name").await.0.len());
        }
    }

    async fn a_query_that_is_not_utf8_is_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (query, name) in [("name=caf%E9.txt", "name"), ("name=a&path=caf%E9", "path")] {
            let problem = ann.post(&format!("/v1/files?{query}")).body("x").answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["parameter"], name);
        }
        ann.get("/v1/files?q=%FF").answer().await.problem(422, "invalid");
        app.assert_nothing_but(0).await;
    }

    async fn hostile_names_are_refused_and_leave_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let long = "x".repeat(256);
        let hostile = ["", " ", ".", "..", " .. ", "..\u{200e}", "\u{200b}", "a/b", "../../etc/passwd", "a\\b", "a\0b", "a\nb", "a\u{202e}txt.exe", "a\u{2066}b", long.as_str()];
        for name in hostile {
            let problem = ann.post("/v1/files").query(&[("name", name)]).body("x").answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["parameter"], "name", "{name:?}");
        }
        for c in "\u{ad}\u{34f}\u{17b4}\u{180e}\u{200c}\u{200d}\u{2061}\u{206a}\u{2800}\u{fe0f}\u{fff9}\u{1d173}\u{e0041}\u{e0100}".chars() {
            for name in [format!("{c}"), format!("{c} {c}")] {
                let new = ann.post("/v1/files").query(&[("name", &name)]).body("x").answer().await;
                assert_eq!(new.problem(422, "invalid")["errors"][0]["parameter"], "name", "{name:?}");
                let new = ann.post("/v1/files").query(&[("name", "a"), ("path", &format!("a/{name}"))]).body("x").answer().await;
                assert_eq!(new.problem(422, "invalid")["errors"][0]["parameter"], "path", "{name:?}");
                ann.post("/v1/me/tokens").json(&json!({"name": name})).answer().await.problem(422, "invalid");
            }
        }
        for folder in ["..", "a/../b", "a//b", "a/./b", "a\0b", "a\\b", &"x/".repeat(800)] {
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

    async fn a_search_has_as_many_characters_as_a_name_at_most(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let name = "é".repeat(255);
        upload_at(&ann, "", &name).await;
        assert_eq!(walk(&ann, &format!("q={}", "%C3%A9".repeat(255)), "name").await.0, [name]);
        assert!(walk(&ann, &format!("q={}", "a".repeat(255)), "name").await.0.is_empty());
        let refused = ann.get(&format!("/v1/files?q={}", "a".repeat(256))).answer().await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["parameter"], "q");
        assert_eq!(refused["errors"][0]["detail"], "at most 255 characters, without control characters");
    }

    async fn a_search_finds_words_however_they_are_written(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in ["ΟΔΟΣ.txt", "Straße.txt", "STRASSE.doc", "Café Übung.pdf", "ＦＵＬＬ１２.txt", "İstanbul łódź.txt", "e_50%.txt"] {
            upload_at(&ann, "Änderung", name).await;
        }
        for (q, found) in [
            ("οδος", vec!["ΟΔΟΣ.txt"]),
            ("ΟΔΟΣ", vec!["ΟΔΟΣ.txt"]),
            ("οδοσ", vec!["ΟΔΟΣ.txt"]),
            ("strasse", vec!["STRASSE.doc", "Straße.txt"]),
            ("straße", vec!["STRASSE.doc", "Straße.txt"]),
            ("cafe", vec!["Café Übung.pdf"]),
            ("cafe\u{301}", vec!["Café Übung.pdf"]),
            (" ubung  CAFE ", vec!["Café Übung.pdf"]),
            ("pdf anderung ubung", vec!["Café Übung.pdf"]),
            ("full12", vec!["ＦＵＬＬ１２.txt"]),
            ("istanbul Lodz", vec!["İstanbul łódź.txt"]),
            ("50% _", vec!["e_50%.txt"]),
            ("cafe tea", vec![]),
        ] {
            let page = ann.get("/v1/files").query(&[("q", q)]).answer().await.json();
            let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
            assert_eq!(names, found, "{q}");
        }
        assert_eq!(walk(&ann, "q=%20", "name").await.0.len(), 7);
        let name = "a b c d e f g h i j k l.txt";
        upload_at(&ann, "", name).await;
        assert_eq!(walk(&ann, &format!("q={}", name.replace(' ', "+")), "name").await.0, [name]);
    }

    async fn the_natural_order_is_the_one_in_which_people_count(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let sorted = ["apple", "file2.txt", "File9", "file10", "image (2)", "image (10)", "Übung", "Zebra"];
        for folder in ["b", "", "b/c"] {
            for name in ["Zebra", "image (10)", "file10", "apple", "Übung", "File9", "image (2)", "file2.txt"] {
                upload_at(&ann, folder, name).await;
            }
        }
        for limit in [1, 3, 100] {
            assert_eq!(walk(&ann, &format!("path=b&sort=natural&limit={limit}"), "name").await.0, sorted);
            assert_eq!(walk(&ann, &format!("sort=natural&limit={limit}"), "name").await.0, sorted.repeat(3));
            assert_eq!(walk(&ann, &format!("prefix=b/&sort=natural&limit={limit}"), "name").await.0, sorted.repeat(2));
            assert_eq!(walk(&ann, &format!("q=file&path=&sort=natural&limit={limit}"), "name").await.0, sorted[1..4]);
            let mut reversed = walk(&ann, &format!("sort=-natural&limit={limit}"), "name").await.0;
            reversed.reverse();
            assert_eq!(reversed, sorted.repeat(3));
        }
        // A new name, or one out of the trash, has its place.
        let file = upload_at(&ann, "b", "file1").await;
        ann.patch(&path(&file)).json(&json!({"name": "zoo"})).answer().await;
        assert_eq!(walk(&ann, "path=b&sort=natural", "name").await.0.last().unwrap(), "zoo");
        ann.get("/v1/files?sort=natural&cursor=e30").answer().await.problem(400, "bad_cursor");
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
        assert_eq!(app.anonymous().get(url).answer().await.bytes, b"3");
        assert_eq!(signed["items"][1]["status"], 404);

        let deleted = batch(json!({"op": "delete", "ids": [a["id"], a["id"], foreign["id"]]})).answer().await.json();
        let statuses: Vec<_> = deleted["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [204, 404, 404]);
        assert_eq!(bob.download(&foreign).await, b"4");

        for (body, pointer, code) in [
            (json!({"op": "move", "ids": []}), "/path", "required"),
            (json!({"op": "delete", "ids": [], "path": ""}), "/path", "unsupported"),
            (json!({"op": "sign", "ids": [], "permanent": true}), "/permanent", "unsupported"),
            (json!({"op": "delete", "ids": [], "expires_in": 60}), "/expires_in", "unsupported"),
            (json!({"op": "move", "ids": [], "path": "", "expires_in": 60}), "/expires_in", "unsupported"),
        ] {
            let error = batch(body.clone()).answer().await.problem(422, "invalid")["errors"][0].clone();
            assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
        }
        assert_eq!(batch(json!({"op": "move", "ids": [], "path": "", "permanent": false})).answer().await.status, 200);
        batch(json!({"op": "delete", "ids": vec![uuid::Uuid::nil(); 1001]})).answer().await.problem(422, "invalid");
        batch(json!({"op": "shred", "ids": []})).answer().await.problem(422, "invalid");
        batch(json!({"op": "delete", "ids": ["no id"]})).answer().await.problem(422, "invalid");
    }
}
