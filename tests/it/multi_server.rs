//! Several servers on one database and one bucket behave as one service.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::abandoned::abandon;
use crate::support::accounts::{log_in, same_session};
use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, content, fed};
use crate::support::fsck::assert_clean;
use crate::support::links::create_link;
use crate::support::program::{Program, Start};
use crate::support::tus::{Tus, tus};
use crate::support::{Database, PASSWORD, Setup, TestApp, email, until};

const MIB: usize = 1024 * 1024;
const NODES: usize = 3;
/// The time after which a session, token or link that is ended on one server is refused by all.
const PROPAGATION: Duration = Duration::from_secs(1);

/// Servers on the database and the store of an app, which only observes.
struct Nodes {
    app: TestApp,
    programs: Vec<Program>,
}

impl Nodes {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::start(Setup::PostgresAndS3).await;
        let mut start = Start::default().variable("STRONGROOM_PART_SIZE", "5MiB").beside(&app);
        for (name, value) in settings {
            start = start.variable(name, *value);
        }
        let programs = (0..NODES).map(|_| start.clone().serve(app.folder.path())).collect();
        Self { app, programs }
    }

    /// The same session on each server.
    fn each(&self, user: &Client) -> Vec<Client> {
        self.programs.iter().map(|program| same_session(user, program)).collect()
    }

    /// Stops all servers, and asserts that none of them logged an error.
    fn stop(&mut self) {
        for program in self.programs.drain(..) {
            let (_, stderr) = program.stop();
            assert!(!stderr.contains("ERROR"), "{stderr}");
        }
    }
}

