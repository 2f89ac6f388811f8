//! Responses that are ready before the body of their request was read: the client gets them, however it sends, and the
//! connection can be used again unless the response says otherwise.

use std::process::Command;
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::json;
use strongroom::config::TlsConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::bytes::noise;
use crate::support::client::{Ask, content, path};
use crate::support::raw::{connect, response, rest, status};
use crate::support::{Setup, TestApp, both, http2, print_skipped};

const MIB: usize = 1024 * 1024;
/// Instead of a status: the body is read, as far as its limit, and the status depends on it.
const READ: u16 = 0;
const GET: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// Refusals on every kind of route: the request line, its headers, and the status.
async fn refusals(app: &TestApp) -> Vec<(String, String, u16)> {
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "a").await;
    let link =
        ann.post(&format!("{}/links", path(&file))).json(&json!({"password": "a long one for it"})).answer().await;
    let link = link.json()["url"].as_str().expect("a URL").replace(app.app.config.public_url.as_str(), "/");
    let token = format!("Authorization: Bearer {}\r\n", ann.token.as_deref().expect("a token"));
    let (json, text, form) = (
        "Content-Type: application/json\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: multipart/form-data; boundary=b\r\n",
    );
    let plain = |line: &str, status| (line.to_owned(), String::new(), status);
    let signed_in = |line: &str, more: &str, status| (line.to_owned(), format!("{token}{more}"), status);
    vec![
        plain("POST /v1/files?name=a", 401),
        plain("POST /nowhere", 404),
        plain("PUT /nowhere/at/all", 404),
        plain("PUT /v1/files", 405),
        plain("DELETE /healthz", 405),
        plain("GET /healthz", 200),
        plain("PATCH /v1/tus/x", 401),
        plain("POST /v1/tus", 401),
        plain("PUT /v1/me/avatar", 401),
        plain("PUT /v1/signed/x", READ),
        plain("POST /l/nothing/unlock", READ),
        (format!("POST {link}/unlock"), text.to_owned(), READ),
        ("POST /v1/auth/login".to_owned(), text.to_owned(), 415),
        ("POST /v1/files".to_owned(), form.to_owned(), 401),
        signed_in("POST /v1/files", "", 422),
        signed_in("POST /v1/files?name=a/b", "", 422),
        signed_in("POST /v1/files?name=a&unknown=1", "", 422),
        signed_in(&format!("PUT {}", content(&file)), "", 428),
        signed_in(&format!("PUT {}", content(&file)), "If-Match: \"other\"\r\n", 412),
        signed_in("PUT /v1/files/019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11/content", "If-Match: \"x\"\r\n", 404),
        signed_in("POST /v1/files", form, READ),
        signed_in("POST /v1/files/batch", json, READ),
        signed_in("POST /v1/uploads", text, 415),
        signed_in("GET /v1/files", "", 200),
        signed_in(&format!("GET {}", content(&file)), "Range: bytes=9-\r\n", 416),
    ]
}

