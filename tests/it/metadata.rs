//! Metadata and tags: given with an upload, changed later, and found by lists.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use strongroom::users::{Quota, UpdateUser, update_user};

use crate::support::client::{Answer, Ask, Client, content, path};
use crate::support::tus::{self, CHUNK_TYPE};
use crate::support::{Setup, TestApp, both};

/// Every way to give metadata and tags to a new file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Raw,
    Form,
    Late,
    Tus,
    Direct,
    Companion,
    At,
}

const WAYS: [Way; 7] = [Way::Raw, Way::Form, Way::Late, Way::Tus, Way::Direct, Way::Companion, Way::At];

/// Uploads `x` with metadata as JSON text and tags separated by commas; returns the response, and the id of the file.
async fn upload(client: &Client, way: Way, name: &str, metadata: &str, tags: &str) -> (Answer, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    match way {
        Way::Raw => {
            let request = client
                .post("/v1/files")
                .query(&[("name", name), ("tags", tags)])
                .header("strongroom-metadata", metadata);
            let answer = request.body("x").answer().await;
            let id = if answer.status == 201 { text(&answer.json()["id"]) } else { String::new() };
            (answer, id)
        }
        Way::At => {
            let request = client
                .put(&format!("/v1/files/at/{name}"))
                .query(&[("tags", tags)])
                .header("strongroom-metadata", metadata);
            let answer = request.body("x").answer().await;
            let id = if answer.status == 201 { text(&answer.json()["id"]) } else { String::new() };
            (answer, id)
        }
        Way::Form | Way::Late => {
            let file = Part::text("x").file_name(name.to_owned());
            let fields = |form: Form| form.text("metadata", metadata.to_owned()).text("tags", tags.to_owned());
            let form = match way {
                Way::Form => fields(Form::new()).part("file", file),
                _ => fields(Form::new().part("file", file)),
            };
            let answer = client.post("/v1/files").multipart(form).answer().await;
            let id = if answer.status == 201 { text(&answer.json()["id"]) } else { String::new() };
            (answer, id)
        }
        Way::Tus => {
            let pairs = format!("{name},metadata {},tags {}", encoded(metadata), encoded(tags));
            let request = tus::create(client, Some(1), &pairs).header("content-type", CHUNK_TYPE);
            let answer = request.body("x").answer().await;
            let id = answer.header("strongroom-file-id").to_owned();
            (answer, id)
        }
        Way::Direct => {
            let tags: Vec<_> = tags.split(',').filter(|tag| !tag.is_empty()).collect();
            let metadata: Value = serde_json::from_str(metadata).unwrap_or_else(|_| json!("no JSON"));
            let body = json!({"mode": "direct", "name": name, "size": 1, "metadata": metadata, "tags": tags});
            let created = client.post("/v1/uploads").json(&body).answer().await;
            if created.status != 201 {
                return (created, String::new());
            }
            let upload = text(&created.json()["id"]);
            let parts = client.post(&format!("/v1/uploads/{upload}/parts")).json(&json!({})).answer().await.json();
            client.put(parts["parts"][0]["url"].as_str().unwrap()).body("x").answer().await;
            let answer = client.post(&format!("/v1/uploads/{upload}/complete")).answer().await;
            let id = text(&answer.json()["id"]);
            (answer, id)
        }
        Way::Companion => {
            let base = "/v1/companion/s3/multipart";
            let body = json!({"filename": name, "metadata": {"size": 1, "metadata": metadata, "tags": tags}});
            let created = client.post(base).json(&body).answer().await;
            if created.status != 200 {
                return (created, String::new());
            }
            let upload = text(&created.json()["uploadId"]);
            let part = client.get(&format!("{base}/{upload}/1")).answer().await.json();
            let sent = client.put(part["url"].as_str().unwrap()).body("x").answer().await;
            let body = json!({"parts": [{"PartNumber": 1, "ETag": sent.header("etag")}]});
            let answer = client.post(&format!("{base}/{upload}/complete")).json(&body).answer().await;
            let id = text(&answer.json()["key"]);
            (answer, id)
        }
    }
}

