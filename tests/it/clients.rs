//! Third-party clients against the compiled program, which is killed while they upload. Their scripts are in
//! tests/clients/uploads.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::bytes::noise;
use crate::support::client::{Ask, Client};
use crate::support::program::Start;
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, third_party, until};

const MIB: usize = 1024 * 1024;
/// The folder of the installed clients.
fn installed() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| third_party::install("uploads")).as_deref()
}

/// Lets a client upload 17 MiB to this endpoint while the server is killed at this point and started again. Checks that
/// there is one file, and returns the URL that the client prints, and the bytes.
async fn upload_across_a_kill(
    app: &TestApp,
    ann: &Client,
    (client, endpoint): (&[&str], &str),
    (point, chunk): (&str, usize),
    folder: &Path,
) -> (url::Url, Vec<u8>) {
    let bytes = noise(17 * MIB + 5);
    let name = format!("{}-{chunk}.bin", point.replace(|c: char| !c.is_alphanumeric(), "-"));
    let path = app.folder.path().join(&name);
    std::fs::write(&path, &bytes).expect("a file");
    let server = || {
        let lease = Start::default().variable("STRONGROOM_UPLOAD_LEASE", "1s").variable("STRONGROOM_PART_SIZE", "5MiB");
        lease.beside(app)
    };

    let program = server().variable("FAILPOINTS", point).serve(app.folder.path());
    let address = program.url.strip_prefix("http://").expect("an address").to_owned();
    let uploading = Command::new(client[0])
        .args(&client[1..])
        .arg(format!("{}{endpoint}", program.url))
        .arg(ann.token.as_deref().expect("a token"))
        .arg(&path)
        .arg(chunk.to_string())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    assert_eq!(program.ended().0.signal(), Some(9), "{point}");
    let program = server().variable("STRONGROOM_LISTEN", address).serve(app.folder.path());

    let output = uploading.wait_with_output().expect("a status");
    assert!(output.status.success(), "{client:?}, {point}: {}", String::from_utf8_lossy(&output.stderr));
    let url: url::Url = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a URL");
    let listed = ann.get("/v1/files").query(&[("q", &name)]).answer().await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    program.stop();
    (url, bytes)
}

/// The content of the file of a completed tus upload.
async fn tus_content(ann: &Client, url: &url::Url) -> Vec<u8> {
    Tus { path: url.path().to_owned() }.file(ann).await.bytes
}

async fn upload_survives_kills(client: &[&str]) {
    let Some(folder) = installed() else { return };
    for setup in [Setup::SqliteAndDisk, Setup::PostgresAndS3] {
        let app = TestApp::start(setup).await;
        let ann = app.sign_up("ann").await;
        for (point, chunk) in [("T1=1*off->return", 18 * MIB), ("T2=1*off->return", 6 * MIB), ("T5=return", 6 * MIB)] {
            let (url, bytes) = upload_across_a_kill(&app, &ann, (client, "/v1/tus"), (point, chunk), folder).await;
            assert!(tus_content(&ann, &url).await == bytes, "{client:?}, {point}");
        }
        assert_tidy(&app).await;
    }
}

async fn assert_tidy(app: &TestApp) {
    until(async || {
        app.reap().await;
        app.count("SELECT COUNT(*) FROM blobs WHERE state <> 'ready'").await == 0
    })
    .await;
    app.assert_nothing_but(app.count("SELECT COUNT(*) FROM files").await as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_uploads_survive_kills() {
    upload_survives_kills(&["node", "tus.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuspy_uploads_survive_kills() {
    upload_survives_kills(&["venv/bin/python", "tus.py"]).await;
}

/// Parts go straight to the store, the completion to the Companion endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn uppy_uploads_survive_kills() {
    let Some(folder) = installed() else { return };
    for (setup, points) in
        [(Setup::SqliteAndDisk, ["P1=1*off->return", "P2=return"]), (Setup::PostgresAndS3, ["M5=return", "P2=return"])]
    {
        let app = TestApp::start(setup).await;
        let ann = app.sign_up("ann").await;
        for point in points {
            let client = (&["node", "uppy.mjs"][..], "/v1/companion");
            let (url, bytes) = upload_across_a_kill(&app, &ann, client, (point, 0), folder).await;
            assert!(ann.get(url.path()).answer().await.bytes == bytes, "{point}");
        }
        assert_tidy(&app).await;
    }
}
