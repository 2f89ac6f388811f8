//! Rights end when they end: a change in progress when an account is disabled or deleted, a token revoked or a session
//! ended is not committed, and a download is cut.

use std::time::Duration;

use futures_util::future::join;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::accounts::another_session;
use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, content, fed, path};
use crate::support::links::{create_link, follow};
use crate::support::tus::{CHUNK_TYPE, Tus, tus};
use crate::support::{Setup, TestApp, both, email};

const MIB: usize = 1024 * 1024;
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n with nothing in it";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The control: every request of the table is one that succeeds.
    Nothing,
    Disabled,
    Deleted,
    TokenRevoked,
    SessionEnded,
}

const ENDINGS: [Ending; 5] =
    [Ending::Nothing, Ending::Disabled, Ending::Deleted, Ending::TokenRevoked, Ending::SessionEnded];

/// A user, and the client whose right ends.
struct Ended {
    user: Client,
    client: Client,
    ending: Ending,
    name: String,
}

impl Ended {
    async fn new(app: &TestApp, name: &str, ending: Ending) -> Self {
        let user = app.sign_up(name).await;
        let client = match ending {
            Ending::TokenRevoked => {
                let token = user.post("/v1/me/tokens").json(&json!({"name": "t"})).answer().await.json();
                user.clone().with_token(token["token"].as_str().unwrap_or_else(|| panic!("{token}")), &json!(user.id))
            }
            _ => another_session(app, name).await,
        };
        Self { user, client, ending, name: name.to_owned() }
    }

    /// Ends the right of the client.
    async fn end(&self, app: &TestApp) {
        let revoke = async |list: &str, is_it: &dyn Fn(&Value) -> bool| {
            let rows = self.user.get(list).answer().await.json();
            let row = rows["items"].as_array().unwrap().iter().find(|row| is_it(row)).expect("a row").clone();
            let revoked = self.user.delete(&format!("{list}/{}", row["id"].as_str().unwrap())).answer().await;
            assert_eq!(revoked.status, 204);
        };
        match self.ending {
            Ending::Nothing => {}
            Ending::Disabled => {
                drop(strongroom::users::set_disabled(&app.app, &email(&self.name), true).await.unwrap())
            }
            Ending::Deleted => {
                drop(strongroom::users::delete_account(&app.app, None, self.user.id.parse().unwrap()).await.unwrap());
            }
            Ending::TokenRevoked => revoke("/v1/me/tokens", &|_| true).await,
            Ending::SessionEnded => revoke("/v1/me/sessions", &|session| session["current"] == false).await,
        }
    }
}

/// A request with a body, and whether it proves itself with a signature instead of a session or a token.
struct Endpoint {
    name: &'static str,
    request: RequestBuilder,
    body: Vec<u8>,
    is_signed: bool,
}

/// What the requests are about.
struct Fixture {
    file: Value,
    tus: Tus,
    direct: Value,
    put: Value,
    parts: Value,
}

impl Fixture {
    async fn create(client: &Client, stranger: &Client) -> Self {
        let file = client.upload("a.txt", "mine").await;
        let tus = Tus::create(client, Some(200_000), "").await;
        let new = json!({"name": "d", "mode": "direct", "size": 4});
        let direct = client.post("/v1/uploads").json(&new).answer().await.json();
        let parts = client.post(&parts_of(&direct)).json(&json!({})).answer().await.json()["parts"].clone();
        assert_eq!(follow(stranger, &parts[0], "four").await.status, 200);
        let put = client.sign(&file, "put").await;
        Self { file, tus, direct, put, parts }
    }
}

fn parts_of(upload: &Value) -> String {
    format!("/v1/uploads/{}/parts", upload["id"].as_str().unwrap())
}

