//! Every SQL statement is one that both databases understand.

use crate::support::{Setup, TestApp, both};

/// The reaper looks every minute; it must not walk through everything that is ready.
#[tokio::test]
async fn the_reaper_walks_an_index_of_what_is_due_alone() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    for sql in app.app.db.statements().iter().filter(|sql| sql.contains("state <> 'ready'")) {
        let plan = app.plan(sql).await;
        assert!(plan.contains("blobs_to_reap"), "{sql}: {plan}");
    }
}

both! {
    async fn every_statement_can_be_prepared(app: TestApp) {
        let statements = app.app.db.prepare_every_statement().await.unwrap();
        assert!(statements > 100, "{statements}");
    }
}
