//! The web page in a real browser, against the compiled program. The scripts are in web/e2e.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use strongroom::config::{AllowedTypes, Config, StoreConfig};

use crate::support::bucket_proxy::{BucketProxy, Fault, Site};
use crate::support::client::Ask;
use crate::support::program::{Program, Start};
use crate::support::{Setup, TestApp, both, print_skipped, s3_config};

/// The folder of the web page if a browser and the page's packages are installed. Otherwise prints a line that says what
/// is missing.
fn browser() -> Option<PathBuf> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let script = "const { program } = await import('./e2e/browser.mjs'); if (!program()) process.exit(75)";
    let found = Command::new("node").args(["--input-type=module", "--eval", script]).current_dir(&web).output();
    let lacking = match found {
        _ if !strongroom_web::is_built() => "this build has no web page",
        Ok(output) if output.status.success() => return Some(web),
        Ok(output) if output.status.code() == Some(75) => "no browser (apt-get install chromium, or set CHROMIUM=path)",
        _ => "no Node, or no web/node_modules, which cargo build installs",
    };
    print_skipped("the web page in a browser", lacking);
    None
}

/// The password that the operator sets, and the scripts change.
const FIRST_PASSWORD: &str = "seven quiet herons measure rain";

fn server(app: &TestApp) -> Start {
    Start::default().variable("STRONGROOM_UPLOAD_LEASE", "2s").beside(app)
}

/// Runs a script against the program.
async fn run(script: &str, setup: Setup) {
    let app = TestApp::start(setup).await;
    run_with(&app, script, "", server(&app)).await;
}

/// Deletes every object, and opens a store on disk to other users of the machine.
async fn damage(app: &TestApp) {
    for row in app.app.db.referenced_blobs("", 1000).await.expect("rows") {
        app.app.store.delete(&row.key.parse().expect("a key"), None).await.expect("it is gone");
    }
    if let StoreConfig::Disk { root } = &app.app.config.store {
        std::fs::set_permissions(root, Permissions::from_mode(0o777)).expect("the rights are changed");
    }
}

/// Runs a script with one more argument. When it prints `restart`, kills the server and starts it again at the same
/// address; `admin` creates an admin on the command line, `damage` damages the store.
async fn run_with(app: &TestApp, script: &str, argument: &str, server: Start) {
    /// A browser uses all cores; several at once would only slow each other down.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    let Some(web) = browser() else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut program: Program = server.clone().serve(app.folder.path());
    // The public URL may be that of a front.
    let banner = program.stdout();
    let (_, address) = banner.split_once("(listening on ").expect("an address");
    let url = format!("http://{}", address.split_once(')').expect("its end").0);
    let mut running = Command::new("node")
        .arg(format!("e2e/{script}"))
        .arg(&url)
        .arg(app.folder.path().join("browser"))
        .arg(argument)
        .current_dir(web)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("node starts");
    let deadline = Deadline::of(running.id());
    let mut input = running.stdin.take().expect("an input");
    let mut stderr = running.stderr.take().expect("an output");
    let errors = std::thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap_or_default());
    for line in BufReader::new(running.stdout.take().expect("an output")).lines() {
        match line.expect("a line").as_str() {
            "restart" => {
                program.kill();
                let address = url.strip_prefix("http://").expect("an address");
                program = server.clone().variable("STRONGROOM_LISTEN", address).serve(app.folder.path());
            }
            "admin" => {
                let add = ["user", "add", "boss@example.org", "--name", "Bo Boss", "--admin", "--password-stdin"];
                let outcome = Start::with(&add).beside(app).run(app.folder.path(), FIRST_PASSWORD);
                assert_eq!(outcome.status, 0, "{}", outcome.stderr);
            }
            "damage" => damage(app).await,
            other => panic!("{script} prints {other}"),
        }
        input.write_all(b"done\n").expect("the script reads");
    }
    let status = running.wait().expect("a status");
    deadline.met();
    let errors = errors.join().expect("text");
    assert!(status.success(), "{script} {argument} on {:?}: {errors}\n{}", app.setup, program.stderr());
    program.stop();
}

/// How long a script may take.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Kills a script and its browser when they take too long or the test fails: otherwise the test waits for their output.
struct Deadline(mpsc::Sender<()>);

impl Deadline {
    fn of(script: u32) -> Self {
        let (test, ended) = mpsc::channel();
        std::thread::spawn(move || {
            if ended.recv_timeout(SCRIPT_TIMEOUT).is_err() {
                let _ = Command::new("kill").args(["-KILL", "--", &format!("-{script}")]).status();
            }
        });
        Self(test)
    }

