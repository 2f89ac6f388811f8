//! Database connections that are cut at any statement, before or after its execution: a success is committed, after an
//! error the state is either the old or the new one, and nothing is left in between.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::support::accounts::{log_in, register};
use crate::support::client::{Answer, Ask, Client, content};
use crate::support::database_proxy::{Cut, DatabaseProxy, Hit, When};
use crate::support::links::create_link;
use crate::support::{PASSWORD, Setup, TestApp, until};

async fn app_behind_a_proxy(connections: u32) -> (DatabaseProxy, TestApp) {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let mut url: Url = app.app.config.database_url.expose_secret().parse().expect("a URL");
    let target = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let proxy = DatabaseProxy::before(target).await;
    url.set_ip_host(proxy.address.ip()).expect("a host");
    url.set_port(Some(proxy.address.port())).expect("a port");
    let app = app.restart_with(|config| {
        config.database_url = SecretString::from(String::from(url));
        config.database_connections = connections;
        // So that each attempt executes the same statements.
        config.auth.session_cache_ttl = Duration::ZERO;
    });
    (proxy, app.await)
}

/// An operation that is attempted while the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Upload,
    Replace,
    Delete,
    Register,
}

use Operation::{Delete, Register, Replace, Upload};

impl Operation {
    /// The commits before the decisive one: an upload first commits its intent.
    fn earlier_commits(self) -> usize {
        matches!(self, Upload | Replace).into()
    }
}

/// One attempt of an operation, on a file or account of its own.
struct Attempt<'a> {
    app: &'a TestApp,
    ann: &'a Client,
    operation: Operation,
    name: String,
    /// The file that is replaced or deleted.
    file: Value,
}

impl<'a> Attempt<'a> {
    async fn new(app: &'a TestApp, ann: &'a Client, operation: Operation, name: String) -> Self {
        let file = match operation {
            Replace | Delete => ann.upload(&name, "old").await,
            Upload | Register => Value::Null,
        };
        Self { app, ann, operation, name, file }
    }

    async fn run(&self) -> Answer {
        match self.operation {
            Upload => self.ann.post("/v1/files").query(&[("name", &self.name)]).body("new").answer().await,
            Replace => self.ann.put(&content(&self.file)).header("if-match", "*").body("new").answer().await,
            Delete => self.ann.delete_permanently(&self.file).answer().await,
            Register => register(&self.app.anonymous(), &self.email(), "A User", PASSWORD).await,
        }
    }

    fn email(&self) -> String {
        format!("{}@example.org", self.name)
    }

    /// Whether the operation took effect. Panics if it took effect partially.
    async fn happened(&self) -> bool {
        let happened = self.is_visible().await;
        // The audit log is written a moment later, and must not be what the next cut hits.
        self.app.app.events.flush().await;
        happened
    }

    async fn is_visible(&self) -> bool {
        match self.operation {
            Register => match log_in(&self.app.anonymous(), &self.email(), PASSWORD).await.status {
                200 => true,
                status => {
                    assert_eq!(status, 401);
                    assert_eq!(self.run().await.status, 201, "the address is not taken");
                    false
                }
            },
            operation => {
                let shown = self.ann.get("/v1/files").query(&[("q", &self.name)]).answer().await.json();
                let shown = shown["items"].as_array().expect("files");
                let bytes = match shown.first() {
                    Some(file) => Some(self.ann.download(file).await),
                    None => None,
                };
                let (old, new): (Option<&[u8]>, Option<&[u8]>) = match operation {
                    Upload => (None, Some(b"new")),
                    Replace => (Some(b"old"), Some(b"new")),
                    _ => (Some(b"old"), None),
                };
                assert!(bytes.as_deref() == old || bytes.as_deref() == new, "{operation:?}: {bytes:?}");
                assert!(shown.len() <= 1, "{shown:?}");
                bytes.as_deref() == new
            }
        }
    }
}

/// Asserts that the response to an operation agrees with its effect.
fn assert_consistent(attempt: &Attempt<'_>, cut: &Cut, answer: &Answer, happened: bool) {
    let about = format!("{:?} {cut:?}: {}", attempt.operation, answer.text());
    match answer.status {
        200..300 => assert!(happened, "{about}"),
        _ => {
            let problem = answer.problem(503, "unavailable");
            assert_eq!(answer.header("retry-after"), "5", "{about}");
            assert_eq!(problem["detail"], "the database is not available");
        }
    }
}