/// Every endpoint that takes a body, in an order in which all of them succeed.
fn endpoints(app: &TestApp, client: &Client, stranger: &Client, fixture: &Fixture) -> Vec<Endpoint> {
    let bytes = noise(200_000);
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".as_bytes();
    let form = [form, &bytes, b"\r\n--b--\r\n"].concat();
    let endpoint = |name, request, body: &[u8]| Endpoint { name, request, body: body.to_vec(), is_signed: false };
    let json = |name, request: RequestBuilder, body: Value| {
        endpoint(name, request.header("content-type", "application/json"), body.to_string().as_bytes())
    };
    let (file, upload) = (path(&fixture.file), fixture.direct["id"].as_str().unwrap());
    let form_type = ("content-type", "multipart/form-data; boundary=b");
    let mut endpoints = Vec::new();
    for (name, signed, body) in [("signed PUT", &fixture.put, &bytes[..]), ("part", &fixture.parts[0], b"four")] {
        let url = signed["url"].as_str().unwrap();
        if url.starts_with(&app.url("/")) {
            let mut request = stranger.put(url);
            for (name, value) in signed["headers"].as_object().unwrap() {
                request = request.header(name, value.as_str().unwrap());
            }
            endpoints.push(Endpoint { name, request, body: body.to_vec(), is_signed: true });
        }
    }
    endpoints.extend([
        endpoint("raw", client.post("/v1/files?name=raw"), &bytes),
        endpoint("form", client.post("/v1/files").header(form_type.0, form_type.1), &form),
        endpoint("replace", client.put(&content(&fixture.file)).header("if-match", "*"), &bytes),
        endpoint("avatar", client.put("/v1/me/avatar"), PICTURE),
        endpoint(
            "tus",
            tus(client, Method::PATCH, &fixture.tus.path)
                .header("upload-offset", "0")
                .header("content-type", CHUNK_TYPE),
            &bytes,
        ),
        endpoint(
            "tus with creation",
            tus(client, Method::POST, "/v1/tus").header("upload-length", "200000").header("content-type", CHUNK_TYPE),
            &bytes,
        ),
        json("rename", client.patch(&file), json!({"name": "renamed.txt"})),
        json("metadata", client.patch(&file), json!({"metadata": {"a": "b"}})),
        json("link", client.post(&format!("{file}/links")), json!({"note": "n"})),
        json("signed URL", client.post(&format!("{file}/signed-urls")), json!({"operation": "get"})),
        json("new upload", client.post("/v1/uploads"), json!({"name": "u", "mode": "tus", "size": 9})),
        json("complete", client.post(&format!("/v1/uploads/{upload}/complete")), json!({"parts": []})),
    ]);
    if client.token.as_ref().is_some_and(|token| token.starts_with("srs_")) {
        endpoints.push(json("token", client.post("/v1/me/tokens"), json!({"name": "lasting"})));
        endpoints.push(json("name", client.patch("/v1/me"), json!({"name": "another name"})));
    }
    // It deletes the file that the others are about.
    endpoints.push(json("batch", client.post("/v1/files/batch"), json!({"op": "delete", "ids": [fixture.file["id"]]})));
    endpoints
}

/// The events that a user caused.
async fn events(app: &TestApp) -> i64 {
    app.count(
        "SELECT COUNT(*) FROM audit_events WHERE kind IN ('file_uploaded', 'file_replaced', 'file_changed', 'file_trashed',
            'link_created', 'token_created', 'account_changed')",
    )
    .await
}

