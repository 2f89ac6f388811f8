//! The SQL statements: both databases understand every one, and none is missing.

use std::path::Path;

use crate::support::{Setup, TestApp, both};

/// The reaper runs every minute; it must not read the blobs that are ready.
#[tokio::test]
async fn the_reaper_scans_an_index_of_what_is_due() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    for sql in app.app.db.statements().iter().filter(|sql| sql.contains("state <> 'ready'")) {
        let plan = app.plan(sql).await;
        assert!(plan.contains("blobs_to_reap"), "{sql}: {plan}");
    }
}

/// Other tests check every statement that is registered.
#[test]
fn every_statement_is_registered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db");
    let register = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_file() && std::fs::read_to_string(&path).unwrap().contains("\nstatements! {") {
            assert!(register.contains(&format!("    {name}::STATEMENTS,\n")), "src/db/{name}.rs");
        }
    }
}

both! {
    async fn every_statement_can_be_prepared(app: TestApp) {
        let statements = app.app.db.prepare_every_statement().await.unwrap();
        assert!(statements > 100, "{statements}");
    }
}
