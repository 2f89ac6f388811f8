//! Whose is it: every route against everybody who might call it. The rows come from the routes
//! themselves, so that a new route without a row fails here.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Ask, Client, content, path};
use crate::support::links::create_link;
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both};

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Door {
    /// Anybody.
    Open,
    /// Whoever is signed in, each for themselves.
    SignedIn,
    /// As `SignedIn`, but not with an API token.
    Session,
    /// As `Session`, and for admins alone.
    Admin,
    /// The owner of the thing alone; to others it is not there.
    Owner,
    /// Whoever has a signature.
    Signature,
    /// Whoever has a share link.
    Link,
}

/// One row for each operation of the API.
const DOORS: &[(&str, &str, Door)] = &[
    ("GET", "/v1/auth/registration", Door::Open),
    ("POST", "/v1/auth/register", Door::Open),
    ("POST", "/v1/auth/login", Door::Open),
    ("POST", "/v1/auth/logout", Door::Session),
    ("GET", "/v1/me", Door::SignedIn),
    ("PATCH", "/v1/me", Door::Session),
    ("GET", "/v1/me/usage", Door::SignedIn),
    ("GET", "/v1/me/sessions", Door::Session),
    ("DELETE", "/v1/me/sessions/{id}", Door::Session),
    ("GET", "/v1/me/tokens", Door::Session),
    ("POST", "/v1/me/tokens", Door::Session),
    ("DELETE", "/v1/me/tokens/{id}", Door::Session),
    ("PUT", "/v1/me/avatar", Door::SignedIn),
    ("DELETE", "/v1/me/avatar", Door::SignedIn),
    ("GET", "/v1/users/{id}/avatar", Door::Open),
    ("HEAD", "/v1/users/{id}/avatar", Door::Open),
    ("GET", "/v1/files", Door::SignedIn),
    ("GET", "/v1/folders", Door::SignedIn),
    ("POST", "/v1/files", Door::SignedIn),
    ("POST", "/v1/files/batch", Door::SignedIn),
    ("GET", "/v1/files/{id}", Door::Owner),
    ("PATCH", "/v1/files/{id}", Door::Owner),
    ("DELETE", "/v1/files/{id}", Door::Owner),
    ("GET", "/v1/files/{id}/content", Door::Owner),
    ("HEAD", "/v1/files/{id}/content", Door::Owner),
    ("PUT", "/v1/files/{id}/content", Door::Owner),
    ("POST", "/v1/files/{id}/signed-urls", Door::Owner),
    ("GET", "/v1/capabilities", Door::SignedIn),
    ("GET", "/v1/uploads", Door::SignedIn),
    ("POST", "/v1/uploads", Door::SignedIn),
    ("GET", "/v1/uploads/{id}", Door::Owner),
    ("DELETE", "/v1/uploads/{id}", Door::Owner),
    ("POST", "/v1/uploads/{id}/parts", Door::Owner),
    ("POST", "/v1/files/{id}/signed-urls/revoke", Door::Owner),
    ("GET", "/v1/files/{id}/access", Door::Owner),
    ("POST", "/v1/files/{id}/links", Door::Owner),
    ("GET", "/v1/links", Door::SignedIn),
    ("GET", "/v1/links/{id}", Door::Owner),
    ("PATCH", "/v1/links/{id}", Door::Owner),
    ("DELETE", "/v1/links/{id}", Door::Owner),
    ("POST", "/v1/links/{id}/rotate", Door::Owner),
    ("GET", "/l/{token}", Door::Link),
    ("HEAD", "/l/{token}", Door::Link),
    ("GET", "/l/{token}/{name}", Door::Link),
    ("HEAD", "/l/{token}/{name}", Door::Link),
    ("POST", "/l/{token}/unlock", Door::Link),
    ("POST", "/v1/uploads/{id}/complete", Door::Owner),
    ("POST", "/v1/companion/s3/multipart", Door::SignedIn),
    ("GET", "/v1/companion/s3/multipart/{id}", Door::Owner),
    ("DELETE", "/v1/companion/s3/multipart/{id}", Door::Owner),
    ("GET", "/v1/companion/s3/multipart/{id}/{number}", Door::Owner),
    ("POST", "/v1/companion/s3/multipart/{id}/complete", Door::Owner),
    ("GET", "/v1/files/{id}/events", Door::Owner),
    ("GET", "/v1/me/events", Door::Session),
    ("GET", "/v1/admin/events", Door::Admin),
    ("DELETE", "/v1/me", Door::Session),
    ("GET", "/v1/me/export", Door::Session),
    ("DELETE", "/v1/admin/users/{id}", Door::Admin),
    ("GET", "/v1/jobs/{id}", Door::Open),
    ("GET", "/v1/trash", Door::SignedIn),
    ("DELETE", "/v1/trash", Door::SignedIn),
    ("DELETE", "/v1/trash/{id}", Door::Owner),
    ("POST", "/v1/trash/{id}/restore", Door::Owner),
    ("GET", "/v1/signed/{key}", Door::Signature),
    ("HEAD", "/v1/signed/{key}", Door::Signature),
    ("PUT", "/v1/signed/{key}", Door::Signature),
    ("GET", "/v1/admin/users", Door::Admin),
    ("GET", "/v1/admin/users/{id}", Door::Admin),
    ("PATCH", "/v1/admin/users/{id}", Door::Admin),
    ("OPTIONS", "/v1/tus", Door::Open),
    ("POST", "/v1/tus", Door::SignedIn),
    ("HEAD", "/v1/tus/{id}", Door::Owner),
    ("PATCH", "/v1/tus/{id}", Door::Owner),
    ("DELETE", "/v1/tus/{id}", Door::Owner),
    ("POST", "/v1/tus/{id}", Door::Owner),
    ("GET", "/healthz", Door::Open),
    ("GET", "/readyz", Door::Open),
    ("GET", "/openapi.json", Door::Open),
    ("GET", "/v1/admin/fsck", Door::Admin),
    ("POST", "/v1/admin/fsck", Door::Admin),
    ("GET", "/v1/admin/doctor", Door::Admin),
    ("POST", "/v1/admin/doctor", Door::Admin),
];