both! {
    async fn nothing_is_committed_after_the_right_has_ended(app: TestApp) {
        // A busy machine takes its time between the two halves of a body.
        let app = app.restart_with(|config| config.uploads.stall_timeout = Duration::from_secs(600)).await;
        let stranger = app.anonymous();
        for ending in ENDINGS {
            let ended = Ended::new(&app, &format!("{ending:?}").to_lowercase(), ending).await;
            let fixture = Fixture::create(&ended.client, &stranger).await;
            let mut begun = Vec::new();
            for endpoint in endpoints(&app, &ended.client, &stranger, &fixture) {
                let (first, rest) = endpoint.body.split_at(endpoint.body.len() / 2);
                let (feed, fed) = fed();
                let answer = tokio::spawn(endpoint.request.body(fed).answer());
                feed.send(Ok(first.to_vec())).await.expect("the server reads");
                begun.push((endpoint.name, endpoint.is_signed, feed, rest.to_vec(), answer));
            }
            // The server has read the heads, and decided.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let before = events(&app).await;
            ended.end(&app).await;
            for (name, is_signed, feed, rest, answer) in begun {
                let _ = feed.send(Ok(rest)).await;
                drop(feed);
                let answer = answer.await.expect("an answer");
                let expected = match is_signed {
                    _ if ending == Ending::Nothing => 200..=204,
                    // An upload that a token began ends with it.
                    false if name.starts_with("tus") => 401..=404,
                    // The part that was sent again, and refused, is missing.
                    false if name == "complete" => 401..=409,
                    false => 401..=401,
                    true if ending == Ending::SessionEnded => 200..=200,
                    true => 410..=410,
                };
                assert!(expected.contains(&answer.status), "{name}, {ending:?}: {}", answer.text());
            }
            let after = events(&app).await;
            assert!(ending == Ending::Nothing || after <= before, "{ending:?}: {before} events, then {after}");
        }
        app.reap().await;
        app.assert_usage_is_exact().await;
        // What arrived whole, and was refused, is abandoned: only resumable uploads and signed PUTs wait.
        let pending = app.count(
            "SELECT COUNT(*) FROM blobs WHERE state = 'pending' AND id NOT IN (SELECT blob_id FROM resumable_uploads)
                AND id NOT IN (SELECT blob_id FROM signed_puts)",
        );
        assert_eq!(pending.await, 0);
    }

    async fn a_list_has_no_signed_urls_after_the_right_has_ended(app: TestApp) {
        // Longer than the default, so that this server still has the caller when another one has ended the session.
        let app = app.restart_with(|config| config.auth.session_cache_ttl = Duration::from_secs(600)).await;
        let ann = app.sign_up("ann").await;
        ann.upload("a.txt", "mine").await;
        let list = "/v1/files?urls=signed&expires_in=900";
        assert_eq!(ann.get(list).answer().await.json()["items"].as_array().map(Vec::len), Some(1));
        app.execute("DELETE FROM sessions").await;
        assert_eq!(ann.get("/v1/files").answer().await.status, 200, "this server has not heard of it");
        ann.get(list).answer().await.problem(401, "unauthorized");
    }

    async fn a_download_is_cut_when_its_right_ends(app: TestApp) {
        let app = app.restart_with(|config| config.auth.access_check_interval = Duration::ZERO).await;
        let stranger = app.anonymous();
        for ending in ENDINGS {
            let ended = Ended::new(&app, &format!("{ending:?}").to_lowercase(), ending).await;
            let file = ended.user.upload("a.bin", noise(20 * MIB)).await;
            let link = create_link(&ended.user, &file, json!({})).await;
            let signed = ended.user.sign(&file, "get").await;
            let mut begun = Vec::new();
            for (way, request) in [
                ("content", ended.client.get(&content(&file))),
                ("link", stranger.get(link["url"].as_str().unwrap())),
                ("signed URL", stranger.get(signed["url"].as_str().unwrap())),
            ] {
                let mut answer = request.send().await.expect("an answer");
                assert_eq!(answer.status(), 200);
                answer.chunk().await.expect("bytes").expect("a chunk");
                // The bucket serves what it has signed.
                if answer.url().origin() == app.app.config.public_url.origin() {
                    begun.push((way, answer));
                }
            }
            ended.end(&app).await;
            for (way, answer) in begun {
                let is_valid = match ending {
                    Ending::Nothing => true,
                    Ending::Disabled | Ending::Deleted => false,
                    Ending::TokenRevoked | Ending::SessionEnded => way != "content",
                };
                assert_eq!(answer.bytes().await.is_ok(), is_valid, "{way}, {ending:?}");
            }
        }
    }

    async fn a_link_that_is_revoked_cuts_its_downloads(app: TestApp) {
        let app = app.restart_with(|config| config.auth.access_check_interval = Duration::ZERO).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.bin", noise(20 * MIB)).await;
        let link = create_link(&ann, &file, json!({})).await;
        let mut answer = app.anonymous().get(link["url"].as_str().unwrap()).send().await.expect("an answer");
        answer.chunk().await.expect("bytes").expect("a chunk");
        assert_eq!(ann.delete(&format!("/v1/links/{}", link["id"].as_str().unwrap())).answer().await.status, 204);
        assert!(answer.bytes().await.is_err(), "the whole file was sent");
    }

    async fn a_link_that_no_longer_allows_its_visitor_cuts_the_download(app: TestApp) {
        let app = app.restart_with(|config| config.auth.access_check_interval = Duration::ZERO).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.bin", noise(20 * MIB)).await;
        let locked = json!({"password": "violet tractor"});
        for (options, change, is_allowed) in [
            (json!({}), json!({"password": "yellow tractor"}), false),
            (locked.clone(), json!({"password": "yellow tractor"}), false),
            (locked.clone(), locked.clone(), false),
            (locked, json!({"password": null}), true),
            (json!({}), json!({"allow_from": ["192.0.2.0/24"]}), false),
            (json!({}), json!({"allow_from": ["192.0.2.0/24", "127.0.0.0/8"]}), true),
            (json!({"max_downloads": 2}), json!({"max_downloads": 1}), true),
            (json!({}), json!({"max_downloads": 1}), true),
            (json!({}), json!({"note": "for the accountant", "download_name": "b.bin"}), true),
        ] {
            let link = create_link(&ann, &file, options.clone()).await;
            let url = format!("{}?download=1", link["url"].as_str().unwrap());
            let mut answer = stranger.get(&url).basic_auth("", Some("violet tractor")).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.chunk().await.expect("bytes").expect("a chunk");
            let changed = ann.patch(&format!("/v1/links/{}", link["id"].as_str().unwrap())).json(&change).answer().await;
            assert_eq!(changed.status, 200, "{}", changed.text());
            assert_eq!(answer.bytes().await.is_ok(), is_allowed, "{options}, then {change}");
        }
    }

    async fn one_enabled_admin_always_remains(app: TestApp) {
        app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        app.execute("UPDATE users SET is_admin = TRUE").await;
        let disable = |admin: &Client, user: &Client| {
            admin.patch(&format!("/v1/admin/users/{}", user.id)).json(&json!({"disabled": true})).answer()
        };
        let enabled = "SELECT COUNT(*) FROM users WHERE is_admin AND disabled_at IS NULL";
        for _ in 0..6 {
            let (ann, bob) = (another_session(&app, "ann").await, another_session(&app, "bob").await);
            let (one, other) = join(disable(&ann, &bob), disable(&bob, &ann)).await;
            let mut statuses = [one.status, other.status];
            statuses.sort_unstable();
            assert!(statuses == [200, 401] || statuses == [200, 409], "{statuses:?}");
            assert_eq!(app.count(enabled).await, 1);
            for name in ["ann", "bob"] {
                strongroom::users::set_disabled(&app.app, &email(name), false).await.unwrap();
            }
        }
        let ann = another_session(&app, "ann").await;
        assert_eq!(disable(&ann, &bob).await.status, 200);
        let refused = strongroom::users::set_disabled(&app.app, &email("ann"), true).await;
        assert!(matches!(refused, Err(strongroom::error::Error::LastAdmin)), "{refused:?}");
    }

    async fn an_upload_that_is_too_slow_is_aborted(app: TestApp) {
        let app = app.restart_with(|config| {
            config.uploads.stall_timeout = Duration::from_secs(1);
            config.uploads.min_rate = MIB as u64;
        }).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let fixture = Fixture::create(&ann, &stranger).await;
        for Endpoint { name, request, body, .. } in endpoints(&app, &ann, &stranger, &fixture) {
            if body.len() < 200_000 {
                continue;
            }
            let (feed, fed) = fed();
            let answer = tokio::spawn(request.body(fed).try_answer());
            // It is never silent for a second.
            let slowly = async {
                for chunk in body[..100_000].chunks(500) {
                    let _ = feed.send(Ok(chunk.to_vec())).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let answer = tokio::select! {
                answer = answer => answer.expect("an answer"),
                () = slowly => panic!("{name}: the body was not refused"),
            };
            // A client that writes on may miss the answer.
            if let Ok(answer) = answer {
                assert_eq!(answer.status, 408, "{name}: {}", answer.text());
            }
        }
        app.assert_usage_is_exact().await;
    }
}
