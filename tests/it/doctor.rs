//! `strongroom doctor`, and the same checks in the server: each problem of the database, the store or the network is
//! reported by name, and nothing is left behind.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use http::Method;
use object_store::signer::Signer;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use strongroom::config::{Config, S3Config, StoreConfig};
use tempfile::TempDir;

use crate::support::accounts::sign_up;
use crate::support::bytes::noise;
use crate::support::client::{Ask, bucket, content, objects};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::program::{Outcome, Program, Start};
use crate::support::tcp_proxy::TcpProxy;
use crate::support::{Client, Database, Setup, TestApp, both, files_below, s3_config};

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

/// A new SQLite database, and a new prefix in the bucket.
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

/// Asserts that this check failed and no other, and that its line contains these words.
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
    async fn a_healthy_setup_passes_and_nothing_is_left(app: TestApp) {
        for arguments in [&[][..], &["--deep"]] {
            let outcome = doctor(&app.app.config, arguments);
            assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
            let common = ["database.reach", "database.schema", "database.write", "store.write", "server.public_url"];
            let own: &[&str] = match app.setup {
                Setup::SqliteAndDisk => {
                    &["database.durability", "database.rights", "database.integrity", "store.directory"]
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
        let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!((outcome.status, &report["ok"]), (0, &json!(true)));
        let write = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "store.write");
        assert_eq!(write.unwrap()["outcome"], "ok", "{report}");
    }
}

#[test]
fn it_creates_nothing_before_the_first_start() {
    let folder = folder();
    let outcome = Start::with(&["doctor"]).run(folder.path(), "");
    assert_eq!(outcome.status, 0, "{}", outcome.stdout);
    for name in ["database.reach", "store.directory"] {
        assert!(line(&outcome, name).contains("the first start"), "{}", line(&outcome, name));
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn the_reason_for_an_unreachable_bucket_is_reported_in_one_line() {
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

/// The responses of AWS; the S3 server of the tests accepts any region and any clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_and_clock_skew_are_reported() {
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
        assert_eq!(gateway.requests(), 1, "the first response ends the checks");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_fails_even_if_the_store_accepts_it() {
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
async fn leftovers_of_a_killed_doctor_are_deleted_by_a_later_one() {
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
    assert_eq!(objects(s3(&mut config)).await.len(), 4, "another doctor may be running");
    // Two hours later, by the store's clock.
    let late = jiff::Timestamp::now() + std::time::Duration::from_secs(7200);
    let late = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&late).unwrap();
    let gateway = FaultProxy::before(&endpoint, move |_| Fault::Header("date", late.clone())).await;
    let mut later = config.clone();
    s3(&mut later).endpoint = Some(gateway.url.clone());
    assert_one_failure(&doctor(&later, &[]), "store.clock", &["ahead"]);
    assert_eq!(objects(s3(&mut config)).await.len(), 3, "other objects are kept");
}

/// A bucket with public read access, and one prefix below which writing is denied.
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
        // 409: an earlier run created it.
        assert!(matches!(answer.status, 200 | 204 | 409), "{}", answer.text());
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_bucket_is_a_failure() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = folder();
    let public = public_bucket(&format!("test-{}", uuid::Uuid::now_v7().simple())).await;
    let config = on_s3(&folder, |s3| *s3 = public.clone());
    assert_one_failure(&doctor(&config, &[]), "store.private", &["read by anyone", "make the bucket private"]);
    assert_eq!(objects(&public).await, []);

    let program = Start::default().on(&config).serve(folder.path());
    // What could be attacked is for admins alone.
    let ready = program.anonymous().get("/readyz").answer().await;
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "impaired"})));
    let user = sign_up(&program, "bob@example.org").await;
    assert_eq!(user.get("/readyz").answer().await.json(), json!({"status": "impaired"}));
    let ready = admin(&program, &config).await.get("/readyz").answer().await;
    assert_eq!(outcome_of(&ready.json(), "store.private"), "failed");
    for inside in ["127.0.0.1", "strongroom-public", "http"] {
        assert!(!ready.text().contains(inside), "{}", ready.text());
    }
    let (_, log) = program.stop();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("read by anyone")), "{log}");
    assert_eq!(objects(&public).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_keys_are_reported() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = folder();
    let public = public_bucket("read-only").await;
    let outcome = doctor(&on_s3(&folder, |s3| *s3 = public.clone()), &[]);
    assert_one_failure(&outcome, "store.write", &["403 AccessDenied", "permission to write"]);
    assert_eq!(objects(&public).await, []);
}

