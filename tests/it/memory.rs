//! The memory that requests hold while they wait, and what is left of it afterwards.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use strongroom::budget::Party;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::accounts::{log_in, sign_up};
use crate::support::client::{Ask, fed, path};
use crate::support::links::create_link;
use crate::support::program::Start;
use crate::support::raw::{connect, response, status};
use crate::support::{Client, PASSWORD, Setup, TestApp, both, email, http2 as frames};

/// KiB of a number of MiB.
const fn mib(count: u64) -> u64 {
    count * 1024
}

/// A client of HTTP/2, on one connection.
fn http2() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().build().unwrap()
}

#[tokio::test]
async fn unfinished_bodies_take_a_share_of_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let program = Start::default().serve(folder.path());
    let ann = sign_up(&program, &email("ann")).await;
    let address = program.url.strip_prefix("http://").unwrap().to_owned();
    let token = ann.token.as_deref().unwrap();
    let before = program.memory("VmRSS");
    let clients = (0..300).map(|number| {
        let (address, body) = (&address, vec![b' '; 250 * 1024]);
        // Half of them are strangers.
        let line = if number % 2 == 0 { "POST /v1/auth/login" } else { "PATCH /v1/me" };
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
            content-length: {}\r\n\r\n",
            body.len() + 1
        );
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            // Most of them are refused, or wait.
            let _ = tokio::time::timeout(Duration::from_secs(3), stream.write_all(&body)).await;
            stream
        }
    });
    let clients = join_all(clients).await;
    let growth = program.memory("VmHWM") - before;
    assert!(growth < mib(64), "{growth} KiB");
    drop(clients);
    assert_eq!(ann.get("/v1/me").answer().await.status, 200);
    program.stop();
}

#[tokio::test]
async fn downloads_that_nobody_reads_hold_little() {
    let folder = tempfile::tempdir().unwrap();
    let program = Start::default().serve(folder.path());
    let ann = sign_up(&program, &email("ann")).await;
    let file = ann.upload("large", vec![7; 4 << 20]).await;
    let url = create_link(&ann, &file, json!({})).await["url"].as_str().unwrap().to_owned() + "?download=1";
    let before = program.memory("VmRSS");
    let clients: Vec<_> = (0..10).map(|_| http2()).collect();
    let downloads = clients.iter().flat_map(|client| (0..32).map(|_| client.get(&url).send()));
    let downloads: Vec<_> = join_all(downloads).await.into_iter().map(|answer| answer.unwrap()).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let growth = program.memory("VmHWM") - before;
    // 64 KiB for each.
    assert!(growth < mib(40), "{growth} KiB");
    drop(downloads);
    program.stop();
}

#[tokio::test]
async fn pages_that_nobody_reads_hold_a_share_of_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::default().variable("STRONGROOM_MAX_METADATA", "64KiB");
    let program = start.variable("STRONGROOM_REQUEST_MEMORY", "32MiB").serve(folder.path());
    let ann = sign_up(&program, &email("ann")).await;
    let bob = sign_up(&program, &email("bob")).await;
    for number in 0..40 {
        let file = ann.upload(&number.to_string(), "").await;
        let metadata = json!({"metadata": {"d": "m".repeat(60_000)}});
        assert_eq!(ann.patch(&path(&file)).json(&metadata).answer().await.status, 200);
    }
    let before = program.memory("VmRSS");
    let clients: Vec<_> = (0..3).map(|_| http2()).collect();
    let (url, token) = (format!("{}/v1/files?limit=1000", program.url), ann.token.as_deref().unwrap());
    let pages = clients.iter().flat_map(|client| (0..32).map(|_| client.get(&url).bearer_auth(token).send()));
    // Some pages wait for the memory of others.
    let mut pages: FuturesUnordered<_> = pages.collect();
    let mut stalled = Vec::new();
    let collecting = async {
        while let Some(page) = pages.next().await {
            stalled.push(page);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(3), collecting).await;
    let growth = program.memory("VmHWM") - before;
    // The caches of the database connections are a part of it.
    assert!(growth < mib(96), "{growth} KiB");
    // Nobody else waits.
    assert_eq!(bob.get("/v1/files?limit=1000").answer().await.status, 200);
    program.stop();
}

