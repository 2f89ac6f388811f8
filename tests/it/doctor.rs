//! `strongroom doctor`, and what the server makes of the same checks: a word for whatever is wrong
//! with the database, the store or the way to it, and nothing left behind.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use http::Method;
use object_store::signer::Signer;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use strongroom::config::{Config, S3Config, StoreConfig};
use tempfile::TempDir;

use crate::support::bytes::noise;
use crate::support::client::{Ask, bucket, content, objects};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::program::{Outcome, Program, Start};
use crate::support::tcp_proxy::TcpProxy;
use crate::support::{PASSWORD, Setup, TestApp, both, files_below, s3_config};

const MIB: usize = 1024 * 1024;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn s3(config: &mut Config) -> &mut S3Config {
    match &mut config.store {
        StoreConfig::S3(s3) => s3,
        StoreConfig::Disk { .. } => panic!("it is on disk"),
    }
}

/// Database in a new SQLite database, bytes in a place of their own in the bucket.
fn on_s3(folder: &TempDir, change: impl FnOnce(&mut S3Config)) -> Config {
    let mut config = Config {
        database_url: SecretString::from(format!("sqlite:{}/rows.db", folder.path().display())),
        store: StoreConfig::S3(Box::new(s3_config())),
        ..Config::default()
    };
    change(s3(&mut config));
    config
}

fn doctor(config: &Config, arguments: &[&str]) -> Outcome {
    let folder = folder();
    Start::with(&[&["doctor"], arguments].concat()).on(config).run(folder.path(), "")
}

/// The line of a check.
#[track_caller]
fn line<'a>(outcome: &'a Outcome, name: &str) -> &'a str {
    let mut lines = outcome.stdout.lines().filter(|line| line.split_whitespace().nth(1) == Some(name));
    lines.next().unwrap_or_else(|| panic!("no {name}: {}{}", outcome.stdout, outcome.stderr))
}

/// Asserts that one check failed and no other, and that its line has these words.
#[track_caller]
fn assert_one_failure(outcome: &Outcome, name: &str, words: &[&str]) {
    let failures: Vec<_> = outcome.stdout.lines().filter(|line| line.starts_with("failed")).collect();
    assert_eq!((outcome.status, failures.len()), (1, 1), "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.stderr, "strongroom: a check failed\n");
    let line = line(outcome, name);
    assert!(line.starts_with("failed") && line.contains(" -> "), "{line}");
    for word in words {
        assert!(line.contains(word), "{word} in {line}");
    }
}

both! {
    async fn a_healthy_set_up_passes_and_nothing_stays(app: TestApp) {
        for arguments in [&[][..], &["--deep"]] {
            let outcome = doctor(&app.app.config, arguments);
            assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
            let common = ["database.reach", "database.schema", "database.write", "store.write", "server.public_url"];
            let own: &[&str] = match app.setup {
                Setup::SqliteAndDisk => {
                    &["database.durability", "database.rights", "database.integrity", "store.folder"]
                }
                Setup::PostgresAndS3 => &[
                    "database.encoding", "database.connections", "database.clock", "store.reach", "store.clock",
                    "store.read", "store.conditions", "store.checksums", "store.private", "store.signed_get",
                    "store.signed_put", "store.browsers", "store.multipart", "store.open_uploads",
                    "store.versioning", "store.delete",
                ],
            };
            for name in common.iter().chain(own) {
                assert!(line(&outcome, name).starts_with("ok "), "{}", line(&outcome, name));
            }
            assert_eq!(outcome.stdout.contains("store.unequal_parts"), !arguments.is_empty() && app.setup == Setup::PostgresAndS3);
            app.assert_nothing_but(0).await;
        }
        let outcome = doctor(&app.app.config, &["--json"]);
        let told: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!((outcome.status, &told["ok"]), (0, &json!(true)));
        let write = told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "store.write");
        assert_eq!(write.unwrap()["outcome"], "ok", "{told}");
    }
}

