//! The command line: start without settings, configuration errors, shutdown, logs, and the commands.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use strongroom::config::StoreConfig;
use tempfile::TempDir;

use crate::support::accounts::{log_in, sign_up, signed_in};
use crate::support::bytes::noise;
use crate::support::client::{Ask, content};
use crate::support::program::{Outcome, Program, Start};
use crate::support::{PASSWORD, Setup, TestApp, both};

const MIB: usize = 1024 * 1024;
const SECRET: &str = "hunter2-hunter2-hunter2-hunter2";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[tokio::test]
async fn it_starts_without_settings_and_prints_the_next_step() {
    let folder = folder();
    let program = Start::default().serve(folder.path());
    let banner = program.stdout();
    let address = program.url.strip_prefix("http://").unwrap();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{banner}");
    for expected in [address, "strongroom-data/strongroom.db", "strongroom-data/files", "strongroom user add"] {
        assert!(banner.contains(expected), "{expected} in {banner}");
    }
    // The command in the banner works verbatim.
    let (body, rest) =
        banner.split_once("-d '").and_then(|(_, rest)| rest.split_once('\'')).expect("a command to register");
    assert_eq!(rest.trim(), program.url.clone() + "/v1/auth/register");
    let request = program.anonymous().post("/v1/auth/register").header("content-type", "application/json");
    let answer = request.body(body.to_owned()).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let first = signed_in(&program, &answer.json());
    let file = first.upload("a.txt", "kept").await;
    let (_, log) = program.stop();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");

    let program = Start::default().serve(folder.path());
    assert!(!program.stdout().contains("user add"), "there is an account: {}", program.stdout());
    let again = program.anonymous().with_token(first.token.as_deref().unwrap(), &json!(first.id));
    assert_eq!(again.download(&file).await, b"kept");
    program.stop();
}

#[tokio::test]
async fn its_files_are_accessible_to_their_owner_only() {
    let folder = folder();
    let program = Start::default().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    ann.upload("a.bin", noise(MIB)).await;
    let data = folder.path().join("strongroom-data");
    assert!(data.join("secret.key").is_file());
    assert!(data.join("strongroom.db-wal").is_file(), "the write-ahead log contains rows too");
    let too_open = open_to_others(&data);
    assert!(too_open.is_empty(), "{too_open:#?}");
    program.stop();
    assert!(open_to_others(&data).is_empty());
}