/// The outcome of a check in a readiness response; empty if it is not listed.
fn outcome_of(ready: &Value, name: &str) -> String {
    let checks = ready["checks"].as_array().expect("checks");
    let found = checks.iter().find(|check| check["name"] == name);
    found.map_or("", |check| check["outcome"].as_str().expect("an outcome")).to_owned()
}

/// An admin of a running server.
async fn admin(program: &Program, config: &Config) -> Client {
    let admin = sign_up(program, "admin@example.org").await;
    Database::of(config).await.execute("UPDATE users SET is_admin = TRUE WHERE email_key = 'admin@example.org'").await;
    admin
}

/// Polls `/readyz` until a check has this outcome.
async fn wait_for_outcome(admin: &Client, name: &str, outcome: &str) {
    loop {
        let ready = admin.get("/readyz").answer().await;
        if ready.status == 200 && outcome_of(&ready.json(), name) == outcome {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Some stores support neither the condition nor the checksum.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_works_with_a_store_without_conditions_and_checksums() {
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
    wait_for_outcome(&admin(&program, &config).await, "store.conditions", "warning").await;
    let ann = sign_up(&program, "ann@example.org").await;
    for bytes in [b"small".to_vec(), noise(17 * MIB)] {
        let file = ann.upload("a.bin", bytes.clone()).await;
        assert!(ann.download(&file).await == bytes);
        // A URL that allows a second PUT would let its holder change a completed object.
        let path = format!("{}/signed-urls", crate::support::client::path(&file));
        let refused = ann.post(&path).json(&json!({"operation": "put"})).answer().await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["pointer"], "/operation", "{refused}");
        ann.sign(&file, "get").await;
    }
    let (_, log) = program.stop();
    assert!(log.contains("store.conditions") && log.contains("store.checksums"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_started_without_its_store_repeats_the_checks() {
    let folder = folder();
    let endpoint = s3_config().endpoint.unwrap();
    let target = format!("{}:{}", endpoint.host_str().unwrap(), endpoint.port().unwrap());
    let network = TcpProxy::to(target).await;
    network.cut();
    let config = on_s3(&folder, |s3| s3.endpoint = Some(format!("http://{}", network.address).parse().unwrap()));
    let program = Start::default().on(&config).variable("STRONGROOM_REAP_INTERVAL", "1s").serve(folder.path());
    program.anonymous().get("/readyz").answer().await.problem(503, "unavailable");
    network.restore();
    wait_for_outcome(&admin(&program, &config).await, "store.private", "ok").await;
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.txt", "kept").await;
    assert_eq!(ann.get(&content(&file)).answer().await.bytes, b"kept");
    let (_, log) = program.stop();
    assert!(log.contains("store.reach"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_requests_do_not_reach_the_store_each_time() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let gateway = FaultProxy::before(&s3_config().endpoint.unwrap(), |_| Fault::Pass).await;
    let app = app.restart_with(|config| s3(config).endpoint = Some(gateway.url.clone())).await;
    let stranger = app.anonymous();
    let asked = futures_util::future::join_all((0..50).map(|_| stranger.get("/readyz").answer())).await;
    assert!(asked.iter().all(|answer| answer.status == 200));
    assert!(gateway.requests() <= 5, "{} requests", gateway.requests());
}

#[tokio::test]
async fn secrets_that_other_users_can_read_are_reported() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let tls = |name: &str| format!("{}/tests/it/support/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(tls("key.pem"), at("key.pem")).expect("a copy");
    std::fs::write(at("strongroom.toml"), "max_file_size = \"1MB\"\n").expect("a file");
    std::fs::create_dir(at("data")).expect("a folder");
    let doctor = || {
        let start = Start::with(&["doctor", "--data-dir", "data"]);
        let start = start.variable("STRONGROOM_TLS_CERT", tls("certificate.pem"));
        start.variable("STRONGROOM_TLS_KEY", at("key.pem").to_str().unwrap()).run(folder.path(), "")
    };
    let secrets = [
        ("key.pem", "server.tls_key", 0o600),
        ("strongroom.toml", "server.settings_file", 0o600),
        ("data", "server.data_dir", 0o700),
    ];
    for (exposed, ..) in secrets {
        for (path, _, mode) in secrets {
            allow(&at(path), if path == exposed { mode | 0o044 } else { mode });
        }
        let outcome = doctor();
        for (path, name, _) in secrets {
            let expected = if path == exposed { "warning" } else { "ok" };
            assert!(line(&outcome, name).starts_with(expected), "{}", outcome.stdout);
        }
    }
}

/// A store on disk, as the server creates it.
async fn disk() -> (TestApp, std::path::PathBuf) {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let root = app.folder.path().join("files");
    (app, root)
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights to change");
}

#[tokio::test]
async fn files_and_folders_accessible_to_others_are_reported() {
    let (app, root) = disk().await;
    let config = &app.app.config;
    for (path, mode, name) in [
        (root.clone(), 0o777, "store.directory"),
        (root.join("blobs"), 0o755, "store.directory"),
        (app.folder.path().join("rows.db"), 0o644, "database.rights"),
    ] {
        let before = path.metadata().unwrap().permissions().mode();
        allow(&path, mode);
        assert_one_failure(&doctor(config, &[]), name, &["chmod", path.to_str().unwrap()]);
        allow(&path, before);
    }
    // Listing a mounted or foreign folder is only a warning: its files cannot be read.
    allow(&root, 0o755);
    let outcome = doctor(config, &[]);
    assert_eq!(outcome.status, 0, "{}", outcome.stdout);
    assert!(line(&outcome, "store.directory").starts_with("warning"), "{}", outcome.stdout);
}

/// Root, as which the tests may run, could change it; so the outcome must not depend on that.
#[tokio::test]
async fn a_folder_of_a_group_is_a_warning_and_is_written_to() {
    let (app, root) = disk().await;
    for mode in [0o2775, 0o2770] {
        for path in [root.clone(), root.join("blobs")] {
            let before = path.metadata().unwrap().permissions().mode();
            allow(&path, if path == root { mode } else { 0o2770 });
            let outcome = doctor(&app.app.config, &[]);
            assert_eq!(outcome.status, 0, "{}", outcome.stdout);
            assert!(line(&outcome, "store.directory").starts_with("warning"), "{}", outcome.stdout);
            assert!(line(&outcome, "store.write").starts_with("ok"), "{}", outcome.stdout);
            allow(&path, before);
        }
    }
    // Rights that are too wide do not hide whether it can be written to.
    allow(&root, 0o777);
    assert!(line(&doctor(&app.app.config, &[]), "store.write").starts_with("ok"));
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_named() {
    let folder = folder();
    let config = on_s3(&folder, |_| {});
    let host = match &config.store {
        StoreConfig::S3(s3) => s3.endpoint.as_ref().unwrap().host_str().unwrap().to_owned(),
        StoreConfig::Disk { .. } => unreachable!("it is on S3"),
    };
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let start = Start::with(&["doctor"]).on(&config).variable(name, "http://me:hunter2@127.0.0.1:9");
        let outcome = start.clone().run(folder.path(), "");
        assert_one_failure(&outcome, "store.reach", &["through the proxy 127.0.0.1:9", "NO_PROXY"]);
        assert!(!outcome.stdout.contains("hunter2"), "{}", outcome.stdout);
        let outcome = start.variable("NO_PROXY", &host).run(folder.path(), "");
        assert!(!line(&outcome, "store.reach").contains("proxy"), "{}", outcome.stdout);
        assert_eq!(outcome.status, 0, "{}", outcome.stdout);
    }
}

#[tokio::test]
async fn an_unusable_folder_is_reported() {
    let (app, root) = disk().await;
    let folder = folder();
    let at = |root: &Path| Config { store: StoreConfig::Disk { root: root.to_owned() }, ..app.app.config.clone() };
    let (link, file) = (folder.path().join("link"), folder.path().join("file"));
    symlink(&root, &link).unwrap();
    std::fs::write(&file, "in the way").unwrap();
    for path in [&link, &file] {
        assert_one_failure(&doctor(&at(path), &[]), "store.directory", &["is not a directory"]);
    }
    // A folder where not even root can write.
    if Path::new("/sys/kernel").is_dir() {
        for path in ["/sys/kernel", "/sys/kernel/not/there"] {
            assert_one_failure(&doctor(&at(Path::new(path)), &[]), "store.write", &["/sys/kernel"]);
        }
    }
    assert_eq!((files_below(&root.join("tmp")), files_below(&root.join("blobs"))), (0, 0));
}

both! {
    async fn a_database_of_a_newer_version_is_reported(app: TestApp) {
        app.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        ).await;
        assert_one_failure(&doctor(&app.app.config, &[]), "database.schema", &["newer version"]);
    }
}

#[test]
fn an_unreachable_database_is_reported() {
    let folder = folder();
    let mut config = on_s3(&folder, |_| {});
    config.database_url = SecretString::from("postgres://me:hunter2@127.0.0.1:9/rows".to_owned());
    let outcome = doctor(&config, &[]);
    assert_one_failure(&outcome, "database.reach", &["DATABASE_URL"]);
    assert!(line(&outcome, "store.read").starts_with("ok"), "the other checks still run");
    assert!(!outcome.stdout.contains(config.database_url.expose_secret()) && !outcome.stdout.contains("hunter2"));
}

#[test]
fn unusable_public_urls_are_reported() {
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
    async fn admins_can_read_and_repeat_the_checks(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        app.execute("UPDATE users SET is_admin = TRUE WHERE email_key = 'ann@example.org'").await;
        // This server was started without its first run of the checks.
        ann.get("/v1/admin/doctor").answer().await.problem(404, "not_found");
        bob.get("/v1/admin/doctor").answer().await.problem(403, "admin_required");
        bob.post("/v1/admin/doctor").answer().await.problem(403, "admin_required");
        let before = app.blobs_and_objects().await;
        let first = ann.post("/v1/admin/doctor").answer().await;
        assert_eq!((first.status, &first.json()["status"]), (200, &json!("ok")), "{}", first.text());
        for name in ["database.reach", "database.write", "store.write"] {
            assert_eq!(outcome_of(&first.json(), name), "ok");
        }
        for check in first.json()["checks"].as_array().unwrap() {
            assert!(!check["action"].as_str().unwrap().is_empty() && !check["observed"].as_str().unwrap().is_empty(), "{check}");
        }
        if app.setup == Setup::PostgresAndS3 {
            let s3 = s3_config();
            let secret = s3.credentials.as_ref().unwrap().secret_access_key.expose_secret().to_owned();
            assert!(!first.text().contains(&secret), "{}", first.text());
        }
        assert_eq!(app.blobs_and_objects().await, before, "the checks leave nothing behind");
        let read = ann.get("/v1/admin/doctor").answer().await.json();
        assert_eq!((&read["at"], &read["checks"]), (&first.json()["at"], &first.json()["checks"]));

        app.advance(std::time::Duration::from_secs(60));
        let again = ann.post("/v1/admin/doctor").answer().await.json();
        let time = |report: &Value| report["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(time(&again) > time(&read), "{again}");
    }
}

#[tokio::test]
async fn a_failed_check_is_reported_to_admins_with_a_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    app.execute("UPDATE users SET is_admin = TRUE").await;
    assert_eq!(ann.post("/v1/admin/doctor").answer().await.json()["status"], "ok");
    let StoreConfig::Disk { root } = &app.app.config.store else { panic!("a disk") };
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777)).unwrap();
    let report = ann.post("/v1/admin/doctor").answer().await.json();
    assert_eq!((&report["status"], outcome_of(&report, "store.directory").as_str()), (&json!("impaired"), "failed"));
    let checks = report["checks"].as_array().unwrap();
    let folder = checks.iter().find(|check| check["name"] == "store.directory").unwrap();
    assert!(folder["remedy"].as_str().unwrap().contains("chmod 700"), "{folder}");
    // After the repair, the next run finds nothing.
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(ann.post("/v1/admin/doctor").answer().await.json()["status"], "ok");
}
