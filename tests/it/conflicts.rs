//! Taken names: `on_conflict` on every way to put a file or a folder somewhere.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::client::{Answer, Ask, Client, content, path};
use crate::support::links::create_link;
use crate::support::raw::{connect, response, status};
use crate::support::tus::{self, CHUNK_TYPE, Tus};
use crate::support::{Setup, TestApp, both};

/// Every way to upload. The name in a form with `Late` follows the file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Raw,
    Form,
    Late,
    Tus,
    Direct,
    Companion,
}

const WAYS: [Way; 6] = [Way::Raw, Way::Form, Way::Late, Way::Tus, Way::Direct, Way::Companion];

/// The outcome of an upload.
struct Outcome {
    answer: Answer,
    conflict: String,
    /// The file, if the upload succeeded.
    id: String,
}

fn outcome(answer: Answer, id: impl FnOnce(&Answer) -> String) -> Outcome {
    let (conflict, id) = match answer.status < 300 {
        true => (answer.header("strongroom-conflict").to_owned(), id(&answer)),
        false => (String::new(), String::new()),
    };
    Outcome { answer, conflict, id }
}

fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// Uploads a text as `docs/a.txt`.
async fn upload(client: &Client, way: Way, on_conflict: Option<&str>, text: &str) -> Outcome {
    let choice: Vec<_> = on_conflict.iter().map(|choice| ("on_conflict", *choice)).collect();
    let of_file = |answer: &Answer| id(&answer.json()["id"]);
    match way {
        Way::Raw => {
            let request = client.post("/v1/files?name=a.txt&path=docs").query(&choice).body(text.to_owned());
            outcome(request.answer().await, of_file)
        }
        Way::Form | Way::Late => {
            let fields = |form: Form| {
                let form = form.text("path", "docs").text("name", "a.txt");
                choice.iter().fold(form, |form, (name, value)| form.text(*name, (*value).to_owned()))
            };
            let form = if way == Way::Form { fields(Form::new()) } else { Form::new() };
            let form = form.part("file", Part::text(text.to_owned()).file_name("x"));
            let form = if way == Way::Late { fields(form) } else { form };
            outcome(client.post("/v1/files").multipart(form).answer().await, of_file)
        }
        Way::Tus => {
            let choice = on_conflict
                .map_or_else(String::new, |choice| format!(",on_conflict {}", BASE64_STANDARD.encode(choice)));
            let pairs = format!("a.txt,path {}{choice}", BASE64_STANDARD.encode("docs"));
            let request = tus::create(client, Some(text.len()), &pairs).header("content-type", CHUNK_TYPE);
            outcome(request.body(text.to_owned()).answer().await, |answer| {
                answer.header("strongroom-file-id").to_owned()
            })
        }
        Way::Direct => {
            let body = json!({"mode": "direct", "name": "a.txt", "path": "docs", "size": text.len(), "on_conflict": on_conflict});
            let created = client.post("/v1/uploads").json(&body).answer().await;
            if created.status != 201 {
                return outcome(created, |answer| id(&answer.json()["file_id"]));
            }
            let upload = id(&created.json()["id"]);
            let parts = client.post(&format!("/v1/uploads/{upload}/parts")).json(&json!({})).answer().await.json();
            let sent = client.put(parts["parts"][0]["url"].as_str().unwrap()).body(text.to_owned()).answer().await;
            assert_eq!(sent.status, 200, "{}", sent.text());
            outcome(client.post(&format!("/v1/uploads/{upload}/complete")).answer().await, of_file)
        }
        Way::Companion => {
            let mut metadata = json!({"size": text.len(), "path": "docs"});
            if let Some(choice) = on_conflict {
                metadata["on_conflict"] = json!(choice);
            }
            let base = "/v1/companion/s3/multipart";
            let created = client.post(base).json(&json!({"filename": "a.txt", "metadata": metadata})).answer().await;
            if created.status != 200 {
                return outcome(created, |_| String::new());
            }
            let upload = id(&created.json()["uploadId"]);
            let part = client.get(&format!("{base}/{upload}/1")).answer().await.json();
            let sent = client.put(part["url"].as_str().unwrap()).body(text.to_owned()).answer().await;
            let etag = sent.header("etag").to_owned();
            let body = json!({"parts": [{"PartNumber": 1, "ETag": etag}]});
            outcome(client.post(&format!("{base}/{upload}/complete")).json(&body).answer().await, |answer| {
                id(&answer.json()["key"])
            })
        }
    }
}