#[tokio::test]
async fn sign_ins_take_the_memory_of_the_hashers_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = Start::default().serve(folder.path());
    sign_up(&program, &email("ann")).await;
    let before = program.memory("VmRSS");
    for _ in 0..3 {
        let sign_ins = (0..30).map(|_| async { log_in(&program.anonymous(), &email("ann"), PASSWORD).await.status });
        assert_eq!(join_all(sign_ins).await, [200; 30]);
    }
    // Two hashers of 19 MiB, one of which exists already.
    let growth = program.memory("VmHWM") - before;
    assert!(growth < mib(64), "{growth} KiB");
    program.stop();
}

both! {
    async fn the_fields_of_forms_take_a_share_of_the_memory(app: TestApp) {
        // One account may send two forms at a time.
        let app = app.restart_with(|config| config.limits.request_memory = 2 * 1024 * 1024).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let field = b"--b\r\ncontent-disposition: form-data; name=\"path\"\r\n\r\nphotos";
        let rest = b"\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n";
        let send = |user: &Client, body: reqwest::Body| {
            let form = user.post("/v1/files").header("content-type", "multipart/form-data; boundary=b").body(body);
            tokio::spawn(async move { form.answer().await.status })
        };
        let mut unfinished = Vec::new();
        for _ in 0..2 {
            let (feed, body) = fed();
            let form = send(&ann, body);
            feed.send(Ok(field.to_vec())).await.unwrap();
            unfinished.push((feed, form));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let whole = || [field.as_slice(), rest].concat().into();
        let mut third = send(&ann, whole());
        assert!(tokio::time::timeout(Duration::from_millis(500), &mut third).await.is_err(), "it waits for memory");
        assert_eq!(send(&bob, whole()).await.unwrap(), 201, "others have their own share");
        for (feed, form) in unfinished {
            feed.send(Ok(rest.to_vec())).await.unwrap();
            drop(feed);
            assert_eq!(form.await.unwrap(), 201);
        }
        assert_eq!(third.await.unwrap(), 201);
    }

    async fn pages_end_at_a_mebibyte(app: TestApp) {
        let app = app.restart_with(|config| config.limits.metadata = 100 * 1024).await;
        let ann = app.sign_up("ann").await;
        let mut ids = Vec::new();
        for number in 0..25 {
            let file = ann.upload(&format!("{number:02}"), "").await;
            let patch = json!({"metadata": {"d": "m".repeat(90_000)}});
            assert_eq!(ann.patch(&path(&file)).json(&patch).answer().await.status, 200);
            ids.push(file["id"].clone());
        }
        let pages = async |list: &str| {
            let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
            loop {
                let text = ann.get(&format!("{list}limit=1000&cursor={cursor}")).answer().await.text();
                assert!(text.len() < 1_300_000, "{} bytes", text.len());
                let page: Value = serde_json::from_str(&text).unwrap();
                found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
                pages += 1;
                match page["next_cursor"].as_str() {
                    Some(next) => next.clone_into(&mut cursor),
                    None => return (found, pages),
                }
            }
        };
        let sorts = ["path", "-path", "name", "created_at", "-updated_at", "size"];
        for list in sorts.map(|sort| format!("/v1/files?sort={sort}&")) {
            let (mut found, pages) = pages(&list).await;
            found.sort_by_key(Value::to_string);
            assert_eq!((&found, pages), (&ids, 3), "{list}");
        }
        for id in &ids {
            assert_eq!(ann.delete(&format!("/v1/files/{}", id.as_str().unwrap())).answer().await.status, 204);
        }
        let (mut found, pages) = pages("/v1/trash?").await;
        found.sort_by_key(Value::to_string);
        assert_eq!((found, pages), (ids, 3));
    }

    async fn an_account_that_waits_for_itself_ends_no_response_of_others(app: TestApp) {
        let app = app.restart_with(|config| config.limits.metadata = 100 * 1024).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "").await;
        let metadata = json!({"metadata": {"d": "m".repeat(90_000)}});
        assert_eq!(ann.patch(&path(&file)).json(&metadata).answer().await.status, 200);
        let (memory, greedy) = (app.app.memory.clone(), Party::Account(Uuid::max()));
        let _held = memory.reserve(greedy, usize::MAX).await.unwrap();
        let waiting = tokio::spawn(async move { memory.reserve(greedy, 1).await.is_err() });
        // For a while the client reads nothing.
        let builder = h2::client::Builder::new().initial_window_size(0).clone();
        let (mut client, mut connection) = builder.handshake::<_, axum::body::Bytes>(connect(&app).await).await.unwrap();
        let mut request = frames::request(&app, "GET", "/v1/files");
        let token = format!("Bearer {}", ann.token.as_deref().unwrap());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        let (response, _) = client.send_request(request, true).unwrap();
        tokio::time::timeout(Duration::from_secs(7), &mut connection).await.expect_err("it stays open");
        connection.set_initial_window_size(1 << 20).unwrap();
        tokio::spawn(connection);
        let mut body = response.await.unwrap().into_body();
        let mut length = 0;
        while let Some(chunk) = body.data().await {
            let chunk = chunk.expect("the response continues");
            body.flow_control().release_capacity(chunk.len()).unwrap();
            length += chunk.len();
        }
        assert!(length > 90_000, "{length} bytes");
        assert!(waiting.await.unwrap(), "it waited");
    }

    async fn a_request_that_waits_for_its_response_does_not_hold_its_body(app: TestApp) {
        let app = app.restart_with(|config| config.limits.request_memory = 8 << 20).await;
        let ann = app.sign_up("ann").await;
        let ids: Vec<_> = (0..300).map(|_| Uuid::now_v7()).collect();
        let body = json!({"op": "sign", "ids": ids}).to_string() + &" ".repeat(235_000);
        let (start, end) = body.split_at(body.len() - 1);
        let head = format!(
            "POST /v1/files/batch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
            Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            ann.token.as_deref().unwrap(),
            body.len()
        );
        // Together the bodies take the whole share of the account.
        let mut streams = Vec::new();
        for _ in 0..4 {
            let mut stream = connect(&app).await;
            stream.write_all(format!("{head}{start}").as_bytes()).await.unwrap();
            streams.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answers = streams.into_iter().map(|mut stream| async move {
            stream.write_all(end.as_bytes()).await.unwrap();
            status(&response(&mut stream).await.unwrap())
        });
        assert_eq!(join_all(answers).await, [200; 4]);
    }

    async fn pages_with_signed_urls_end_at_a_mebibyte(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for first in (0..300).step_by(10) {
            let names = (first..first + 10).map(|number| format!("{number:03}{}", "\u{3042}".repeat(250)));
            join_all(names.map(async |name| ann.upload(&name, "").await)).await;
        }
        let (mut found, mut cursor) = (0, String::new());
        loop {
            let text = ann.get(&format!("/v1/files?urls=signed&limit=1000&cursor={cursor}")).answer().await.text();
            assert!(text.len() < 1_300_000, "{} bytes", text.len());
            let page: Value = serde_json::from_str(&text).unwrap();
            found += page["items"].as_array().unwrap().len();
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(found, 300);
    }

    async fn lists_wait_for_the_memory_of_their_account(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let _held = app.app.memory.reserve(Party::Account(ann.id.parse().unwrap()), usize::MAX).await.unwrap();
        let lists = ["/v1/files", "/v1/links", "/v1/me/sessions", "/v1/me/tokens", "/v1/me/events"];
        for (list, answer) in lists.iter().zip(join_all(lists.map(|list| ann.get(list).answer())).await) {
            assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("unavailable")), "{list}");
        }
    }
}
