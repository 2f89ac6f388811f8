//! Account deletion: access ends immediately, and the data is deleted in the background.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::accounts::{another_session, log_in, register};
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, content, fed, path};
use crate::support::program::Start;
use crate::support::tus::Tus;
use crate::support::{PASSWORD, Setup, TestApp, both, email, until};

async fn delete_account(client: &Client) -> Answer {
    client.delete("/v1/me").json(&json!({"password": PASSWORD})).answer().await
}

async fn state(app: &TestApp, accepted: &Answer) -> String {
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = accepted.json()["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("location"), app.url(&format!("/v1/jobs/{id}")));
    let job = app.anonymous().get(&format!("/v1/jobs/{id}")).answer().await;
    assert_eq!(job.status, 200, "{}", job.text());
    job.json()["job"]["state"].as_str().unwrap().to_owned()
}

/// Asserts that no table contains the id, the name or the address of this user, in any form.
async fn assert_unknown(app: &TestApp, id: &str, name: &str) {
    app.app.events.flush().await;
    let rows = app.every_row().await;
    for text in [id, &id.replace('-', ""), name, &email(name)] {
        let line = rows.lines().find(|line| line.contains(text));
        assert!(line.is_none(), "{text} is in {line:?}");
    }
}

/// Creates one of everything that an account can have.
async fn create_one_of_everything(app: &TestApp, user: &Client) {
    let files = [user.upload("one.txt", "one").await, user.upload("two.txt", noise(6_000_000)).await];
    user.upload("three.txt", "three").await;
    assert_eq!(user.delete(&path(&files[0])).answer().await.status, 204);
    user.download(&files[1]).await;
    assert_eq!(user.post("/v1/files?name=k").header("idempotency-key", "k").body("k").answer().await.status, 201);
    let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &noise(1000)].concat();
    assert_eq!(user.put("/v1/me/avatar").body(png).answer().await.status, 201);
    assert_eq!(user.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await.status, 201);
    another_session(app, "ann").await;
    let whole = Tus::create(user, Some(4), "").await;
    assert_eq!(whole.append(user, 0, "tus!").await.status, 204);
    let direct = json!({"name": "direct.bin", "size": 6_000_000, "mode": "direct"});
    assert_eq!(user.post("/v1/uploads").json(&direct).answer().await.status, 201);
    let half = Tus::create(user, Some(9_000_000), "").await;
    assert_eq!(half.append(user, 0, noise(6_000_000)).await.status, 204);
    app.app.events.flush().await;
}

/// Loses a file, so that the report of fsck names its owner.
async fn be_named_by_fsck(app: &TestApp) {
    use strongroom::jobs::fsck::{Options, Repair, start};
    let key = app.text("SELECT key FROM blobs WHERE size = 5").await;
    app.app.store.delete(&key.parse().unwrap(), None).await.unwrap();
    let options = Options { full: false, rate: 1_000_000, repair: Repair::Nothing, accepted_orphans: 0 };
    let report = start(&app.app, options).await.unwrap().run(|_| {}).await.unwrap();
    assert_eq!(report.report.findings.len(), 1, "{report:?}");
}

