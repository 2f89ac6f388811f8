//! What a connection may hold, and how many there are.

use std::time::Duration;

use futures_util::future::join_all;
use strongroom::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::accounts::sign_up;
use crate::support::bytes::noise;
use crate::support::client::{Ask, content};
use crate::support::program::Start;
use crate::support::raw::{connect, connect_from, response, rest, status};
use crate::support::{Setup, TestApp, both, http2, until};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
/// The preface and empty SETTINGS of an HTTP/2 client.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const GOAWAY: u8 = 7;

fn in_a_moment(config: &mut Config) {
    config.idle_timeout = Duration::from_millis(200);
}

/// The types of the frames in these bytes.
fn frame_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        types.push(*kind);
        bytes = rest.get(u32::from_be_bytes([0, *a, *b, *c]) as usize..).unwrap_or_default();
    }
    types
}

/// Reads everything until the server closes the connection.
async fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the server closes the connection");
    bytes
}

both! {
    async fn a_connection_without_a_request_is_closed(app: TestApp) {
        let app = app.restart_with(in_a_moment).await;
        let mut stream = connect(&app).await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(status(&response(&mut stream).await.unwrap()), 200);
        assert_eq!(rest(stream).await, "");
    }

    async fn between_requests_the_idle_timeout_counts_and_not_that_of_heads(app: TestApp) {
        let app = app.restart_with(|config| config.header_timeout = Duration::from_millis(150)).await;
        let mut stream = connect(&app).await;
        for _ in 0..3 {
            stream.write_all(GET.as_bytes()).await.unwrap();
            assert_eq!(status(&response(&mut stream).await.unwrap()), 200);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        // A head that has begun is another matter.
        stream.write_all(b"GET /heal").await.unwrap();
        assert_eq!(rest(stream).await, "");
    }

    async fn an_http2_connection_without_a_stream_is_closed_with_goaway(app: TestApp) {
        let app = app.restart_with(in_a_moment).await;
        // This client answers no PING, and the next one answers all.
        let mut stream = connect(&app).await;
        stream.write_all(PREFACE).await.unwrap();
        assert!(frame_types(&read_all(stream).await).contains(&GOAWAY));
        let (mut client, connection) = h2::client::handshake(connect(&app).await).await.unwrap();
        let (response, _) = client.send_request(http2::request(&app, "GET", "/healthz"), true).unwrap();
        let (ended, response) = tokio::join!(connection, response);
        ended.expect("it ends without an error");
        assert_eq!(response.unwrap().status(), 200);
    }

    async fn a_stream_that_is_open_keeps_its_connection(app: TestApp) {
        let app = app.restart_with(in_a_moment).await;
        let ann = app.sign_up("ann").await;
        let mut request = http2::request(&app, "POST", "/v1/files?name=a.txt");
        let token = format!("Bearer {}", ann.token.as_deref().unwrap());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        let mut client = http2::connect(&app).await;
        let (response, mut body) = client.send_request(request, false).unwrap();
        for part in ["one ", "two ", "three"] {
            body.send_data(part.into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        body.send_data("".into(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 201);
    }

    async fn streams_that_the_client_does_not_read_do_not_keep_their_connection(app: TestApp) {
        let app = app.restart_with(|config| config.uploads.stall_timeout = Duration::from_millis(200)).await;
        // No window for any response, and every PING is answered.
        let mut builder = h2::client::Builder::new();
        let (client, connection) = builder.initial_window_size(0).handshake(connect(&app).await).await.unwrap();
        let mut client: h2::client::SendRequest<axum::body::Bytes> = client;
        let requests: Vec<_> = (0..5).map(|_| client.send_request(http2::request(&app, "GET", "/healthz"), true).unwrap()).collect();
        let _ = tokio::time::timeout(Duration::from_secs(60), connection).await.expect("the server ends the connection");
        drop(requests);
    }

    async fn a_head_takes_64_kib_at_most(app: TestApp) {
        let mut stream = connect(&app).await;
        let line = format!("X-Long: {}\r\n", "a".repeat(8000));
        stream.write_all(format!("{}{}\r\n", &GET[..GET.len() - 2], line.repeat(7)).as_bytes()).await.unwrap();
        assert_eq!(status(&response(&mut stream).await.unwrap()), 200);
        // A head that never ends is refused at its limit, not held until a timeout.
        let _ = stream.write_all(format!("{}{}", &GET[..GET.len() - 2], line.repeat(30)).as_bytes()).await;
        let refusal = rest(stream).await;
        assert_eq!(status(&refusal), 431);
        assert!(refusal.contains(r#""code":"headers_too_large""#), "{refusal}");
    }

    async fn the_head_after_a_discarded_body_has_the_same_limit(app: TestApp) {
        let mut stream = connect(&app).await;
        let body = "x".repeat(100_000);
        let refused = format!("POST /v1/files HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let line = format!("X-Long: {}\r\n", "a".repeat(8000));
        let large = format!("{}{}\r\n", &GET[..GET.len() - 2], line.repeat(35));
        let _ = stream.write_all((refused + &large).as_bytes()).await;
        assert_eq!(status(&response(&mut stream).await.unwrap()), 401);
        assert_eq!(status(&rest(stream).await), 431);
    }

    async fn on_http2_the_number_of_headers_is_limited(app: TestApp) {
        let mut client = http2::connect(&app).await;
        for (number, expected) in [(90, 200), (101, 431)] {
            let mut request = http2::request(&app, "GET", "/healthz");
            for index in 0..number {
                request.headers_mut().insert(http::HeaderName::try_from(format!("x-{index}")).unwrap(), "a".parse().unwrap());
            }
            let (response, _) = client.send_request(request, true).unwrap();
            assert_eq!(response.await.unwrap().status(), expected, "{number} headers");
        }
    }

    async fn one_address_gets_a_part_of_the_connections(app: TestApp) {
        let app = app.restart_with(|config| config.limits.connections = 40).await;
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut stream = connect_from(&app, "127.0.0.2").await;
            stream.write_all(GET.as_bytes()).await.unwrap();
            assert_eq!(status(&response(&mut stream).await.unwrap()), 200);
            held.push(stream);
        }
        let mut refused = connect_from(&app, "127.0.0.2").await;
        let _ = refused.write_all(GET.as_bytes()).await;
        let answer = rest(refused).await;
        assert_eq!(status(&answer), 503, "{answer}");
        assert!(answer.contains("retry-after: ") && answer.contains("\"unavailable\""), "{answer}");
        // Others are not affected, and an address that closes one can open another.
        assert_eq!(app.anonymous().get("/healthz").answer().await.status, 200);
        held.pop();
        until(async || {
            let mut stream = connect_from(&app, "127.0.0.2").await;
            let _ = stream.write_all(GET.as_bytes()).await;
            response(&mut stream).await.is_ok_and(|answer| status(&answer) == 200)
        })
        .await;
        // A trusted proxy has the connections of all its clients.
        let app = app.restart_with(|config| config.trusted_proxies = vec!["127.0.0.2/32".parse().unwrap()]).await;
        let mut streams = Vec::new();
        for _ in 0..20 {
            let mut stream = connect_from(&app, "127.0.0.2").await;
            stream.write_all(GET.as_bytes()).await.unwrap();
            assert_eq!(status(&response(&mut stream).await.unwrap()), 200);
            streams.push(stream);
        }
    }

    async fn a_client_that_closes_its_half_gets_the_response(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.bin", noise(5_000_000)).await;
        let token = ann.token.as_deref().unwrap();
        let ask = async |request: &str, body: &str| {
            let mut stream = connect(&app).await;
            let head = format!("{request} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            read_all(stream).await
        };
        for (request, body, expected) in [
            ("GET /v1/files", "", 200),
            ("POST /v1/files?name=b.txt", "hello", 201),
            ("POST /v1/files?name=a/b", "hello", 422),
            ("POST /nowhere", "hello", 404),
        ] {
            let answer = ask(request, body).await;
            assert_eq!(status(&String::from_utf8_lossy(&answer)), expected, "{request}");
        }
        let download = ask(&format!("GET {}", content(&file)), "").await;
        assert!(download.ends_with(&noise(5_000_000)), "{} bytes", download.len());
        app.assert_nothing_but(2).await;
    }

    async fn few_open_files_make_requests_wait_and_lose_none(app: TestApp) {
        let program = Start::default().beside(&app).open_files(128).serve(app.folder.path());
        let ann = sign_up(&program, "ann@example.org").await;
        let upload = |number: usize| {
            let request = ann.post(&format!("/v1/files?name={number}.bin")).body(noise(300_000));
            async move { request.send().await.map(|answer| answer.status().as_u16()) }
        };
        let statuses = join_all((0..40).map(upload)).await;
        let stored = statuses.iter().filter(|status| matches!(status, Ok(201))).count();
        assert!(stored >= 5, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, Ok(201 | 503))), "{statuses:?}");
        assert_eq!(upload(40).await.unwrap(), 201);
        let (_, log) = program.stop();
        assert!(log.contains("the limit of open files allows fewer"), "{log}");
        assert_eq!(log.matches("no place for more").count(), usize::from(stored < 40), "{log}");
        assert!(!log.contains("Too many open files") && !log.contains("os error 24"), "{log}");
        app.assert_nothing_but(stored + 1).await;
    }
}