    /// The script has ended by itself.
    fn met(self) {
        let _ = self.0.send(());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_on_sqlite_and_disk() {
    run("page.mjs", Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_on_postgres_and_s3() {
    run("page.mjs", Setup::PostgresAndS3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_below_a_path_of_its_host() {
    for setup in [Setup::SqliteAndDisk, Setup::PostgresAndS3] {
        let app = TestApp::start(setup).await;
        // The script starts a front there, which removes the path.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
        let front = format!("http://{free}/files");
        run_with(&app, "subpath.mjs", &front, server(&app).variable("STRONGROOM_PUBLIC_URL", &front)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_run_no_script_on_sqlite_and_disk() {
    run("hostile.mjs", Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_run_no_script_on_postgres_and_s3() {
    run("hostile.mjs", Setup::PostgresAndS3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_survive_restarts_on_sqlite_and_disk() {
    run("uploads.mjs", Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_uploads_survive_restarts_on_postgres_and_s3() {
    run("uploads.mjs", Setup::PostgresAndS3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_through_the_server_if_the_bucket_refuses_cors() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let bucket = BucketProxy::before(s3_config().endpoint.as_ref().expect("an endpoint")).await;
    bucket.always(Site::new("OPTIONS", ""), Fault::Answer(403, ""));
    let server = server(&app).variable("STRONGROOM_S3_PUBLIC_ENDPOINT", bucket.url.as_str());
    run_with(&app, "uploads.mjs", "refused", server).await;
    assert!(browser().is_none() || bucket.clear() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sharing_works_on_sqlite_and_disk() {
    run("sharing.mjs", Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sharing_works_on_postgres_and_s3() {
    run("sharing.mjs", Setup::PostgresAndS3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_works_on_sqlite_and_disk() {
    run("admin.mjs", Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_works_on_postgres_and_s3() {
    run("admin.mjs", Setup::PostgresAndS3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_reference_loads_nothing_from_elsewhere_on_sqlite_and_disk() {
    run("docs.mjs", Setup::SqliteAndDisk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_reference_loads_nothing_from_elsewhere_on_postgres_and_s3() {
    run("docs.mjs", Setup::PostgresAndS3).await;
}

both! {
    async fn the_page_has_a_content_security_policy_and_is_cached(app: TestApp) {
        let stranger = app.anonymous();
        for screen in ["/", "/files/a/b%20c", "/search?q=x", "/trash", "/links", "/account", "/activity", "/admin/users"] {
            let page = stranger.get(screen).answer().await;
            assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{screen}");
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
            let again = stranger.get(screen).header("if-none-match", page.header("etag")).answer().await;
            assert_eq!((again.status, again.bytes.len()), (304, 0));
        }
        // The page may connect to this server and to the bucket that receives parts, and to nothing else.
        let bucket = app.sign_up("ann").await.get("/v1/capabilities").answer().await.json()["direct_uploads_to"].clone();
        assert_eq!(bucket.is_string(), app.setup == Setup::PostgresAndS3, "{bucket}");
        let page = stranger.get("/").answer().await;
        let connect = page.header("content-security-policy").split("connect-src ").nth(1).expect("a rule").to_owned();
        assert_eq!(connect, bucket.as_str().map_or("'self'".to_owned(), |bucket| format!("'self' {bucket}/")));
        let limited = |config: &mut Config| config.limits.allowed_types = AllowedTypes(vec!["image/*".into()]);
        let app = app.restart_with(limited).await;
        let stranger = app.anonymous();
        assert!(stranger.get("/").answer().await.header("content-security-policy").ends_with("connect-src 'self'"));
        stranger.get("/assets/nothing.js").answer().await.problem(404, "not_found");
        stranger.post("/").answer().await.problem(405, "method_not_allowed");

        let page = stranger.get("/").answer().await.text();
        let Some(script) = page.split('"').find(|text| text.starts_with("/assets/") && text.ends_with(".js")) else {
            assert!(!strongroom_web::is_built(), "{page}");
            return;
        };
        let plain = stranger.get(script).answer().await;
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
        for (accepted, coding) in [("br, gzip", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("identity", "")] {
            let packed = stranger.get(script).header("accept-encoding", accepted).answer().await;
            assert_eq!(packed.headers.get("content-encoding").map_or("", |value| value.to_str().unwrap()), coding);
            assert!(coding.is_empty() || packed.bytes.len() < plain.bytes.len() / 2, "{accepted}");
        }
    }
}