#[test]
fn every_operation_has_a_row() {
    let description: Value = serde_json::from_str(strongroom::api::description()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.insert((method.to_uppercase(), path.clone()));
        }
    }
    let rows: BTreeSet<_> = DOORS.iter().map(|(method, path, _)| (method.to_string(), path.to_string())).collect();
    assert_eq!(operations, rows);
    assert_eq!(rows.len(), DOORS.len(), "a row stands twice");
}

/// A body that the operation would take from those who may call it.
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
    async fn nobody_but_the_owner_passes_any_door(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("private.txt", "for my eyes only").await;
        let upload = ann.sign(&file, "put").await["upload_id"].as_str().unwrap().to_owned();
        let tus = Tus::create(&ann, Some(4), "").await;
        let direct = ann.post("/v1/uploads").json(&json!({"name": "a", "mode": "direct", "size": 4})).answer().await.json();
        let link = create_link(&ann, &file, json!({})).await;
        let trashed = ann.upload("trashed.txt", "for nobody's eyes").await;
        assert_eq!(ann.delete(&crate::support::client::path(&trashed)).answer().await.status, 204);
        let bob = app.sign_up("bob").await;
        let carol = app.sign_up("carol").await;
        strongroom::users::set_disabled(&app.app, "carol@example.org", true).await.unwrap();
        let garbage = bob.clone().with_token("srs_garbage", &Value::Null);
        let missing = uuid::Uuid::now_v7().to_string();

        for (method, path, door) in DOORS {
            let theirs = match *path {
                "/v1/uploads/{id}/complete" => upload.as_str(),
                path if path.contains("/uploads/") || path.contains("/companion/") => direct["id"].as_str().unwrap(),
                path if path.contains("/tus/") => tus.id(),
                path if path.contains("/links/") => link["id"].as_str().unwrap(),
                path if path.contains("/trash/") => trashed["id"].as_str().unwrap(),
                _ => file["id"].as_str().unwrap(),
            };
            if matches!(door, Door::SignedIn | Door::Session | Door::Admin | Door::Owner) {
                for (who, client) in [("a stranger", app.stranger()), ("a disabled user", carol.clone()), ("garbage", garbage.clone())] {
                    let answer = request(&client, method, path, theirs).answer().await;
                    assert_eq!(answer.status, 401, "{who}: {method} {path}");
                    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path}");
                }
            }
            if *door == Door::Admin {
                request(&bob, method, path, &missing).answer().await.problem(403, "admin_required");
            }
            if *door == Door::Owner {
                // Not yours is not there: the two answers are the same but for what names the request.
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
            if *door == Door::Link {
                // To be somebody is worth nothing here, and neither are other secrets.
                let other = format!("srl_{}", &ann.token.as_deref().unwrap()[4..]);
                for token in [&missing, ann.token.as_deref().unwrap(), &other] {
                    assert_eq!(request(&ann, method, path, token).answer().await.status, 404, "{method} {path}");
                }
            }
            if *door == Door::Signature {
                let answer = request(&ann, method, path, &"0".repeat(32)).answer().await;
                // On S3 no URL of ours is signed, so that the door is not there at all.
                assert_eq!(answer.status, if app.setup == Setup::SqliteAndDisk { 403 } else { 404 }, "{method} {path}");
            }
        }
        assert_eq!(ann.download(&file).await, b"for my eyes only");
        assert_eq!(ann.get("/v1/trash").answer().await.json()["items"][0]["id"], trashed["id"]);
        assert_eq!(tus.append(&ann, 0, "mine").await.status, 204);
    }

    async fn an_api_token_passes_the_doors_to_files_alone(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let made = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let token = ann.clone().with_token(made.json()["token"].as_str().unwrap(), &Value::Null);
        let file = token.upload("a.txt", "by a program").await;
        assert_eq!(ann.download(&file).await, b"by a program");
        for (method, path, door) in DOORS {
            if matches!(door, Door::Session | Door::Admin) {
                let id = uuid::Uuid::now_v7().to_string();
                request(&token, method, path, &id).answer().await.problem(403, "session_required");
            }
        }
    }

    async fn conditions_and_ranges_do_not_tell_what_is_there(app: TestApp) {
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

    async fn an_avatar_is_the_one_thing_that_everybody_sees(app: TestApp) {
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
