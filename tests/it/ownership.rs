//! Access control: every operation of the API document with every kind of caller. An operation without an entry in
//! [`OPERATIONS`] fails the test.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Ask, Client, content, path};
use crate::support::links::create_link;
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both};

/// The callers that may use an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Access {
    /// Everyone.
    Public,
    /// Every signed-in user, for their own data.
    SignedIn,
    /// Like `SignedIn`, but not with an API token.
    Session,
    /// Like `Session`, for admins only.
    Admin,
    /// The owner only; for other users the resource does not exist.
    Owner,
    /// Holders of a signed URL.
    Signature,
    /// Holders of a share link.
    Link,
}

/// One entry for each operation of the API.
const OPERATIONS: &[(&str, &str, Access)] = &[
    ("GET", "/v1/auth/registration", Access::Public),
    ("POST", "/v1/auth/register", Access::Public),
    ("POST", "/v1/auth/login", Access::Public),
    ("POST", "/v1/auth/logout", Access::Session),
    ("GET", "/v1/me", Access::SignedIn),
    ("PATCH", "/v1/me", Access::Session),
    ("GET", "/v1/me/usage", Access::SignedIn),
    ("GET", "/v1/me/sessions", Access::Session),
    ("DELETE", "/v1/me/sessions/{id}", Access::Session),
    ("GET", "/v1/me/tokens", Access::Session),
    ("POST", "/v1/me/tokens", Access::Session),
    ("DELETE", "/v1/me/tokens/{id}", Access::Session),
    ("PUT", "/v1/me/avatar", Access::SignedIn),
    ("DELETE", "/v1/me/avatar", Access::SignedIn),
    ("GET", "/v1/users/{id}/avatar", Access::Public),
    ("HEAD", "/v1/users/{id}/avatar", Access::Public),
    ("GET", "/v1/files", Access::SignedIn),
    ("GET", "/v1/folders", Access::SignedIn),
    ("POST", "/v1/files", Access::SignedIn),
    ("POST", "/v1/files/batch", Access::SignedIn),
    ("GET", "/v1/files/{id}", Access::Owner),
    ("PATCH", "/v1/files/{id}", Access::Owner),
    ("DELETE", "/v1/files/{id}", Access::Owner),
    ("GET", "/v1/files/{id}/content", Access::Owner),
    ("HEAD", "/v1/files/{id}/content", Access::Owner),
    ("PUT", "/v1/files/{id}/content", Access::Owner),
    ("POST", "/v1/files/{id}/signed-urls", Access::Owner),
    ("GET", "/v1/capabilities", Access::SignedIn),
    ("GET", "/v1/uploads", Access::SignedIn),
    ("POST", "/v1/uploads", Access::SignedIn),
    ("GET", "/v1/uploads/{id}", Access::Owner),
    ("DELETE", "/v1/uploads/{id}", Access::Owner),
    ("POST", "/v1/uploads/{id}/parts", Access::Owner),
    ("POST", "/v1/files/{id}/signed-urls/revoke", Access::Owner),
    ("GET", "/v1/files/{id}/access", Access::Owner),
    ("POST", "/v1/files/{id}/links", Access::Owner),
    ("GET", "/v1/links", Access::SignedIn),
    ("GET", "/v1/links/{id}", Access::Owner),
    ("PATCH", "/v1/links/{id}", Access::Owner),
    ("DELETE", "/v1/links/{id}", Access::Owner),
    ("POST", "/v1/links/{id}/rotate", Access::Owner),
    ("GET", "/l/{token}", Access::Link),
    ("HEAD", "/l/{token}", Access::Link),
    ("GET", "/l/{token}/{name}", Access::Link),
    ("HEAD", "/l/{token}/{name}", Access::Link),
    ("POST", "/l/{token}/unlock", Access::Link),
    ("POST", "/v1/uploads/{id}/complete", Access::Owner),
    ("POST", "/v1/companion/s3/multipart", Access::SignedIn),
    ("GET", "/v1/companion/s3/multipart/{id}", Access::Owner),
    ("DELETE", "/v1/companion/s3/multipart/{id}", Access::Owner),
    ("GET", "/v1/companion/s3/multipart/{id}/{number}", Access::Owner),
    ("POST", "/v1/companion/s3/multipart/{id}/complete", Access::Owner),
    ("GET", "/v1/files/{id}/events", Access::Owner),
    ("GET", "/v1/me/events", Access::Session),
    ("GET", "/v1/admin/events", Access::Admin),
    ("DELETE", "/v1/me", Access::Session),
    ("GET", "/v1/me/export", Access::Session),
    ("DELETE", "/v1/admin/users/{id}", Access::Admin),
    ("GET", "/v1/jobs/{id}", Access::Public),
    ("GET", "/v1/trash", Access::SignedIn),
    ("DELETE", "/v1/trash", Access::SignedIn),
    ("DELETE", "/v1/trash/{id}", Access::Owner),
    ("POST", "/v1/trash/{id}/restore", Access::Owner),
    ("GET", "/v1/signed/{key}", Access::Signature),
    ("HEAD", "/v1/signed/{key}", Access::Signature),
    ("PUT", "/v1/signed/{key}", Access::Signature),
    ("GET", "/v1/admin/users", Access::Admin),
    ("GET", "/v1/admin/users/{id}", Access::Admin),
    ("PATCH", "/v1/admin/users/{id}", Access::Admin),
    ("OPTIONS", "/v1/tus", Access::Public),
    ("POST", "/v1/tus", Access::SignedIn),
    ("HEAD", "/v1/tus/{id}", Access::Owner),
    ("PATCH", "/v1/tus/{id}", Access::Owner),
    ("DELETE", "/v1/tus/{id}", Access::Owner),
    ("POST", "/v1/tus/{id}", Access::Owner),
    ("GET", "/healthz", Access::Public),
    ("GET", "/readyz", Access::Public),
    ("GET", "/openapi.json", Access::Public),
    ("GET", "/v1/admin/fsck", Access::Admin),
    ("POST", "/v1/admin/fsck", Access::Admin),
    ("GET", "/v1/admin/doctor", Access::Admin),
    ("POST", "/v1/admin/doctor", Access::Admin),
];

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