both! {
    async fn a_client_that_sends_its_whole_body_first_gets_the_response(app: TestApp) {
        for (line, headers, expected) in refusals(&app).await {
            for size in [100, 200_000, 8 * MIB] {
                let mut stream = connect(&app).await;
                let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {size}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&vec![b'x'; size]).await.unwrap_or_else(|error| panic!("{line}, {size}: {error}"));
                let answer = response(&mut stream).await.unwrap_or_else(|error| panic!("{line}, {size}: {error}"));
                let is_expected = status(&answer) == expected || (expected == READ && (400..500).contains(&status(&answer)));
                assert!(is_expected, "{line}, {size}: {answer}");
                assert!(!answer.to_lowercase().contains("connection: close"), "{line}, {size}: {answer}");
                stream.write_all(GET.as_bytes()).await.unwrap();
                let next = response(&mut stream).await.unwrap_or_else(|error| panic!("{line}, {size}: {error}"));
                assert_eq!(status(&next), 200, "{line}, {size}: {next}");
            }
        }
    }

    async fn a_chunked_body_that_has_ended_leaves_the_connection_usable(app: TestApp) {
        for (line, headers, _) in refusals(&app).await {
            let mut stream = connect(&app).await;
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("{:x}\r\n{}\r\n", 1000, "x".repeat(1000));
            stream.write_all(format!("{head}{}0\r\n\r\n", chunk.repeat(3)).as_bytes()).await.unwrap();
            let answer = response(&mut stream).await.unwrap();
            if !answer.to_lowercase().contains("connection: close") {
                stream.write_all(GET.as_bytes()).await.unwrap();
                assert_eq!(status(&response(&mut stream).await.unwrap()), 200, "{line}");
            }
        }
    }

    async fn a_rest_that_is_not_wanted_is_announced_to_end_the_connection(app: TestApp) {
        let app = app.restart_with(|config| config.limits.drain_size = 64 * 1024).await;
        // JSON and forms are read first.
        let unread = |(_, _, status): &(String, String, u16)| *status != READ;
        for (line, headers, expected) in refusals(&app).await.into_iter().filter(unread) {
            for framing in [format!("Content-Length: {}", 8 * MIB), "Transfer-Encoding: chunked".to_owned()] {
                let mut stream = connect(&app).await;
                let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}{framing}\r\n\r\nffff\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&[b'x'; 1000]).await.unwrap();
                let answer = response(&mut stream).await.unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(status(&answer), expected, "{line}: {answer}");
                assert!(answer.to_lowercase().contains("connection: close"), "{line}: {answer}");
                // The server says at once that it sends nothing more.
                let mut nothing = [0; 1];
                assert_eq!(stream.read(&mut nothing).await.unwrap(), 0, "{line}");
            }
        }
    }

    async fn a_client_that_expects_a_continue_gets_the_refusal_alone(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let token = format!("Authorization: Bearer {}\r\n", ann.token.as_deref().unwrap());
        for (line, headers, expected) in [
            ("POST /v1/files?name=a", "", 401),
            ("POST /nowhere", "", 404),
            ("PUT /v1/files", "", 405),
            ("POST /v1/files?name=a/b", token.as_str(), 422),
            ("POST /v1/uploads", token.as_str(), 415),
        ] {
            let mut stream = connect(&app).await;
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = response(&mut stream).await.unwrap();
            assert_eq!(status(&answer), expected, "{line}: {answer}");
            assert!(answer.to_lowercase().contains("connection: close"), "{line}: {answer}");
            // What follows may be the body or a request, so it is neither.
            let _ = stream.write_all(GET.as_bytes()).await;
            assert_eq!(rest(stream).await, "", "{line}");
        }
        app.assert_nothing_but(0).await;
    }

    async fn a_client_that_trickles_the_rest_is_disconnected(app: TestApp) {
        let app = app.restart_with(|config| config.drain_timeout = Duration::from_millis(300)).await;
        for length in [100_000, 100 * MIB] {
            let mut stream = connect(&app).await;
            let head = format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            assert_eq!(status(&response(&mut stream).await.unwrap()), 404);
            let trickling = async {
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), trickling).await.expect("the server ends the connection");
        }
    }

    async fn on_http2_the_response_is_complete_and_the_stream_ends_without_an_error(app: TestApp) {
        let app = app.restart_with(|config| config.limits.drain_size = 1024 * 1024).await;
        let mut client = http2::connect(&app).await;
        for (size, is_wanted) in [(1000, true), (MIB, true), (8 * MIB, false)] {
            let mut request = http2::request(&app, "POST", "/v1/files?name=a");
            request.headers_mut().insert("content-length", size.into());
            let (response, mut body) = client.send_request(request, false).unwrap();
            // As much as the windows allow, without reading.
            body.reserve_capacity(size);
            let mut sent = 0;
            let reset = loop {
                let step = std::future::poll_fn(|context| match body.poll_reset(context) {
                    Poll::Ready(reset) => Poll::Ready(Err(reset.unwrap())),
                    Poll::Pending => body.poll_capacity(context).map(|capacity| Ok(capacity.unwrap().unwrap())),
                });
                match step.await {
                    Err(reset) => break Some(reset),
                    Ok(capacity) => {
                        let length = capacity.min(size - sent);
                        sent += length;
                        body.send_data(vec![b'x'; length].into(), sent == size).unwrap();
                        if sent == size {
                            break None;
                        }
                    }
                }
            };
            assert_eq!((reset.is_none(), reset.unwrap_or(h2::Reason::NO_ERROR)), (is_wanted, h2::Reason::NO_ERROR));
            let mut response = response.await.unwrap();
            assert_eq!(response.status(), 401);
            let text = response.body_mut().data().await.unwrap().unwrap();
            assert!(String::from_utf8_lossy(&text).contains("\"unauthorized\""));
        }
    }

    async fn on_http2_curl_gets_the_refusal_of_a_body_that_is_not_wanted(app: TestApp) {
        let version = Command::new("curl").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
        if !String::from_utf8_lossy(&version).contains("HTTP2") {
            return print_skipped("curl over HTTP/2", "no curl with HTTP/2");
        }
        let app = app.restart_with(|config| config.limits.drain_size = 64 * 1024).await;
        let large = app.folder.path().join("large");
        std::fs::write(&large, vec![b'x'; 8 * MIB]).unwrap();
        for (path, expected) in [("/v1/files?name=a", "401"), ("/nowhere", "404")] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--http2-prior-knowledge", "--request", "POST", "--output", "-"]);
            curl.args(["--write-out", " %{http_code} %{exitcode}"]).arg("--upload-file").arg(&large);
            curl.arg(app.url(path));
            let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().expect("curl runs");
            let answer = String::from_utf8_lossy(&output.stdout);
            assert!(answer.contains("\"request_id\"") && answer.ends_with(&format!(" {expected} 0")), "{path}: {answer}");
        }
    }

    async fn a_body_with_broken_chunks_gets_its_response(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let token = format!("Authorization: Bearer {}\r\n", ann.token.as_deref().unwrap());
        for broken in ["zz\r\n", "5\r\nabcdefgh\r\n", "ffffffffffffffffff\r\n"] {
            let mut stream = connect(&app).await;
            let head = format!("POST /v1/files?name=a HTTP/1.1\r\nHost: a\r\n{token}Transfer-Encoding: chunked\r\n\r\n{broken}");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; 8 * MIB]).await.unwrap_or_else(|error| panic!("{broken}: {error}"));
            let answer = response(&mut stream).await.unwrap_or_else(|error| panic!("{broken}: {error}"));
            assert_eq!(status(&answer), 400, "{broken}: {answer}");
            assert!(answer.to_lowercase().contains("connection: close"), "{broken}: {answer}");
        }
        app.assert_nothing_but(0).await;
    }

    async fn on_http2_what_was_discarded_does_not_use_up_the_window_of_the_connection(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        for size in [200_000, 32 * MIB] {
            for _ in 0..20 {
                let refused = http.post(app.url("/v1/files?name=a")).body(Bytes::from(vec![b'x'; size])).answer().await;
                refused.problem(401, "unauthorized");
            }
        }
        let upload = http.post(app.url("/v1/files?name=a")).bearer_auth(ann.token.as_deref().unwrap());
        assert_eq!(upload.body(noise(4 * MIB)).answer().await.status, 201);
        app.assert_nothing_but(1).await;
    }

    async fn over_tls_the_response_arrives_as_well(app: TestApp) {
        let tls = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls").join(name);
        let app = app
            .restart_with(|config| config.tls = Some(TlsConfig { certificate: tls("certificate.pem"), key: tls("key.pem") }))
            .await;
        let certificate = || reqwest::Certificate::from_pem(&std::fs::read(tls("certificate.pem")).unwrap()).unwrap();
        for builder in [reqwest::Client::builder().http1_only(), reqwest::Client::builder()] {
            let http = builder.tls_certs_only([certificate()]).build().unwrap();
            for size in [100, 200_000, 8 * MIB, 32 * MIB] {
                let refused = http.post(app.url("/v1/files?name=a")).body(vec![b'x'; size]).answer().await;
                refused.problem(401, "unauthorized");
            }
        }
    }

    async fn a_form_leaves_nothing_before_its_body_has_ended(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("old.txt", "old").await;
        let token = ann.token.as_deref().unwrap();
        let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\u{89}PNG\r\n\u{1a}\n\r\n--b--\r\n";
        for (line, more) in [
            ("POST /v1/files".to_owned(), String::new()),
            ("POST /v1/files".to_owned(), "Idempotency-Key: one\r\n".to_owned()),
            (format!("PUT {}", content(&file)), format!("If-Match: {}\r\n", file["etag"].as_str().unwrap())),
            ("PUT /v1/me/avatar".to_owned(), String::new()),
        ] {
            let chunk = format!("{:x}\r\n{form}\r\n", form.len());
            for (framing, body) in [
                (format!("Content-Length: {}", form.len() + 2), form.to_owned()),
                ("Transfer-Encoding: chunked".to_owned(), chunk.clone()),
                ("Transfer-Encoding: chunked".to_owned(), format!("{chunk}5\r\nab")),
                ("Transfer-Encoding: chunked".to_owned(), format!("{chunk}0\r\n")),
                ("Transfer-Encoding: chunked".to_owned(), format!("{chunk}nonsense\r\n\r\n")),
            ] {
                let mut stream = connect(&app).await;
                let head = format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{more}{framing}\r\n");
                let head = format!("{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n");
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                let answer = rest(stream).await;
                assert!(answer.is_empty() || status(&answer) == 400, "{line}: {answer}");
            }
        }
        assert_eq!(ann.download(&file).await, b"old");
        assert_eq!(ann.get("/v1/me").answer().await.json()["avatar_url"], json!(null));
        app.assert_nothing_but(1).await;
    }
}