both! {
    async fn nothing_is_left_of_a_deleted_account(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let of_bob = bob.upload("bob.txt", "bob").await;
        create_one_of_everything(&app, &ann).await;
        be_named_by_fsck(&app).await;
        let accepted = delete_account(&ann).await;
        assert_eq!(state(&app, &accepted).await, "running");
        assert!(accepted.header("set-cookie").contains("Max-Age=0"));
        app.reap().await;
        assert_eq!(state(&app, &accepted).await, "done");
        assert_unknown(&app, &ann.id, "ann").await;
        app.assert_nothing_but(1).await;
        assert_eq!(bob.download(&of_bob).await, b"bob");
        assert_eq!(app.count("SELECT COUNT(*) FROM audit_events WHERE kind = 'account_deleted' AND space_id IS NULL AND actor_id IS NULL").await, 1);

        app.advance(Duration::from_secs(91 * 24 * 3600));
        app.reap().await;
        let job = format!("/v1/jobs/{}", accepted.json()["job"]["id"].as_str().unwrap());
        app.anonymous().get(&job).answer().await.problem(404, "not_found");
    }

    async fn access_ends_immediately_and_the_address_can_be_reused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "bytes").await;
        let url = ann.sign(&file, "get").await["url"].as_str().unwrap().to_owned();
        let put = ann.sign(&file, "put").await;
        let created = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await.json();
        let token = ann.clone().with_token(created["token"].as_str().unwrap(), &Value::Null);
        let tus = Tus::create(&ann, Some(4), "").await;
        assert_eq!(delete_account(&ann).await.status, 202);

        for client in [&ann, &token] {
            client.get(&content(&file)).answer().await.problem(401, "unauthorized");
        }
        assert_eq!(tus.append(&ann, 0, "late").await.status, 401);
        log_in(&app.anonymous(), &email("ann"), PASSWORD).await.problem(401, "bad_credentials");
        log_in(&app.anonymous(), &format!("erased {}", ann.id), PASSWORD).await.problem(401, "bad_credentials");
        if app.setup == Setup::SqliteAndDisk {
            app.anonymous().get(&url).answer().await.problem(404, "not_found");
            app.anonymous().put(put["url"].as_str().unwrap()).header("if-none-match", "*").body("x").answer().await.problem(410, "upload_gone");
        }

        // The address can be registered again, and the new account is empty.
        let new = app.sign_up("ann").await;
        assert_ne!(new.id, ann.id);
        assert_eq!(new.get("/v1/files").answer().await.json()["items"], json!([]));
        new.upload("b.txt", "new").await;
        // The object key of an unexpired PUT URL is kept until the URL expires.
        assert_eq!(app.reap().await.erased, 0);
        app.expire_leases().await;
        assert_eq!(app.reap().await.erased, 1);
        app.assert_nothing_but(1).await;
    }

    async fn an_upload_in_progress_leaves_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (send, body) = fed();
        let upload = tokio::spawn(ann.post("/v1/files?name=late.bin").body(body).send());
        send.send(Ok(noise(1000))).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM blobs").await > 0).await;
        let accepted = delete_account(&ann).await;
        app.reap().await;
        drop(send);
        assert_eq!(upload.await.unwrap().unwrap().status(), 410);
        assert_eq!(state(&app, &accepted).await, "running", "a writer may still hold its lease");
        app.expire_leases().await;
        app.assert_nothing_but(0).await;
        assert_eq!(state(&app, &accepted).await, "done");
        assert_unknown(&app, &ann.id, "ann").await;
    }

    async fn deletion_requires_the_password_and_a_session(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let wrong = ann.delete("/v1/me").json(&json!({"password": "a wrong guess"})).answer().await;
        assert_eq!(wrong.problem(422, "invalid")["errors"][0]["pointer"], "/password");
        ann.delete("/v1/me").json(&json!({})).answer().await.problem(422, "invalid");
        assert_eq!(ann.get("/v1/me").answer().await.status, 200);
    }

    async fn the_last_admin_cannot_be_deleted(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        app.execute("UPDATE users SET is_admin = TRUE WHERE email = 'ann@example.org'").await;
        delete_account(&ann).await.problem(409, "last_admin");
        app.execute("UPDATE users SET is_admin = TRUE").await;
        // Of two admins who delete their accounts at once, one has to stay.
        let (one, other) = tokio::join!(delete_account(&ann), delete_account(&bob));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [202, 409]);
    }

    async fn events_of_a_deleted_admin_are_anonymized(app: TestApp) {
        let (boss, ann, bob) = (app.sign_up("boss").await, app.sign_up("ann").await, app.sign_up("bob").await);
        app.execute("UPDATE users SET is_admin = TRUE WHERE email IN ('boss@example.org', 'ann@example.org')").await;
        let of = |user: &Client| format!("/v1/admin/users/{}", user.id);
        assert_eq!(ann.patch(&of(&bob)).json(&json!({"quota": {"files": 7}})).answer().await.status, 200);
        ann.delete(&of(&ann)).answer().await.problem(422, "invalid");
        let accepted = boss.delete(&of(&ann)).answer().await;
        assert_eq!(state(&app, &accepted).await, "running");
        boss.get(&of(&ann)).answer().await.problem(404, "not_found");
        boss.patch(&of(&ann)).json(&json!({"disabled": false})).answer().await.problem(404, "not_found");
        boss.delete(&of(&ann)).answer().await.problem(404, "not_found");
        app.reap().await;
        assert_eq!(state(&app, &accepted).await, "done");
        assert_unknown(&app, &ann.id, "ann").await;
        let changed = boss.get("/v1/admin/events?kind=quota_changed").answer().await.json();
        assert_eq!((&changed["items"][0]["space_id"], &changed["items"][0]["actor_id"]), (&json!(bob.id), &Value::Null));
        let deleted = boss.get("/v1/admin/events?kind=account_deleted").answer().await.json();
        assert_eq!(deleted["items"][0]["actor_id"], json!(boss.id));
    }

    async fn the_command_line_can_delete_accounts(app: TestApp) {
        let ann = app.sign_up("ann").await;
        create_one_of_everything(&app, &ann).await;
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| Start::with(arguments).beside(&app).run(folder.path(), "");
        let outcome = run(&["user", "delete", "ann@example.org"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.stdout.contains("/v1/jobs/"), "{outcome:?}");
        assert_ne!(run(&["user", "delete", "ann@example.org"]).status, 0, "no account has this address any more");
        // Another process deleted it: the server notices once its cached session expires.
        let mut answer = ann.get("/v1/me").answer().await;
        while answer.status == 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = ann.get("/v1/me").answer().await;
        }
        answer.problem(401, "unauthorized");
        app.assert_nothing_but(0).await;
        assert_unknown(&app, &ann.id, "ann").await;
    }

    async fn an_interrupted_deletion_is_resumed(app: TestApp) {
        let ann = app.sign_up("ann").await;
        create_one_of_everything(&app, &ann).await;
        for number in 0..120 {
            app.app.events.record(&strongroom::events::Event::new(strongroom::events::EventKind::LinkDownloaded, ann.id.parse::<uuid::Uuid>().unwrap()).with("n", number));
        }
        app.app.events.flush().await;
        let accepted = delete_account(&ann).await;
        // Each run is canceled a little later than the previous one, at whatever step it is.
        for milliseconds in 1..40 {
            let _ = tokio::time::timeout(Duration::from_millis(milliseconds), app.reap()).await;
            app.execute("DELETE FROM job_leases").await;
        }
        // A canceled run may still be on its way to the database, and acquire the job lease there.
        while app.count("SELECT COUNT(*) FROM erasures WHERE state = 'running'").await > 0 {
            app.execute("DELETE FROM job_leases").await;
            app.reap().await;
        }
        assert_eq!(state(&app, &accepted).await, "done");
        app.assert_nothing_but(0).await;
        assert_unknown(&app, &ann.id, "ann").await;
        assert_eq!(register(&app.anonymous(), &email("ann"), "Ann", PASSWORD).await.status, 201);
    }
}