/// The files and folders below and including this one that other users may access.
fn open_to_others(path: &Path) -> Vec<String> {
    let mode = path.symlink_metadata().expect("metadata").permissions().mode() & 0o7777;
    let expected = if path.is_dir() { 0o700 } else { 0o600 };
    let mut found = Vec::new();
    if mode != expected {
        found.push(format!("{} {mode:o}", path.display()));
    }
    if path.is_dir() {
        let entries = path.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path());
        found.extend(entries.flat_map(|entry| open_to_others(&entry)));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_a_running_download() {
    let folder = folder();
    let mut program = Start::default().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let bytes = noise(32 * MIB);
    let file = ann.upload("a.bin", bytes.clone()).await;
    let mut download = ann.get(&content(&file)).send().await.expect("an answer");
    let mut received = download.chunk().await.expect("bytes").expect("a first chunk").to_vec();
    program.terminate();
    program.wait_for(|program| program.stderr().contains("stopping"));
    let address = program.url.strip_prefix("http://").unwrap().to_owned();
    program.wait_for(|_| std::net::TcpStream::connect(&address).is_err());
    while let Some(chunk) = download.chunk().await.expect("the rest") {
        received.extend_from_slice(&chunk);
    }
    assert!(received == bytes);
    let (status, _, log) = program.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_stops_waiting_after_the_deadline_or_a_second_signal() {
    let folder = folder();
    for (deadline, status) in [("1s", Some(0)), ("1h", Some(1))] {
        let start = Start::default().variable("STRONGROOM_SHUTDOWN_DEADLINE", deadline);
        let mut program = start.serve(folder.path());
        let ann = sign_up(&program, &format!("ann-{deadline}@example.org")).await;
        let file = ann.upload("a.bin", noise(32 * MIB)).await;
        let mut download = ann.get(&content(&file)).send().await.expect("an answer");
        download.chunk().await.expect("bytes").expect("a first chunk");
        program.terminate();
        program.wait_for(|program| program.stderr().contains("stopping"));
        if status == Some(1) {
            program.terminate();
        }
        let (ended, _, log) = program.ended();
        assert_eq!(ended.code(), status, "{log}");
        assert!(!log.contains("panicked"), "{log}");
        // The client can see that the response is incomplete.
        while let Ok(chunk) = download.chunk().await {
            assert!(chunk.is_some(), "the response looks complete");
        }
    }
}

#[test]
fn invalid_settings_are_reported_in_one_line_that_names_them() {
    const KEY: &str = "c2hvcnQ";
    for (arguments, variables, name) in [
        (&[][..], &[("STRONGROOM_LISTEN", "localhost")][..], "STRONGROOM_LISTEN"),
        (&[], &[("STRONGROOM_LISTEN", "0.0.0.0:0")], "STRONGROOM_PUBLIC_URL"),
        (&[], &[("STRONGROOM_LISTEN", "[::]:0")], "STRONGROOM_PUBLIC_URL"),
        (
            &[],
            &[("STRONGROOM_LISTEN", "0.0.0.0:0"), ("STRONGROOM_PUBLIC_URL", "http://127.0.0.1")],
            "STRONGROOM_REGISTRATION",
        ),
        (&[], &[("STRONGROOM_PUBLIC_URL", "https://files.example.org")], "STRONGROOM_REGISTRATION"),
        (&[], &[("STRONGROOM_REGISTRATION", "maybe")], "STRONGROOM_REGISTRATION"),
        (&[], &[("STRONGROOM_PUBLIC_URL", "files.example.org")], "STRONGROOM_PUBLIC_URL"),
        (&[], &[("STRONGROOM_SECRET_KEY", KEY)], "STRONGROOM_SECRET_KEY"),
        (&[], &[("STRONGROOM_SECRET_KEY", SECRET)], "STRONGROOM_SECRET_KEY"),
        (&["--secret-key", SECRET], &[], "--secret-key"),
        (&[], &[("DATABASE_URL", "mysql://me:hunter2-hunter2-hunter2-hunter2@db/rows")], "DATABASE_URL"),
        (&[], &[("DATABASE_URL", "sqlite::memory:")], "DATABASE_URL"),
        (&[], &[("STORE_URL", "ftp://somewhere")], "STORE_URL"),
        (&[], &[("STORE_URL", "s3://AKIA:hunter2-hunter2-hunter2-hunter2@bucket")], "STORE_URL"),
        (&[], &[("STORE_URL", "s3://bucket")], "AWS_REGION"),
        (
            &[],
            &[("STORE_URL", "s3://bucket"), ("AWS_REGION", "eu-central-1"), ("AWS_SECRET_ACCESS_KEY", SECRET)],
            "AWS_ACCESS_KEY_ID",
        ),
        (&[], &[("STRONGROOM_TLS_CERT", "chain.pem")], "STRONGROOM_TLS_KEY"),
        (&[], &[("STRONGROOM_TRUSTED_PROXIES", "everybody")], "STRONGROOM_TRUSTED_PROXIES"),
        (&[], &[("STRONGROOM_PART_SIZE", "1MiB")], "STRONGROOM_PART_SIZE"),
        (&[], &[("STRONGROOM_UPLOAD_MEMORY", "6MiB"), ("STRONGROOM_PART_SIZE", "7MiB")], "STRONGROOM_UPLOAD_MEMORY"),
        (&[], &[("STRONGROOM_SIGNED_URL_MAX_LIFETIME", "8d")], "STRONGROOM_SIGNED_URL_MAX_LIFETIME"),
        (&[], &[("STRONGROOM_SESSION_LIFETIME", "forever")], "STRONGROOM_SESSION_LIFETIME"),
        (&[], &[("STRONGROOM_LOGINS_PER_ACCOUNT", "0")], "STRONGROOM_LOGINS_PER_ACCOUNT"),
        (&[], &[("STRONGROOM_LOG", "verbose")], "STRONGROOM_LOG"),
        (&["--header-timeout", "soon"], &[], "STRONGROOM_HEADER_TIMEOUT"),
        (&["--config", "missing.toml"], &[], "missing.toml"),
        (&["--no-such-flag"], &[], "--no-such-flag"),
        (&["fly"], &[], "fly"),
        (&["user", "add"], &[], "EMAIL"),
    ] {
        let folder = folder();
        let start = variables.iter().fold(Start::with(arguments), |start, (name, value)| start.variable(name, *value));
        let Outcome { status, stdout, stderr } = start.run(folder.path(), "");
        let case = format!("{arguments:?} {variables:?}: {stderr}");
        assert_eq!((status, stdout.as_str()), (2, ""), "{case}");
        assert!(stderr.starts_with("strongroom: ") && stderr.lines().count() == 1, "{case}");
        assert!(stderr.contains(name), "{case}");
        assert!(!stderr.contains("hunter2") && !stderr.contains(KEY), "{case}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing was created: {case}");
    }
}

#[test]
fn errors_in_the_configuration_file_are_located_but_not_quoted() {
    for (text, expected) in [
        ("listen = \"127.0.0.1:0\"\nsecret_key = hunter2", "strongroom.toml line 2"),
        ("secert_key = \"hunter2\"", "unknown setting secert_key; did you mean secret_key?"),
        ("secret_key = \"hunter2\"", "strongroom.toml: secret_key"),
        ("[secret_key]\nvalue = \"hunter2\"", "strongroom.toml: secret_key"),
    ] {
        let folder = folder();
        std::fs::write(folder.path().join("strongroom.toml"), text).unwrap();
        let Outcome { status, stderr, .. } = Start::default().run(folder.path(), "");
        assert_eq!((status, stderr.lines().count()), (2, 1), "{stderr}");
        assert!(stderr.contains(expected) && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[test]
fn an_unknown_variable_stops_every_command_with_a_suggestion() {
    let folder = folder();
    for arguments in [&[][..], &["serve"], &["config"], &["user", "list"], &["reap"], &["fsck"], &["doctor"]] {
        let start = Start::with(arguments).variable("STRONGROOM_REGISTRATON", "closed");
        let Outcome { status, stdout, stderr } = start.run(folder.path(), "");
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        let line = "strongroom: unknown variable STRONGROOM_REGISTRATON; did you mean STRONGROOM_REGISTRATION?\n";
        assert_eq!(stderr, line, "{arguments:?}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing was created");
}

#[test]
fn unavailable_resources_are_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = format!("postgres://me:{SECRET}@127.0.0.1:1/rows");
    for (name, value, expected) in [
        ("STRONGROOM_LISTEN", address.as_str(), "address already in use"),
        ("STRONGROOM_LISTEN", "192.0.2.1:3000", "STRONGROOM_PUBLIC_URL"),
        ("STRONGROOM_DATA_DIR", "a file/data", "a file/data"),
        ("DATABASE_URL", &database, "DATABASE_URL"),
        ("DATABASE_URL", "sqlite:/nowhere/at/all.db", "/nowhere/at/all.db"),
        ("STRONGROOM_TLS_CERT", "missing.pem", "STRONGROOM_TLS_CERT"),
        ("STORE_URL", "file:a%20file/store", "STORE_URL"),
    ] {
        let folder = folder();
        std::fs::write(folder.path().join("a file"), "in the way").unwrap();
        let mut start = Start::default().variable(name, value);
        if name != "STRONGROOM_LISTEN" {
            start = start.variable("STRONGROOM_LISTEN", "127.0.0.1:0");
        }
        if name == "STRONGROOM_TLS_CERT" {
            start = start.variable("STRONGROOM_TLS_KEY", value);
        }
        let Outcome { status, stdout, stderr } = start.run(folder.path(), "");
        assert!(status == 1 || status == 2, "{status}: {stderr}");
        assert!(stderr.starts_with("strongroom: ") && stderr.lines().count() == 1, "{stderr}");
        assert!(stderr.contains(expected) && !stderr.contains("hunter2") && stdout.is_empty(), "{stderr}");
    }
}

#[tokio::test]
async fn accounts_can_be_managed_while_the_server_runs() {
    let folder = folder();
    let program = Start::default().variable("STRONGROOM_REGISTRATION", "closed").serve(folder.path());
    let command = |arguments: &[&str], input: &str| Start::with(arguments).run(folder.path(), input);
    let ok = |outcome: Outcome| {
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        outcome.stdout
    };
    // A password is generated and shown once ...
    let output = ok(command(&["user", "add", "Ann@example.org", "--admin"], ""));
    let password = output.lines().find_map(|line| line.split_once("): ")).expect("a password").1.to_owned();
    let session = log_in(&program.anonymous(), "ann@example.org", &password).await;
    assert_eq!(session.status, 200, "{}", session.text());
    assert_eq!((&session.json()["user"]["is_admin"], &session.json()["user"]["name"]), (&json!(true), &json!("Ann")));
    // The user must change it, unless the operator says otherwise.
    assert_eq!(session.json()["user"]["must_change_password"], true);
    let ann = signed_in(&program, &session.json());
    // ... or is read from standard input, and not shown.
    let output = ok(command(
        &["user", "add", "bob@example.org", "--name", "Bob B.", "--password-stdin", "--permanent"],
        &format!("{PASSWORD}\n"),
    ));
    assert!(!output.contains(PASSWORD), "{output}");
    let session = log_in(&program.anonymous(), "bob@example.org", PASSWORD).await;
    assert_eq!((session.status, &session.json()["user"]["must_change_password"]), (200, &json!(false)));

    let list = ok(command(&["user", "list"], ""));
    assert!(list.lines().count() == 2 && list.contains("Ann@example.org") && list.contains("Bob B."), "{list}");
    let list: Value = serde_json::from_str(&ok(command(&["user", "list", "--json"], ""))).expect("JSON");
    assert_eq!(list.as_array().unwrap().len(), 2);

    let refused = command(&["user", "disable", "ann@example.org"], "");
    assert!(refused.status == 1 && refused.stderr.contains("the last admin"), "{}", refused.stderr);
    ok(command(&["user", "add", "dan@example.org", "--admin"], ""));
    ok(command(&["user", "disable", "ANN@example.org"], ""));
    ann.get("/v1/me").answer().await.problem(401, "unauthorized");
    log_in(&program.anonymous(), "ann@example.org", &password).await.problem(401, "bad_credentials");
    assert!(ok(command(&["user", "list"], "")).contains("disabled"));
    ok(command(&["user", "enable", "ann@example.org"], ""));
    let session = log_in(&program.anonymous(), "ann@example.org", &password).await;
    let ann = signed_in(&program, &session.json());

    let quota = |arguments: &[&str]| ok(command(&[&["user", "quota", "bob@example.org"], arguments].concat(), ""));
    assert_eq!(
        quota(&["--bytes", "10GB", "--files", "1000"]),
        "bob@example.org uses 0 B of 10.0 GB, 0 of 1000 files\n"
    );
    assert_eq!(quota(&["--bytes", "unlimited"]), "bob@example.org uses 0 B, 0 of 1000 files\n");
    assert_eq!(quota(&["--files", "default"]), "bob@example.org uses 0 B, 0 files\n");
    assert!(ok(command(&["user", "list"], "")).contains("0 B, 0 files"));
    assert_eq!(ok(command(&["user", "recount"], "")), "corrected the usage of 0 users\n");

    ok(command(&["user", "set-password", "ann@example.org", "--password-stdin"], &format!("{PASSWORD}\r\n")));
    ann.get("/v1/me").answer().await.problem(401, "unauthorized");
    log_in(&program.anonymous(), "ann@example.org", &password).await.problem(401, "bad_credentials");
    let session = log_in(&program.anonymous(), "ann@example.org", PASSWORD).await;
    assert_eq!((session.status, &session.json()["user"]["must_change_password"]), (200, &json!(true)));

    for (arguments, input, status) in [
        (&["user", "add", "bob@example.org"][..], "", 1),
        (&["user", "add", "no address"], "", 2),
        (&["user", "add", "cleo@example.org", "--password-stdin"], "", 2),
        (&["user", "add", "cleo@example.org", "--password-stdin"], "password123\n", 2),
        (&["user", "disable", "nobody@example.org"], "", 1),
        (&["user", "set-password", "nobody@example.org"], "", 1),
        (&["user", "quota", "nobody@example.org"], "", 1),
        (&["user", "quota", "bob@example.org", "--bytes", "much"], "", 2),
    ] {
        let outcome = command(arguments, input);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (status, ""), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.lines().count() == 1 && !outcome.stderr.contains("password123"), "{}", outcome.stderr);
    }
    program.stop();
}

#[tokio::test]
async fn the_reap_command_runs_the_reaper_once() {
    let folder = folder();
    let program = Start::default().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let file = ann.upload("a.txt", "to go").await;
    assert_eq!(ann.delete_permanently(&file).answer().await.status, 204);
    let outcome = Start::with(&["reap"]).run(folder.path(), "");
    assert_eq!((outcome.status, outcome.stdout.lines().count()), (0, 1), "{} {}", outcome.stdout, outcome.stderr);
    program.stop();
}

#[test]
fn the_config_command_prints_the_settings_without_secrets() {
    let folder = folder();
    let start = Start::with(&["config", "--page-limit", "77"])
        .variable("STRONGROOM_SECRET_KEY", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
        .variable("DATABASE_URL", format!("postgres://me:{SECRET}@db.example.org/rows?password={SECRET}"))
        .variable("STORE_URL", "s3://bucket/here")
        .variable("AWS_REGION", "eu-central-1")
        .variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", SECRET)
        .variable("AWS_SESSION_TOKEN", SECRET);
    let Outcome { status, stdout, stderr } = start.run(folder.path(), "");
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains("page_limit = 77") && stdout.contains("s3://bucket/here"), "{stdout}");
    assert!(!stdout.contains("hunter2") && !stdout.contains("00112233"), "{stdout}");
    // The output is a valid configuration file.
    assert!(stdout.parse::<toml::Table>().is_ok(), "{stdout}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

both! {
    async fn the_log_contains_no_secrets_at_trace_level(app: TestApp) {
        let mut secrets: Vec<String> = vec![PASSWORD.into(), "not her password".into(), "violet tractor under rain".into()];
        let folder = folder();
        let mut start = Start::with(&["--log", "trace,sqlx=trace,object_store=trace,tower_http=trace,axum=trace,axum_server=trace,hyper=trace,hyper_util=trace,reqwest=trace,h2=trace,rustls=trace"])
            .variable("STRONGROOM_SECRET_KEY", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
        secrets.push("00112233".into());
        if let StoreConfig::S3(s3) = &app.app.config.store {
            let credentials = s3.credentials.as_ref().unwrap();
            start = start.beside(&app);
            secrets.push(credentials.secret_access_key.expose_secret().to_owned());
            let url: url::Url = app.app.config.database_url.expose_secret().parse().unwrap();
            secrets.extend(url.password().filter(|password| password.len() > 3).map(str::to_owned));
        }
        let program = start.serve(folder.path());
        secrets.extend(use_secrets(&program).await);
        let (stdout, stderr) = program.stop();
        assert!(stderr.contains("/v1/files") && stderr.contains("signed in"), "the log is empty: {stderr}");
        for secret in secrets {
            for text in [&stdout, &stderr] {
                let line = text.lines().find(|line| line.contains(&secret));
                assert_eq!(line, None, "{secret} is in the log");
            }
        }
    }
}

/// Sends valid and invalid requests of every kind that contains secrets, and returns the secrets.
async fn use_secrets(program: &Program) -> Vec<String> {
    let ann = sign_up(program, "ann@example.org").await;
    let mut secrets = vec![ann.token.clone().unwrap()];
    log_in(&program.anonymous(), "ann@example.org", "not her password").await.problem(401, "bad_credentials");
    let cookie = format!("strongroom={}", ann.token.as_deref().unwrap());
    assert_eq!(program.anonymous().get("/v1/me").header("cookie", cookie).answer().await.status, 200);
    let token = ann.post("/v1/me/tokens").json(&json!({"name": "a"})).answer().await.json()["token"].clone();
    let machine = program.anonymous().with_token(token.as_str().unwrap(), &json!(ann.id));
    let file = machine.upload("a.bin", noise(9 * MIB)).await;

    for operation in ["get", "head", "put"] {
        let signed = ann.sign(&file, operation).await;
        let url: url::Url = signed["url"].as_str().unwrap().parse().unwrap();
        secrets.extend(url.query_pairs().filter(|(_, value)| value.len() >= 32).map(|(_, value)| value.into_owned()));
        let mut request =
            program.anonymous().request(signed["method"].as_str().unwrap().parse().unwrap(), url.as_str());
        for (name, value) in signed["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let answer = request.body(if operation == "put" { "new bytes" } else { "" }).answer().await;
        assert!((200..300).contains(&answer.status), "{operation}: {}", answer.text());
        if operation == "put" {
            let complete = format!("/v1/uploads/{}/complete", signed["upload_id"].as_str().unwrap());
            assert_eq!(ann.post(&complete).answer().await.status, 200);
        }
        // With an altered signature, and to a path that does not exist.
        let altered = url.as_str().replace("xpires=", "xpires=1");
        assert_ne!(program.anonymous().get(&altered).answer().await.status, 200);
        let elsewhere = format!("{}/v1/elsewhere?{}", program.url, url.query().unwrap());
        program.anonymous().get(&elsewhere).answer().await.problem(404, "not_found");
    }
    // Secrets in the wrong places.
    for (body, content_type) in [
        (format!(r#"{{"email": "ann@example.org", "password": "{PASSWORD}""#), "application/json"),
        (format!(r#"{{"email": "ann@example.org", "password": ["{PASSWORD}"]}}"#), "application/json"),
        (format!(r#"{{"email": "{PASSWORD}", "password": 1}}"#), "application/json"),
        (format!("password={PASSWORD}"), "application/x-www-form-urlencoded"),
    ] {
        let request = program.anonymous().post("/v1/auth/login").header("content-type", content_type);
        assert!(request.body(body).answer().await.status >= 400);
    }
    let (most, last) = token.as_str().unwrap().split_at(39);
    let almost = format!("{most}{}", if last == "x" { "y" } else { "x" });
    program.anonymous().get("/v1/me").bearer_auth(&almost).answer().await.problem(401, "unauthorized");
    let body = json!({"current_password": PASSWORD, "password": "violet tractor under rain"});
    assert_eq!(ann.patch("/v1/me").json(&body).answer().await.status, 200);
    assert_eq!(ann.post("/v1/auth/logout").answer().await.status, 204);
    secrets.extend([token.as_str().unwrap().to_owned(), almost]);
    // Only the random part of a token is secret, not its prefix and its checksum.
    let random: Vec<String> =
        secrets.iter().filter(|text| text.len() == 40).map(|text| text[4..34].to_owned()).collect();
    [secrets, random].concat()
}