async fn put(client: &Client, folder: &str, name: &str, metadata: Value, tags: &str) -> Value {
    let request = client.post("/v1/files").query(&[("path", folder), ("name", name), ("tags", tags)]);
    let answer = request.header("strongroom-metadata", metadata.to_string()).body(name.to_owned()).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The names of the files on all pages of a list, one file on each.
async fn names(client: &Client, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/files?limit=2&{query}")).query(&[("cursor", &cursor)]).answer().await;
        assert_eq!(page.status, 200, "{query}: {}", page.text());
        let page = page.json();
        found.extend(page["items"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { return found };
        cursor = next.to_owned();
    }
}

both! {
    async fn metadata_and_tags_come_with_an_upload_on_every_way(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (number, way) in WAYS.into_iter().enumerate() {
            let name = format!("{way:?}.txt");
            let metadata = json!({"order": number, "a": {"b": [1, "ü"]}, "none": null}).to_string();
            let metadata = metadata.replace('ü', "\\u00fc");
            let (answer, id) = upload(&ann, way, &name, &metadata, "paid, 2026").await;
            assert!(answer.status < 300, "{way:?}: {}", answer.text());
            let file = ann.get(&format!("/v1/files/{id}")).answer().await.json();
            assert_eq!(file["metadata"], json!({"order": number, "a": {"b": [1, "ü"]}}), "{way:?}");
            assert_eq!(file["tags"], json!(["paid", "2026"]), "{way:?}");
            assert_eq!(names(&ann, &format!("metadata.order={number}&tag=paid")).await, [name]);
        }
        app.assert_nothing_but(WAYS.len()).await;
    }

    async fn invalid_metadata_and_tags_are_refused_on_every_way(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let long = json!({"a": "x".repeat(9000)}).to_string();
        let (many, wide) = ((0..33).map(|tag| tag.to_string()).collect::<Vec<_>>().join(","), "x".repeat(65));
        for way in WAYS {
            for (metadata, tags, code) in [
                ("[]", "", ""), ("{", "", ""), ("7", "", ""), (r#"{"a": "\u0000"}"#, "", "invalid"), (r#"{"a": 12345678901234567890123}"#, "", ""),
                (long.as_str(), "", "too_long"), ("{}", many.as_str(), "too_many"), ("{}", wide.as_str(), "invalid"), ("{}", "a,a", "repeated"),
                ("{}", "a\u{202e}", "invalid"),
            ] {
                // The body is JSON already.
                if way == Way::Direct && (metadata == "{" || metadata.contains("123456")) {
                    continue;
                }
                let (answer, _) = upload(&ann, way, "a.txt", metadata, tags).await;
                let is_too_large = way == Way::Tus && answer.status == 413 || answer.status == 431;
                assert!(answer.status == 422 || is_too_large, "{way:?} {} {tags}: {}", &metadata[..metadata.len().min(40)], answer.text());
                if answer.status == 422 && !code.is_empty() {
                    assert_eq!(answer.json()["errors"][0]["code"], code, "{way:?} {tags}: {}", answer.text());
                }
            }
        }
        let repeated = ann.post("/v1/files?name=a").header("strongroom-metadata", "{}").header("strongroom-metadata", "{}").body("x");
        assert_eq!(repeated.answer().await.problem(422, "invalid")["errors"][0]["header"], "strongroom-metadata");
        let (answer, _) = upload(&ann, Way::Form, "a.txt", r#"{"a": 1, "a": 2}"#, "").await;
        assert_eq!(answer.problem(422, "invalid")["errors"][0]["pointer"], "/metadata/a");
        app.assert_nothing_but(0).await;
    }

    async fn metadata_at_an_upload_counts_toward_the_quota(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let patch = UpdateUser { bytes: Some(Quota::Limit(100)), files: None, disabled: None };
        update_user(&app.app, None, ann.id.parse().unwrap(), patch).await.unwrap();
        let metadata = json!({"a": "x".repeat(80)}).to_string();
        let (answer, id) = upload(&ann, Way::Raw, "a.txt", &metadata, "").await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let used = ann.get("/v1/me/usage").answer().await.json();
        assert_eq!(used["used"]["bytes"], json!(1 + metadata.len() - 2), "{used}");
        for way in WAYS {
            let (answer, _) = upload(&ann, way, "b.txt", &metadata, "").await;
            answer.problem(507, "quota_exceeded");
        }
        // A replacement is counted by what it changes.
        let replace = |metadata: &str| {
            ann.post("/v1/files?name=a.txt&on_conflict=replace").header("strongroom-metadata", metadata.to_owned()).body("y").answer()
        };
        replace(&json!({"a": "x".repeat(95)}).to_string()).await.problem(507, "quota_exceeded");
        assert_eq!(replace(r#"{"a": 1}"#).await.status, 200);
        assert_eq!(ann.get(&format!("/v1/files/{id}")).answer().await.json()["metadata"], json!({"a": 1}));
        app.assert_usage_is_exact().await;
        for upload in ann.get("/v1/uploads").answer().await.json()["items"].as_array().unwrap() {
            ann.delete(&format!("/v1/uploads/{}", upload["id"].as_str().unwrap())).answer().await;
        }
        app.assert_nothing_but(1).await;
    }

    async fn metadata_and_tags_that_are_not_given_stay_when_the_content_is_replaced(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = put(&ann, "", "a", json!({"order": 17}), "paid").await;
        let replace = |query: &str, metadata: Option<&str>| {
            let request = ann.post(&format!("/v1/files?name=a&on_conflict=replace{query}")).body("new");
            metadata.iter().fold(request, |request, text| request.header("strongroom-metadata", *text)).answer()
        };
        for (query, metadata, expected) in [
            ("", None, (json!({"order": 17}), json!(["paid"]))),
            ("&tags=sent", None, (json!({"order": 17}), json!(["sent"]))),
            ("", Some(r#"{"n": 1}"#), (json!({"n": 1}), json!(["sent"]))),
            ("&tags=", Some("{}"), (json!({}), json!([]))),
        ] {
            let answer = replace(query, metadata).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!((answer.json()["metadata"].clone(), answer.json()["tags"].clone()), expected);
            assert_eq!(ann.get(&path(&file)).answer().await.json(), answer.json());
        }
        assert!(names(&ann, "metadata.order=17").await.is_empty() && names(&ann, "tag=paid").await.is_empty());
        app.assert_nothing_but(1).await;
    }

    async fn a_list_finds_files_by_metadata(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        put(&bob, "", "of-bob", json!({"order": 17}), "paid").await;
        put(&ann, "x", "number", json!({"order": 17, "kind": "invoice"}), "").await;
        put(&ann, "x/y", "text", json!({"order": "17", "kind": "offer"}), "").await;
        put(&ann, "", "float", json!({"order": 17.0}), "").await;
        put(&ann, "z", "array", json!({"order": [16, 17], "yes": true}), "").await;
        put(&ann, "z", "other", json!({"order": 170, "deep": {"order": 17}, "a b.c/ü": "ä ö"}), "").await;
        for (query, expected) in [
            ("metadata.order=17", vec!["float", "number", "text", "array"]),
            ("metadata.order=17&metadata.kind=invoice", vec!["number"]),
            ("metadata.kind=invoice&metadata.order=16", vec![]),
            ("metadata.order=16&metadata.order=17", vec!["array"]),
            ("metadata.yes=true", vec!["array"]),
            ("metadata.a%20b.c/%C3%BC=%C3%A4%20%C3%B6", vec!["other"]),
            ("metadata.order=", vec![]),
            ("metadata.deep=17", vec![]),
            // With every other filter and in every order.
            ("metadata.order=17&path=x", vec!["number"]),
            ("metadata.order=17&under=x", vec!["number", "text"]),
            ("metadata.order=17&prefix=x/n", vec!["number"]),
            ("metadata.order=17&q=TEX", vec!["text"]),
            ("metadata.order=17&sort=-path", vec!["array", "text", "number", "float"]),
            ("metadata.order=17&sort=name", vec!["array", "float", "number", "text"]),
            ("metadata.order=17&sort=-name", vec!["text", "number", "float", "array"]),
            ("metadata.order=17&sort=natural", vec!["float", "number", "text", "array"]),
            ("metadata.order=17&sort=-natural", vec!["array", "text", "number", "float"]),
            ("metadata.order=17&sort=created_at", vec!["number", "text", "float", "array"]),
            ("metadata.order=17&sort=-created_at", vec!["array", "float", "text", "number"]),
            ("metadata.order=17&sort=updated_at", vec!["number", "text", "float", "array"]),
            ("metadata.order=17&sort=-size&under=x", vec!["number", "text"]),
            ("metadata.order=17&sort=size&path=z", vec!["array"]),
        ] {
            assert_eq!(names(&ann, query).await, expected, "{query}");
            let counted = ann.get(&format!("/v1/files?total=true&{query}")).answer().await.json();
            assert_eq!(counted["total"], expected.len(), "{query}");
        }
        let signed = ann.get("/v1/files?metadata.order=17&urls=signed").answer().await.json();
        assert!(signed["items"][0]["url"].is_string());
        ann.get("/v1/files?metadata.order=17&path=nowhere").answer().await.problem(404, "not_found");
    }

    async fn queries_by_metadata_are_strict(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let many: Vec<String> = (0..9).map(|number| format!("metadata.a={number}")).collect();
        let long = format!("metadata.a={}", "x".repeat(256));
        for (query, code) in [
            (many.join("&").as_str(), "too_many"), (long.as_str(), "invalid"), ("metadata.a=%00", "invalid"), ("metadata.a=%ff", "malformed"),
            ("tag=%ff", "malformed"),
        ] {
            let problem = ann.get(&format!("/v1/files?{query}")).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["code"], code, "{query}");
            assert!(problem["errors"][0]["parameter"].is_string(), "{problem}");
        }
        for query in ["metadata=1", "metadata.=1", "meta.a=1", "tags=a"] {
            ann.get(&format!("/v1/files?{query}")).answer().await.problem(422, "unknown_parameter");
        }
        for path in ["/v1/trash", "/v1/folders", "/v1/links"] {
            ann.get(&format!("{path}?metadata.a=1")).answer().await.problem(422, "unknown_parameter");
        }
    }

    async fn what_changes_is_found_as_it_is_now(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = put(&ann, "docs", "a", json!({"order": 17, "kept": 1}), "paid,late").await;
        let patch = |body: Value| ann.patch(&path(&file)).json(&body).answer();
        assert_eq!(patch(json!({"metadata": {"order": 18}})).await.json()["tags"], json!(["paid", "late"]));
        assert!(names(&ann, "metadata.order=17").await.is_empty());
        assert_eq!(names(&ann, "metadata.order=18&metadata.kept=1&tag=late&tag=paid").await, ["a"]);
        assert_eq!(patch(json!({"tags": ["Ünique", "paid"]})).await.json()["tags"], json!(["Ünique", "paid"]));
        assert!(names(&ann, "tag=late").await.is_empty());
        assert_eq!(names(&ann, "tag=U%CC%88nique&metadata.order=18").await, ["a"], "names of tags are normalized");
        assert_eq!(patch(json!({"name": "b", "path": "other"})).await.status, 200);
        assert_eq!(names(&ann, "tag=paid&path=other").await, ["b"]);
        assert_eq!(patch(json!({"tags": null, "metadata": null})).await.json()["tags"], json!([]));
        assert!(names(&ann, "tag=paid").await.is_empty() && names(&ann, "metadata.kept=1").await.is_empty());
        for (tags, pointer) in [(json!([""]), "/tags/0"), (json!(["a", "b,c"]), "/tags/1"), (json!(["a", "a"]), "/tags/1"), (json!("a"), "/tags"), (json!([1]), "/tags/0")] {
            assert_eq!(patch(json!({"tags": tags})).await.problem(422, "invalid")["errors"][0]["pointer"], pointer, "{tags}");
        }

        assert_eq!(patch(json!({"tags": ["gone"]})).await.status, 200);
        ann.delete(&path(&file)).answer().await;
        assert!(names(&ann, "tag=gone").await.is_empty(), "what is in the trash is not listed");
        ann.post(&format!("/v1/trash/{}/restore", file["id"].as_str().unwrap())).answer().await;
        assert_eq!(names(&ann, "tag=gone").await, ["b"]);
        let page = ann.get("/v1/folders").answer().await.json();
        let folder = page["items"].as_array().unwrap().iter().find(|folder| folder["name"] == "other").unwrap();
        ann.delete(&format!("/v1/folders/{}", folder["id"].as_str().unwrap())).answer().await;
        assert!(names(&ann, "tag=gone").await.is_empty(), "nor what is in a folder in the trash");
        assert_eq!(ann.delete("/v1/trash").answer().await.status, 200);
        assert_eq!(app.count("SELECT COUNT(*) FROM file_attributes").await, 0);
        app.assert_nothing_but(0).await;
    }

    async fn an_idempotent_upload_includes_its_metadata(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let send = |metadata: &str, tags: &str| {
            let request = ann.post(&format!("/v1/files?name=a&tags={tags}")).header("idempotency-key", "k");
            request.header("strongroom-metadata", metadata.to_owned()).body("x").answer()
        };
        let first = send(r#"{"a": 1}"#, "t").await;
        assert_eq!(send(r#"{ "a" : 1 }"#, "t").await.json(), first.json());
        assert_eq!((&first.json()["metadata"], &first.json()["tags"]), (&json!({"a": 1}), &json!(["t"])));
        send(r#"{"a": 2}"#, "t").await.problem(422, "idempotency_mismatch");
        send(r#"{"a": 1}"#, "u").await.problem(422, "idempotency_mismatch");
    }

    async fn new_content_without_metadata_forgets_when_the_old_one_was_changed(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = put(&ann, "", "a", json!({"mtime": 1}), "").await;
        let check = async |mtime: Value| {
            let body = json!({"files": [{"name": "a", "size": 1, "mtime": mtime}]});
            ann.post("/v1/files/check").json(&body).answer().await.json()["items"][0]["status"].clone()
        };
        assert_eq!((check(json!(1)).await, check(json!("1")).await, check(json!(2)).await), (json!("identical"), json!("identical"), json!("differs")));
        ann.patch(&path(&file)).json(&json!({"metadata": {"other": 1}, "tags": ["t"]})).answer().await;
        assert_eq!(check(json!(1)).await, "identical");
        ann.put(&content(&file)).header("if-match", "*").body("y").answer().await;
        assert_eq!(check(json!(1)).await, "differs", "the metadata is that of other content");
        assert_eq!(ann.get(&path(&file)).answer().await.json()["metadata"]["mtime"], 1);
        ann.patch(&path(&file)).json(&json!({"metadata": {"other": 2}})).answer().await;
        assert_eq!(check(json!(1)).await, "differs");
        ann.patch(&path(&file)).json(&json!({"metadata": {"mtime": 3}})).answer().await;
        assert_eq!(check(json!(3)).await, "identical", "its user has said so");
        let replaced = ann.post("/v1/files?name=a&on_conflict=replace").header("strongroom-metadata", r#"{"mtime": 4}"#).body("z").answer().await;
        assert_eq!(replaced.status, 200);
        assert_eq!(check(json!(4)).await, "identical");
        assert_eq!(ann.post("/v1/files?name=a&on_conflict=replace&tags=x").body("w").answer().await.status, 200);
        assert_eq!(check(json!(4)).await, "differs");
    }
}