#[test]
fn before_the_first_start_it_makes_nothing() {
    let folder = folder();
    let outcome = Start::with(&["doctor"]).run(folder.path(), "");
    assert_eq!(outcome.status, 0, "{}", outcome.stdout);
    for name in ["database.reach", "store.folder"] {
        assert!(line(&outcome, name).contains("the first start makes it"), "{}", line(&outcome, name));
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_keeps_the_bucket_out_of_reach_is_told_in_one_line() {
    let folder = folder();
    type Case<'a> = (&'a [&'a str], fn(&mut S3Config));
    let cases: [Case<'_>; 4] = [
        (&["404 NoSuchBucket", "STORE_URL"], |s3| s3.bucket = "there-is-no-such-bucket-here".into()),
        (&["403", "AWS_ACCESS_KEY_ID"], |s3| s3.credentials.as_mut().unwrap().access_key_id = "NOBODY".into()),
        (&["403 SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"], |s3| {
            s3.credentials.as_mut().unwrap().secret_access_key = SecretString::from("hunter2".to_owned());
        }),
        (&["onnection refused", "AWS_ENDPOINT_URL_S3"], |s3| s3.endpoint = Some("http://127.0.0.1:9".parse().unwrap())),
    ];
    for (words, change) in cases {
        let outcome = doctor(&on_s3(&folder, change), &[]);
        assert_one_failure(&outcome, "store.reach", words);
        assert!(!outcome.stdout.contains("hunter2"), "{}", outcome.stdout);
    }
}

/// What AWS answers; the server that the tests run on takes any region, and has no opinion on clocks.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_and_a_wrong_clock_are_told_as_such() {
    const ELSEWHERE: &str = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>";
    const MALFORMED: &str = "<Error><Code>AuthorizationQueryParametersError</Code><Message>the region is wrong</Message>\
                             <Region>eu-west-9</Region></Error>";
    const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>";
    const PAGE: &str = "<html><body>It works!</body></html>";
    for (status, headers, body, name, word) in [
        (301, &[("x-amz-bucket-region", "eu-west-9")][..], ELSEWHERE, "store.reach", "AWS_REGION=eu-west-9"),
        (400, &[], MALFORMED, "store.reach", "AWS_REGION=eu-west-9"),
        (403, &[], SKEWED, "store.reach", "clock"),
        (403, &[("date", "Tue, 01 Jan 2030 00:00:00 GMT")], SKEWED, "store.clock", "ahead"),
        (200, &[], PAGE, "store.reach", "AWS_ENDPOINT_URL_S3"),
        (503, &[], "", "store.reach", "its own log"),
    ] {
        let folder = folder();
        let config = s3_config();
        let gateway =
            FaultProxy::before(config.endpoint.as_ref().unwrap(), move |_| Fault::Answer(status, headers, body)).await;
        let outcome = doctor(&on_s3(&folder, |s3| s3.endpoint = Some(gateway.url.clone())), &[]);
        assert_one_failure(&outcome, name, &[word]);
        assert_eq!(gateway.requests(), 1, "nothing more is asked, and nothing written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_fails_even_where_the_store_does_not_mind() {
    let folder = folder();
    let endpoint = s3_config().endpoint.unwrap();
    let late = jiff::Timestamp::now() - std::time::Duration::from_secs(600);
    let late = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&late).unwrap();
    let gateway = FaultProxy::before(&endpoint, move |_| Fault::Header("date", late.clone())).await;
    let mut config = on_s3(&folder, |s3| s3.endpoint = Some(gateway.url.clone()));
    assert_one_failure(&doctor(&config, &[]), "store.clock", &["seconds behind", "NTP"]);
    assert_eq!(objects(s3(&mut config)).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_doctor_left_goes_with_a_later_one() {
    use object_store::{ObjectStoreExt, path::Path};
    let folder = folder();
    let endpoint = s3_config().endpoint.unwrap();
    let mut config = on_s3(&folder, |_| {});
    let (client, prefix) = (bucket(s3(&mut config)), s3(&mut config).prefix.clone());
    let left = format!("doctor-{}-plain", "0123".repeat(8));
    for name in [left.as_str(), "0123", "doctor-who.mp4", "doctor-0123-plain"] {
        client.put(&Path::from(format!("{prefix}/{name}")), "left".into()).await.unwrap();
    }
    assert_eq!(doctor(&config, &[]).status, 0);
    assert_eq!(objects(s3(&mut config)).await.len(), 4, "another doctor may be at work");
    // Two hours later, as the store's clock tells.
    let late = jiff::Timestamp::now() + std::time::Duration::from_secs(7200);
    let late = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&late).unwrap();
    let gateway = FaultProxy::before(&endpoint, move |_| Fault::Header("date", late.clone())).await;
    let mut later = config.clone();
    s3(&mut later).endpoint = Some(gateway.url.clone());
    assert_one_failure(&doctor(&later, &[]), "store.clock", &["ahead"]);
    assert_eq!(objects(s3(&mut config)).await.len(), 3, "what is not the doctor's stays");
}

/// A bucket that anybody may read, but for one prefix nobody may write below.
async fn public_bucket(prefix: &str) -> S3Config {
    let config = S3Config { bucket: "strongroom-public".into(), prefix: prefix.into(), ..s3_config() };
    let resource = format!("arn:aws:s3:::{}", config.bucket);
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [format!("{resource}/*")]},
        {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject"], "Resource": [format!("{resource}/read-only/*")]},
    ]});
    let client = bucket(&config);
    let root = object_store::path::Path::default();
    for (query, body) in [(None, String::new()), (Some(("policy", "")), policy.to_string())] {
        let options = object_store::signer::SignedUrlOptions::new().with_query(query);
        let minute = std::time::Duration::from_secs(60);
        let url = client.signed_url_opts(Method::PUT, &root, minute, &options).await.expect("a signed URL");
        let answer = reqwest::Client::new().put(url).body(body).answer().await;
        // There already: an earlier run made it.
        assert!(matches!(answer.status, 200 | 204 | 409), "{}", answer.text());
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_bucket_is_an_alarm() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = folder();
    let public = public_bucket(&format!("test-{}", uuid::Uuid::now_v7().simple())).await;
    let config = on_s3(&folder, |s3| *s3 = public.clone());
    assert_one_failure(&doctor(&config, &[]), "store.private", &["read by anybody", "make the bucket private"]);
    assert_eq!(objects(&public).await, []);

    let program = Start::default().on(&config).serve(folder.path());
    let ready = program.stranger().get("/readyz").answer().await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("impaired")));
    assert_eq!(outcome_of(&ready.json(), "store.private"), "failed");
    for inside in ["127.0.0.1", "strongroom-public", "http"] {
        assert!(!ready.text().contains(inside), "{}", ready.text());
    }
    let (_, log) = program.stop();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("read by anybody")), "{log}");
    assert_eq!(objects(&public).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_may_only_read_are_told_as_such() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = folder();
    let public = public_bucket("read-only").await;
    let outcome = doctor(&on_s3(&folder, |s3| *s3 = public.clone()), &[]);
    assert_one_failure(&outcome, "store.write", &["403 AccessDenied", "right to write"]);
    assert_eq!(objects(&public).await, []);
}

/// What a server says a check came to; empty if it says nothing of it.
fn outcome_of(ready: &Value, name: &str) -> String {
    let checks = ready["checks"].as_array().expect("checks");
    let found = checks.iter().find(|check| check["name"] == name);
    found.map_or("", |check| check["outcome"].as_str().expect("an outcome")).to_owned()
}

async fn until_known(program: &Program, name: &str, outcome: &str) {
    loop {
        let ready = program.stranger().get("/readyz").answer().await;
        if ready.status == 200 && outcome_of(&ready.json(), name) == outcome {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Registers and signs in.
async fn sign_up(program: &Program) -> crate::support::Client {
    let request = json!({"email": "ann@example.org", "name": "Ann", "password": PASSWORD});
    let accepted = program.stranger().post("/v1/auth/register").json(&request).answer().await.json();
    program.stranger().with_token(accepted["token"].as_str().expect("a token"), &accepted["user"]["id"])
}

/// Some stores know neither the condition nor the checksum.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_makes_do_with_a_store_that_refuses_conditions_and_checksums() {
    const UNKNOWN: &str = "<Error><Code>NotImplemented</Code><Message>a header is not known here</Message></Error>";
    let folder = folder();
    let gateway = FaultProxy::before(&s3_config().endpoint.unwrap(), |request| {
        let is_checked = request.headers().keys().any(|name| name.as_str().starts_with("x-amz-checksum"));
        let is_conditional = request.method() == Method::PUT && request.headers().contains_key("if-none-match");
        if is_checked || is_conditional { Fault::Answer(501, &[], UNKNOWN) } else { Fault::Pass }
    })
    .await;
    let config = on_s3(&folder, |s3| s3.endpoint = Some(gateway.url.clone()));
    let outcome = doctor(&config, &[]);
    assert_eq!(outcome.status, 0, "{}", outcome.stdout);
    for name in ["store.conditions", "store.checksums"] {
        assert!(line(&outcome, name).starts_with("warning"), "{}", line(&outcome, name));
    }
    assert!(line(&outcome, "store.signed_put").starts_with("skipped"), "{}", outcome.stdout);

    let program = Start::default().on(&config).serve(folder.path());
    until_known(&program, "store.conditions", "warning").await;
    let ann = sign_up(&program).await;
    for bytes in [b"small".to_vec(), noise(17 * MIB)] {
        let file = ann.upload("a.bin", bytes.clone()).await;
        assert!(ann.download(&file).await == bytes);
        // A URL that is good for a second PUT would let whoever has it change bytes that are complete.
        let path = format!("{}/signed-urls", crate::support::client::path(&file));
        let refused = ann.post(&path).json(&json!({"operation": "put"})).answer().await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["pointer"], "/operation", "{refused}");
        ann.sign(&file, "get").await;
    }
    let (_, log) = program.stop();
    assert!(log.contains("store.conditions") && log.contains("store.checksums"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_began_without_its_store_looks_again() {
    let folder = folder();
    let endpoint = s3_config().endpoint.unwrap();
    let target = format!("{}:{}", endpoint.host_str().unwrap(), endpoint.port().unwrap());
    let line = TcpProxy::to(target).await;
    line.cut();
    let config = on_s3(&folder, |s3| s3.endpoint = Some(format!("http://{}", line.address).parse().unwrap()));
    let program = Start::default().on(&config).variable("STRONGROOM_REAP_INTERVAL", "1s").serve(folder.path());
    program.stranger().get("/readyz").answer().await.problem(503, "unavailable");
    line.restore();
    until_known(&program, "store.private", "ok").await;
    let ann = sign_up(&program).await;
    let file = ann.upload("a.txt", "kept").await;
    assert_eq!(ann.get(&content(&file)).answer().await.bytes, b"kept");
    let (_, log) = program.stop();
    assert!(log.contains("store.reach"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_ask_whether_it_is_ready_cost_the_store_next_to_nothing() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let gateway = FaultProxy::before(&s3_config().endpoint.unwrap(), |_| Fault::Pass).await;
    let app = app.restart_with(|config| s3(config).endpoint = Some(gateway.url.clone())).await;
    let stranger = app.stranger();
    let asked = futures_util::future::join_all((0..50).map(|_| stranger.get("/readyz").answer())).await;
    assert!(asked.iter().all(|answer| answer.status == 200));
    assert!(gateway.requests() <= 5, "{} requests", gateway.requests());
}

/// A store on disk, as the server makes it.
async fn disk() -> (TestApp, std::path::PathBuf) {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let root = app.folder.path().join("files");
    (app, root)
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights to change");
}

#[tokio::test]
async fn files_and_folders_that_others_get_at_are_told() {
    let (app, root) = disk().await;
    let config = &app.app.config;
    for (path, mode, name) in [
        (root.clone(), 0o777, "store.folder"),
        (root.join("blobs"), 0o755, "store.folder"),
        (app.folder.path().join("rows.db"), 0o644, "database.rights"),
    ] {
        let before = path.metadata().unwrap().permissions().mode();
        allow(&path, mode);
        assert_one_failure(&doctor(config, &[]), name, &["chmod", path.to_str().unwrap()]);
        allow(&path, before);
    }
    // A folder that was mounted or made by others may be looked into: there is nothing to be read.
    allow(&root, 0o755);
    let outcome = doctor(config, &[]);
    assert_eq!(outcome.status, 0, "{}", outcome.stdout);
    assert!(line(&outcome, "store.folder").starts_with("warning"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_folder_that_cannot_hold_files_is_told() {
    let (app, root) = disk().await;
    let folder = folder();
    let at = |root: &Path| Config { store: StoreConfig::Disk { root: root.to_owned() }, ..app.app.config.clone() };
    let (link, file) = (folder.path().join("link"), folder.path().join("file"));
    symlink(&root, &link).unwrap();
    std::fs::write(&file, "in the way").unwrap();
    for path in [&link, &file] {
        assert_one_failure(&doctor(&at(path), &[]), "store.folder", &["no folder"]);
    }
    // Where not even root can write.
    if Path::new("/sys/kernel").is_dir() {
        for path in ["/sys/kernel", "/sys/kernel/not/there"] {
            assert_one_failure(&doctor(&at(Path::new(path)), &[]), "store.write", &["/sys/kernel"]);
        }
    }
    assert_eq!((files_below(&root.join("tmp")), files_below(&root.join("blobs"))), (0, 0));
}

both! {
    async fn a_database_of_a_newer_version_is_told(app: TestApp) {
        app.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        ).await;
        assert_one_failure(&doctor(&app.app.config, &[]), "database.schema", &["newer version"]);
    }
}

#[test]
fn a_database_that_is_away_is_told() {
    let folder = folder();
    let mut config = on_s3(&folder, |_| {});
    config.database_url = SecretString::from("postgres://me:hunter2@127.0.0.1:9/rows".to_owned());
    let outcome = doctor(&config, &[]);
    assert_one_failure(&outcome, "database.reach", &["DATABASE_URL"]);
    assert!(line(&outcome, "store.read").starts_with("ok"), "the rest is tried nonetheless");
    assert!(!outcome.stdout.contains(config.database_url.expose_secret()) && !outcome.stdout.contains("hunter2"));
}

#[test]
fn addresses_that_people_cannot_use_are_told() {
    let folder = folder();
    let start = |public_url| {
        let start = Start::with(&["doctor"]).on(&on_s3(&folder, |_| {}));
        start.variable("STRONGROOM_PUBLIC_URL", public_url).variable("STRONGROOM_REGISTRATION", "closed")
    };
    for (public_url, wrong) in [
        ("http://files.example.org", &["server.public_url", "server.signed_urls"][..]),
        ("https://files.example.org", &["server.signed_urls"]),
        ("http://127.0.0.1:3000", &[]),
    ] {
        let outcome = start(public_url).run(folder.path(), "");
        assert_eq!(outcome.status, 0, "{}", outcome.stdout);
        for name in ["server.public_url", "server.signed_urls"] {
            assert_eq!(line(&outcome, name).starts_with("warning"), wrong.contains(&name), "{}", outcome.stdout);
        }
    }
}

both! {
    async fn admins_read_what_the_server_found_and_what_to_do_and_let_it_look_again(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        app.execute("UPDATE users SET is_admin = TRUE WHERE email_key = 'ann@example.org'").await;
        // This server was started without its first look.
        ann.get("/v1/admin/doctor").answer().await.problem(404, "not_found");
        bob.get("/v1/admin/doctor").answer().await.problem(403, "admin_required");
        bob.post("/v1/admin/doctor").answer().await.problem(403, "admin_required");
        let before = app.blobs_and_objects().await;
        let looked = ann.post("/v1/admin/doctor").answer().await;
        assert_eq!((looked.status, &looked.json()["status"]), (200, &json!("ok")), "{}", looked.text());
        for name in ["database.reach", "database.write", "store.write"] {
            assert_eq!(outcome_of(&looked.json(), name), "ok");
        }
        for check in looked.json()["checks"].as_array().unwrap() {
            assert!(!check["action"].as_str().unwrap().is_empty() && !check["observed"].as_str().unwrap().is_empty(), "{check}");
        }
        if app.setup == Setup::PostgresAndS3 {
            let s3 = s3_config();
            let secret = s3.credentials.as_ref().unwrap().secret_access_key.expose_secret().to_owned();
            assert!(!looked.text().contains(&secret), "{}", looked.text());
        }
        assert_eq!(app.blobs_and_objects().await, before, "a look leaves nothing behind");
        let read = ann.get("/v1/admin/doctor").answer().await.json();
        assert_eq!((&read["at"], &read["checks"]), (&looked.json()["at"], &looked.json()["checks"]));

        app.advance(std::time::Duration::from_secs(60));
        let again = ann.post("/v1/admin/doctor").answer().await.json();
        let time = |told: &Value| told["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(time(&again) > time(&read), "{again}");
    }
}

#[tokio::test]
async fn a_check_that_fails_while_serving_is_told_to_admins_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    app.execute("UPDATE users SET is_admin = TRUE").await;
    assert_eq!(ann.post("/v1/admin/doctor").answer().await.json()["status"], "ok");
    let StoreConfig::Disk { root } = &app.app.config.store else { panic!("a disk") };
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777)).unwrap();
    let told = ann.post("/v1/admin/doctor").answer().await.json();
    assert_eq!((&told["status"], outcome_of(&told, "store.folder").as_str()), (&json!("impaired"), "failed"));
    let checks = told["checks"].as_array().unwrap();
    let folder = checks.iter().find(|check| check["name"] == "store.folder").unwrap();
    assert!(folder["remedy"].as_str().unwrap().contains("chmod 700"), "{folder}");
    // It is put right, and the next look sees it.
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(ann.post("/v1/admin/doctor").answer().await.json()["status"], "ok");
}
