//! Registration, sign-in, sign-out and sessions.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::users;

use crate::support::accounts::{another_session, log_in, register};
use crate::support::client::{Answer, Ask};
use crate::support::{Client, PASSWORD, Setup, TestApp, both, email};

const OTHER_PASSWORD: &str = "violet tractor under rain";
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub async fn set_disabled(app: &TestApp, name: &str, disabled: bool) {
    users::set_disabled(&app.app, &email(name), disabled).await.expect("the account is there");
}

/// The name, the value and the attributes of the only cookie that a response sets.
fn cookie(answer: &Answer) -> (String, String, Vec<String>) {
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 1, "one cookie");
    let mut parts = answer.header("set-cookie").split("; ");
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
    let mut attributes: Vec<String> = parts.map(str::to_owned).collect();
    attributes.sort();
    (name.to_owned(), value.to_owned(), attributes)
}

async fn status(client: &Client) -> u16 {
    client.get("/v1/me").answer().await.status
}

/// The pointer and the code of each field error.
fn field_errors(answer: &Answer) -> Vec<(String, String)> {
    let problem = answer.problem(422, "invalid");
    let errors = problem["errors"].as_array().expect("errors");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
}

both! {
    async fn the_registration_status_is_public(app: TestApp) {
        let status = async |app: &TestApp| {
            let answer = app.anonymous().get("/v1/auth/registration").answer().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()
        };
        assert_eq!(status(&app).await, json!({"open": true, "has_accounts": false}));
        app.sign_up("ann").await;
        assert_eq!(status(&app).await, json!({"open": true, "has_accounts": true}));
        // Neither their number nor their state is disclosed.
        app.sign_up("bob").await;
        set_disabled(&app, "ann", true).await;
        assert_eq!(status(&app).await, json!({"open": true, "has_accounts": true}));
        let app = app.restart_with(|config| config.registration = strongroom::config::Registration::Closed).await;
        assert_eq!(status(&app).await, json!({"open": false, "has_accounts": true}));
        app.execute("DELETE FROM folders").await;
        app.execute("DELETE FROM users").await;
        assert_eq!(status(&app).await, json!({"open": false, "has_accounts": false}));
    }

    async fn registration_signs_the_user_in(app: TestApp) {
        let answer = register(&app.anonymous(), "Ann.Archer@Example.org ", " Ann Archer ", PASSWORD).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body["user"]["email"], "Ann.Archer@Example.org");
        assert_eq!(body["user"]["name"], "Ann Archer");
        assert_eq!(body["user"]["is_admin"], false);
        assert_eq!(body["session"]["current"], true);
        assert_eq!(body["session"]["address"], "127.0.0.1");
        assert!(!answer.text().contains(PASSWORD) && !answer.text().contains("argon2"), "{}", answer.text());

        let token = body["token"].as_str().unwrap();
        let (name, value, attributes) = cookie(&answer);
        assert_eq!((name.as_str(), value.as_str()), ("strongroom", token));
        assert_eq!(attributes, ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax"]);
        let ann = app.anonymous().with_token(token, &body["user"]["id"]);
        assert_eq!(ann.get("/v1/me").answer().await.json(), body["user"]);
        let ended: jiff::Timestamp = body["session"]["expires_at"].as_str().unwrap().parse().unwrap();
        assert!(ended > app.app.clock.now());
    }

    async fn the_cookie_is_bound_to_the_host_over_https(app: TestApp) {
        let app = app.restart_with(|config| config.public_url = "https://files.example.org/".parse().unwrap()).await;
        let answer = register(&app.anonymous(), "ann@example.org", "Ann", PASSWORD).await;
        let (name, value, attributes) = cookie(&answer);
        assert_eq!(name, "__Host-strongroom");
        assert_eq!(attributes, ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax", "Secure"]);
        let with = |cookie: String| app.anonymous().get("/v1/me").header("cookie", cookie).answer();
        assert_eq!(with(format!("__Host-strongroom={value}")).await.status, 200);
        // A cookie without the prefix can be set by any sibling domain.
        with(format!("strongroom={value}")).await.problem(401, "unauthorized");
    }

    async fn each_sign_in_creates_a_session(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let answer = log_in(&app.anonymous(), "ann@example.org", PASSWORD).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(cookie(&answer).1, body["token"].as_str().unwrap());
        assert_ne!(body["token"].as_str(), ann.token.as_deref());
        assert_eq!(body["user"]["id"], ann.id.as_str());
        let second = app.anonymous().with_token(body["token"].as_str().unwrap(), &body["user"]["id"]);
        assert_eq!((status(&ann).await, status(&second).await), (200, 200));
    }

    async fn cookies_are_read_as_bytes(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mallory = app.sign_up("mallory").await;
        let [own, other] = [&ann, &mallory].map(|user| user.token.clone().unwrap());
        let with = |cookies: Vec<u8>| {
            let value = reqwest::header::HeaderValue::from_bytes(&cookies).unwrap();
            app.anonymous().get("/v1/me").header("cookie", value).answer()
        };
        for before in [&b"who=J\xc3\xbcrgen"[..], b"\xff\xfe=\xff", b"strongroom%00=x", b"%73trongroom=x", b";;a;=b"] {
            let cookies = [before, b"; strongroom=", own.as_bytes(), b"; ", before].concat();
            let answer = with(cookies).await;
            assert_eq!((answer.status, answer.json()["id"].as_str()), (200, Some(ann.id.as_str())), "{before:?}");
        }
        // A name that is decoded could be set by a sibling host.
        with(format!("%73trongroom={other}").into_bytes()).await.problem(401, "unauthorized");
        let answer = with(format!("strongroom={own}; %73trongroom={other}").into_bytes()).await;
        assert_eq!(answer.json()["id"], ann.id.as_str());
        // Of two cookies, one is not ours.
        for cookies in [format!("strongroom={own}; strongroom={other}"), format!("strongroom={own}; a=b; strongroom={own}")] {
            with(cookies.into_bytes()).await.problem(401, "unauthorized");
        }
        let twice = app.anonymous().get("/v1/me").header("cookie", format!("strongroom={own}"));
        twice.header("cookie", format!("strongroom={other}")).answer().await.problem(401, "unauthorized");
        with(format!("strongroom={}", own.replace('_', "%5F")).into_bytes()).await.problem(401, "unauthorized");
    }

    async fn a_sign_in_ends_the_session_of_its_browser(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let cookie = |user: &Client| format!("strongroom={}", user.token.as_deref().unwrap());
        let log_in = |cookie: String| {
            let body = json!({"email": email("ann"), "password": PASSWORD});
            app.anonymous().post("/v1/auth/login").header("cookie", cookie).json(&body).answer()
        };
        let answer = log_in(cookie(&ann)).await;
        assert_eq!((answer.status, status(&ann).await), (200, 401));
        assert_eq!((log_in(cookie(&bob)).await.status, status(&bob).await), (200, 401));
        // A sign-in that fails ends nothing.
        let second = another_session(&app, "ann").await;
        let body = json!({"email": email("ann"), "password": OTHER_PASSWORD});
        let answer = app.anonymous().post("/v1/auth/login").header("cookie", cookie(&second)).json(&body).answer().await;
        assert_eq!((answer.status, status(&second).await), (401, 200));
    }

    async fn no_page_sees_the_secret_of_its_session(app: TestApp) {
        app.sign_up("ann").await;
        let body = json!({"email": email("ann"), "password": PASSWORD});
        let origin = app.url("");
        for (name, value) in [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")] {
            let answer = app.anonymous().post("/v1/auth/login").header(name, value).json(&body).answer().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.json().get("token").is_none() && !answer.text().contains("srs_"), "{}", answer.text());
            let (_, secret, _) = cookie(&answer);
            assert_eq!(app.anonymous().get("/v1/me").header("cookie", format!("strongroom={secret}")).answer().await.status, 200);
        }
    }

    async fn a_session_that_is_not_used_ends(app: TestApp) {
        let app = app.restart_with(|config| config.auth.session_idle = Duration::from_secs(24 * 3600)).await;
        let (ann, other) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let second = another_session(&app, "ann").await;
        for _ in 0..3 {
            app.advance(Duration::from_secs(20 * 3600));
            assert_eq!(status(&ann).await, 200);
            // The last use is recorded in the background.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!((status(&second).await, status(&other).await), (401, 401));
        let listed = ann.get("/v1/me/sessions").answer().await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    }

    async fn signing_out_ends_only_this_session(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let second = another_session(&app, "ann").await;
        let answer = ann.post("/v1/auth/logout").answer().await;
        assert_eq!(answer.status, 204);
        let (name, value, attributes) = cookie(&answer);
        assert_eq!((name.as_str(), value.as_str()), ("strongroom", ""));
        assert!(attributes.contains(&"Max-Age=0".to_owned()), "{attributes:?}");
        assert_eq!(answer.header("clear-site-data"), "\"cache\"");
        ann.get("/v1/me").answer().await.problem(401, "unauthorized");
        ann.post("/v1/auth/logout").answer().await.problem(401, "unauthorized");
        assert_eq!(status(&second).await, 200);
    }

    async fn wrong_passwords_and_unknown_addresses_get_the_same_response(app: TestApp) {
        app.sign_up("ann").await;
        let mut answers = Vec::new();
        for (email, password) in [("ann@example.org", "not her password"), ("nobody@example.org", PASSWORD)] {
            let answer = log_in(&app.anonymous(), email, password).await;
            let mut problem = answer.problem(401, "bad_credentials");
            problem["request_id"] = Value::Null;
            assert!(answer.headers.get("set-cookie").is_none());
            let names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            answers.push((problem, names, answer.bytes.len()));
        }
        assert_eq!(answers[0], answers[1]);
        // Invalid passwords get the same response.
        let answer = log_in(&app.anonymous(), "ann@example.org", &"x".repeat(5000)).await;
        answer.problem(401, "bad_credentials");
        log_in(&app.anonymous(), "ann@example.org", "").await.problem(401, "bad_credentials");
    }

    async fn disabling_an_account_ends_its_access_immediately(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let second = another_session(&app, "ann").await;
        let answer = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await;
        let program = app.anonymous().with_token(answer.json()["token"].as_str().unwrap(), &json!(ann.id));
        let file = ann.upload("a.txt", "mine").await;
        assert_eq!(status(&program).await, 200);

        set_disabled(&app, "ann", true).await;
        for client in [&ann, &second, &program] {
            client.get("/v1/me").answer().await.problem(401, "unauthorized");
            client.get(&crate::support::client::content(&file)).answer().await.problem(401, "unauthorized");
            client.post("/v1/files?name=b.txt").body("more").answer().await.problem(401, "unauthorized");
        }
        log_in(&app.anonymous(), "ann@example.org", PASSWORD).await.problem(401, "bad_credentials");
        assert_eq!(status(&bob).await, 200);

        // After enabling, sessions remain ended and tokens are valid again.
        set_disabled(&app, "ann", false).await;
        assert_eq!((status(&ann).await, status(&second).await, status(&program).await), (401, 401, 200));
        let again = another_session(&app, "ann").await;
        assert_eq!(again.download(&file).await, b"mine");
    }

    async fn addresses_are_case_insensitive_and_unique(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for email in ["ann@example.org", "ANN@EXAMPLE.ORG", " Ann@Example.org "] {
            register(&app.anonymous(), email, "Another Ann", OTHER_PASSWORD).await.problem(409, "email_taken");
            let body = log_in(&app.anonymous(), email, PASSWORD).await.json();
            assert_eq!(body["user"]["id"], ann.id.as_str(), "{email}");
        }
        assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn addresses_may_have_letters_of_any_script(app: TestApp) {
        for (email, same) in [
            ("ann@münchen.de", "ANN@xn--mnchen-3ya.de"),
            ("jürgen@example.org", "JU\u{308}RGEN@example.org"),
            ("用户@例子.测试", "用户@xn--fsqu00a.xn--0zwm56d"),
        ] {
            let user = register(&app.anonymous(), email, "Ann", PASSWORD).await;
            assert_eq!(user.status, 201, "{}", user.text());
            assert_eq!(user.json()["user"]["email"], email);
            register(&app.anonymous(), same, "Another Ann", OTHER_PASSWORD).await.problem(409, "email_taken");
            assert_eq!(log_in(&app.anonymous(), same, PASSWORD).await.json()["user"]["id"], user.json()["user"]["id"]);
        }
    }

    async fn simultaneous_registrations_of_one_address_create_one_account(app: TestApp) {
        let stranger = app.anonymous();
        let asked = (0..4).map(|_| register(&stranger, "ann@example.org", "Ann", PASSWORD));
        let mut statuses: Vec<_> = futures_util::future::join_all(asked).await.iter().map(|answer| answer.status).collect();
        statuses.sort();
        assert_eq!(statuses, [201, 409, 409, 409]);
        assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn registration_errors_name_the_field(app: TestApp) {
        let ok = ("ann@example.org", "Ann", PASSWORD);
        let long = "long ".repeat(300);
        let long_address = format!("{}@example.org", "a".repeat(250));
        for (email, name, password, pointer, code) in [
            (ok.0, ok.1, "short 1", "/password", "too_short"),
            (ok.0, ok.1, "password123", "/password", "weak_password"),
            (ok.0, ok.1, "ann@example.org", "/password", "weak_password"),
            (ok.0, ok.1, long.as_str(), "/password", "too_long"),
            ("ann", ok.1, ok.2, "/email", "invalid"),
            ("", ok.1, ok.2, "/email", "invalid"),
            ("a\nb@example.org", ok.1, ok.2, "/email", "invalid"),
            (long_address.as_str(), ok.1, ok.2, "/email", "too_long"),
            (ok.0, " ", ok.2, "/name", "required"),
            (ok.0, "A\u{0}nn", ok.2, "/name", "invalid"),
            (ok.0, &long, ok.2, "/name", "too_long"),
        ] {
            let answer = register(&app.anonymous(), email, name, password).await;
            assert_eq!(field_errors(&answer), [(pointer.to_owned(), code.to_owned())], "{email:?} {name:?} {password:?}");
            assert!(!answer.text().contains(password), "the password is not repeated");
        }
        let answer = register(&app.anonymous(), "ann", "", PASSWORD).await;
        assert_eq!(field_errors(&answer).len(), 2, "all errors are reported together");
        for body in [json!({"email": "a@example.org", "name": "A"}), json!({"email": 1, "name": "A", "password": PASSWORD}), json!([])] {
            app.anonymous().post("/v1/auth/register").json(&body).answer().await.problem(422, "invalid");
        }
        let admin = json!({"email": "a@example.org", "name": "A", "password": PASSWORD, "is_admin": true});
        app.anonymous().post("/v1/auth/register").json(&admin).answer().await.problem(422, "invalid");
        assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 0);
    }

    async fn closed_registration_refuses_users_but_not_the_operator(app: TestApp) {
        let app = app.restart_with(|config| config.registration = strongroom::config::Registration::Closed).await;
        register(&app.anonymous(), "ann@example.org", "Ann", PASSWORD).await.problem(403, "registration_closed");
        let account = users::NewAccount {
            email: email("ann"),
            name: "Ann".into(),
            password: PASSWORD.into(),
            must_change_password: false,
        };
        users::create_account(&app.app, account, false).await.expect("the operator may");
        assert_eq!(status(&another_session(&app, "ann").await).await, 200);
    }

    async fn sessions_can_be_listed_and_revoked(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let second = another_session(&app, "ann").await;
        let list = second.get("/v1/me/sessions").header("user-agent", "a browser").answer().await.json();
        let items = list["items"].as_array().unwrap();
        assert_eq!(list["next_cursor"], Value::Null);
        assert_eq!(items.iter().map(|item| item["current"].as_bool().unwrap()).collect::<Vec<_>>(), [true, false]);
        assert!(!list.to_string().contains("srs_"), "{list}");

        let of_bob = bob.get("/v1/me/sessions").answer().await.json()["items"][0]["id"].clone();
        let path = |id: &Value| format!("/v1/me/sessions/{}", id.as_str().unwrap());
        ann.delete(&path(&of_bob)).answer().await.problem(404, "not_found");
        ann.delete("/v1/me/sessions/019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11").answer().await.problem(404, "not_found");
        ann.delete("/v1/me/sessions/mine").answer().await.problem(404, "not_found");
        assert_eq!(status(&bob).await, 200);

        assert_eq!(second.delete(&path(&items[1]["id"])).answer().await.status, 204);
        assert_eq!((status(&ann).await, status(&second).await), (401, 200));
        second.delete(&path(&items[1]["id"])).answer().await.problem(404, "not_found");
        assert_eq!(second.delete(&path(&items[0]["id"])).answer().await.status, 204);
        assert_eq!(status(&second).await, 401);
    }

    async fn a_session_records_the_user_agent(app: TestApp) {
        app.sign_up("ann").await;
        let long = format!("a\tbrowser {}", "x".repeat(1000));
        let request = app.anonymous().post("/v1/auth/login").header("user-agent", long);
        let session = request.json(&json!({"email": email("ann"), "password": PASSWORD})).answer().await.json()["session"].clone();
        let user_agent = session["user_agent"].as_str().unwrap();
        assert!(user_agent.starts_with("abrowser xx") && user_agent.len() == 255, "{user_agent}");
    }

    async fn sessions_expire(app: TestApp) {
        let app = app.restart_with(|config| config.auth.session_idle = Duration::ZERO).await;
        let ann = app.sign_up("ann").await;
        app.advance(MONTH - Duration::from_secs(60));
        assert_eq!(status(&ann).await, 200);
        app.advance(Duration::from_secs(61));
        ann.get("/v1/me").answer().await.problem(401, "unauthorized");
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 0);
    }

    async fn sessions_survive_a_restart(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let app = app.restart().await;
        let ann = app.anonymous().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
        assert_eq!(status(&ann).await, 200);
    }

    async fn browsers_are_authenticated_by_a_cookie(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let cookie = format!("theme=dark; strongroom={}; other=1", ann.token.as_deref().unwrap());
        let with_cookie = |method, path: &str| app.anonymous().request(method, path).header("cookie", cookie.clone());
        assert_eq!(with_cookie(Method::GET, "/v1/me").answer().await.status, 200);
        // curl and old browsers send no origin.
        let file = with_cookie(Method::POST, "/v1/files?name=a.txt").body("a").answer().await;
        assert_eq!(file.status, 201, "{}", file.text());
        for (name, value) in [("sec-fetch-site", "same-origin".to_owned()), ("sec-fetch-site", "none".into()), ("origin", app.url(""))] {
            let answer = with_cookie(Method::POST, "/v1/files?name=a.txt").header(name, &value).body("a").answer().await;
            assert_eq!(answer.status, 201, "{name}: {value}: {}", answer.text());
        }
        let answer = with_cookie(Method::POST, "/v1/auth/logout").header("sec-fetch-site", "same-origin").answer().await;
        assert_eq!(answer.status, 204);
        assert_eq!(with_cookie(Method::GET, "/v1/me").answer().await.status, 401);
        assert_eq!(status(&ann).await, 401, "the cookie and the token are one session");
    }

    async fn cross_site_requests_with_a_cookie_are_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let cookie = format!("strongroom={}", ann.token.as_deref().unwrap());
        let with_cookie = |method, path: &str| app.anonymous().request(method, path).header("cookie", cookie.clone());
        let of_file = crate::support::client::path(&file);
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            for (method, path) in [
                (Method::POST, "/v1/files?name=b.txt"),
                (Method::POST, "/v1/auth/logout"),
                (Method::POST, "/v1/me/tokens"),
                (Method::PATCH, "/v1/me"),
                (Method::DELETE, of_file.as_str()),
            ] {
                let answer = with_cookie(method, path).header(name, value).json(&json!({"name": "theirs"})).answer().await;
                answer.problem(403, "cross_site");
            }
            // Signing a user in to the attacker's account is also an attack.
            let body = json!({"email": email("ann"), "password": PASSWORD});
            let answer = app.anonymous().post("/v1/auth/login").header(name, value).json(&body).answer().await;
            answer.problem(403, "cross_site");
        }
        // A read changes nothing, and the browser decides what a page of another site may read.
        let read = with_cookie(Method::GET, "/v1/me").header("sec-fetch-site", "cross-site").answer().await;
        assert_eq!((read.status, read.header("access-control-allow-origin")), (200, ""));
        assert_eq!(ann.get("/v1/me").answer().await.json()["name"], "ann");
        assert_eq!(ann.download(&file).await, b"mine");
    }

    async fn the_origin_of_the_public_url_is_accepted_behind_a_proxy(app: TestApp) {
        let app = app.restart_with(|config| config.public_url = "https://files.example.org/room/".parse().unwrap()).await;
        let ann = app.sign_up("ann").await;
        let cookie = format!("__Host-strongroom={}", ann.token.as_deref().unwrap());
        let from = |origin: &'static str| {
            app.anonymous().post("/v1/files?name=a.txt").header("cookie", cookie.clone()).header("origin", origin).body("a").answer()
        };
        assert_eq!(from("https://files.example.org").await.status, 201);
        for origin in ["http://files.example.org", "https://files.example.org:8443", "https://example.org"] {
            from(origin).await.problem(403, "cross_site");
        }
    }

    async fn a_bearer_token_takes_precedence_over_a_cookie(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let cookie = format!("strongroom={}", bob.token.as_deref().unwrap());
        let answer = ann.get("/v1/me").header("cookie", &cookie).answer().await;
        assert_eq!(answer.json()["name"], "ann");
        // A bad token is refused, whatever the cookie is.
        let request = app.anonymous().get("/v1/me").header("cookie", &cookie);
        request.bearer_auth("srs_garbage").answer().await.problem(401, "unauthorized");
        // Basic credentials are for a proxy in front, and are ignored.
        let request = app.anonymous().get("/v1/me").header("cookie", &cookie);
        assert_eq!(request.basic_auth("someone", Some("else")).answer().await.json()["name"], "bob");
    }

    async fn the_name_can_be_changed_separately(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let before = ann.get("/v1/me").answer().await.json();
        let merge_patch = ann.patch("/v1/me").header("content-type", "application/merge-patch+json");
        let changed = merge_patch.body(r#"{"name": " Ann A. "}"#).answer().await.json();
        assert_eq!(changed["name"], "Ann A.");
        for key in ["id", "email", "is_admin", "created_at"] {
            assert_eq!(changed[key], before[key]);
        }
        assert_eq!(ann.get("/v1/me").answer().await.json(), changed);
        for body in [json!({"name": ""}), json!({"name": null}), json!({"is_admin": true}), json!({"email": "new@example.org"})] {
            ann.patch("/v1/me").json(&body).answer().await.problem(422, "invalid");
        }
        assert_eq!(ann.patch("/v1/me").json(&json!({})).answer().await.json()["name"], "Ann A.");
    }

    async fn a_password_change_ends_other_sessions(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let second = another_session(&app, "ann").await;
        let change = |current: &str, new: &str| {
            ann.patch("/v1/me").json(&json!({"current_password": current, "password": new})).answer()
        };
        let wrong = change("not her password", OTHER_PASSWORD).await;
        assert_eq!(field_errors(&wrong), [("/current_password".to_owned(), "wrong".to_owned())]);
        let weak = change(PASSWORD, "password123").await;
        assert_eq!(field_errors(&weak), [("/password".to_owned(), "weak_password".to_owned())]);
        for half in [json!({"password": OTHER_PASSWORD}), json!({"current_password": PASSWORD})] {
            ann.patch("/v1/me").json(&half).answer().await.problem(422, "invalid");
        }
        assert_eq!((status(&ann).await, status(&second).await), (200, 200));

        assert_eq!(change(PASSWORD, OTHER_PASSWORD).await.status, 200);
        assert_eq!((status(&ann).await, status(&second).await), (200, 401));
        log_in(&app.anonymous(), &email("ann"), PASSWORD).await.problem(401, "bad_credentials");
        assert_eq!(log_in(&app.anonymous(), &email("ann"), OTHER_PASSWORD).await.status, 200);
    }

    async fn a_password_set_by_the_operator_ends_every_session(app: TestApp) {
        let ann = app.sign_up("ann").await;
        users::set_password(&app.app, &email("ann"), &OTHER_PASSWORD.into(), false).await.unwrap();
        assert_eq!(status(&ann).await, 401);
        assert_eq!(log_in(&app.anonymous(), &email("ann"), OTHER_PASSWORD).await.status, 200);
    }

    async fn a_password_set_by_the_operator_must_be_changed_before_anything_else(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let created = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await.json();
        let token = ann.clone().with_token(created["token"].as_str().unwrap(), &Value::Null);
        users::set_password(&app.app, &email("ann"), &OTHER_PASSWORD.into(), true).await.unwrap();
        let signed_in = log_in(&app.anonymous(), &email("ann"), OTHER_PASSWORD).await.json();
        assert_eq!(signed_in["user"]["must_change_password"], true);
        let ann = app.anonymous().with_token(signed_in["token"].as_str().unwrap(), &signed_in["user"]["id"]);

        assert_eq!(ann.get("/v1/me").answer().await.json()["must_change_password"], true);
        let refused = |answer: Answer| answer.problem(403, "password_change_required");
        refused(ann.get("/v1/files").answer().await);
        refused(ann.post("/v1/files?name=a.txt").body("x").answer().await);
        refused(ann.get("/v1/me/usage").answer().await);
        refused(ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await);
        refused(ann.patch("/v1/me").json(&json!({"name": "Anna"})).answer().await);
        // Programs continue: their tokens have nothing to do with the password.
        assert_eq!(token.get("/v1/files").answer().await.status, 200);
        token.patch("/v1/me").json(&json!({"name": "Anna"})).answer().await.problem(403, "session_required");

        let change = |new: &str| ann.patch("/v1/me").json(&json!({"current_password": OTHER_PASSWORD, "password": new}));
        let problem = change(OTHER_PASSWORD).answer().await.problem(422, "invalid");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&json!("/password"), &json!("unchanged")));
        let changed = change(PASSWORD).answer().await;
        assert_eq!((changed.status, &changed.json()["must_change_password"]), (200, &json!(false)));
        assert_eq!(ann.get("/v1/files").answer().await.status, 200);

        let events = ann.get("/v1/me/events").answer().await.json();
        let events = events["items"].as_array().unwrap();
        let set = events.iter().filter(|event| event["kind"] == "password_changed").nth(1).expect("it was set first");
        assert_eq!((&set["detail"]["must_change"], &set["actor_id"]), (&json!(true), &Value::Null));

        // A user can also sign out instead.
        users::set_password(&app.app, &email("ann"), &OTHER_PASSWORD.into(), true).await.unwrap();
        let signed_in = log_in(&app.anonymous(), &email("ann"), OTHER_PASSWORD).await.json();
        let ann = app.anonymous().with_token(signed_in["token"].as_str().unwrap(), &signed_in["user"]["id"]);
        assert_eq!(ann.post("/v1/auth/logout").answer().await.status, 204);
        assert_eq!(status(&ann).await, 401);
    }

    async fn passwords_and_session_tokens_are_not_stored_in_clear(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let token = ann.token.as_deref().unwrap();
        app.assert_in_no_row(&[PASSWORD, token, &token[4..34]]).await;
    }
}
