//! Browser applications on other origins: those that are allowed may call the whole API with a token, never with a
//! cookie, and nothing else is opened.

use reqwest::{Method, Response};
use serde_json::json;

use crate::support::client::{Ask, Client};
use crate::support::operations::OPERATIONS;
use crate::support::tus::Tus;
use crate::support::{PASSWORD, Setup, TestApp, both, email};

const APP: &str = "https://app.example.org";
const OTHERS: [&str; 4] = ["https://evil.example", "http://app.example.org", "https://app.example.org:8443", "null"];

async fn with_an_allowed_origin(app: TestApp) -> TestApp {
    app.restart_with(|config| config.allowed_origins = vec![APP.to_owned(), "http://localhost:5173".to_owned()]).await
}

async fn preflight(client: &Client, method: &str, path: &str, origin: &str) -> Response {
    let request = client.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    let asked = "authorization,content-type,tus-resumable,upload-offset,upload-metadata,idempotency-key,if-match";
    request.header("access-control-request-headers", asked).send().await.expect("an answer")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
}

both! {
    async fn every_operation_of_the_api_is_open_to_an_allowed_origin(app: TestApp) {
        let app = with_an_allowed_origin(app).await;
        let stranger = app.anonymous();
        for (method, path, _) in OPERATIONS {
            let is_api = !path.starts_with("/l/") && !path.starts_with("/v1/signed/");
            let answer = preflight(&stranger, method, &path.replace(['{', '}'], ""), APP).await;
            let allowed = header(&answer, "access-control-allow-origin");
            if is_api {
                assert_eq!((answer.status().as_u16(), allowed), (200, APP), "{method} {path}");
                assert!(header(&answer, "access-control-allow-methods").split(',').any(|known| known == *method), "{method} {path}");
                let headers = header(&answer, "access-control-allow-headers");
                assert!(headers.contains("authorization") && headers.contains("upload-offset"), "{method} {path}: {headers}");
                assert_eq!(header(&answer, "access-control-max-age"), "7200");
            } else {
                assert_ne!(allowed, APP, "{method} {path}");
            }
            assert_eq!(header(&answer, "access-control-allow-credentials"), "", "{method} {path}");
            for other in OTHERS {
                let answer = preflight(&stranger, method, &path.replace(['{', '}'], ""), other).await;
                assert!(["", "*"].contains(&header(&answer, "access-control-allow-origin")), "{method} {path} {other}");
                assert!(!is_api || header(&answer, "access-control-allow-origin").is_empty(), "{method} {path} {other}");
            }
        }
        for page in ["/", "/files", "/errors/not_found", "/l/srl_garbage"] {
            let answer = stranger.get(page).header("origin", APP).send().await.expect("an answer");
            assert_eq!(header(&answer, "access-control-allow-origin"), "", "{page}");
        }
    }

    async fn a_page_of_an_allowed_origin_works_with_a_token(app: TestApp) {
        let app = with_an_allowed_origin(app).await;
        let browser = |request: reqwest::RequestBuilder| request.header("origin", APP).header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "cors");
        app.sign_up("ann").await;
        let body = json!({"email": email("ann"), "password": PASSWORD});
        let session = browser(app.anonymous().post("/v1/auth/login")).json(&body).answer().await;
        assert_eq!((session.status, session.header("access-control-allow-origin")), (200, APP));
        let ann = app.anonymous().with_token(session.json()["token"].as_str().unwrap(), &session.json()["user"]["id"]);
        let file = browser(ann.post("/v1/files?name=a.txt")).body("hi").answer().await;
        assert_eq!(file.status, 201, "{}", file.text());
        let exposed = file.header("access-control-expose-headers").to_owned();
        for name in ["etag", "location", "repr-digest", "x-request-id", "retry-after"] {
            assert!(exposed.contains(name), "{name}: {exposed}");
        }
        // Errors can be read as well.
        for (request, status) in [(browser(ann.get("/v1/files/none")), 404), (browser(app.anonymous().get("/v1/me")), 401), (browser(ann.get("/v1/nowhere")), 404), (browser(ann.delete("/v1/me/usage")), 405)] {
            let answer = request.answer().await;
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, APP));
        }
        // A tus client, which also asks with OPTIONS what the server can do.
        let created = browser(ann.post("/v1/tus")).header("tus-resumable", "1.0.0").header("upload-length", "2").answer().await;
        assert_eq!(created.status, 201, "{}", created.text());
        for name in ["upload-offset", "upload-expires", "tus-resumable", "strongroom-file-id"] {
            assert!(created.header("access-control-expose-headers").contains(name), "{name}");
        }
        let upload = Tus::located(&created);
        let sent = browser(upload.append_request(&ann, 0, "hi")).answer().await;
        assert_eq!(sent.status, 204, "{}", sent.text());
        let options = ann.request(Method::OPTIONS, "/v1/tus").header("origin", APP).answer().await;
        assert!(options.header("tus-extension").contains("creation"), "{}", options.status);
    }

    async fn a_cookie_is_never_enough_for_another_origin(app: TestApp) {
        let app = with_an_allowed_origin(app).await;
        let ann = app.sign_up("ann").await;
        let cookie = format!("strongroom={}", ann.token.as_deref().unwrap());
        for (name, value) in [("origin", APP), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "cross-site")] {
            let request = app.anonymous().post("/v1/files?name=a.txt").header("cookie", &cookie).header(name, value);
            let answer = request.header("origin", APP).body("hi").answer().await;
            answer.problem(403, "cross_site");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            // Basic credentials are those of a proxy, which a browser sends by itself.
            let request = app.anonymous().post("/v1/files?name=a.txt").header("cookie", &cookie).header(name, value);
            request.basic_auth("a", Some("b")).body("hi").answer().await.problem(403, "cross_site");
        }
        // The token decides, not the cookie beside it.
        let request = ann.post("/v1/files?name=a.txt").header("cookie", &cookie).header("origin", APP).body("hi");
        assert_eq!(request.answer().await.status, 201);
    }

    async fn requests_without_a_cookie_are_not_checked_for_their_origin(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for origin in OTHERS.into_iter().chain([APP]) {
            for site in ["cross-site", "same-site"] {
                let request = ann.post("/v1/files?name=a.txt").header("origin", origin).header("sec-fetch-site", site);
                let answer = request.body("hi").answer().await;
                assert_eq!((answer.status, answer.header("access-control-allow-origin")), (201, ""));
                // A sign-in sets a cookie.
                let login = app.anonymous().post("/v1/auth/login").header("origin", origin).header("sec-fetch-site", site);
                login.json(&json!({"email": email("ann"), "password": PASSWORD})).answer().await.problem(403, "cross_site");
            }
        }
    }
}