/// Polls each server until it responds with this status, at most for [`PROPAGATION`].
async fn assert_soon(clients: &[Client], path: &str, status: u16) {
    let since = Instant::now();
    for client in clients {
        loop {
            // Only a request that was sent in time may get the old response.
            let late = since.elapsed() > PROPAGATION;
            let answer = client.get(path).answer().await;
            if answer.status == status {
                break;
            }
            assert!(!late, "{path} still responds with {}: {}", answer.status, answer.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_uploaded_to_one_server_are_available_on_all() {
    let mut nodes = Nodes::start(&[]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);
    let bytes = noise(6 * MIB);
    for (turn, client) in clients.iter().enumerate() {
        let file = client.upload(&format!("{turn}.bin"), bytes.clone()).await;
        for other in &clients {
            assert!(other.download(&file).await == bytes);
        }
    }
    assert_eq!(clients[2].get("/v1/files").answer().await.json()["items"].as_array().unwrap().len(), NODES);

    // Each append of one upload goes to the next server.
    let bytes = noise(13 * MIB);
    let upload = Tus::create(&clients[0], Some(bytes.len()), "").await;
    for (turn, chunk) in bytes.chunks(MIB).enumerate() {
        let sent = upload.append(&clients[turn % NODES], turn * MIB, chunk.to_vec()).await;
        assert_eq!(sent.status, 204, "{}", sent.text());
        assert_eq!(upload.offset(&clients[(turn + 1) % NODES]).await, (turn + 1) * MIB);
    }
    assert!(upload.file(&clients[1]).await.bytes == bytes);
    nodes.stop();
    nodes.app.assert_nothing_but(NODES + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_on_one_server_takes_effect_on_all() {
    let mut nodes = Nodes::start(&[]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);
    // Every server has accepted each of these before, and may have cached it.
    let assert_accepted = async |clients: &[Client], path: &str| {
        for client in clients.iter().chain(clients) {
            assert_eq!(client.get(path).answer().await.status, 200, "{path}");
        }
    };

    let session = log_in(&clients[0], &email("ann"), PASSWORD).await.json();
    let sessions = nodes.each(&ann.clone().with_token(session["token"].as_str().unwrap(), &json!(ann.id)));
    assert_accepted(&sessions, "/v1/me").await;
    assert_eq!(sessions[1].post("/v1/auth/logout").answer().await.status, 204);
    assert_soon(&sessions, "/v1/me", 401).await;

    let created = clients[0].post("/v1/me/tokens").json(&json!({"name": "script"})).answer().await.json();
    let tokens = nodes.each(&ann.clone().with_token(created["token"].as_str().unwrap(), &json!(ann.id)));
    assert_accepted(&tokens, "/v1/files").await;
    let revoked = clients[2].delete(&format!("/v1/me/tokens/{}", created["id"].as_str().unwrap())).answer().await;
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    assert_soon(&tokens, "/v1/files", 401).await;

    let file = clients[0].upload("shared.txt", "shared").await;
    let link = create_link(&clients[0], &file, json!({})).await;
    let url: url::Url = link["url"].as_str().unwrap().parse().unwrap();
    let strangers: Vec<Client> = nodes.programs.iter().map(Program::anonymous).collect();
    assert_accepted(&strangers, url.path()).await;
    let revoked = clients[1].delete(&format!("/v1/links/{}", link["id"].as_str().unwrap())).answer().await;
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    assert_soon(&strangers, url.path(), 410).await;

    assert_accepted(&clients, "/v1/me").await;
    let disabled = Start::with(&["user", "disable", &email("ann")]).beside(&nodes.app).run(nodes.app.folder.path(), "");
    assert_eq!(disabled.status, 0, "{}", disabled.stderr);
    assert_soon(&clients, "/v1/me", 401).await;
    nodes.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_share_one_reaper() {
    const LEFT: usize = 60;
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let ann = app.sign_up("ann").await;
    for _ in 0..LEFT {
        abandon(&app, &ann.id, Duration::ZERO, 10).await;
    }
    let start = Start::default().beside(&app).variable("STRONGROOM_REAP_INTERVAL", "1s");
    let start = start.variable("STRONGROOM_LOG", "debug");
    let mut nodes = Nodes { programs: (0..NODES).map(|_| start.clone().serve(app.folder.path())).collect(), app };
    until(async || nodes.app.count("SELECT COUNT(*) FROM blobs").await == 0).await;
    // Another process holds the job lease and keeps it: all three servers skip their runs.
    nodes
        .app
        .execute(
            "INSERT INTO job_leases (name, holder, lease_until)
            VALUES ('reaper', gen_random_uuid(), (SELECT now FROM clock) + 600000000)
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until",
        )
        .await;
    let idle = |program: &Program| program.stderr().matches("another server is reaping").count();
    let before: Vec<usize> = nodes.programs.iter().map(idle).collect();
    for (program, before) in nodes.programs.iter_mut().zip(before) {
        program.wait_for(|program| idle(program) >= before + 2);
    }
    abandon(&nodes.app, &ann.id, Duration::ZERO, 10).await;
    for program in &mut nodes.programs {
        let before = idle(program);
        program.wait_for(|program| idle(program) >= before + 2);
    }
    assert_eq!(nodes.app.count("SELECT COUNT(*) FROM blobs").await, 1, "no server may delete it now");

    let mut logs = String::new();
    for program in nodes.programs.drain(..) {
        logs += &program.stop().1;
    }
    // The sum over all runs equals the work: nothing was done twice.
    let sum = |what: &str| -> usize {
        let before = logs.split(what).map(|text| text.rsplit([' ', '=']).find(|word| !word.is_empty()));
        let numbers: Vec<usize> = before.flatten().filter_map(|word| word.parse().ok()).collect();
        numbers.iter().sum()
    };
    assert_eq!((sum(" abandoned uploads ended"), sum(" blobs deleted")), (LEFT, LEFT), "{logs}");
    assert!(!logs.contains("the reaper could not") && !logs.contains("ERROR"), "{logs}");
    nodes.app.execute("DELETE FROM job_leases").await;
    nodes.app.assert_nothing_but(0).await;
}

/// An acknowledged upload: the file and its content.
type Acknowledged = (Value, Vec<u8>);

/// Uploads sequentially until `stop` is set. When a server is gone, it switches to the next one. Returns the acknowledged
/// uploads and the number of broken connections.
async fn keep_uploading(clients: Vec<Client>, number: usize, stop: &AtomicBool) -> (Vec<Acknowledged>, usize) {
    let (mut kept, mut broken) = (Vec::new(), 0);
    let mut turn = number;
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Most in one part, some in several.
        let bytes = noise(if count % 8 == 3 { 6 * MIB } else { 1000 * (number + 1) + count });
        let client = &clients[turn % clients.len()];
        let name = format!("{number}-{count}.bin");
        match client.post("/v1/files").query(&[("name", &name)]).body(bytes.clone()).try_answer().await {
            Ok(answer) => {
                assert_eq!(answer.status, 201, "{}", answer.text());
                kept.push((answer.json(), bytes));
            }
            Err(_) => {
                broken += 1;
                turn += 1;
            }
        }
    }
    (kept, broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_server_loses_nothing_acknowledged() {
    let mut nodes = Nodes::start(&[("STRONGROOM_REAP_INTERVAL", "1s")]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);
    // A resumable upload is half received, by the server that will be killed.
    let whole = noise(11 * MIB);
    let upload = Tus::create(&clients[0], Some(whole.len()), "resumable.bin").await;
    assert_eq!(upload.append(&clients[0], 0, whole[..7 * MIB].to_vec()).await.status, 204);

    let stop = AtomicBool::new(false);
    let uploaders = join_all((0..9).map(|number| keep_uploading(clients.clone(), number, &stop)));
    let database = Database::of(&nodes.app.app.config).await;
    let kill = async {
        until(async || database.count("SELECT COUNT(*) FROM files").await >= 30).await;
        // At least one upload to it is in progress.
        until(async || database.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await >= 4).await;
        let mut killed = nodes.programs.remove(0);
        killed.kill();
        let before = database.count("SELECT COUNT(*) FROM files").await;
        until(async || database.count("SELECT COUNT(*) FROM files").await >= before + 30).await;
        stop.store(true, Ordering::Relaxed);
        killed.ended().0.signal()
    };
    let (uploaded, signal) = tokio::join!(uploaders, kill);
    assert_eq!(signal, Some(9));
    assert!(
        uploaded.iter().map(|(_, broken)| broken).sum::<usize>() > 0,
        "no client was connected to the killed server"
    );

    // The resumable upload continues on another server.
    let others = &clients[1..];
    let head = loop {
        let head = tus(&others[0], Method::HEAD, &upload.path).answer().await;
        if head.status != 423 {
            break head;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let offset: usize = head.header("upload-offset").parse().expect("a number");
    assert_eq!(offset, 7 * MIB, "acknowledged bytes are kept");
    assert_eq!(upload.append(&others[1], offset, whole[offset..].to_vec()).await.status, 204);
    assert!(upload.file(&others[0]).await.bytes == whole);

    let kept: Vec<Acknowledged> = uploaded.into_iter().flat_map(|(kept, _)| kept).collect();
    for (number, (file, bytes)) in kept.iter().enumerate() {
        let answer = others[number % 2].get(&content(file)).answer().await;
        assert!(answer.status == 200 && answer.bytes == *bytes, "{file}: {}", answer.status);
    }
    nodes.stop();
    // Uploads whose response was lost may exist too. The reaper deletes what the killed server had started, once its
    // leases have expired.
    nodes.app.expire_leases().await;
    nodes.app.execute("UPDATE job_leases SET lease_until = 1").await;
    let files = nodes.app.count("SELECT COUNT(*) FROM files").await as usize;
    assert!((kept.len() + 1..=kept.len() + 1 + 9).contains(&files), "{files} files, {} acknowledged", kept.len());
    nodes.app.assert_nothing_but(files).await;
    assert_clean(&nodes.app).await;
}

/// Starts an append to an upload and stops sending in the middle of it, once a part is recorded.
async fn stall(nodes: &Nodes, client: &Client, upload: &Tus, bytes: &[u8]) -> Stalled {
    let (send, body) = fed();
    let request = tokio::spawn(upload.append_request(client, 0, body).send());
    send.send(Ok(bytes.to_vec())).await.expect("the request is sent");
    until(async || nodes.app.count("SELECT COUNT(*) FROM resumable_uploads WHERE received > 0").await > 0).await;
    Stalled { _send: Box::new(send), request }
}

/// An append whose client sends nothing more until this is dropped.
struct Stalled {
    _send: Box<dyn std::any::Any + Send>,
    request: tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>,
}

/// Claims that are not released end with their server, or never.
const CLAIMS_NEVER_EXPIRE: &str = "UPDATE resumable_uploads SET claim_expires_at = claim_expires_at + 3600000000";

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_continues_at_once_when_its_server_is_killed() {
    let mut nodes = Nodes::start(&[]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);
    let whole = noise(11 * MIB);
    let upload = Tus::create(&clients[0], Some(whole.len()), "").await;
    let stalled = stall(&nodes, &clients[0], &upload, &whole[..6 * MIB]).await;
    nodes.app.execute(CLAIMS_NEVER_EXPIRE).await;
    let offset = upload.offset(&clients[1]).await;
    let rest = || upload.append(&clients[1], offset, whole[offset..].to_vec());
    assert_eq!(rest().await.status, 423, "its server is alive");
    nodes.programs.remove(0).kill();
    until(async || rest().await.status == 204).await;
    assert!(upload.file(&clients[1]).await.bytes == whole);
    assert!(stalled.request.await.unwrap().is_err());
    nodes.stop();
    nodes.app.expire_leases().await;
    nodes.app.execute("DELETE FROM job_leases").await;
    nodes.app.assert_nothing_but(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_suspended_does_not_damage_what_another_took_over() {
    let mut nodes = Nodes::start(&[]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);
    let whole = noise(11 * MIB);
    let upload = Tus::create(&clients[0], Some(whole.len()), "").await;
    let stalled = stall(&nodes, &clients[0], &upload, &whole[..6 * MIB]).await;
    nodes.programs[0].freeze();
    nodes.app.execute(CLAIMS_NEVER_EXPIRE).await;
    let offset = upload.offset(&clients[1]).await;
    let next = || upload.append(&clients[1], offset, whole[offset..offset + MIB].to_vec());
    assert_eq!(next().await.status, 423, "a suspended server has not ended");
    nodes.app.execute("UPDATE resumable_uploads SET claim_expires_at = 0").await;
    assert_eq!(next().await.status, 204);

    nodes.programs[0].thaw();
    // The rest of the first append arrives, and must not count.
    drop(stalled._send);
    assert!(!stalled.request.await.unwrap().is_ok_and(|answer| answer.status().is_success()));
    let offset = upload.offset(&clients[2]).await;
    assert_eq!(upload.append(&clients[2], offset, whole[offset..].to_vec()).await.status, 204);
    assert!(upload.file(&clients[0]).await.bytes == whole);
    nodes.stop();
    nodes.app.expire_leases().await;
    nodes.app.execute("DELETE FROM job_leases").await;
    nodes.app.assert_nothing_but(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_lock_was_lost_locks_its_instance_again() {
    const LIVE: &str = "SELECT COUNT(*) FROM live_instances";
    let mut nodes = Nodes::start(&[]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);
    let before = nodes.app.count(LIVE).await;
    assert_eq!(before, NODES as i64 + 1);
    nodes
        .app
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
    until(async || nodes.app.count(LIVE).await == before).await;
    let whole = noise(MIB);
    let upload = Tus::create(&clients[0], Some(whole.len()), "").await;
    assert_eq!(upload.append(&clients[1], 0, whole.clone()).await.status, 204);
    assert!(upload.file(&clients[0]).await.bytes == whole);
    nodes.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_lease_of_a_killed_server_is_free_at_once() {
    let nodes = Nodes::start(&[("STRONGROOM_REAP_INTERVAL", "1s")]).await;
    let ann = nodes.app.sign_up("ann").await;
    // As a server left it that was killed long before the lease expires.
    nodes
        .app
        .execute(
            "INSERT INTO job_leases (name, holder, instance, lease_until)
            VALUES ('reaper', gen_random_uuid(), 1, (SELECT now FROM clock) + 3600000000)
            ON CONFLICT (name) DO UPDATE
                SET holder = excluded.holder, instance = excluded.instance, lease_until = excluded.lease_until",
        )
        .await;
    abandon(&nodes.app, &ann.id, Duration::ZERO, 10).await;
    until(async || nodes.app.count("SELECT COUNT(*) FROM blobs").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_isolation_level_of_the_database_does_not_matter() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let ann = app.sign_up("ann").await;
    app.execute(
        "DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database());
        END $$",
    )
    .await;
    let program = Start::default().beside(&app).serve(app.folder.path());
    let client = same_session(&ann, &program);
    let upload = async |number: usize| {
        for turn in 0..5 {
            client.upload(&format!("{number}-{turn}.txt"), "kept").await;
        }
    };
    join_all((0..8).map(upload)).await;
    let (_, log) = program.stop();
    assert!(!log.contains("unavailable"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_across_servers() {
    let nodes = Nodes::start(&[("STRONGROOM_LOGINS_PER_ACCOUNT", "6"), ("STRONGROOM_QUOTA_BYTES", "200kB")]).await;
    let ann = nodes.app.sign_up("ann").await;
    let clients = nodes.each(&ann);

    // Fifty simultaneous uploads, of which ten fit.
    let done = AtomicBool::new(false);
    let database = Database::of(&nodes.app.app.config).await;
    let watch = async {
        while !done.load(Ordering::Relaxed) {
            assert_eq!(database.count("SELECT COUNT(*) FROM spaces WHERE used_bytes > 200000").await, 0);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let upload = async |number: usize| loop {
        let request = clients[number % NODES].post("/v1/files").query(&[("name", number.to_string())]);
        let answer = request.body(noise(20_000)).answer().await;
        // On a slow machine, a request may wait too long for the row of the account and get a 503.
        if answer.status != 503 {
            break answer;
        }
    };
    let uploads = async {
        let answers = join_all((0..50).map(&upload)).await;
        done.store(true, Ordering::Relaxed);
        answers
    };
    let (answers, ()) = tokio::join!(uploads, watch);
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem(507, "quota_exceeded");
    }
    assert_eq!(taken, 10, "exactly the uploads that fit are accepted");
    nodes.app.assert_usage_is_exact().await;

    // Guesses are counted across all servers.
    let strangers: Vec<Client> = nodes.programs.iter().map(Program::anonymous).collect();
    let guesses = (0..30).map(|turn| log_in(&strangers[turn % NODES], "ann@example.org", "not her password"));
    let statuses: Vec<u16> = join_all(guesses).await.iter().map(|answer| answer.status).collect();
    let tried = statuses.iter().filter(|status| **status == 401).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((tried, refused), (6, 24), "{statuses:?}");
}