/// Waits until requests work again, without a restart.
async fn wait_for_recovery(ann: &Client) {
    let started = Instant::now();
    while ann.get("/v1/files").answer().await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn assert_nothing_is_left(app: &TestApp, ann: &Client) {
    let files = ann.get("/v1/files?limit=1000").answer().await.json()["items"].as_array().expect("files").len();
    app.expire_leases().await;
    app.assert_nothing_but(files).await;
}

/// Cuts the connection of the operation at its first statement, its second, and so on to its last.
async fn cut_at_every_statement(operation: Operation) {
    // On one connection each attempt executes the same statements: none is prepared yet after a cut.
    let (proxy, app) = app_behind_a_proxy(1).await;
    let ann = app.sign_up("ann").await;
    for when in [When::Before, When::Late, When::Done] {
        let mut commits = 0;
        for skipped in 0.. {
            let attempt = Attempt::new(&app, &ann, operation, format!("{when:?}-{skipped}-").to_lowercase()).await;
            let cut = Cut { when, skipped, commits: false, for_all: false };
            proxy.cut(cut);
            let answer = attempt.run().await;
            let hit = proxy.restore().await;
            let happened = attempt.happened().await;
            assert_consistent(&attempt, &cut, &answer, happened);
            match hit {
                None => {
                    assert!(happened && skipped > 2, "{operation:?}, {skipped} statements: {}", answer.text());
                    break;
                }
                Some(Hit::Commit) => {
                    commits += 1;
                    let is_decisive = commits > operation.earlier_commits();
                    // A registration commits its session separately.
                    assert!(when != When::Before || !happened || operation == Register, "it was not committed");
                    assert!(when != When::Done || happened == is_decisive, "it was committed");
                    // Only the response was lost: the server finds that out from the blob's row, and waits for it if necessary.
                    let is_recovered = is_decisive && when != When::Before && matches!(operation, Upload | Replace);
                    assert!(!is_recovered || answer.status < 300, "{operation:?}: {}", answer.text());
                }
                Some(Hit::Statement) => {}
            }
        }
        let all = commits > operation.earlier_commits();
        assert!(all || operation == Register, "the commit of {operation:?} was not cut");
    }
    assert_nothing_is_left(&app, &ann).await;
}

#[tokio::test]
async fn an_upload_is_atomic() {
    cut_at_every_statement(Upload).await;
}

#[tokio::test]
async fn a_replacement_is_atomic() {
    cut_at_every_statement(Replace).await;
}

#[tokio::test]
async fn a_deletion_is_atomic() {
    cut_at_every_statement(Delete).await;
}

#[tokio::test]
async fn a_registration_is_atomic() {
    cut_at_every_statement(Register).await;
}

/// The reply to the commit that counts a download is lost. Its client has received nothing, and may start over.
#[tokio::test]
async fn a_download_whose_beginning_was_lost_can_start_over() {
    let (proxy, app) = app_behind_a_proxy(5).await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "mine").await;
    let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
    app.app.events.flush().await;
    let get = || app.anonymous().get(&format!("{}?download=1", link["url"].as_str().unwrap())).answer();
    proxy.cut(Cut { when: When::Done, skipped: 0, commits: true, for_all: false });
    assert_eq!(get().await.status, 503);
    assert_eq!(proxy.restore().await, Some(Hit::Commit));
    until(async || app.count("SELECT COUNT(*) FROM link_downloads WHERE open_responses > 0").await == 0).await;
    let answer = get().await;
    assert_eq!((answer.status, &answer.bytes[..]), (200, &b"mine"[..]));
}

/// The database becomes unavailable at the commit: the server cannot find out whether it was executed.
#[tokio::test]
async fn an_operation_with_unknown_outcome_is_atomic() {
    let cases = [Upload, Replace, Delete]
        .into_iter()
        .flat_map(|operation| [(operation, When::Before), (operation, When::Done)]);
    join_all(cases.map(async |(operation, when)| {
        let (proxy, app) = app_behind_a_proxy(4).await;
        let ann = app.sign_up("ann").await;
        let attempt = Attempt::new(&app, &ann, operation, "a".into()).await;
        let cut = Cut { when, skipped: operation.earlier_commits(), commits: true, for_all: true };
        proxy.cut(cut);
        let answer = attempt.run().await;
        assert_eq!(answer.status, 503, "{cut:?}: {}", answer.text());
        assert_eq!(proxy.restore().await, Some(Hit::Commit), "{operation:?}");
        wait_for_recovery(&ann).await;
        let happened = attempt.happened().await;
        assert_consistent(&attempt, &cut, &answer, happened);
        assert_eq!(happened, when == When::Done, "{operation:?} {cut:?}");
        assert_nothing_is_left(&app, &ann).await;
    }))
    .await;
}
