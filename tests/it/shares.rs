//! No client takes the database from others: statements have shares of the connections and a time limit, and stop when
//! nobody waits for them.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use strongroom::budget::Party;
use strongroom::db::Client as DatabaseClient;
use strongroom::error::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::{Ask, Client, path};
use crate::support::raw::{connect, rest, status};
use crate::support::{Database, Setup, TestApp, both, until};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Starts statements of one client that never end, more than it may run.
fn start_endless(app: &TestApp, party: Party) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..app.app.config.database_connections * 2 {
        let (db, client) = (app.app.db.clone(), DatabaseClient::new(party));
        tasks.spawn(client.scope(async move { drop(db.read_endlessly().await) }));
    }
    tasks
}

/// Sends a request of an account and then closes this half of the connection.
async fn send_and_close(app: &TestApp, client: &Client, request: &str, body: &str) -> TcpStream {
    let mut stream = connect(app).await;
    let (token, length) = (client.token.as_deref().unwrap(), body.len());
    let head =
        format!("{request} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json");
    stream.write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

/// The endless statements that PostgreSQL runs now; SQLite does not tell.
async fn running(app: &TestApp) -> i64 {
    match Database::of(&app.app.config).await {
        Database::Sqlite(_) => 0,
        database => {
            let count = database
                .count(
                    "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                        AND query LIKE 'WITH RECURSIVE n (i)%'",
                )
                .await;
            database.close().await;
            count
        }
    }
}

both! {
    async fn one_account_does_not_take_all_connections_and_hanging_up_stops_its_statements(app: TestApp) {
        let app = app.restart_with(|config| config.database_connections = 8).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let account = ann.get("/v1/me").answer().await.json()["id"].as_str().unwrap().parse().unwrap();
        let tasks = start_endless(&app, Party::Account(account));
        let expected = if matches!(app.setup, Setup::PostgresAndS3) { 2 } else { 0 };
        until(async || running(&app).await == expected).await;
        for number in 0..10 {
            assert_eq!(bob.get("/v1/files?q=a").answer().await.status, 200);
            bob.upload(&number.to_string(), "content").await;
        }
        assert!(running(&app).await <= 2, "it has more than a quarter");
        drop(tasks);
        until(async || running(&app).await == 0).await;
        assert_eq!(ann.get("/v1/files?q=a").answer().await.json()["items"], json!([]));
    }

    async fn a_statement_is_stopped_at_its_time_limit(app: TestApp) {
        let app = app.restart_with(|config| config.statement_timeout = Duration::from_millis(100)).await;
        // More often than there are connections.
        for _ in 0..app.app.config.database_connections + 1 {
            let stopped = DatabaseClient::new(Party::at(ADDRESS)).scope(app.app.db.read_endlessly()).await;
            assert!(matches!(stopped, Err(Error::StatementTimeout { .. })), "{stopped:?}");
        }
        until(async || running(&app).await == 0).await;
        app.sign_up("ann").await.upload("a", "content").await;
    }

    async fn a_client_that_has_gone_keeps_no_request_that_only_reads(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "content").await;
        let account = ann.get("/v1/me").answer().await.json()["id"].as_str().unwrap().parse().unwrap();
        let tasks = start_endless(&app, Party::Account(account));
        // Both wait for a connection of the share.
        let read = send_and_close(&app, &ann, "GET /v1/files?q=a", "").await;
        let change = send_and_close(&app, &ann, &format!("PATCH {}", path(&file)), r#"{"name": "b"}"#).await;
        let (read, change) = tokio::join!(rest(read), async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(tasks);
            rest(change).await
        });
        assert_eq!(read, "", "it was dropped");
        assert_eq!(status(&change), 200, "the client may still wait: {change}");
    }

    async fn an_address_that_uses_up_its_share_does_not_make_the_server_unready(app: TestApp) {
        let tasks = start_endless(&app, Party::at(std::net::Ipv4Addr::LOCALHOST.into()));
        let ready = app.anonymous().get("/readyz").answer().await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        drop(tasks);
    }
}
