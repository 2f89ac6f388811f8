//! Access control: every operation of the API document with every kind of caller. An operation without an entry in
//! [`OPERATIONS`] fails the test.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Ask, content, path};
use crate::support::operations::{Access, OPERATIONS, Resources, request};
use crate::support::{Setup, TestApp, both};

#[test]
fn every_operation_is_listed() {
    let description: Value = serde_json::from_str(strongroom::api::description()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.insert((method.to_uppercase(), path.clone()));
        }
    }
    let listed: BTreeSet<_> =
        OPERATIONS.iter().map(|(method, path, _)| (method.to_string(), path.to_string())).collect();
    assert_eq!(documented, listed);
    assert_eq!(listed.len(), OPERATIONS.len(), "an operation is listed twice");
}

both! {
    async fn only_permitted_callers_have_access(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let resources = Resources::create(&ann).await;
        let bob = app.sign_up("bob").await;
        let carol = app.sign_up("carol").await;
        strongroom::users::set_disabled(&app.app, "carol@example.org", true).await.unwrap();
        let garbage = bob.clone().with_token("srs_garbage", &Value::Null);
        let missing = uuid::Uuid::now_v7().to_string();

        for (method, path, access) in OPERATIONS {
            let theirs = resources.id(path);
            if matches!(access, Access::SignedIn | Access::Session | Access::Admin | Access::Owner) {
                for (caller, client) in [("no credentials", app.anonymous()), ("a disabled user", carol.clone()), ("an invalid token", garbage.clone())] {
                    let answer = request(&client, method, path, theirs).answer().await;
                    assert_eq!(answer.status, 401, "{caller}: {method} {path}");
                    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path}");
                }
            }
            if *access == Access::Admin {
                request(&bob, method, path, &missing).answer().await.problem(403, "admin_required");
            }
            if *access == Access::Owner {
                // Responses for a foreign and for a missing resource are identical, except for the request id.
                let mut foreign = request(&bob, method, path, theirs).answer().await;
                let mut absent = request(&bob, method, path, &missing).answer().await;
                assert_eq!((foreign.status, absent.status), (404, 404), "{method} {path}");
                for answer in [&mut foreign, &mut absent] {
                    for name in ["x-request-id", "date"] {
                        answer.headers.remove(name);
                    }
                }
                assert_eq!(foreign.headers, absent.headers, "{method} {path}");
                if *method != "HEAD" {
                    let (mut foreign, mut absent) = (foreign.json(), absent.json());
                    for problem in [&mut foreign, &mut absent] {
                        problem["request_id"].take();
                        problem["instance"].take();
                    }
                    assert_eq!(foreign, absent, "{method} {path}");
                }
            }
            if *access == Access::Link {
                // Neither the owner's session nor other secrets give access.
                let other = format!("srl_{}", &ann.token.as_deref().unwrap()[4..]);
                for token in [&missing, ann.token.as_deref().unwrap(), &other] {
                    assert_eq!(request(&ann, method, path, token).answer().await.status, 404, "{method} {path}");
                }
            }
            if *access == Access::Signature {
                let answer = request(&ann, method, path, &"0".repeat(32)).answer().await;
                // On S3 the server signs no URLs, so the endpoint does not exist.
                assert_eq!(answer.status, if app.setup == Setup::SqliteAndDisk { 403 } else { 404 }, "{method} {path}");
            }
        }
        assert_eq!(ann.download(&resources.file).await, b"for my eyes only");
        assert_eq!(ann.get("/v1/trash").answer().await.json()["items"][0]["id"], resources.trashed["id"]);
        assert_eq!(resources.tus.append(&ann, 0, "mine").await.status, 204);
    }

    async fn an_api_token_gives_access_to_files_only(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let created = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await;
        assert_eq!(created.status, 201, "{}", created.text());
        let token = ann.clone().with_token(created.json()["token"].as_str().unwrap(), &Value::Null);
        let file = token.upload("a.txt", "by a program").await;
        assert_eq!(ann.download(&file).await, b"by a program");
        for (method, path, access) in OPERATIONS {
            if matches!(access, Access::Session | Access::Admin) {
                let id = uuid::Uuid::now_v7().to_string();
                request(&token, method, path, &id).answer().await.problem(403, "session_required");
            }
        }
    }

    async fn conditional_and_range_requests_do_not_reveal_files(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let file = ann.upload("private.txt", "for my eyes only").await;
        let etag = file["etag"].as_str().unwrap();
        for (name, value) in [("if-none-match", etag), ("if-match", "\"x\""), ("range", "bytes=999999-"), ("range", "bytes=0-0")] {
            bob.get(&content(&file)).header(name, value).answer().await.problem(404, "not_found");
        }
        for (method, path) in [(Method::PATCH, path(&file)), (Method::POST, format!("{}/links", path(&file))), (Method::POST, format!("{}/signed-urls", path(&file)))] {
            bob.request(method, &path).json(&json!([])).answer().await.problem(404, "not_found");
        }
        bob.get(&format!("{}?via=pigeon", content(&file))).answer().await.problem(404, "not_found");
        bob.put(&content(&file)).body("x").answer().await.problem(404, "not_found");
        bob.patch(&path(&file)).header("if-match", "\"x\"").json(&json!({})).answer().await.problem(404, "not_found");
        assert_eq!(bob.get("/v1/files?q=private").answer().await.json()["items"], json!([]));
    }

    async fn avatars_are_public(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let picture = format!("/v1/users/{}/avatar", ann.id);
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".as_slice(), &crate::support::bytes::noise(10_000)].concat();
        app.anonymous().get(&picture).answer().await.problem(404, "not_found");

        let first = ann.put("/v1/me/avatar").body(png.clone()).answer().await;
        assert_eq!((first.status, first.header("location")), (201, app.url(&picture).as_str()));
        let seen = app.anonymous().get(&picture).answer().await;
        assert_eq!((seen.status, seen.header("content-type"), seen.header("cache-control")), (200, "image/png", "public, max-age=300"));
        assert_eq!(seen.bytes, png);
        let head = app.anonymous().head(&picture).answer().await;
        assert_eq!((head.status, head.header("etag")), (200, seen.header("etag")));

        let gif = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
        assert_eq!(ann.put("/v1/me/avatar").body(gif.clone()).answer().await.status, 200);
        assert_eq!(app.anonymous().get(&picture).answer().await.bytes, gif);
        ann.put("/v1/me/avatar").body("<svg onload='alert(1)'/>").answer().await.problem(415, "unsupported_media_type");
        ann.put("/v1/me/avatar").body("").answer().await.problem(415, "unsupported_media_type");
        let huge = [png.as_slice(), &vec![0; 5 * 1024 * 1024]].concat();
        ann.put("/v1/me/avatar").body(huge).answer().await.problem(413, "too_large");
        app.assert_nothing_but(1).await;

        assert_eq!(ann.delete("/v1/me/avatar").answer().await.status, 204);
        app.anonymous().get(&picture).answer().await.problem(404, "not_found");
        ann.delete("/v1/me/avatar").answer().await.problem(404, "not_found");
        app.assert_nothing_but(0).await;
    }
}
