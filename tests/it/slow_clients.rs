//! HTTP conformance and limits: every response is well formed, and slow or malformed clients are disconnected.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, Version};
use serde_json::json;
use strongroom::config::TlsConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::accounts::sign_up;
use crate::support::bytes::noise;
use crate::support::client::{Ask, content, path};
use crate::support::links::create_link;
use crate::support::program::Start;
use crate::support::raw::{connect, raw, response, rest, status};
use crate::support::{PASSWORD, Setup, TestApp, both, email, until};

both! {
    async fn unknown_paths_get_a_problem_document(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for client in [&ann, &app.anonymous()] {
            for path in ["/nowhere", "/v1", "/v2/files", "/v1//files", "/favicon.ico", "/%00", "/v1/fi%ffles"] {
                let problem = client.get(path).answer().await.problem(404, "not_found");
                assert_eq!(problem["instance"], path);
                assert_eq!(problem["type"], app.url("/errors/not_found"));
                assert!(problem["title"].is_string() && problem["detail"].is_string());
            }
            client.post("/v1/nowhere").json(&json!({"a": 1})).answer().await.problem(404, "not_found");
        }
        for id in ["x", "019ab0c2", "..%2f..%2fetc%2fpasswd", "%00", "019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11%0d%0aset-cookie:%20a=b"] {
            ann.get(&format!("/v1/files/{id}")).answer().await.problem(404, "not_found");
        }
    }

    async fn a_form_is_stored_when_its_whole_body_has_arrived(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello\r\n--b--\r\n";
        let head = format!(
            "POST /v1/files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
            Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
            ann.token.as_deref().unwrap(),
            form.len() + 3
        );
        for (rest_of_body, files) in [("", 0), ("ab", 0), ("abc", 1)] {
            let mut stream = connect(&app).await;
            stream.write_all(format!("{head}{form}{rest_of_body}").as_bytes()).await.unwrap();
            if files == 0 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                stream.shutdown().await.unwrap();
            }
            let answer = rest(stream).await;
            assert!(files == 1 || answer.is_empty() || status(&answer) == 400, "{answer}");
            assert_eq!(ann.get("/v1/files").answer().await.json()["items"].as_array().unwrap().len(), files);
        }
        app.assert_nothing_but(1).await;
    }

    async fn trailing_slashes_are_redirected(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (method, path, expected) in [
            (Method::GET, "/v1/files/", "/v1/files"),
            (Method::GET, "/v1/files/?limit=1", "/v1/files?limit=1"),
            (Method::POST, "/v1/tus/", "/v1/tus"),
            (Method::GET, "/docs/", "/docs"),
            (Method::GET, "/v1/me//", "/v1/me"),
            (Method::GET, "//evil.example/", "//evil.example"),
        ] {
            let answer = ann.request(method, path).answer().await;
            assert_eq!((answer.status, answer.header("location")), (308, app.url(expected).as_str()), "{path}");
        }
        app.anonymous().get("//").answer().await.problem(404, "not_found");
    }

    async fn the_type_of_a_problem_is_the_url_of_a_page(app: TestApp) {
        let problem = app.anonymous().get("/nowhere").answer().await.problem(404, "not_found");
        let page = app.anonymous().get(problem["type"].as_str().unwrap()).answer().await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let text = page.text();
        assert!(text.contains("<code>not_found</code>") && text.contains("the two are indistinguishable"), "{text}");
        for (code, ..) in strongroom::http::problem::CODES {
            assert_eq!(app.anonymous().get(&format!("/errors/{code}")).answer().await.status, 200, "{code}");
        }
        app.anonymous().get("/errors/nonsense").answer().await.problem(404, "not_found");
    }

    async fn unsupported_methods_get_the_allowed_ones(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = path(&ann.upload("a.txt", "a").await);
        for (method, path, allowed) in [
            (Method::DELETE, "/v1/files", "GET HEAD POST"),
            (Method::PUT, "/v1/auth/login", "POST"),
            (Method::GET, "/v1/auth/logout", "POST"),
            (Method::POST, "/v1/me", "DELETE GET HEAD PATCH"),
            (Method::PUT, file.as_str(), "DELETE GET HEAD PATCH"),
            (Method::POST, "/healthz", "GET HEAD"),
            (Method::OPTIONS, "/healthz", "GET HEAD"),
            (Method::from_bytes(b"BREW").unwrap(), "/v1/files", "GET HEAD POST"),
        ] {
            let answer = ann.request(method, path).answer().await;
            answer.problem(405, "method_not_allowed");
            let allow: BTreeSet<&str> = answer.header("allow").split(',').map(str::trim).collect();
            assert_eq!(allow.into_iter().collect::<Vec<_>>().join(" "), allowed, "{path}");
        }
        assert_eq!(ann.get(&file).answer().await.status, 200);
    }

    async fn invalid_json_is_refused(app: TestApp) {
        let post = |body: Vec<u8>| app.anonymous().post("/v1/auth/login").header("content-type", "application/json").body(body);
        let deep = "[".repeat(5_000);
        for body in ["", "{", "{\"email\": \"a\",}", "nonsense", "{} {}", "\u{feff}{}", deep.as_str(), "{\"email\": \"\\ud800\"}"] {
            let answer = post(body.into()).answer().await;
            assert!([400, 422].contains(&answer.status), "{}", answer.text());
            answer.problem(answer.status, if answer.status == 400 { "malformed" } else { "invalid" });
        }
        post(b"{\"email\": \"\xff\"}".into()).answer().await.problem(400, "malformed");
        post("{".into()).answer().await.problem(400, "malformed");
        let twice = format!(r#"{{"email": "a@example.org", "password": "{PASSWORD}", "password": "another"}}"#);
        post(twice.into()).answer().await.problem(422, "invalid");
        let deep_value = format!(r#"{{"email": "a@example.org", "password": "x", "more": {deep}"#);
        assert!([400, 422].contains(&post(deep_value.into()).answer().await.status));
    }

    async fn the_size_of_json_bodies_is_limited(app: TestApp) {
        let body = json!({"email": email("ann"), "password": "x".repeat(300 * 1024)}).to_string();
        let post = || app.anonymous().post("/v1/auth/login").header("content-type", "application/json");
        // The server may respond before everything is sent, which some clients report as an error.
        if let Ok(answer) = post().body(body.clone()).send().await {
            assert_eq!(answer.status(), 413);
        }
        let chunks = body.into_bytes().chunks(4096).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
        if let Ok(answer) = post().body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))).send().await {
            assert_eq!(answer.status(), 413);
        }
        let head = "POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 262145\r\n\r\n";
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 262_145]).await.unwrap();
        let answer = response(&mut stream).await.unwrap();
        assert_eq!(status(&answer), 413, "{answer}");
        assert!(answer.contains("too_large"), "{answer}");
    }

    async fn strangers_send_little_json(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "a").await;
        let link = create_link(&ann, &file, json!({"password": PASSWORD})).await;
        let unlock = format!("/l/{}/unlock", link["url"].as_str().unwrap().rsplit('/').next().unwrap());
        let long = "x".repeat(9 * 1024);
        for (url, body) in [
            ("/v1/auth/login", json!({"email": email("ann"), "password": long})),
            ("/v1/auth/register", json!({"email": email("bob"), "password": PASSWORD, "name": long})),
            (unlock.as_str(), json!({"password": long})),
        ] {
            app.anonymous().post(url).json(&body).answer().await.problem(413, "too_large");
        }
        let form = app.anonymous().post(&unlock).header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(format!("password={long}")).answer().await;
        assert_eq!(answer.status, 413);
        // Someone who has signed in may send more.
        let patch = ann.patch(&path(&file)).json(&json!({"metadata": {"d": "x".repeat(100_000)}})).answer().await;
        patch.problem(422, "invalid");
    }

    async fn json_requires_its_content_type(app: TestApp) {
        app.sign_up("ann").await;
        let body = json!({"email": email("ann"), "password": PASSWORD}).to_string();
        let post = |content_type: &str| app.anonymous().post("/v1/auth/login").header("content-type", content_type).body(body.clone()).answer();
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "json", "", "text/json"] {
            let problem = post(content_type).await.problem(415, "unsupported_media_type");
            let detail = format!("expected the content type `application/json`, got `{content_type}`");
            assert_eq!(problem["detail"], detail);
        }
        let none = app.anonymous().post("/v1/auth/login").body(body.clone()).answer().await;
        let problem = none.problem(415, "unsupported_media_type");
        assert_eq!(problem["detail"], "expected the content type `application/json`, got none");
        for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.room+json"] {
            assert_eq!(post(content_type).await.status, 200, "{content_type}");
        }
    }

    async fn every_response_has_a_unique_request_id(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut seen = BTreeSet::new();
        for path in ["/healthz", "/v1/me", "/nowhere", "/v1/files"] {
            for client in [&ann, &app.anonymous()] {
                let answer = client.get(path).header("x-request-id", "mine").answer().await;
                let id = answer.header("x-request-id").to_owned();
                assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
                assert!(seen.insert(id), "{path}: it was used before");
            }
        }
    }

    async fn every_response_disables_content_sniffing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.html", "<script>alert(1)</script>").await;
        let (content, etag) = (content(&file), file["etag"].as_str().unwrap());
        let mut statuses = BTreeSet::new();
        for request in [
            ann.get(&content),
            ann.head(&content),
            ann.get(&content).header("range", "bytes=0-1"),
            ann.get(&content).header("range", "bytes=0-1,4-5"),
            ann.get(&content).header("range", "bytes=999-"),
            ann.get(&content).header("if-none-match", etag),
            ann.get(&content).header("if-match", "\"other\""),
            ann.put(&content).body("x"),
            ann.post("/v1/files?name=b.txt").body("b"),
            ann.post("/v1/auth/login").body("{"),
            ann.post("/v1/auth/login").json(&json!({})),
            app.anonymous().post("/v1/auth/login").header("origin", "https://evil.example").json(&json!({})),
            ann.get("/v1/files?cursor=x"),
            ann.delete("/v1/files"),
            ann.delete(&path(&file)),
            ann.get("/nowhere"),
            ann.get("/openapi.json"),
            app.anonymous().get("/v1/me"),
        ] {
            let answer = request.answer().await;
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}: {}", answer.status, answer.text());
            let policy = answer.header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!((answer.header("referrer-policy"), answer.header("strict-transport-security")), ("no-referrer", ""));
            assert!(answer.headers.get("access-control-allow-origin").is_none());
            statuses.insert(answer.status);
        }
        assert_eq!(statuses, BTreeSet::from([200, 201, 204, 206, 304, 400, 401, 403, 404, 405, 412, 415, 416, 422, 428]));
    }

    async fn head_matches_get_without_the_body(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "hello").await;
        for path in ["/healthz", "/readyz", "/openapi.json", "/v1/me", "/v1/files", &path(&file), &content(&file), "/nowhere"] {
            let (get, head) = (ann.get(path).answer().await, ann.head(path).answer().await);
            assert_eq!((head.status, head.bytes.len()), (get.status, 0), "{path}");
            for name in ["content-type", "etag", "cache-control", "content-disposition"] {
                assert_eq!(head.header(name), get.header(name), "{path}: {name}");
            }
        }
    }

    async fn urls_are_built_from_the_settings_and_never_from_the_request(app: TestApp) {
        let app = app.restart_with(|config| config.allowed_hosts = vec!["evil.example".to_owned()]).await;
        let ann = app.sign_up("ann").await;
        let evil = |request: reqwest::RequestBuilder| {
            request
                .header("host", "evil.example")
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "https")
                .header("forwarded", "host=evil.example;proto=https")
        };
        let created = evil(ann.post("/v1/files?name=a.txt").body("a")).answer().await;
        let signed = evil(ann.post(&format!("{}/signed-urls", path(&created.json()))).json(&json!({"operation": "get"}))).answer().await;
        let list = evil(ann.get("/v1/files?urls=signed")).answer().await;
        let problem = evil(ann.get("/nowhere")).answer().await;
        assert_eq!((created.status, signed.status, list.status), (201, 201, 200));
        for answer in [created, signed, list, problem] {
            assert!(!format!("{:?}{}", answer.headers, answer.text()).contains("evil.example"), "{}", answer.text());
        }
    }

    async fn headers_with_invalid_bytes_are_harmless(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "hello").await;
        let garbage = || HeaderValue::from_bytes(b"\xff\xfe\x80").unwrap();
        for name in ["cookie", "user-agent", "x-forwarded-for", "range", "if-none-match", "if-modified-since", "accept", "origin", "content-type"] {
            let answer = ann.get(&content(&file)).header(name, garbage()).answer().await;
            assert!([200, 304, 400, 412, 416].contains(&answer.status), "{name}: {}", answer.text());
        }
        app.anonymous().get("/v1/me").header("authorization", garbage()).answer().await.problem(401, "unauthorized");
        for name in ["content-type", "repr-digest", "content-disposition", "if-none-match", "idempotency-key"] {
            let answer = ann.post("/v1/files?name=b.txt").header(name, garbage()).body("b").answer().await;
            assert!(answer.status < 500, "{name}: {}", answer.text());
        }
        let login = app.anonymous().post("/v1/auth/login").header("user-agent", garbage()).header("x-forwarded-for", garbage());
        assert_eq!(login.json(&json!({"email": email("ann"), "password": PASSWORD})).answer().await.status, 200);
    }

    async fn the_size_of_request_heads_is_limited(app: TestApp) {
        let with = |head: String| format!("GET /healthz{head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        let many: String = (0..500).map(|number| format!("X-{number}: a\r\n")).collect();
        for (request, expected) in [
            (with(String::new()) + &many + "\r\n", 431),
            (with(String::new()) + &format!("X-Long: {}\r\n\r\n", "a".repeat(1024 * 1024)), 431),
            // In one read with its end, it is the URI that is too long.
            (with(format!("?{}", "a".repeat(70_000))) + "\r\n", 414),
            (with(format!("?{}", "a".repeat(60_000))) + &format!("X-Long: {}\r\n\r\n", "a".repeat(200_000)), 431),
            ("nonsense\r\n\r\n".to_owned(), 400),
            (with(String::new()) + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
            (with(String::new()) + "Content-Length: -1\r\n\r\n", 400),
            (with(String::new()) + "No colon\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\n folded: header\r\n\r\n".to_owned(), 400),
        ] {
            let answer = status(&raw(&app, &request).await);
            let is_expected = answer == expected || (expected, answer) == (414, 431);
            assert!(is_expected, "{answer} for {}", &request[..request.len().min(200)]);
        }
        assert_eq!(status(&raw(&app, with(String::new()) + "\r\n").await), 200);
    }

    async fn pipelined_requests_are_answered_in_order(app: TestApp) {
        let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        // A body that is not read is not treated as a request.
        let smuggled = get("/v1/elsewhere", "");
        let post = format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
        let pipeline = get("/healthz", "") + &post + &get("/v1/me", "") + &get("/healthz", "Connection: close\r\n");
        let answer = raw(&app, pipeline).await;
        let statuses: Vec<&str> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "404", "401", "200"], "{answer}");
        assert!(!answer.contains("elsewhere"), "{answer}");
    }

    async fn expect_continue_is_answered_before_the_body(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let head = |authorization: &str| {
            format!("POST /v1/files?name=a.txt HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        };
        let refused = raw(&app, head("")).await;
        assert_eq!(status(&refused), 401, "{refused}");
        let mut stream = connect(&app).await;
        stream.write_all(head(&format!("Authorization: Bearer {}\r\n", ann.token.as_deref().unwrap())).as_bytes()).await.unwrap();
        let mut first = [0; 25];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(std::str::from_utf8(&first), Ok("HTTP/1.1 100 Continue\r\n\r\n"));
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(status(&rest(stream).await), 201);
        app.assert_nothing_but(1).await;
    }

    async fn a_client_that_does_not_complete_a_request_head_is_disconnected(app: TestApp) {
        let app = app.restart_with(|config| config.header_timeout = Duration::from_millis(100)).await;
        for part in ["", "P", "PRI * HTTP/2.0\r\n", "GET", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
            let answer = raw(&app, part).await;
            assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
        }
    }

    async fn a_stalled_request_body_is_refused_and_leaves_nothing(app: TestApp) {
        let app = app.restart_with(|config| config.uploads.stall_timeout = Duration::from_millis(100)).await;
        let ann = app.sign_up("ann").await;
        let authorization = format!("Host: a\r\nAuthorization: Bearer {}", ann.token.as_deref().unwrap());
        let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf";
        for (request, body) in [
            ("POST /v1/files?name=a.txt HTTP/1.1\r\nContent-Length: 100", "half".to_owned()),
            ("POST /v1/files?name=a.txt HTTP/1.1\r\nTransfer-Encoding: chunked", "4\r\nhalf\r\n".to_owned()),
            ("POST /v1/files HTTP/1.1\r\nContent-Length: 1000\r\nContent-Type: multipart/form-data; boundary=b", form.to_owned()),
            ("POST /v1/auth/login HTTP/1.1\r\nContent-Length: 100\r\nContent-Type: application/json", "{".to_owned()),
            ("PUT /v1/me/avatar HTTP/1.1\r\nContent-Length: 1000\r\nContent-Type: image/png", "\u{89}PNG".to_owned()),
        ] {
            let answer = raw(&app, format!("{request}\r\n{authorization}\r\n\r\n{body}")).await;
            assert_eq!(status(&answer), 408, "{request}: {answer}");
            assert!(answer.contains("body_stalled") && answer.contains("application/problem+json"), "{answer}");
        }
        app.assert_nothing_but(0).await;
    }

    async fn a_client_that_stops_reading_is_disconnected(app: TestApp) {
        let app = app.restart_with(|config| config.uploads.stall_timeout = Duration::from_millis(300)).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.bin", noise(32 * 1024 * 1024)).await;
        let mut stream = connect(&app).await;
        let token = ann.token.as_deref().unwrap();
        let head = format!("GET {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n", content(&file));
        stream.write_all(head.as_bytes()).await.unwrap();
        // The client does not read, and notices the closed connection when it writes.
        let closed = async {
            while stream.write_all(b"\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), closed).await.expect("the server closes the connection");
    }

    async fn a_disconnected_client_leaves_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let token = ann.token.as_deref().unwrap();
        for _ in 0..3 {
            let mut stream = connect(&app).await;
            let head = format!("POST /v1/files?name=a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 9000000\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&noise(6_000_000)).await.unwrap();
        }
        until(async || app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await == 0).await;
        app.assert_nothing_but(0).await;
    }

    async fn it_serves_https(app: TestApp) {
        let tls = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls").join(name);
        let app = app
            .restart_with(|config| config.tls = Some(TlsConfig { certificate: tls("certificate.pem"), key: tls("key.pem") }))
            .await;
        let pem = std::fs::read(tls("certificate.pem")).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .build()
            .unwrap();
        let body = json!({"email": "ann@example.org", "name": "Ann", "password": PASSWORD});
        let answer = http.post(app.url("/v1/auth/register")).json(&body).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (201, Version::HTTP_2));
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-strongroom=") && cookie.ends_with("; Secure"), "{cookie}");
        let token = answer.json::<serde_json::Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        let bytes = noise(3_000_000);
        let upload = http.post(app.url("/v1/files?name=a.bin")).bearer_auth(&token).body(bytes.clone()).answer().await;
        assert_eq!(upload.status, 201, "{}", upload.text());
        let download = http.get(app.url(&content(&upload.json()))).bearer_auth(&token).answer().await;
        assert!(download.bytes == bytes);
        // A client without TLS gets no response, and other clients are not affected.
        let answer = raw(&app, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
        let ready = http.get(app.url("/readyz")).answer().await;
        assert_eq!((ready.status, ready.header("strict-transport-security")), (200, "max-age=31536000"));
        assert_eq!(http.get(app.url("/nowhere")).answer().await.header("strict-transport-security"), "max-age=31536000");
        let app = app.restart_with(|config| {
            config.hsts = Duration::ZERO;
        }).await;
        assert_eq!(http.get(app.url("/readyz")).answer().await.header("strict-transport-security"), "");
        // Behind a proxy that ends TLS.
        let app = app.restart_with(|config| {
            config.tls = None;
            config.public_url = "https://files.example.org/".parse().unwrap();
            config.hsts = Duration::from_secs(60);
        }).await;
        assert_eq!(app.anonymous().get("/healthz").answer().await.header("strict-transport-security"), "max-age=60");
    }

    async fn http2_streams_that_stall_do_not_keep_the_places_of_requests(app: TestApp) {
        let start = Start::default().beside(&app).open_files(128).variable("STRONGROOM_UPLOAD_STALL_TIMEOUT", "1s");
        let program = start.serve(app.folder.path());
        let ann = sign_up(&program, "ann@example.org").await;
        let file = ann.upload("a.bin", noise(8 << 20)).await;
        let stream = TcpStream::connect(program.url.strip_prefix("http://").unwrap()).await.unwrap();
        let builder = h2::client::Builder::new().initial_connection_window_size(16 << 20).clone();
        let (mut client, connection) = builder.handshake::<_, axum::body::Bytes>(stream).await.unwrap();
        tokio::spawn(connection);
        // As many as one address has places.
        let mut bodies = Vec::new();
        for _ in 0..8 {
            let request = http::Request::get(format!("{}{}", program.url, content(&file)));
            let request = request.header("authorization", format!("Bearer {}", ann.token.as_deref().unwrap()));
            let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            bodies.push(response.into_body());
        }
        // One of them is read, which keeps the connection open.
        let mut slow = bodies.pop().unwrap();
        let reading = tokio::spawn(async move {
            while let Some(chunk) = slow.data().await {
                slow.flow_control().release_capacity(chunk.unwrap().len()).unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let answer = ann.get("/v1/me").answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!reading.is_finished(), "it is still open");
        reading.abort();
        drop(bodies);
        program.stop();
    }
}