async fn text(client: &Client, file: &str) -> String {
    let answer = client.get(&format!("/v1/files/{file}/content")).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn get(client: &Client, file: &str) -> Value {
    client.get(&format!("/v1/files/{file}")).answer().await.json()
}

async fn names(client: &Client, folder: &str) -> Vec<String> {
    let page = client.get("/v1/files").query(&[("path", folder), ("limit", "1000")]).answer().await.json();
    page["items"].as_array().unwrap().iter().map(|file| id(&file["name"])).collect()
}

async fn put(client: &Client, folder: &str, name: &str, text: &str) -> Value {
    let request = client.post("/v1/files").query(&[("path", folder), ("name", name)]).body(text.to_owned());
    let answer = request.answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn create_folder(client: &Client, path: &str) -> Value {
    client.post("/v1/folders").json(&json!({"path": path})).answer().await.json()
}

fn folder(folder: &Value) -> String {
    format!("/v1/folders/{}", folder["id"].as_str().unwrap())
}

both! {
    async fn an_upload_gets_a_number_by_default_and_by_choice(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "docs", "a.txt", "old").await;
        let mut expected = vec!["a.txt".to_owned()];
        for (number, (way, choice)) in WAYS.iter().flat_map(|way| [(*way, None), (*way, Some("number"))]).enumerate() {
            let uploaded = upload(&ann, way, choice, &format!("{way:?}")).await;
            assert!((200..=201).contains(&uploaded.answer.status), "{way:?}: {}", uploaded.answer.text());
            expected.push(format!("a ({}).txt", number + 1));
            let file = get(&ann, &uploaded.id).await;
            assert_eq!(file["name"], json!(expected.last()), "{way:?}");
            assert_eq!(text(&ann, &uploaded.id).await, format!("{way:?}"));
            if way != Way::Companion {
                assert_eq!(uploaded.conflict, "numbered", "{way:?}");
            }
        }
        expected.sort();
        assert_eq!(names(&ann, "docs").await, expected);
        app.assert_nothing_but(13).await;
    }

    async fn an_upload_that_replaces_keeps_the_id_the_links_and_the_metadata(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let old = put(&ann, "docs", "a.txt", "old").await;
        ann.patch(&path(&old)).json(&json!({"metadata": {"order": 17}})).answer().await;
        let link = create_link(&ann, &old, json!({})).await;
        for way in WAYS {
            let new = format!("by {way:?}");
            let uploaded = upload(&ann, way, Some("replace"), &new).await;
            assert!(uploaded.answer.status < 300, "{way:?}: {}", uploaded.answer.text());
            assert_eq!(uploaded.id, id(&old["id"]), "{way:?}");
            match way {
                Way::Companion => {}
                Way::Tus => assert_eq!((uploaded.answer.status, uploaded.conflict.as_str()), (201, "replaced")),
                _ => assert_eq!((uploaded.answer.status, uploaded.conflict.as_str()), (200, "replaced"), "{way:?}"),
            }
            let file = get(&ann, &uploaded.id).await;
            assert_eq!((&file["metadata"], &file["size"]), (&json!({"order": 17}), &json!(new.len())), "{way:?}");
            assert_eq!(text(&ann, &uploaded.id).await, new);
            let linked = app.anonymous().get(&format!("{}?download=1", link["url"].as_str().unwrap())).answer().await;
            assert_eq!(linked.text(), new, "{way:?}");
        }
        assert_eq!(names(&ann, "docs").await, ["a.txt"]);
        // The old contents were marked for deletion and are gone.
        app.assert_nothing_but(1).await;
        let events = ann.get(&format!("{}/events", path(&old))).answer().await.text();
        assert_eq!(events.matches("file_replaced").count(), WAYS.len(), "{events}");
    }

    async fn an_upload_that_is_skipped_answers_with_the_file_that_is_there(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let old = put(&ann, "docs", "a.txt", "old").await;
        for way in WAYS {
            let uploaded = upload(&ann, way, Some("skip"), &format!("by {way:?}")).await;
            assert!(uploaded.answer.status < 300, "{way:?}: {}", uploaded.answer.text());
            assert_eq!(uploaded.id, id(&old["id"]), "{way:?}");
            if way != Way::Companion {
                assert_eq!(uploaded.conflict, "skipped", "{way:?}");
            }
            assert_eq!(text(&ann, &uploaded.id).await, "old");
        }
        assert_eq!(ann.get("/v1/uploads").answer().await.json()["items"], json!([]));
        app.assert_nothing_but(1).await;
        assert_eq!(ann.delete_permanently(&old).answer().await.status, 204);
        let first = upload(&ann, Way::Raw, Some("skip"), "new").await;
        assert_eq!((first.answer.status, first.conflict.as_str()), (201, ""));
        assert_eq!(text(&ann, &first.id).await, "new");
    }

    async fn an_upload_that_must_not_conflict_fails(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let old = put(&ann, "docs", "a.txt", "old").await;
        for way in WAYS {
            upload(&ann, way, Some("fail"), "new").await.answer.problem(409, "path_taken");
        }
        assert_eq!(ann.download(&old).await, b"old");
        assert_eq!(ann.get("/v1/uploads").answer().await.json()["items"], json!([]));
        app.assert_nothing_but(1).await;
        for (number, way) in WAYS.into_iter().enumerate() {
            ann.patch(&path(&old)).json(&json!({"name": format!("{number}")})).answer().await;
            let uploaded = upload(&ann, way, Some("fail"), "new").await;
            assert!(uploaded.answer.status < 300 && uploaded.conflict.is_empty(), "{way:?}: {}", uploaded.answer.text());
            assert_eq!(ann.delete(&format!("/v1/files/{}?permanent=true", uploaded.id)).answer().await.status, 204);
        }
    }

    async fn a_folder_is_neither_replaced_nor_skipped_by_an_upload(app: TestApp) {
        let ann = app.sign_up("ann").await;
        create_folder(&ann, "docs/a.txt/below").await;
        for way in WAYS {
            for choice in ["replace", "skip", "fail"] {
                upload(&ann, way, Some(choice), "new").await.answer.problem(409, "path_taken");
            }
        }
        let numbered = upload(&ann, Way::Raw, None, "new").await;
        assert_eq!(get(&ann, &numbered.id).await["name"], "a (1).txt");
        app.assert_nothing_but(1).await;
    }

    async fn an_unknown_choice_is_refused_on_every_way(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "docs", "a.txt", "old").await;
        for (way, place) in [
            (Way::Raw, json!({"parameter": "on_conflict"})),
            (Way::Form, json!({"pointer": "/on_conflict"})),
            (Way::Late, json!({"pointer": "/on_conflict"})),
            (Way::Tus, json!({"header": "upload-metadata"})),
            (Way::Direct, json!({"pointer": "/on_conflict"})),
            (Way::Companion, json!({"pointer": "/metadata/on_conflict"})),
        ] {
            for choice in ["overwrite", "", "Replace"] {
                let problem = upload(&ann, way, Some(choice), "new").await.answer.problem(422, "invalid");
                for (name, value) in place.as_object().unwrap() {
                    assert_eq!(problem["errors"][0][name], *value, "{way:?} {choice:?}: {problem}");
                }
            }
        }
        let both = ann.post("/v1/files?name=a.txt&path=docs&on_conflict=skip").header("if-none-match", "*").body("x");
        assert_eq!(both.answer().await.problem(422, "invalid")["errors"][0]["header"], "if-none-match");
        app.assert_nothing_but(1).await;
    }

    async fn a_skipped_or_refused_upload_is_answered_before_its_content_is_sent(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "docs", "a.txt", "old").await;
        let token = ann.token.as_deref().unwrap();
        let fields = "--b\r\nContent-Disposition: form-data; name=\"on_conflict\"\r\n\r\nskip\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
        for (query, form, expected) in [
            ("&on_conflict=skip", "", 200),
            ("&on_conflict=fail", "", 409),
            ("", fields, 200),
        ] {
            let content_type = if form.is_empty() { "text/plain" } else { "multipart/form-data; boundary=b" };
            let head = format!(
                "POST /v1/files?name=a.txt&path=docs{query} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\n\
                 content-type: {content_type}\r\ncontent-length: 1000000\r\n\r\n{form}"
            );
            let mut stream = connect(&app).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = response(&mut stream).await.expect("an answer");
            assert_eq!(status(&answer), expected, "{answer}");
        }
        let skip = format!("a.txt,path {},on_conflict {}", BASE64_STANDARD.encode("docs"), BASE64_STANDARD.encode("skip"));
        assert_eq!(tus::create(&ann, Some(1_000_000), &skip).answer().await.header("strongroom-conflict"), "skipped");
        app.assert_nothing_but(1).await;
    }

    async fn a_tus_client_finds_a_skipped_upload_complete(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let old = put(&ann, "docs", "a.txt", "old").await;
        let skip = format!("a.txt,path {},on_conflict {}", BASE64_STANDARD.encode("docs"), BASE64_STANDARD.encode("skip"));
        let created = tus::create(&ann, Some(1000), &skip).answer().await;
        assert_eq!((created.status, created.header("upload-offset")), (201, "1000"));
        assert_eq!(created.header("strongroom-file-id"), old["id"]);
        let upload = Tus::located(&created);
        // A client that does not look at the offset sends from the beginning, and asks after the refusal.
        upload.append(&ann, 0, "x".repeat(1000)).await.problem(409, "offset_mismatch");
        let head = upload.head(&ann).await;
        assert_eq!((head.status, head.header("upload-offset"), head.header("upload-length")), (200, "3", "3"));
        assert_eq!(head.header("strongroom-file-id"), old["id"]);
        assert_eq!(upload.append(&ann, 3, "").await.status, 204);
        assert_eq!(upload.head(&bob).await.status, 404);
        upload.append(&bob, 0, "x").await.problem(404, "not_found");
        assert_eq!(tus::tus(&ann, reqwest::Method::DELETE, &upload.path).answer().await.status, 404);
        app.assert_nothing_but(1).await;
    }

    async fn a_name_that_is_taken_during_a_resumable_upload_is_resolved_at_its_end(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (choice, status, conflict) in [("number", 204, "numbered"), ("replace", 204, "replaced"), ("skip", 204, "skipped"), ("fail", 409, "")] {
            let pairs = format!("a.txt,path {},on_conflict {}", BASE64_STANDARD.encode(choice), BASE64_STANDARD.encode(choice));
            let upload = Tus::create(&ann, Some(3), &pairs).await;
            let there = put(&ann, choice, "a.txt", "old").await;
            let answer = upload.append(&ann, 0, "new").await;
            assert_eq!((answer.status, answer.header("strongroom-conflict")), (status, conflict), "{choice}: {}", answer.text());
            let expected: &[u8] = if choice == "replace" { b"new" } else { b"old" };
            assert_eq!(ann.download(&there).await, expected, "{choice}");
            match choice {
                "fail" => assert_eq!(upload.head(&ann).await.status, 404),
                "number" => assert_eq!(names(&ann, choice).await, ["a (1).txt", "a.txt"]),
                _ => assert_eq!(answer.header("strongroom-file-id"), there["id"]),
            }
        }
        assert_eq!(ann.get("/v1/uploads").answer().await.json()["items"], json!([]));
        app.assert_nothing_but(5).await;
    }

    async fn uploads_of_one_name_at_once_overwrite_each_other_only_if_they_replace(app: TestApp) {
        let ann = app.sign_up("ann").await;
        const AT_ONCE: usize = 12;
        for (choice, files, created) in [("number", AT_ONCE, AT_ONCE), ("skip", 1, 1), ("fail", 1, 1), ("replace", 1, 1)] {
            let url = format!("/v1/files?name=a.txt&path={choice}&on_conflict={choice}");
            let uploads = (0..AT_ONCE).map(|number| ann.post(&url).body(format!("{number}")).answer());
            let answers = join_all(uploads).await;
            let of = |status| answers.iter().filter(|answer| answer.status == status).count();
            assert_eq!(of(201), created, "{choice}");
            assert_eq!(of(if choice == "fail" { 409 } else { 200 }), AT_ONCE - created, "{choice}");
            assert_eq!(names(&ann, choice).await.len(), files, "{choice}");
            let ids: BTreeSet<_> = answers.iter().filter(|answer| answer.status < 300).map(|answer| id(&answer.json()["id"])).collect();
            assert_eq!(ids.len(), files, "{choice}");
            // What the one that created it sent is still there, unless the others replaced it.
            let first = answers.iter().find(|answer| answer.status == 201).unwrap().json();
            let now = get(&ann, first["id"].as_str().unwrap()).await;
            if choice != "replace" {
                assert_eq!(now["sha256"], first["sha256"], "{choice}");
            }
        }
        app.assert_nothing_but(AT_ONCE + 3).await;
    }

    async fn the_choice_is_part_of_an_idempotent_request(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let old = put(&ann, "docs", "a.txt", "old").await;
        let send = |choice: &str| {
            ann.post(&format!("/v1/files?name=a.txt&path=docs{choice}")).header("idempotency-key", "k").body("new").answer()
        };
        let first = send("&on_conflict=replace").await;
        assert_eq!((first.status, first.header("strongroom-conflict")), (200, "replaced"));
        assert_eq!(first.json()["id"], old["id"]);
        let replaced = ann.put(&content(&old)).header("if-match", "*").body("newer").answer().await;
        assert_eq!(replaced.status, 200);
        let again = send("&on_conflict=replace").await;
        assert_eq!((again.status, again.header("strongroom-conflict"), again.json()), (200, "replaced", first.json()));
        assert_eq!(ann.download(&old).await, b"newer");
        for other in ["", "&on_conflict=skip", "&on_conflict=fail", "&on_conflict=number"] {
            send(other).await.problem(422, "idempotency_mismatch");
        }
        let create = |choice: &str| {
            let body = json!({"mode": "tus", "name": "b.txt", "size": 1, "on_conflict": choice});
            ann.post("/v1/uploads").header("idempotency-key", "u").json(&body).answer()
        };
        assert_eq!((create("fail").await.status, create("fail").await.status), (201, 201));
        create("skip").await.problem(422, "idempotency_mismatch");
        // A skipped upload has changed nothing, and its key is free.
        let skip = || ann.post("/v1/files?name=a.txt&path=docs&on_conflict=skip").header("idempotency-key", "s").body("x").answer();
        assert_eq!((skip().await.status, skip().await.status), (200, 200));
        assert_eq!(ann.delete_permanently(&old).answer().await.status, 204);
        assert_eq!((skip().await.status, skip().await.status), (201, 201));
        assert_eq!(names(&ann, "docs").await, ["a.txt"]);
    }

    async fn a_file_is_moved_onto_a_taken_name_as_chosen(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let moved = put(&ann, "from", "a.txt", "moved").await;
        let link = create_link(&ann, &moved, json!({})).await;
        let there = put(&ann, "to", "a.txt", "there").await;
        let to = |choice: &str| ann.patch(&format!("{}{choice}", path(&moved))).json(&json!({"path": "to", "metadata": {"n": 1}})).answer();
        to("").await.problem(409, "path_taken");
        to("?on_conflict=fail").await.problem(409, "path_taken");
        to("?on_conflict=overwrite").await.problem(422, "invalid");

        let skipped = to("?on_conflict=skip").await;
        assert_eq!((skipped.status, skipped.header("strongroom-conflict")), (200, "skipped"));
        assert_eq!((&skipped.json()["path"], &skipped.json()["metadata"]), (&json!("from"), &json!({})));
        assert_eq!(get(&ann, moved["id"].as_str().unwrap()).await, skipped.json());

        let numbered = to("?on_conflict=number").await;
        assert_eq!((numbered.status, numbered.header("strongroom-conflict")), (200, "numbered"));
        assert_eq!((&numbered.json()["path"], &numbered.json()["name"]), (&json!("to"), &json!("a (1).txt")));

        let body = json!({"name": "a.txt"});
        let replaced = ann.patch(&format!("{}?on_conflict=replace", path(&moved))).json(&body).answer().await;
        assert_eq!((replaced.status, replaced.header("strongroom-conflict")), (200, "replaced"));
        assert_eq!((&replaced.json()["id"], &replaced.json()["name"]), (&moved["id"], &json!("a.txt")));
        assert_eq!(names(&ann, "to").await, ["a.txt"]);
        assert_eq!(app.anonymous().get(&format!("{}?download=1", link["url"].as_str().unwrap())).answer().await.text(), "moved");
        let trash = ann.get("/v1/trash").answer().await.json();
        assert_eq!((&trash["items"][0]["id"], trash["items"].as_array().unwrap().len()), (&there["id"], 1), "nothing is moved into nowhere");

        let folder = create_folder(&ann, "to/b").await;
        for choice in ["replace", "fail"] {
            ann.patch(&format!("{}?on_conflict={choice}", path(&moved))).json(&json!({"name": "b"})).answer().await.problem(409, "path_taken");
        }
        assert_eq!(ann.get(&self::folder(&folder)).answer().await.status, 200);
        app.assert_nothing_but(2).await;
    }

    async fn files_that_take_each_others_place_at_once_are_both_kept(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for round in 0..8 {
            let folder = format!("r{round}");
            let (one, other) = (put(&ann, &folder, "one", "1").await, put(&ann, &folder, "other", "2").await);
            let rename = |file: &Value, name: &str| {
                ann.patch(&format!("{}?on_conflict=replace", path(file))).json(&json!({"name": name})).answer()
            };
            let (first, second) = tokio::join!(rename(&one, "other"), rename(&other, "one"));
            let statuses = [first.status, second.status];
            // The second to come may find itself in the trash.
            assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
            let listed = names(&ann, &folder).await.len();
            let trashed = ann.get("/v1/trash").answer().await.json()["items"].as_array().unwrap().len();
            assert_eq!(listed + trashed, 2, "{statuses:?}");
            ann.delete("/v1/trash").answer().await;
        }
    }

    async fn a_folder_is_moved_onto_a_taken_name_as_chosen(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "from/a", "inside.txt", "x").await;
        let page = ann.get("/v1/folders?path=from").answer().await.json();
        let moved = page["items"][0].clone();
        let (there, file) = (create_folder(&ann, "to/a").await, put(&ann, "to", "file", "x").await);
        let to = |path: &str, choice: &str| ann.patch(&format!("{}{choice}", folder(&moved))).json(&json!({"path": path})).answer();
        for choice in ["", "?on_conflict=fail", "?on_conflict=replace"] {
            to("to/a", choice).await.problem(409, "path_taken");
            to("to/file", choice).await.problem(409, "path_taken");
        }
        let skipped = to("to/a", "?on_conflict=skip").await;
        assert_eq!((skipped.status, skipped.header("strongroom-conflict"), &skipped.json()["path"]), (200, "skipped", &json!("from/a")));
        let numbered = to("to/a", "?on_conflict=number").await;
        assert_eq!((numbered.status, numbered.header("strongroom-conflict"), &numbered.json()["path"]), (200, "numbered", &json!("to/a (1)")));
        let free = to("to/b", "?on_conflict=number").await;
        assert_eq!((free.status, free.header("strongroom-conflict"), &free.json()["path"]), (200, "", &json!("to/b")));
        assert_eq!(names(&ann, "to/b").await, ["inside.txt"]);
        assert_eq!(ann.get(&folder(&there)).answer().await.json()["path"], "to/a");
        assert_eq!(ann.get(&path(&file)).answer().await.status, 200);
        to("to/a", "?on_conflict=merge").await.problem(422, "invalid");
    }

    async fn a_file_is_restored_onto_a_taken_name_as_chosen(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = put(&ann, "docs", "a.txt", "restored").await;
        ann.delete(&path(&file)).answer().await;
        let there = put(&ann, "docs", "a.txt", "there").await;
        let url = format!("/v1/trash/{}/restore", file["id"].as_str().unwrap());
        let restore = |choice: &str| ann.post(&format!("{url}{choice}")).answer();
        restore("?on_conflict=fail").await.problem(409, "path_taken");
        restore("?on_conflict=x").await.problem(422, "invalid");
        let skipped = restore("?on_conflict=skip").await;
        assert_eq!((skipped.status, skipped.header("strongroom-conflict"), &skipped.json()["id"]), (200, "skipped", &file["id"]));
        assert_eq!(ann.get(&path(&file)).answer().await.status, 404);

        let replaced = restore("?on_conflict=replace").await;
        assert_eq!((replaced.status, replaced.header("strongroom-conflict"), &replaced.json()["id"]), (200, "replaced", &file["id"]));
        assert_eq!(ann.download(&file).await, b"restored");
        let trash = ann.get("/v1/trash").answer().await.json();
        assert_eq!(trash["items"][0]["id"], there["id"], "{trash}");
        let url = format!("/v1/trash/{}/restore", there["id"].as_str().unwrap());
        let numbered = ann.post(&url).answer().await;
        assert_eq!((numbered.status, numbered.header("strongroom-conflict"), &numbered.json()["name"]), (200, "numbered", &json!("a (1).txt")));
        app.assert_nothing_but(2).await;
    }

    async fn a_folder_is_restored_onto_a_taken_name_as_chosen(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let trashed = create_folder(&ann, "a").await;
        put(&ann, "a", "inside.txt", "x").await;
        ann.delete(&folder(&trashed)).answer().await;
        create_folder(&ann, "a").await;
        let url = format!("/v1/trashed-folders/{}/restore", trashed["id"].as_str().unwrap());
        let restore = |choice: &str| ann.post(&format!("{url}{choice}")).answer();
        restore("?on_conflict=fail").await.problem(409, "path_taken");
        restore("?on_conflict=replace").await.problem(409, "path_taken");
        restore("?on_conflict=x").await.problem(422, "invalid");
        let skipped = restore("?on_conflict=skip").await;
        assert_eq!((skipped.status, skipped.header("strongroom-conflict")), (200, "skipped"));
        assert_eq!(ann.get(&folder(&trashed)).answer().await.status, 404);
        let numbered = restore("").await;
        assert_eq!((numbered.status, numbered.header("strongroom-conflict"), &numbered.json()["path"]), (200, "numbered", &json!("a (1)")));
        assert_eq!(names(&ann, "a (1)").await, ["inside.txt"]);
    }

    async fn a_batch_moves_onto_taken_names_as_chosen(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let moved = put(&ann, "from", "a.txt", "moved").await;
        put(&ann, "to", "a.txt", "there").await;
        let batch = |choice: Value| {
            let mut body = json!({"op": "move", "ids": [moved["id"]], "path": "to"});
            if !choice.is_null() {
                body["on_conflict"] = choice;
            }
            ann.post("/v1/files/batch").json(&body).answer()
        };
        assert_eq!(batch(json!(null)).await.json()["items"][0]["code"], "path_taken");
        assert_eq!(batch(json!("skip")).await.json()["items"][0]["conflict"], "skipped");
        let item = batch(json!("number")).await.json()["items"][0].clone();
        assert_eq!((&item["status"], &item["conflict"], &item["file"]["name"]), (&json!(200), &json!("numbered"), &json!("a (1).txt")));
        batch(json!("x")).await.problem(422, "invalid");
        let misplaced = json!({"op": "delete", "ids": [], "on_conflict": "skip"});
        let problem = ann.post("/v1/files/batch").json(&misplaced).answer().await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/on_conflict");
    }

    async fn without_a_trash_what_is_replaced_by_a_move_is_deleted(app: TestApp) {
        let app = app.restart_with(|config| config.trash_retention = std::time::Duration::ZERO).await;
        let ann = app.sign_up("ann").await;
        let (moved, there) = (put(&ann, "", "a", "moved").await, put(&ann, "", "b", "there").await);
        let replaced = ann.patch(&format!("{}?on_conflict=replace", path(&moved))).json(&json!({"name": "b"})).answer().await;
        assert_eq!((replaced.status, replaced.header("strongroom-conflict")), (200, "replaced"));
        assert_eq!(ann.get(&path(&there)).answer().await.status, 404);
        app.assert_nothing_but(1).await;
    }
}