/// A body that the operation accepts from permitted callers.
fn body(method: &str, path: &str) -> Value {
    match (method, path) {
        ("PATCH", "/v1/files/{id}") => json!({"name": "stolen"}),
        (_, "/v1/files/{id}/signed-urls") => json!({"operation": "get"}),
        (_, path) if path.ends_with("/complete") => json!({"parts": []}),
        (_, "/v1/files/batch") => json!({"op": "delete", "ids": []}),
        (_, "/l/{token}/unlock") => json!({"password": "guessed"}),
        _ => json!({}),
    }
}

fn request(client: &Client, method: &str, path: &str, id: &str) -> reqwest::RequestBuilder {
    let url = path.replace("{id}", id).replace("{key}", id).replace("{number}", "1").replace("{token}", id);
    let method: Method = method.parse().unwrap();
    let request = client.request(method.clone(), &url).header("if-match", "*");
    if path.starts_with("/v1/tus") {
        let request =
            request.header("tus-resumable", "1.0.0").header("upload-offset", "0").header("upload-length", "4");
        let request = request.header("x-http-method-override", "PATCH");
        return request.header("content-type", "application/offset+octet-stream").body("mine");
    }
    request.json(&body(method.as_str(), path))
}

both! {
    async fn only_permitted_callers_have_access(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("private.txt", "for my eyes only").await;
        let upload = ann.sign(&file, "put").await["upload_id"].as_str().unwrap().to_owned();
        let tus = Tus::create(&ann, Some(4), "").await;
        let direct = ann.post("/v1/uploads").json(&json!({"name": "a", "mode": "direct", "size": 4})).answer().await.json();
        let link = create_link(&ann, &file, json!({})).await;
        let trashed = ann.upload("trashed.txt", "in the trash").await;
        assert_eq!(ann.delete(&crate::support::client::path(&trashed)).answer().await.status, 204);
        let bob = app.sign_up("bob").await;
        let carol = app.sign_up("carol").await;
        strongroom::users::set_disabled(&app.app, "carol@example.org", true).await.unwrap();
        let garbage = bob.clone().with_token("srs_garbage", &Value::Null);
        let missing = uuid::Uuid::now_v7().to_string();

        for (method, path, access) in OPERATIONS {
            let theirs = match *path {
                "/v1/uploads/{id}/complete" => upload.as_str(),
                path if path.contains("/uploads/") || path.contains("/companion/") => direct["id"].as_str().unwrap(),
                path if path.contains("/tus/") => tus.id(),
                path if path.contains("/links/") => link["id"].as_str().unwrap(),
                path if path.contains("/trash/") => trashed["id"].as_str().unwrap(),
                _ => file["id"].as_str().unwrap(),
            };
            if matches!(access, Access::SignedIn | Access::Session | Access::Admin | Access::Owner) {
                for (caller, client) in [("no credentials", app.stranger()), ("a disabled user", carol.clone()), ("an invalid token", garbage.clone())] {
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
        assert_eq!(ann.download(&file).await, b"for my eyes only");
        assert_eq!(ann.get("/v1/trash").answer().await.json()["items"][0]["id"], trashed["id"]);
        assert_eq!(tus.append(&ann, 0, "mine").await.status, 204);
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
        bob.put(&content(&file)).body("x").answer().await.problem(404, "not_found");
        bob.patch(&path(&file)).header("if-match", "\"x\"").json(&json!({})).answer().await.problem(404, "not_found");
        assert_eq!(bob.get("/v1/files?q=private").answer().await.json()["items"], json!([]));
    }

    async fn avatars_are_public(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let picture = format!("/v1/users/{}/avatar", ann.id);
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".as_slice(), &crate::support::bytes::noise(10_000)].concat();
        app.stranger().get(&picture).answer().await.problem(404, "not_found");

        let first = ann.put("/v1/me/avatar").body(png.clone()).answer().await;
        assert_eq!((first.status, first.header("location")), (201, app.url(&picture).as_str()));
        let seen = app.stranger().get(&picture).answer().await;
        assert_eq!((seen.status, seen.header("content-type"), seen.header("cache-control")), (200, "image/png", "public, max-age=300"));
        assert_eq!(seen.bytes, png);
        let head = app.stranger().head(&picture).answer().await;
        assert_eq!((head.status, head.header("etag")), (200, seen.header("etag")));

        let gif = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
        assert_eq!(ann.put("/v1/me/avatar").body(gif.clone()).answer().await.status, 200);
        assert_eq!(app.stranger().get(&picture).answer().await.bytes, gif);
        ann.put("/v1/me/avatar").body("<svg onload='alert(1)'/>").answer().await.problem(415, "unsupported_media_type");
        ann.put("/v1/me/avatar").body("").answer().await.problem(415, "unsupported_media_type");
        let huge = [png.as_slice(), &vec![0; 5 * 1024 * 1024]].concat();
        ann.put("/v1/me/avatar").body(huge).answer().await.problem(413, "too_large");
        app.assert_nothing_but(1).await;

        assert_eq!(ann.delete("/v1/me/avatar").answer().await.status, 204);
        app.stranger().get(&picture).answer().await.problem(404, "not_found");
        ann.delete("/v1/me/avatar").answer().await.problem(404, "not_found");
        app.assert_nothing_but(0).await;
    }
}
