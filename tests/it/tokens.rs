//! API tokens: programs act for a user with them, until they are revoked or expire.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::Ask;
use crate::support::{Client, PASSWORD, Setup, TestApp, both, until};

/// Creates an API token. Returns its description and a client that uses it.
async fn program(app: &TestApp, user: &Client, options: Value) -> (Value, Client) {
    let answer = user.post("/v1/me/tokens").json(&options).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let token = answer.json();
    let program = app.anonymous().with_token(token["token"].as_str().unwrap(), &json!(user.id));
    (token, program)
}

fn path(token: &Value) -> String {
    format!("/v1/me/tokens/{}", token["id"].as_str().expect("an id"))
}

/// CRC-32, bit by bit, from its definition.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

fn base62(mut number: u32) -> String {
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut text = vec![];
    for _ in 0..6 {
        text.insert(0, digits[number as usize % 62]);
        number /= 62;
    }
    text.into_iter().collect()
}

both! {
    async fn a_token_is_shown_once_and_acts_for_its_user(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let answer = ann.post("/v1/me/tokens").json(&json!({"name": " nightly backup "})).answer().await;
        assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"));
        let created = answer.json();
        let token = created["token"].as_str().unwrap();
        assert_eq!((created["name"].as_str(), &created["expires_at"], &created["last_used_at"]), (Some("nightly backup"), &Value::Null, &Value::Null));
        assert!(token.ends_with(created["last_four"].as_str().unwrap()));

        let program = app.anonymous().with_token(token, &json!(ann.id));
        assert_eq!(program.get("/v1/me").answer().await.json()["id"], ann.id.as_str());
        let file = program.upload("a.txt", "from a program").await;
        assert_eq!(ann.download(&file).await, b"from a program");
        assert_eq!(program.delete(&crate::support::client::path(&file)).answer().await.status, 204);

        let list = ann.get("/v1/me/tokens").answer().await;
        assert!(!list.text().contains("srk_"), "{}", list.text());
        let items = list.json()["items"].clone();
        assert_eq!((items.as_array().unwrap().len(), &items[0]["id"]), (1, &created["id"]));
    }

    async fn tokens_have_a_prefix_and_a_checksum(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (created, _) = program(&app, &ann, json!({"name": "a"})).await;
        for (token, prefix) in [(created["token"].as_str().unwrap(), "srk_"), (ann.token.as_deref().unwrap(), "srs_")] {
            assert!(token.starts_with(prefix) && token.len() == 40, "{token}");
            let (body, checksum) = token.split_at(34);
            assert_eq!(checksum, base62(crc32(body.as_bytes())), "{token}");
        }
    }

    async fn the_last_use_of_a_token_is_recorded(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (_, program) = program(&app, &ann, json!({"name": "a"})).await;
        assert_eq!(program.get("/v1/me").answer().await.status, 200);
        // It is recorded in the background.
        let list = async || ann.get("/v1/me/tokens").answer().await.json();
        until(async || list().await["items"][0]["last_used_at"].is_string()).await;
    }

    async fn a_token_cannot_manage_the_account(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (created, program) = program(&app, &ann, json!({"name": "a"})).await;
        let of_token = path(&created);
        let session = ann.get("/v1/me/sessions").answer().await.json()["items"][0]["id"].as_str().unwrap().to_owned();
        let of_session = format!("/v1/me/sessions/{session}");
        for (method, path, body) in [
            (Method::GET, "/v1/me/tokens", json!(null)),
            (Method::POST, "/v1/me/tokens", json!({"name": "a longer lifetime"})),
            (Method::DELETE, &of_token, json!(null)),
            (Method::GET, "/v1/me/sessions", json!(null)),
            (Method::DELETE, &of_session, json!(null)),
            (Method::POST, "/v1/auth/logout", json!(null)),
            (Method::PATCH, "/v1/me", json!({"name": "Another"})),
            (Method::PATCH, "/v1/me", json!({"current_password": PASSWORD, "password": "violet tractor under rain"})),
        ] {
            let answer = program.request(method.clone(), path).json(&body).answer().await;
            answer.problem(403, "session_required");
        }
        assert_eq!(ann.get("/v1/me").answer().await.json()["name"], "ann");
        assert_eq!(ann.get("/v1/me/tokens").answer().await.json()["items"].as_array().unwrap().len(), 1);
        assert_eq!(program.get("/v1/me").answer().await.status, 200);
    }

    async fn tokens_expire(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (created, program) = program(&app, &ann, json!({"name": "a", "expires_in": 3600})).await;
        let end: jiff::Timestamp = created["expires_at"].as_str().unwrap().parse().unwrap();
        assert!(end > app.app.clock.now());
        app.advance(Duration::from_secs(3590));
        assert_eq!(program.get("/v1/me").answer().await.status, 200);
        app.advance(Duration::from_secs(11));
        program.get("/v1/me").answer().await.problem(401, "unauthorized");
        assert_eq!(ann.get("/v1/me/tokens").answer().await.json()["items"], json!([]));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM api_tokens").await, 0);
    }

    async fn invalid_options_are_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (options, pointer) in [
            (json!({"name": "a", "expires_in": 0}), "/expires_in"),
            (json!({"name": "a", "expires_in": 315_360_001}), "/expires_in"),
            (json!({"name": "a", "expires_in": u64::MAX}), "/expires_in"),
            (json!({"name": "a", "expires_in": -1}), "/expires_in"),
            (json!({"name": "a", "expires_in": "a day"}), "/expires_in"),
            (json!({"name": ""}), "/name"),
            (json!({"name": "a\nb"}), "/name"),
            (json!({"name": "a".repeat(101)}), "/name"),
        ] {
            let problem = ann.post("/v1/me/tokens").json(&options).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{options}");
        }
        ann.post("/v1/me/tokens").json(&json!({})).answer().await.problem(422, "invalid");
        assert_eq!(app.count("SELECT COUNT(*) FROM api_tokens").await, 0);
        // The maximum is ten years.
        program(&app, &ann, json!({"name": "a", "expires_in": 315_360_000})).await;
    }

    async fn a_revoked_token_stops_working_immediately(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let (first, revoked) = program(&app, &ann, json!({"name": "first"})).await;
        let (_, other) = program(&app, &ann, json!({"name": "second"})).await;
        // Another user's token does not exist.
        bob.delete(&path(&first)).answer().await.problem(404, "not_found");
        assert_eq!(revoked.get("/v1/me").answer().await.status, 200);

        assert_eq!(ann.delete(&path(&first)).answer().await.status, 204);
        revoked.get("/v1/me").answer().await.problem(401, "unauthorized");
        ann.delete(&path(&first)).answer().await.problem(404, "not_found");
        assert_eq!(other.get("/v1/me").answer().await.status, 200);
    }

    async fn the_number_of_tokens_is_limited(app: TestApp) {
        let app = app.restart_with(|config| config.limits.tokens = 3).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let options = json!({"name": "a", "expires_in": 60});
        let asked = (0..8).map(|_| ann.post("/v1/me/tokens").json(&options).answer());
        let answers = futures_util::future::join_all(asked).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
        answers.iter().find(|answer| answer.status != 201).unwrap().problem(409, "too_many_tokens");
        program(&app, &bob, options.clone()).await;
        // Revoked and expired tokens do not count.
        let active = answers.iter().find(|answer| answer.status == 201).unwrap().json();
        assert_eq!(ann.delete(&path(&active)).answer().await.status, 204);
        program(&app, &ann, options.clone()).await;
        ann.post("/v1/me/tokens").json(&options).answer().await.problem(409, "too_many_tokens");
        app.advance(Duration::from_secs(61));
        program(&app, &ann, options).await;
    }

    async fn invalid_tokens_are_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (created, _) = program(&app, &ann, json!({"name": "a"})).await;
        let token = created["token"].as_str().unwrap();
        let as_session = token.replace("srk_", "srs_");
        let mut guesses = vec!["", "srk_", "garbage", &token[..39], &as_session, "srk_0123456789ABCDEFGHIJabcdefghij4WptOr"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        guesses.extend([format!("{token}x"), format!("x{token}"), token.to_lowercase(), "srk_".to_owned() + &"9".repeat(100_000)[..60_000]]);
        for position in 0..token.len() {
            let mut changed = token.to_owned();
            let replacement = if &token[position..=position] == "x" { "y" } else { "x" };
            changed.replace_range(position..=position, replacement);
            guesses.push(changed);
        }
        for guess in guesses {
            let answer = app.anonymous().get("/v1/me").header("authorization", format!("Bearer {guess}")).answer().await;
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"strongroom\"");
        }
        let answer = app.anonymous().get("/v1/me").answer().await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"strongroom\"");
        // Not from the query either: URLs end up in logs.
        for name in ["token", "access_token", "api_key"] {
            app.anonymous().get(&format!("/v1/me?{name}={token}")).answer().await.problem(422, "unknown_parameter");
        }
    }

    async fn tokens_are_not_stored_in_clear(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (created, _) = program(&app, &ann, json!({"name": "a"})).await;
        let token = created["token"].as_str().unwrap();
        app.assert_in_no_row(&[token, &token[4..34], ann.token.as_deref().unwrap()]).await;
    }
}
