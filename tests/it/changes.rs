//! The change log: every change is in it exactly once, in an order that is consistent for each file, on every server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::accounts::{another_session, same_session};
use crate::support::client::{Ask, Client, content, path};
use crate::support::links::create_link;
use crate::support::program::Start;
use crate::support::tus::Tus;
use crate::support::{Database, PASSWORD, Setup, TestApp, both, until};

/// A page of the log after a cursor.
async fn page(client: &Client, after: &str, rest: &str) -> Value {
    let answer = client.get(&format!("/v1/changes?after={after}{rest}")).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The cursor of the end of the log.
async fn latest(client: &Client) -> String {
    text(&page(client, "latest", "").await["cursor"])
}

/// Waits until this many changes are decided: transactions of other tests on the same server may delay that.
async fn until_listed(client: &Client, count: usize) {
    until(async || items(&client.get("/v1/changes").answer().await.json()).len() == count).await;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("items").clone()
}

/// The changes since the last call.
struct Follower {
    client: Client,
    cursor: String,
}

impl Follower {
    async fn new(client: &Client) -> Self {
        Self { client: client.clone(), cursor: latest(client).await }
    }

    /// Kind, path and name of each change since the last call. What was written before is decided in a moment.
    async fn next(&mut self, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        until(async || {
            let page = page(&self.client, &self.cursor, "").await;
            self.cursor = text(&page["cursor"]);
            found.extend(items(&page));
            found.len() >= count
        })
        .await;
        found
    }

    #[track_caller]
    #[expect(clippy::manual_async_fn, reason = "the caller of an async function is not tracked")]
    fn expect(&mut self, expected: &[&str]) -> impl Future<Output = ()> {
        async move {
            let found = self.next(expected.len()).await;
            let shown = |change: &Value| {
                format!("{} {}:{}", text(&change["kind"]), text(&change["path"]), text(&change["name"]))
            };
            assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
        }
    }
}

/// A stream of events, and what has arrived of it.
struct Stream {
    response: reqwest::Response,
    buffer: String,
}

impl Stream {
    async fn open(client: &Client, query: &str, last: Option<&str>) -> Self {
        let request = client.get(&format!("/v1/changes/stream{query}"));
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The id and the data of the next event; `None` at the end of the stream.
    async fn event(&mut self) -> Option<(Option<String>, Option<Value>)> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let found = (field("id: "), field("data: ").map(|data| serde_json::from_str(&data).expect("JSON")));
                self.buffer = rest.to_owned();
                return Some(found);
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    /// The next change, with its id.
    async fn change(&mut self) -> Option<(String, Value)> {
        loop {
            if let (Some(id), Some(data)) = self.event().await? {
                return Some((id, data));
            }
        }
    }
}

both! {
    async fn every_operation_is_recorded_exactly_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut log = Follower::new(&ann).await;
        let create = async |path: &str| ann.post("/v1/folders").json(&json!({"path": path})).answer().await.json();
        let folder_path = |folder: &Value| format!("/v1/folders/{}", folder["id"].as_str().unwrap());

        let file = ann.upload("a.txt", "one").await;
        log.expect(&["file_created :a.txt"]).await;
        assert_eq!(ann.put(&content(&file)).header("if-match", "*").body("two").answer().await.status, 200);
        log.expect(&["file_replaced :a.txt"]).await;
        assert_eq!(ann.patch(&path(&file)).json(&json!({"metadata": {"n": 1}})).answer().await.status, 200);
        log.expect(&["file_updated :a.txt"]).await;
        assert_eq!(ann.patch(&path(&file)).json(&json!({"name": "b.txt", "metadata": {"n": 2}})).answer().await.status, 200);
        log.expect(&["file_moved :b.txt"]).await;
        // The folders of a path that are missing are changes of their own, and come first.
        assert_eq!(ann.patch(&path(&file)).json(&json!({"path": "x/y"})).answer().await.status, 200);
        log.expect(&["folder_created x:x", "folder_created x/y:y", "file_moved x/y:b.txt"]).await;
        let other = ann.post("/v1/files?name=c&path=x/z").body("c").answer().await.json();
        log.expect(&["folder_created x/z:z", "file_created x/z:c"]).await;
        // Neither a read nor a refusal is a change.
        ann.download(&file).await;
        assert_eq!(ann.patch(&path(&other)).json(&json!({"path": "x/y", "name": "b.txt"})).answer().await.status, 409);

        assert_eq!(ann.delete(&path(&file)).answer().await.status, 204);
        log.expect(&["file_trashed x/y:b.txt"]).await;
        assert_eq!(ann.post(&format!("/v1/trash/{}/restore", text(&file["id"]))).answer().await.status, 200);
        log.expect(&["file_restored x/y:b.txt"]).await;
        ann.delete(&path(&file)).answer().await;
        assert_eq!(ann.delete(&format!("/v1/trash/{}", text(&file["id"]))).answer().await.status, 204);
        log.expect(&["file_trashed x/y:b.txt", "file_deleted x/y:b.txt"]).await;
        assert_eq!(ann.delete_permanently(&other).answer().await.status, 204);
        log.expect(&["file_deleted x/z:c"]).await;
        let (one, two) = (ann.upload("1", "1").await, ann.upload("2", "2").await);
        let batch = ann.post("/v1/files/batch").json(&json!({"op": "delete", "ids": [one["id"], two["id"]]})).answer().await;
        assert_eq!(batch.status, 200, "{}", batch.text());
        log.expect(&["file_created :1", "file_created :2", "file_trashed :1", "file_trashed :2"]).await;
        assert_eq!(ann.delete("/v1/trash").answer().await.json()["deleted"], 2);
        log.expect(&["file_deleted :1", "file_deleted :2"]).await;

        // A folder is one change, however much is in it.
        let docs = create("docs/2026").await;
        log.expect(&["folder_created docs:docs", "folder_created docs/2026:2026"]).await;
        for name in ["p", "q"] {
            assert_eq!(ann.post(&format!("/v1/files?name={name}&path=docs/2026")).body(name).answer().await.status, 201);
        }
        log.expect(&["file_created docs/2026:p", "file_created docs/2026:q"]).await;
        assert_eq!(ann.patch(&folder_path(&docs)).json(&json!({"name": "2027"})).answer().await.status, 200);
        log.expect(&["folder_moved docs/2027:2027"]).await;
        assert_eq!(ann.delete(&folder_path(&docs)).answer().await.status, 204);
        log.expect(&["folder_trashed docs/2027:2027"]).await;
        let trashed = format!("/v1/trashed-folders/{}", text(&docs["id"]));
        assert_eq!(ann.post(&format!("{trashed}/restore")).answer().await.status, 200);
        log.expect(&["folder_restored docs/2027:2027"]).await;
        ann.delete(&folder_path(&docs)).answer().await;
        assert_eq!(ann.delete(&trashed).answer().await.status, 204);
        log.expect(&["folder_trashed docs/2027:2027", "folder_deleted docs/2027:2027"]).await;

        let file = ann.upload("l", "shared").await;
        let link = create_link(&ann, &file, json!({})).await;
        let link_path = format!("/v1/links/{}", text(&link["id"]));
        assert_eq!(ann.patch(&link_path).json(&json!({"note": "n"})).answer().await.status, 200);
        assert_eq!(ann.post(&format!("{link_path}/rotate")).answer().await.status, 200);
        for _ in 0..2 {
            assert_eq!(ann.delete(&link_path).answer().await.status, 204);
        }
        let found = log.next(5).await;
        let kinds: Vec<_> = found.iter().map(|change| text(&change["kind"])).collect();
        assert_eq!(kinds, ["file_created", "link_created", "link_changed", "link_changed", "link_revoked"]);
        assert!(found[1..].iter().all(|change| (&change["link_id"], &change["file_id"]) == (&link["id"], &file["id"])));
        log.expect(&[]).await;
    }

    async fn every_way_to_upload_is_recorded_once_with_its_place(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut log = Follower::new(&ann).await;
        let file = ann.upload("raw", "raw").await;
        let part = reqwest::multipart::Part::bytes(b"form".to_vec()).file_name("form");
        ann.post("/v1/files").multipart(reqwest::multipart::Form::new().part("file", part)).answer().await;
        let upload = ann.post("/v1/uploads").json(&json!({"name": "direct", "size": 6, "mode": "direct"})).answer().await.json();
        let direct = format!("/v1/uploads/{}", text(&upload["id"]));
        let parts = ann.post(&format!("{direct}/parts")).json(&json!({})).answer().await.json();
        ann.put(parts["parts"][0]["url"].as_str().unwrap()).body("direct").answer().await;
        ann.post(&format!("{direct}/complete")).answer().await;
        let tus = Tus::create(&ann, Some(4), "").await;
        assert_eq!(tus.append(&ann, 0, "tus!").await.status, 204);
        let put = ann.sign(&file, "put").await;
        ann.put(put["url"].as_str().unwrap()).header("if-none-match", "*").body("put").answer().await;
        let completed = ann.post(&format!("/v1/uploads/{}/complete", text(&put["upload_id"]))).answer().await;
        assert_eq!(completed.status, 200, "{}", completed.text());
        let found = log.next(5).await;
        let kinds: Vec<_> = found.iter().map(|change| text(&change["kind"])).collect();
        assert_eq!(kinds, ["file_created", "file_created", "file_created", "file_created", "file_replaced"]);
        let first = &found[0];
        assert_eq!((&first["file_id"], &first["folder_id"], &first["link_id"]), (&file["id"], &json!(null), &json!(null)));
        for change in &found {
            assert_eq!((&change["space_id"], &change["parent_id"], &change["actor_id"]), (&json!(ann.id), &json!(ann.id), &json!(ann.id)));
            assert!(change["at"].as_str().is_some_and(|at| at.ends_with('Z')));
        }
        log.expect(&[]).await;
    }

    async fn pages_are_complete_and_in_order(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        for number in 0..7 {
            ann.upload(&number.to_string(), "x").await;
            bob.upload(&number.to_string(), "x").await;
        }
        let mut log = Follower::new(&ann).await;
        ann.upload("last", "x").await;
        log.next(1).await;
        let all = items(&ann.get("/v1/changes").answer().await.json());
        assert_eq!(all.len(), 8);
        let (mut found, mut query) = (Vec::new(), String::new());
        loop {
            let answer = ann.get(&format!("/v1/changes?limit=3{query}")).answer().await.json();
            found.extend(items(&answer));
            query = format!("&after={}", text(&answer["cursor"]));
            if answer["has_more"] == false {
                break;
            }
        }
        assert_eq!(found, all);
        // Each change has a cursor of its own.
        for (index, change) in all.iter().enumerate() {
            assert_eq!(items(&page(&ann, &text(&change["cursor"]), "").await), all[index + 1..]);
        }
        // The cursor advances although nothing of her has changed.
        let before = latest(&ann).await;
        let mut of_bob = Follower::new(&bob).await;
        bob.upload("more", "x").await;
        of_bob.next(1).await;
        let after = page(&ann, &before, "").await;
        assert_eq!((items(&after).len(), text(&after["cursor"]) != before), (0, true));
    }

    async fn invalid_requests_are_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        ann.upload("a", "x").await;
        let cursor = latest(&ann).await;
        let (log, number) = cursor.split_once('-').unwrap();
        let beyond: i64 = number.parse::<i64>().unwrap() + 1000;
        for bad in ["x", "1", "latest%20", "-1", &format!("{log}-"), &format!("{log}--1"), &format!("{log}-{number}x"), &log.to_uppercase()] {
            ann.get(&format!("/v1/changes?after={bad}")).answer().await.problem(400, "bad_cursor");
            ann.get(&format!("/v1/changes/stream?after={bad}")).answer().await.problem(400, "bad_cursor");
        }
        for gone in [format!("{log}-{beyond}"), format!("{:08x}-{number}", u32::from_str_radix(log, 16).unwrap() ^ 1)] {
            ann.get(&format!("/v1/changes?after={gone}")).answer().await.problem(410, "changes_expired");
            ann.get(&format!("/v1/changes?wait=5&after={gone}")).answer().await.problem(410, "changes_expired");
            ann.get("/v1/changes/stream").header("last-event-id", gone).answer().await.problem(410, "changes_expired");
        }
        for wait in ["", "s", "-1", "1m", "25ss", "1.5", "99999", "61s", "9999"] {
            let problem = ann.get(&format!("/v1/changes?wait={wait}")).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["parameter"], "wait", "{wait}");
        }
        for limit in ["0", "1001", "x"] {
            ann.get(&format!("/v1/changes?limit={limit}")).answer().await.problem(422, "invalid");
        }
        for query in ["cursor=x", "wait=1", "limit=1"] {
            ann.get(&format!("/v1/changes/stream?{query}")).answer().await.problem(422, "unknown_parameter");
        }
        ann.get("/v1/changes?cursor=x").answer().await.problem(422, "unknown_parameter");
    }

    async fn a_request_waits_for_a_change(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let cursor = latest(&ann).await;
        let waiting = tokio::spawn({
            let (ann, cursor) = (ann.clone(), cursor.clone());
            async move { (page(&ann, &cursor, "&wait=30s").await, Instant::now()) }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        bob.upload("b", "x").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished(), "a change of another user wakes it");
        ann.upload("a", "x").await;
        let written = Instant::now();
        let (found, woken) = waiting.await.unwrap();
        assert_eq!(items(&found).len(), 1);
        assert!(woken.saturating_duration_since(written) < Duration::from_secs(1));

        let started = Instant::now();
        let empty = page(&ann, &text(&found["cursor"]), "&wait=1").await;
        assert_eq!(items(&empty).len(), 0);
        assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&started.elapsed()));
        // What is there already is not waited for.
        assert_eq!(items(&page(&ann, &cursor, "&wait=30s").await).len(), 1);
    }

    async fn waiting_ends_with_the_session(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let program = another_session(&app, "ann").await;
        let cursor = latest(&ann).await;
        let waiting = tokio::spawn({
            let program = program.clone();
            async move { program.get(&format!("/v1/changes?wait=30&after={cursor}")).answer().await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(program.post("/v1/auth/logout").answer().await.status, 204);
        ann.upload("secret", "x").await;
        waiting.await.unwrap().problem(401, "unauthorized");
    }

    async fn a_stream_follows_the_log_and_continues_where_it_ended(app: TestApp) {
        let ann = app.sign_up("ann").await;
        ann.upload("before", "x").await;
        until_listed(&ann, 1).await;
        let cursor = latest(&ann).await;
        let mut stream = Stream::open(&ann, "?after=latest", None).await;
        // The client knows its place before anything happens.
        assert_eq!(stream.event().await, Some((None, None)));
        assert_eq!(stream.event().await, Some((Some(cursor.clone()), None)));
        for name in ["one", "two"] {
            ann.upload(name, "x").await;
        }
        let (first, second) = (stream.change().await.unwrap(), stream.change().await.unwrap());
        assert_eq!((&first.1["name"], &second.1["name"]), (&json!("one"), &json!("two")));
        assert_eq!(first.0, first.1["cursor"]);
        drop(stream);
        ann.upload("three", "x").await;
        // A browser repeats the URL, and its header counts.
        let mut stream = Stream::open(&ann, &format!("?after={cursor}"), Some(&first.0)).await;
        assert_eq!(stream.change().await.unwrap().1["name"], "two");
        assert_eq!(stream.change().await.unwrap().1["name"], "three");
        let mut whole = Stream::open(&ann, "", None).await;
        assert_eq!(whole.change().await.unwrap().1["name"], "before");
    }

    async fn a_stream_ends_with_its_session(app: TestApp) {
        let app = app.restart_with(|config| config.auth.access_check_interval = Duration::from_secs(1)).await;
        let ann = app.sign_up("ann").await;
        let (idle, busy) = (another_session(&app, "ann").await, another_session(&app, "ann").await);
        let mut idle_stream = Stream::open(&idle, "?after=latest", None).await;
        let mut busy_stream = Stream::open(&busy, "?after=latest", None).await;
        let heartbeat = Instant::now();
        for _ in 0..3 {
            assert!(idle_stream.event().await.is_some());
        }
        assert!(heartbeat.elapsed() < Duration::from_secs(5), "a heartbeat");
        for client in [&idle, &busy] {
            assert_eq!(client.post("/v1/auth/logout").answer().await.status, 204);
        }
        ann.upload("secret", "x").await;
        let ended = Instant::now();
        assert_eq!(busy_stream.change().await, None, "nothing is sent after the end");
        assert_eq!(idle_stream.change().await, None);
        assert!(ended.elapsed() < Duration::from_secs(5));
    }

    async fn requests_that_wait_are_limited(app: TestApp) {
        let app = app.restart_with(|config| {
            config.changes.waiters = 3;
            config.changes.waiters_per_account = 2;
            // A stream whose client has gone ends with a heartbeat.
            config.auth.access_check_interval = Duration::from_secs(1);
        }).await;
        let (ann, bob, carl) = (app.sign_up("ann").await, app.sign_up("bob").await, app.sign_up("carl").await);
        let streams = [Stream::open(&ann, "?after=latest", None).await, Stream::open(&ann, "?after=latest", None).await];
        let refused = ann.get("/v1/changes/stream").answer().await;
        refused.problem(429, "too_many_waiters");
        assert_eq!(refused.header("retry-after"), "5");
        ann.get("/v1/changes?after=latest&wait=1").answer().await.problem(429, "too_many_waiters");
        // Without waiting the log can be read.
        latest(&ann).await;
        let _of_bob = Stream::open(&bob, "?after=latest", None).await;
        carl.get("/v1/changes/stream").answer().await.problem(503, "unavailable");
        drop(streams);
        until(async || carl.get("/v1/changes?after=latest&wait=1").answer().await.status == 200).await;
    }

    async fn old_changes_are_deleted_and_their_cursors_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let before = latest(&ann).await;
        let mut log = Follower::new(&ann).await;
        ann.upload("old", "x").await;
        log.next(1).await;
        let after = log.cursor.clone();
        app.advance(Duration::from_secs(29 * 24 * 3600));
        app.reap().await;
        let ann = another_session(&app, "ann").await;
        assert_eq!(items(&page(&ann, &before, "").await).len(), 1);
        app.advance(Duration::from_secs(2 * 24 * 3600));
        app.reap().await;
        let ann = another_session(&app, "ann").await;
        assert_eq!(app.count("SELECT COUNT(*) FROM changes").await, 0);
        ann.get(&format!("/v1/changes?after={before}")).answer().await.problem(410, "changes_expired");
        // Nothing after this one was deleted.
        assert_eq!(items(&page(&ann, &after, "").await).len(), 0);
        log.client = ann.clone();
        ann.upload("new", "x").await;
        log.expect(&["file_created :new"]).await;
        let all = ann.get("/v1/changes").answer().await.json();
        assert_eq!(items(&all).len(), 1);
    }

    async fn a_limit_of_changes_keeps_the_latest(app: TestApp) {
        let app = app.restart_with(|config| config.changes.limit = 3).await;
        let ann = app.sign_up("ann").await;
        let before = latest(&ann).await;
        for number in 0..5 {
            ann.upload(&number.to_string(), "x").await;
        }
        until_listed(&ann, 5).await;
        app.reap().await;
        let kept = items(&ann.get("/v1/changes").answer().await.json());
        assert_eq!(kept.iter().map(|change| text(&change["name"])).collect::<Vec<_>>(), ["2", "3", "4"]);
        ann.get(&format!("/v1/changes?after={before}")).answer().await.problem(410, "changes_expired");
        assert_eq!(items(&page(&ann, &text(&kept[0]["cursor"]), "").await), kept[1..]);
    }

    async fn changes_are_deleted_with_their_account(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        ann.upload("a", "x").await;
        bob.upload("b", "x").await;
        app.execute("INSERT INTO changes (space_id, kind, path, name, actor_id, at)
            SELECT b.id, 'file_updated', '', 'b', a.id, 1 FROM users a, users b
            WHERE a.email = 'ann@example.org' AND b.email = 'bob@example.org'").await;
        assert_eq!(ann.delete("/v1/me").json(&json!({"password": PASSWORD})).answer().await.status, 202);
        for _ in 0..2 {
            app.reap().await;
        }
        assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(app.count("SELECT COUNT(*) FROM changes").await, 2);
        assert_eq!(app.count("SELECT COUNT(*) FROM changes WHERE actor_id IS NULL").await, 1);
    }

    async fn long_pages_are_compressed_and_streams_are_not(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for number in 0..10 {
            ann.upload(&number.to_string(), "x").await;
        }
        until_listed(&ann, 10).await;
        let compressed = ann.get("/v1/changes").header("accept-encoding", "gzip").answer().await;
        assert_eq!(compressed.header("content-encoding"), "gzip");
        let stream = ann.get("/v1/changes/stream").header("accept-encoding", "gzip").send().await.unwrap();
        assert!(!stream.headers().contains_key("content-encoding") && !stream.headers().contains_key("content-length"));
        assert_eq!(stream.headers()["x-accel-buffering"], "no");
    }
}

/// Transactions of different lengths, which get their ids, lock their rows, draw their numbers and are committed in any
/// order, and real requests beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_misses_nothing_while_many_write() {
    const WRITERS: usize = 16;
    const TURNS: usize = 40;
    const FILES: u64 = 6;
    let app = TestApp::start_with(Setup::PostgresAndS3, |config| config.database_connections = 8).await;
    let ann = app.sign_up("ann").await;
    let Database::Postgres(_) = Database::of(&app.app.config).await else { unreachable!("it is PostgreSQL") };
    let url = secrecy::ExposeSecret::expose_secret(&app.app.config.database_url).to_owned();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(WRITERS as u32).connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE versions (file UUID PRIMARY KEY, n BIGINT NOT NULL)").execute(&pool).await.unwrap();
    for file in 0..FILES {
        sqlx::query("INSERT INTO versions VALUES ($1, 0)")
            .bind(Uuid::from_u64_pair(7, file))
            .execute(&pool)
            .await
            .unwrap();
    }
    let cursor = latest(&ann).await;
    let space: Uuid = ann.id.parse().unwrap();
    let pause = |random: &mut u64, most: u64| {
        *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Duration::from_millis((*random >> 33) % most)
    };
    let write = async |writer: usize| {
        let mut random = writer as u64 + 1;
        for turn in 0..TURNS {
            let mut tx = pool.begin().await.unwrap();
            if turn % 2 == 0 {
                // An id long before the lock.
                sqlx::query("SELECT pg_current_xact_id()").execute(&mut *tx).await.unwrap();
                tokio::time::sleep(pause(&mut random, 30)).await;
            }
            let file = Uuid::from_u64_pair(7, (writer + turn) as u64 % FILES);
            let version = "UPDATE versions SET n = n + 1 WHERE file = $1 RETURNING n";
            let version: i64 = sqlx::query_scalar(version).bind(file).fetch_one(&mut *tx).await.unwrap();
            let insert = "INSERT INTO changes (space_id, kind, file_id, path, name, at) VALUES ($1, 'file_updated', $2, '', $3, $4)";
            let now = app.app.clock.now().as_microsecond();
            sqlx::query(insert)
                .bind(space)
                .bind(file)
                .bind(version.to_string())
                .bind(now)
                .execute(&mut *tx)
                .await
                .unwrap();
            tokio::time::sleep(pause(&mut random, if turn % 10 == 0 { 200 } else { 10 })).await;
            if turn % 7 == 3 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
        }
    };
    let request = async |writer: usize| {
        let file = ann.upload(&format!("file-{writer}"), "x").await;
        for turn in 0..TURNS / 2 {
            let renamed = ann.patch(&path(&file)).json(&json!({"name": format!("{writer}-{turn}")})).answer().await;
            assert_eq!(renamed.status, 200, "{}", renamed.text());
        }
    };
    let done = AtomicBool::new(false);
    let written = async {
        tokio::join!(join_all((0..WRITERS).map(&write)), join_all((0..4).map(request)));
        done.store(true, Ordering::Release);
    };
    let (mut found, mut cursor, mut pages) = (Vec::new(), cursor, 0);
    let read = async {
        loop {
            let was_done = done.load(Ordering::Acquire);
            let page = page(&ann, &cursor, "&limit=9&wait=1").await;
            cursor = text(&page["cursor"]);
            pages += 1;
            if was_done && items(&page).is_empty() {
                return;
            }
            found.extend(items(&page));
        }
    };
    tokio::join!(written, read);

    let number = |change: &Value| text(&change["cursor"]).split_once('-').unwrap().1.parse::<i64>().unwrap();
    let numbers: Vec<i64> = found.iter().map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "each once, ascending");
    let kept: Vec<i64> = sqlx::query_scalar("SELECT seq FROM changes ORDER BY seq").fetch_all(&pool).await.unwrap();
    assert_eq!(numbers, kept, "every change that was committed, and no other");
    assert!(kept.len() > 600 && pages > 20, "{} changes on {pages} pages", kept.len());
    let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for change in found.iter().filter(|change| change["kind"] == "file_updated") {
        versions.entry(text(&change["file_id"])).or_default().push(text(&change["name"]).parse().unwrap());
    }
    for (file, versions) in versions {
        assert!(versions.iter().copied().eq(1..=versions.len() as i64), "{file}: {versions:?}");
    }
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for change in found.iter().filter(|change| change["kind"] == "file_moved") {
        names.entry(text(&change["file_id"])).or_default().push(text(&change["name"]));
    }
    for names in names.values() {
        let turns: Vec<usize> = names.iter().map(|name| name.split_once('-').unwrap().1.parse().unwrap()).collect();
        assert!(turns.iter().copied().eq(0..TURNS / 2), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_one_server_wakes_the_others_within_a_second() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let ann = app.sign_up("ann").await;
    let programs: Vec<_> = (0..2).map(|_| Start::default().beside(&app).serve(app.folder.path())).collect();
    let [one, two] = [0, 1].map(|program: usize| same_session(&ann, &programs[program]));
    let mut stream = Stream::open(&two, "?after=latest", None).await;
    for turn in 0..5 {
        let cursor = latest(&two).await;
        let waiting = tokio::spawn({
            let two = two.clone();
            async move { (page(&two, &cursor, "&wait=30").await, Instant::now()) }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let name = turn.to_string();
        one.upload(&name, "x").await;
        let written = Instant::now();
        let (page, woken) = waiting.await.unwrap();
        assert_eq!(items(&page)[0]["name"], name);
        assert!(woken.saturating_duration_since(written) < Duration::from_secs(1), "{:?}", woken - written);
        assert_eq!(stream.change().await.unwrap().1["name"], name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_requests_and_streams_do_not_delay_the_end_of_a_server() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let ann = app.sign_up("ann").await;
    let program = Start::default().beside(&app).serve(app.folder.path());
    let ann = same_session(&ann, &program);
    let mut stream = Stream::open(&ann, "?after=latest", None).await;
    stream.event().await;
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { ann.get("/v1/changes?after=latest&wait=60").answer().await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (stopped, ()) = tokio::join!(
        tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            program.stop();
            started.elapsed()
        }),
        async { while stream.event().await.is_some() {} }
    );
    let stopped = stopped.unwrap();
    assert!(stopped < Duration::from_secs(10), "{stopped:?}");
    assert_eq!(waiting.await.unwrap().status, 200);
}

/// A look for changes serves all who wait.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_wait_cost_one_query_at_a_time() {
    const WAITERS: usize = 100;
    let app = TestApp::start_with(Setup::PostgresAndS3, |config| config.changes.waiters_per_account = WAITERS).await;
    let ann = app.sign_up("ann").await;
    let cursor = latest(&ann).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let waiting = (0..WAITERS).map(|_| {
        let (ann, cursor, answered) = (ann.clone(), cursor.clone(), answered.clone());
        tokio::spawn(async move {
            let page = page(&ann, &cursor, "&wait=60").await;
            answered.fetch_add(items(&page).len(), Ordering::Relaxed);
        })
    });
    let waiting: Vec<_> = waiting.collect();
    // An idle connection reports what it has done after ten seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let before = app.count(count).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = app.count(count).await - before;
    // Four looks a second; and the check of the instance, and the connections of this test.
    assert!(used < 2 * WAITERS as i64, "{used} transactions");
    ann.upload("a", "x").await;
    join_all(waiting).await;
    assert_eq!(answered.load(Ordering::Relaxed), WAITERS);
}

/// Statements that change files, folders or links, and whether their transactions record a change. A new one is to be
/// decided about.
const STATEMENTS: &[(&str, &str)] = &[
    ("erasures::DELETE_FILE", "the log is deleted with the account"),
    ("erasures::DELETE_FOLDERS", "the log is deleted with the account"),
    ("files::INSERT_FILE", RECORDED),
    ("files::UPDATE_FILE", RECORDED),
    ("files::DELETE_FILE", RECORDED),
    ("folders::INSERT_TOP", "the top folder comes with its space"),
    ("folders::INSERT_FOLDER", RECORDED),
    ("folders::LOCK_FOLDER", "changes nothing"),
    ("folders::RELOCATE", RECORDED),
    ("folders::RENAME_FOLDER", RECORDED),
    ("folders::TRASH_FOLDER", RECORDED),
    ("folders::END_FOLDER", RECORDED),
    ("folders::RESTORE_FOLDER", RECORDED),
    ("folders::STORE_SUM", "counts what is there"),
    ("link_downloads::LOCK_LINK", "changes nothing"),
    ("link_downloads::COUNT_DOWNLOAD", "a download is a read"),
    ("links::INSERT_LINK", RECORDED),
    ("links::UPDATE_LINK", RECORDED),
    ("links::REVOKE_LINK", RECORDED),
    ("links::ROTATE_LINK", RECORDED),
    ("links::PURGE_LINKS", "these were revoked long ago"),
    ("replace::REPLACE_CONTENT", RECORDED),
    ("replace::REPLACE_CONTENT_AT", RECORDED),
    ("signed_urls::RECORD_URL", "a signed URL is in the audit log"),
    ("signed_urls::REVOKE_URLS", "a signed URL is in the audit log"),
    ("trash::TRASH_FILE", RECORDED),
    ("trash::RESTORE_FILE", RECORDED),
    ("trash::DELETE_ANY_FILE", "below a folder whose deletion was recorded"),
    ("trash::DELETE_FOLDER", "a folder whose deletion was recorded, or one below it"),
];
const RECORDED: &str = "recorded";

#[test]
fn every_statement_that_changes_files_is_known_to_the_log() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db");
    let changes = |sql: &str| {
        let verbs = ["INSERT INTO", "UPDATE", "DELETE FROM"];
        let tables = ["files", "folders", "links"];
        verbs.iter().any(|verb| tables.iter().any(|table| sql.contains(&format!("{verb} {table} "))))
    };
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let mut found = BTreeSet::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut statements: Vec<(String, String)> = Vec::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            match line.trim_start().split_once(" = ") {
                Some((name, sql)) if is_name(name) => statements.push((name.to_owned(), sql.to_owned())),
                _ if line.starts_with('}') => statements.push(Default::default()),
                _ => statements.last_mut().into_iter().for_each(|(_, sql)| *sql += &format!(" {}", line.trim())),
            }
        }
        let changing = statements.into_iter().filter(|(name, sql)| !name.is_empty() && changes(sql));
        found.extend(changing.map(|(name, _)| format!("{module}::{name}")));
    }
    let known: BTreeSet<String> = STATEMENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, known, "decide what the transactions of a new statement record");
}
