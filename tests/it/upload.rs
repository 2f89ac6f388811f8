//! Uploads in one request: content is preserved, and refused uploads leave nothing behind.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::multipart::{Form, Part};
use sha2::{Digest, Sha256};

use crate::support::bytes::noise;
use crate::support::client::{Ask, content, path};
use crate::support::{Setup, TestApp, both, until};

const MIB: usize = 1024 * 1024;

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

/// A hand-written form body, which can be malformed.
fn form(parts: &[(&str, &str)], end: &str) -> String {
    let parts = parts
        .iter()
        .map(|(disposition, body)| format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{body}\r\n"));
    parts.collect::<String>() + end
}

both! {
    async fn files_of_every_size_are_preserved(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for size in [0, 1, 4096, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 17 * MIB] {
            let bytes = noise(size);
            let file = ann.upload(&format!("{size}.bin"), bytes.clone()).await;
            assert_eq!(file["size"], size);
            assert!(ann.download(&file).await == bytes, "{size}");
        }
        app.assert_nothing_but(7).await;
    }

    async fn a_raw_upload_returns_the_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = b"hello, world".to_vec();
        let answer = ann
            .post("/v1/files?name=hello.txt&path=/docs/2026/")
            .header("content-type", "text/markdown")
            .header("repr-digest", digest(&bytes))
            .body(bytes.clone())
            .answer()
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let file = answer.json();
        assert_eq!(file["name"], "hello.txt");
        assert_eq!(file["path"], "docs/2026");
        assert_eq!(file["space_id"], ann.id.as_str());
        assert_eq!(file["content_type"], "text/markdown; charset=utf-8");
        assert_eq!(file["metadata"], serde_json::json!({}));
        assert_eq!(answer.header("etag"), file["etag"].as_str().unwrap());
        assert_eq!(answer.header("repr-digest"), digest(&bytes));
        assert_eq!(answer.header("location"), app.url(&path(&file)));
    }

    async fn a_form_uploads_one_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(6 * MIB);
        let part = Part::bytes(bytes.clone()).file_name("C:\\Users\\ann\\naïve.bin");
        let form = Form::new().text("path", "from/a form").part("file", part);
        let answer = ann.post("/v1/files").multipart(form).answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let file = answer.json();
        assert_eq!((file["name"].as_str(), file["path"].as_str()), (Some("naïve.bin"), Some("from/a form")));
        assert!(ann.download(&file).await == bytes);
    }

    async fn the_fields_of_a_form_may_follow_its_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(6 * MIB);
        let file = || Form::new().part("file", Part::bytes(bytes.clone()).file_name("a.bin"));
        let upload = |form: Form| ann.post("/v1/files").multipart(form);
        for (form, name, path) in [
            (file().text("name", "late.bin").text("path", "from/a form"), "late.bin", "from/a form"),
            (file().text("path", "other"), "a.bin", "other"),
            (Form::new().text("path", "early").part("file", Part::text("x")).text("name", "b.bin"), "b.bin", "early"),
        ] {
            let answer = upload(form).answer().await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            let file = answer.json();
            assert_eq!((file["name"].as_str(), file["path"].as_str()), (Some(name), Some(path)));
        }
        let taken = upload(file().text("path", "other")).header("if-none-match", "*").answer().await;
        taken.problem(412, "precondition_failed");
        let free = upload(file().text("path", "free")).header("if-none-match", "*").answer().await;
        assert_eq!(free.status, 201, "{}", free.text());
        // The key is looked up before the file is read.
        let with_key = upload(file().text("path", "docs")).header("idempotency-key", "k").answer().await;
        let problem = with_key.problem(422, "invalid");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&"/path".into(), &"out_of_order".into()));
        app.assert_nothing_but(4).await;
    }

    async fn the_name_in_a_form_is_read_as_clients_write_it(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (parameters, name) in [
            (r#"filename="a%22b.txt""#, "a\"b.txt"),
            (r#"filename="a\"b.txt""#, "a\"b (1).txt"),
            (
                r#"filename="=?utf-8?B?0L7RgtGH0ZHRgi5wZGY=?="; filename*=utf-8''%D0%BE%D1%82%D1%87%D1%91%D1%82.pdf"#,
                "отчёт.pdf",
            ),
            (r#"filename="=?utf-8?B?0L7RgtGH0ZHRgi5wZGY=?=""#, "отчёт (1).pdf"),
            ("filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
            ("filename=\"mark\u{200e}.txt\"", "mark.txt"),
        ] {
            let body = form(&[(&format!("name=\"file\"; {parameters}"), "hello")], "--b--\r\n");
            let request = ann.post("/v1/files").header("content-type", "multipart/form-data; boundary=b").body(body);
            let answer = request.answer().await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            assert_eq!(answer.json()["name"], name, "{parameters}");
        }
        let latin = [b"--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\ncaf\xe9\r\n".as_slice(), form(&[("name=\"file\"; filename=\"a\"", "x")], "--b--\r\n").as_bytes()].concat();
        let request = ann.post("/v1/files").header("content-type", "multipart/form-data; boundary=b").body(latin);
        assert_eq!(request.answer().await.problem(422, "invalid")["errors"][0]["pointer"], "/name");
        let lines = form(&[("name=\"file\"; filename=\"a%0D%0Ab.txt\"", "hello")], "--b--\r\n");
        let request = ann.post("/v1/files").header("content-type", "multipart/form-data; boundary=b").body(lines);
        request.answer().await.problem(422, "invalid");
        app.assert_nothing_but(6).await;
    }

    async fn an_invalid_form_leaves_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ("name=\"file\"; filename=\"a\"", "some bytes");
        let long = "x".repeat(2 * MIB);
        let cases = [
            (form(&[("name=\"path\"", "docs")], "--b--\r\n"), 422, "file_missing"),
            (form(&[], "--b--\r\n"), 422, "file_missing"),
            (form(&[file, file], "--b--\r\n"), 422, "too_many_files"),
            (form(&[("name=\"path\"", "a"), file, ("name=\"path\"", "docs")], "--b--\r\n"), 422, "invalid"),
            (form(&[file, ("name=\"path\"", "a"), ("name=\"path\"", "b")], "--b--\r\n"), 422, "invalid"),
            (form(&[file, ("name=\"path\"", "a\0b")], "--b--\r\n"), 422, "invalid"),
            (form(&[file, ("name=\"other\"", "docs")], "--b--\r\n"), 422, "invalid"),
            (form(&[file, ("name=\"path\"", &long)], "--b--\r\n"), 413, "too_large"),
            (form(&[file], &format!("--b--\r\n{long}")), 413, "too_large"),
            (form(&[("name=\"other\"", "docs"), file], "--b--\r\n"), 422, "invalid"),
            (form(&[("name=\"path\"", "a"), ("name=\"path\"", "b"), file], "--b--\r\n"), 422, "invalid"),
            (form(&[("name=\"file\"", "no file name")], "--b--\r\n"), 422, "invalid"),
            (form(&[file], ""), 400, "body_incomplete"),
            (form(&[file], "--b"), 400, "body_incomplete"),
            ("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n".into(), 400, "body_incomplete"),
            ("no form at all".into(), 400, "body_incomplete"),
            (format!("--b\r\nX: {long}"), 413, "too_large"),
            (form(&[("name=\"path\"", &long), file], "--b--\r\n"), 413, "too_large"),
        ];
        for (body, status, code) in cases {
            let request = ann.post("/v1/files").header("content-type", "multipart/form-data; boundary=b");
            let shown = body.chars().take(120).collect::<String>();
            let answer = request.body(body).answer().await;
            assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{shown}");
        }
        let unbounded = ann.post("/v1/files").header("content-type", "multipart/form-data").body("--b--");
        unbounded.answer().await.problem(400, "malformed");
        assert_eq!(ann.get("/v1/files").answer().await.json()["items"], serde_json::json!([]));
        app.assert_nothing_but(0).await;
    }

    async fn a_wrong_digest_is_refused_and_leaves_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (bytes, header) in [(vec![1; 10], "repr-digest"), (noise(6 * MIB), "content-digest"), (vec![], "repr-digest")] {
            let answer = ann.post("/v1/files?name=a").header(header, digest(b"others")).body(bytes).answer().await;
            answer.problem(422, "digest_mismatch");
        }
        let garbage = ann.post("/v1/files?name=a").header("repr-digest", "sha-256=:AAAA:").body("x").answer().await;
        garbage.problem(422, "invalid");
        app.assert_nothing_but(0).await;
    }

    async fn an_upload_without_a_name_is_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let problem = ann.post("/v1/files").body("x").answer().await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["parameter"], "name");
        app.assert_nothing_but(0).await;
    }

    async fn a_taken_name_gets_a_number(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut names = Vec::new();
        for _ in 0..6 {
            names.push(ann.upload("report.pdf", "x").await["name"].as_str().unwrap().to_owned());
        }
        assert_eq!(names[0], "report.pdf");
        let numbered = |number| format!("report ({number}).pdf");
        assert_eq!(names[1..], [numbered(1), numbered(2), numbered(3), numbered(4), numbered(5)]);
        let strict = ann.post("/v1/files?name=report.pdf").header("if-none-match", "*").body("y").answer().await;
        strict.problem(412, "precondition_failed");
        let other_folder = ann.post("/v1/files?name=report.pdf&path=b").header("if-none-match", "*").body("y").answer().await;
        assert_eq!(other_folder.status, 201);
        app.assert_nothing_but(7).await;
    }

    async fn simultaneous_uploads_of_one_name_get_different_names(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let uploads = (0..12).map(|number| {
            let ann = ann.clone();
            async move { ann.upload("same.txt", format!("{number}")).await }
        });
        let files = futures_util::future::join_all(uploads).await;
        let names: std::collections::HashSet<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 12);
        for (number, file) in files.iter().enumerate() {
            assert_eq!(ann.download(file).await, number.to_string().as_bytes());
        }
    }

    async fn an_interrupted_upload_leaves_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for size in [100, 12 * MIB] {
            let chunks = vec![Ok(noise(size)), Err(std::io::Error::other("gone"))];
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
            ann.post("/v1/files?name=cut.bin").body(body).send().await.expect_err("the client disconnects");
        }
        until(async || app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await == 0).await;
        app.assert_nothing_but(0).await;
    }

    async fn a_replacement_requires_a_matching_precondition(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("notes.txt", "one").await;
        ann.put(&content(&file)).body("two").answer().await.problem(428, "precondition_required");
        let wrong = ann.put(&content(&file)).header("if-match", "\"0000\"").body("two").answer().await;
        wrong.problem(412, "precondition_failed");
        assert_eq!(ann.download(&file).await, b"one");

        let etag = file["etag"].as_str().unwrap();
        let answer = ann.put(&content(&file)).header("if-match", etag).body("two").answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let replaced = answer.json();
        assert_eq!((&replaced["id"], &replaced["size"]), (&file["id"], &3.into()));
        assert_ne!(replaced["etag"], file["etag"]);
        assert_eq!(ann.download(&file).await, b"two");
        let late = ann.put(&content(&file)).header("if-match", etag).body("three").answer().await;
        late.problem(412, "precondition_failed");
        let part = ann.put(&content(&file)).header("if-match", "*").header("content-range", "bytes 0-1/9").body("xx");
        part.answer().await.problem(400, "malformed");
        let any = ann.put(&content(&file)).header("if-match", "*").body("four").answer().await;
        assert_eq!(any.status, 200);
        app.assert_nothing_but(1).await;
    }

    async fn one_of_many_simultaneous_replacements_succeeds(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("notes.txt", "start").await;
        let etag = file["etag"].as_str().unwrap().to_owned();
        let replacements = (0..8).map(|number| {
            let request = ann.put(&content(&file)).header("if-match", &etag).body(format!("bytes {number}"));
            async move { request.answer().await.status }
        });
        let mut statuses = futures_util::future::join_all(replacements).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
        app.assert_nothing_but(1).await;
    }

    async fn permanent_deletion_bypasses_the_trash(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "bytes").await;
        let stale = ann.delete(&path(&file)).header("if-match", "\"0000\"").answer().await;
        stale.problem(412, "precondition_failed");
        assert_eq!(ann.delete_permanently(&file).answer().await.status, 204);
        ann.get(&path(&file)).answer().await.problem(404, "not_found");
        ann.get(&content(&file)).answer().await.problem(404, "not_found");
        ann.delete(&path(&file)).answer().await.problem(404, "not_found");
        app.assert_nothing_but(0).await;
    }
}

mod limits {
    use super::*;

    async fn check(setup: Setup) {
        let app = TestApp::start_with(setup, |config| config.limits.file_size = 6 * MIB as u64).await;
        let ann = app.sign_up("ann").await;
        assert_eq!(ann.upload("just.bin", noise(6 * MIB)).await["size"], 6 * MIB);
        let announced = ann.post("/v1/files?name=a").body(noise(6 * MIB + 1)).answer().await;
        announced.problem(413, "too_large");
        let chunks = (0..7).map(|_| Ok::<_, std::io::Error>(noise(MIB)));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        // The server may respond and close the connection before the client has sent everything.
        if let Ok(unannounced) = ann.post("/v1/files?name=a").body(body).send().await {
            assert_eq!(unannounced.status(), 413);
        }
        app.assert_nothing_but(1).await;
    }

    #[tokio::test]
    async fn the_size_limit_applies_with_and_without_a_length_on_sqlite_and_disk() {
        check(Setup::SqliteAndDisk).await;
    }

    #[tokio::test]
    async fn the_size_limit_applies_with_and_without_a_length_on_postgres_and_s3() {
        check(Setup::PostgresAndS3).await;
    }
}
