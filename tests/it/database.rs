//! Every SQL statement is valid on both databases.

use crate::support::{Setup, TestApp, both};

/// The reaper runs every minute; it must not scan all ready blobs.
#[tokio::test]
async fn the_reaper_scans_only_an_index_of_due_blobs() {
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
