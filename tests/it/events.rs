//! The audit log records the actor, the address, the credential and the channel of every operation.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::accounts::{another_session, log_in};
use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, content, path};
use crate::support::links::create_link;
use crate::support::tus::Tus;
use crate::support::{PASSWORD, Setup, TestApp, both, email};

/// The events of a list, oldest first.
async fn list_events(app: &TestApp, client: &Client, path: &str) -> Vec<Value> {
    app.app.events.flush().await;
    let answer = client.get(path).answer().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let mut events = answer.json()["items"].as_array().expect("items").clone();
    events.reverse();
    events
}

async fn of_file(app: &TestApp, client: &Client, file: &Value) -> Vec<Value> {
    list_events(app, client, &format!("{}/events", path(file))).await
}

/// The kind and the channel of each event.
fn kinds_and_channels(events: &[Value]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event["kind"].as_str().unwrap(), event["channel"].as_str().unwrap())).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    kinds_and_channels(events).into_iter().map(|(kind, _)| kind).collect()
}

async fn admin(app: &TestApp) -> Client {
    let boss = app.sign_up("boss").await;
    app.execute("UPDATE users SET is_admin = TRUE WHERE email = 'boss@example.org'").await;
    boss
}

both! {
    async fn uploads_are_recorded_with_their_channel(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let raw = ann.upload("raw.txt", "raw").await;
        let part = reqwest::multipart::Part::bytes(b"form".to_vec()).file_name("form.txt");
        let form = ann.post("/v1/files").multipart(reqwest::multipart::Form::new().part("file", part)).answer().await.json();
        let upload = ann.post("/v1/uploads").json(&json!({"name": "direct.txt", "size": 6, "mode": "direct"})).answer().await.json();
        let direct = format!("/v1/uploads/{}", upload["id"].as_str().unwrap());
        let parts = ann.post(&format!("{direct}/parts")).json(&json!({})).answer().await.json();
        let sent = ann.put(parts["parts"][0]["url"].as_str().unwrap()).body("direct").answer().await;
        assert_eq!(sent.status, 200, "{}", sent.text());
        let direct = ann.post(&format!("{direct}/complete")).answer().await.json();
        let tus = Tus::create(&ann, Some(4), "").await;
        assert_eq!(tus.append(&ann, 0, "tus!").await.status, 204);
        let tus = json!({"id": tus.head(&ann).await.header("strongroom-file-id")});
        assert_eq!(ann.put(&content(&raw)).header("if-match", "*").body("replaced").answer().await.status, 200);
        let put = ann.sign(&raw, "put").await;
        let sent = ann.put(put["url"].as_str().unwrap()).header("if-none-match", "*").body("put").answer().await;
        assert_eq!(sent.status, 200);
        assert_eq!(ann.post(&format!("/v1/uploads/{}/complete", put["upload_id"].as_str().unwrap())).answer().await.status, 200);

        let of_raw = of_file(&app, &ann, &raw).await;
        let mut expected = [("file_uploaded", "raw"), ("file_replaced", "raw"), ("file_replaced", "signed_put"), ("url_signed", "api")];
        let mut found = kinds_and_channels(&of_raw);
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(kinds_and_channels(&of_file(&app, &ann, &form).await), [("file_uploaded", "form")]);
        assert_eq!(kinds_and_channels(&of_file(&app, &ann, &direct).await), [("file_uploaded", "direct")]);
        assert_eq!(kinds_and_channels(&of_file(&app, &ann, &tus).await), [("file_uploaded", "tus")]);
        let first = &of_raw[0];
        assert_eq!((first["space_id"].as_str(), first["actor_id"].as_str()), (Some(&*ann.id), Some(&*ann.id)));
        assert_eq!((&first["address"], &first["credential"]["kind"]), (&json!("127.0.0.1"), &json!("session")));
        assert_eq!(first["detail"], json!({"path": "", "name": "raw.txt", "size": 3}));
    }

    async fn the_events_of_a_deleted_file_can_be_read(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let file = ann.upload("a.txt", "bytes").await;
        ann.patch(&path(&file)).json(&json!({"name": "b.txt"})).answer().await;
        ann.delete(&path(&file)).answer().await;
        let restore = format!("/v1/trash/{}/restore", file["id"].as_str().unwrap());
        assert_eq!(ann.post(&restore).answer().await.status, 200);
        ann.delete(&path(&file)).answer().await;
        assert_eq!(ann.delete("/v1/trash").answer().await.json()["deleted"], 1);
        app.assert_nothing_but(0).await;

        let events = of_file(&app, &ann, &file).await;
        assert_eq!(kinds(&events), ["file_uploaded", "file_changed", "file_trashed", "file_restored", "file_trashed", "file_deleted"]);
        assert_eq!(events[1]["detail"], json!({"path": "", "name": "b.txt", "size": 5, "was": {"path": "", "name": "a.txt"}}));
        assert_eq!(events[5]["actor_id"].as_str(), Some(&*ann.id));
        bob.get(&format!("{}/events", path(&file))).answer().await.problem(404, "not_found");

        let other = ann.upload("c.txt", "bytes").await;
        ann.delete_permanently(&other).answer().await;
        assert_eq!(kinds(&of_file(&app, &ann, &other).await), ["file_uploaded", "file_deleted"]);
    }

    async fn the_lifecycle_of_a_link_is_recorded(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "for those who know").await;
        let link = create_link(&ann, &file, json!({"password": "violet tractor under rain", "max_downloads": 1})).await;
        let (id, url) = (link["id"].as_str().unwrap(), format!("{}?download=1", link["url"].as_str().unwrap()));
        let url = url.as_str();
        let visit = |password: &str| app.anonymous().get(url).basic_auth("", Some(password.to_owned()));
        app.anonymous().get(url).answer().await.problem(401, "password_required");
        visit("a guess").answer().await.problem(401, "password_required");
        assert_eq!(visit("violet tractor under rain").answer().await.bytes, b"for those who know");
        visit("violet tractor under rain").answer().await.problem(410, "link_used_up");
        assert_eq!(ann.patch(&format!("/v1/links/{id}")).json(&json!({"note": "x"})).answer().await.status, 200);
        for _ in 0..2 {
            assert_eq!(ann.delete(&format!("/v1/links/{id}")).answer().await.status, 204);
        }
        app.anonymous().get(url).answer().await.problem(410, "link_revoked");

        let events: Vec<_> = of_file(&app, &ann, &file).await.into_iter().filter(|event| event["link_id"] == id).collect();
        let mut found = kinds_and_channels(&events);
        // Reads and refusals are recorded in batches, in no particular order.
        found.sort_unstable();
        assert_eq!(found, [
            ("file_downloaded", "link"), ("link_changed", "api"), ("link_created", "api"), ("link_downloaded", "link"),
            ("link_refused", "link"), ("link_refused", "link"), ("link_refused", "link"), ("link_revoked", "api"),
        ]);
        let why: Vec<_> = events.iter().filter_map(|event| event["detail"]["why"].as_str()).collect();
        assert_eq!(why, ["password", "used_up", "revoked"]);
        assert!(events.iter().filter(|event| event["channel"] == "link").all(|event| event["actor_id"].is_null()));
    }

    async fn automatic_deletion_from_the_trash_is_recorded_as_done_by_the_server(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "bytes").await;
        ann.delete(&path(&file)).answer().await;
        app.advance(Duration::from_secs(31 * 24 * 3600));
        app.assert_nothing_but(0).await;
        let events = of_file(&app, &another_session(&app, "ann").await, &file).await;
        let last = events.last().unwrap();
        assert_eq!((&last["kind"], &last["channel"], &last["actor_id"], &last["address"]), (&json!("file_deleted"), &json!("server"), &json!(null), &json!(null)));
    }

    async fn complete_and_interrupted_downloads_are_recorded_with_their_bytes(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let size = 8 * 1024 * 1024;
        let file = ann.upload("a.bin", noise(size)).await;
        ann.download(&file).await;
        ann.get(&content(&file)).header("range", "bytes=10-19").answer().await;
        ann.get(&content(&file)).header("range", "bytes=0-0,5-6").answer().await;
        // None of these sends content.
        ann.head(&content(&file)).answer().await;
        ann.get(&content(&file)).header("if-none-match", file["etag"].as_str().unwrap()).answer().await;
        ann.get(&content(&file)).header("range", "bytes=99999999-").answer().await;
        let broken = ann.get(&content(&file)).send().await.unwrap();
        drop(broken);
        let events = loop {
            let events = of_file(&app, &ann, &file).await;
            if events.len() == 5 {
                break events;
            }
            assert!(events.len() < 5, "{events:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let of = |event: usize, name: &str| events[event]["detail"][name].clone();
        assert_eq!(kinds(&events[1..]), ["file_downloaded"; 4]);
        assert_eq!((of(1, "bytes"), of(1, "complete")), (json!(size), json!(true)));
        assert_eq!((of(2, "bytes"), of(2, "complete"), of(2, "from")), (json!(10), json!(true), json!(10)));
        assert_eq!((of(3, "complete"), of(3, "ranges")), (json!(true), json!(2)));
        assert_eq!(of(4, "complete"), json!(false));
        assert!(of(4, "bytes").as_u64().unwrap() < size as u64);
    }

    async fn sign_ins_sign_outs_and_refusals_are_recorded(app: TestApp) {
        let ann = app.sign_up("ann").await;
        assert_eq!(log_in(&app.anonymous(), &email("ann"), "a wrong guess").await.status, 401);
        assert_eq!(log_in(&app.anonymous(), &email("nobody"), "a wrong guess").await.status, 401);
        let second = another_session(&app, "ann").await;
        assert_eq!(second.post("/v1/auth/logout").answer().await.status, 204);
        let created = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await.json();
        let token = ann.clone().with_token(created["token"].as_str().unwrap(), &json!(ann.id));
        let file = token.upload("a.txt", "by a program").await;
        assert_eq!(ann.delete(&format!("/v1/me/tokens/{}", created["id"].as_str().unwrap())).answer().await.status, 204);
        let change = json!({"password": "purple harvest engine", "current_password": PASSWORD});
        assert_eq!(ann.patch("/v1/me").json(&change).answer().await.status, 200);

        let events = list_events(&app, &ann, "/v1/me/events").await;
        let mut found = kinds(&events);
        found.sort();
        let mut expected = [
            "account_created", "signed_in", "sign_in_refused", "signed_in", "signed_out", "token_created", "file_uploaded",
            "token_revoked", "password_changed",
        ];
        expected.sort();
        assert_eq!(found, expected);
        let uploaded = &of_file(&app, &ann, &file).await[0];
        assert_eq!(uploaded["credential"], json!({"kind": "token", "id": created["id"]}));
        token.get("/v1/me/events").answer().await.problem(401, "unauthorized");

        let boss = admin(&app).await;
        let refused = list_events(&app, &boss, "/v1/admin/events?kind=sign_in_refused").await;
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused.iter().any(|event| event["space_id"].is_null()), "no account has this address");
        assert!(refused.iter().all(|event| event["address"] == "127.0.0.1"));
    }

    async fn admins_can_filter_events(app: TestApp) {
        let (ann, bob, boss) = (app.sign_up("ann").await, app.sign_up("bob").await, admin(&app).await);
        let file = ann.upload("a.txt", "bytes").await;
        app.advance(Duration::from_secs(3600));
        let middle = app.app.clock.now();
        app.advance(Duration::from_secs(3600));
        bob.upload("b.txt", "bytes").await;
        let of_bob = format!("/v1/admin/users/{}", bob.id);
        boss.patch(&of_bob).json(&json!({"quota": {"bytes": 1000}, "disabled": true})).answer().await;
        boss.post("/v1/admin/fsck").json(&json!({})).answer().await;

        let find = async |query: &str| kinds(&list_events(&app, &boss, &format!("/v1/admin/events?{query}")).await).join(" ");
        assert_eq!(find(&format!("file_id={}", file["id"].as_str().unwrap())).await, "file_uploaded");
        assert_eq!(find(&format!("space_id={}&since={middle}", bob.id)).await, "file_uploaded account_disabled quota_changed");
        assert_eq!(find(&format!("space_id={}&until={middle}", bob.id)).await, "account_created signed_in");
        assert_eq!(find(&format!("kind=file_uploaded&until={middle}")).await, "file_uploaded");
        assert_eq!(find("kind=fsck_started").await, "fsck_started");
        let changed = &list_events(&app, &boss, "/v1/admin/events?kind=quota_changed").await[0];
        assert_eq!((changed["actor_id"].as_str(), &changed["detail"]), (Some(&*boss.id), &json!({"bytes": 1000})));
        boss.get("/v1/admin/events?kind=mischief").answer().await.problem(422, "invalid");
    }

    async fn events_are_paged_from_newest_to_oldest(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for number in 0..5 {
            ann.upload(&number.to_string(), "x").await;
        }
        let all = ann.get("/v1/me/events").answer().await.json();
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ann.get(&format!("/v1/me/events?limit=3{cursor}")).answer().await.json();
            found.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((found.len(), &json!(found)), (7, &all["items"]));
        ann.get("/v1/me/events?cursor=x").answer().await.problem(400, "bad_cursor");
    }

    async fn events_are_deleted_after_the_retention_period(app: TestApp) {
        let ann = app.sign_up("ann").await;
        ann.upload("a.txt", "x").await;
        app.advance(Duration::from_secs(89 * 24 * 3600));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM audit_events").await, 3);
        app.advance(Duration::from_secs(2 * 24 * 3600));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM audit_events").await, 0);
    }

    async fn queued_events_are_all_recorded_except_those_of_deleted_accounts(app: TestApp) {
        use strongroom::events::{EventKind, Event};
        let ann = app.sign_up("ann").await;
        let account: uuid::Uuid = ann.id.parse().unwrap();
        for number in 0..100 {
            app.app.events.record(&Event::new(EventKind::LinkDownloaded, account).link(uuid::Uuid::now_v7()));
            if number % 10 == 0 {
                app.app.events.record(&Event::new(EventKind::LinkDownloaded, uuid::Uuid::now_v7()));
            }
        }
        app.app.events.flush().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM audit_events WHERE kind = 'link_downloaded'").await, 100);
    }

    async fn reads_that_are_repeated_within_a_minute_do_not_fill_the_audit_log(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (file, other) = (ann.upload("a.bin", "content").await, ann.upload("b.bin", "content").await);
        for _ in 0..30 {
            ann.get(&content(&file)).header("range", "bytes=0-0").answer().await;
        }
        ann.download(&other).await;
        app.app.events.flush().await;
        let count = "SELECT COUNT(*) FROM audit_events WHERE kind = 'file_downloaded'";
        assert_eq!(app.count(count).await, 11);
        app.advance(Duration::from_secs(60));
        ann.download(&file).await;
        app.app.events.flush().await;
        assert_eq!(app.count(count).await, 12);
    }

    async fn events_of_changes_hold_the_end_of_a_long_path(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let folder = format!("{}/ü", vec!["é".repeat(100); 5].join("/"));
        let file = ann.post("/v1/files").query(&[("path", &*folder), ("name", "a")]).body("x").answer().await.json();
        let events = of_file(&app, &ann, &file).await;
        let path = events[0]["detail"]["path"].as_str().unwrap();
        assert!(path.starts_with('…') && path.ends_with("é/ü") && path.len() <= 258, "{path}");
    }

    async fn the_oldest_events_of_a_busy_account_are_deleted(app: TestApp) {
        let app = app.restart_with(|config| config.limits.events = 5).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let file = ann.upload("0", "x").await;
        bob.upload("b", "x").await;
        let log = async |user: &Client| user.get("/v1/me/events").answer().await.json()["items"].as_array().unwrap().clone();
        let of_bob = log(&bob).await.len();
        for number in 1..=8 {
            app.advance(Duration::from_secs(1));
            ann.patch(&path(&file)).json(&json!({"name": number.to_string()})).answer().await;
        }
        app.reap().await;
        let (events, names) = (log(&ann).await, ["8", "7", "6", "5", "4"]);
        assert_eq!(events.iter().map(|event| &event["detail"]["name"]).collect::<Vec<_>>(), names);
        assert_eq!(log(&bob).await.len(), of_bob);
    }

    async fn events_contain_no_secrets(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let created = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await.json();
        let file = ann.upload("a.txt", "x").await;
        let url = ann.sign(&file, "get").await["url"].as_str().unwrap().to_owned();
        app.anonymous().get(&url).answer().await;
        log_in(&app.anonymous(), "typed-into-the-wrong-field", "a wrong guess").await;
        app.app.events.flush().await;
        let signature = url.rsplit('=').next().unwrap();
        let secrets = [PASSWORD, ann.token.as_deref().unwrap(), created["token"].as_str().unwrap(), signature, "typed-into", "a wrong guess"];
        app.assert_in_no_row(&secrets).await;
    }
}

#[tokio::test]
async fn downloads_through_server_signed_urls_are_recorded() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "bytes").await;
    let url = ann.sign(&file, "get").await["url"].as_str().unwrap().to_owned();
    assert_eq!(app.anonymous().get(&url).answer().await.bytes, b"bytes");
    let events = of_file(&app, &ann, &file).await;
    assert_eq!(
        kinds_and_channels(&events),
        [("file_uploaded", "raw"), ("url_signed", "api"), ("file_downloaded", "signed_url")]
    );
    assert_eq!((&events[2]["actor_id"], &events[2]["detail"]["complete"]), (&json!(null), &json!(true)));
}

/// Every query of the audit log scans an index range.
#[tokio::test]
async fn the_audit_log_is_read_through_indexes() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let statements = app.app.db.statements();
    for sql in statements.iter().filter(|sql| sql.contains("FROM audit_events") && !sql.starts_with("DELETE")) {
        let plan = app.plan(sql).await;
        assert!(plan.contains("events_by_") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
