//! Every SQL statement is one that both databases understand.

use crate::support::{Setup, TestApp, both};

both! {
    async fn every_statement_can_be_prepared(app: TestApp) {
        let statements = app.app.db.prepare_every_statement().await.unwrap();
        assert!(statements > 100, "{statements}");
    }
}
