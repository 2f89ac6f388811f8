//! Microbenchmarks of single steps of a request: `cargo bench --bench micro`.
//!
//! Lists are read from SQLite and, if `STRONGROOM_TEST_DATABASE_URL` is set, from PostgreSQL. With
//! `STRONGROOM_BENCH_MILLION=1` one of the owners has a million files, which takes minutes to create.

#![allow(clippy::disallowed_methods, reason = "clippy.toml is about the server")]

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{StreamExt, TryStreamExt, stream};
use secrecy::SecretString;
use strongroom::access::{Subject, Tree};
use strongroom::app::App;
use strongroom::clock::Clock;
use strongroom::config::{Config, S3Config, S3Credentials, Uploads};
use strongroom::files::uploads::{Meter, metered};
use strongroom::files::{self, List, content_disposition};
use strongroom::http::form::{self, AllowedFields};
use strongroom::store::{ByteStream, Key, Operation, S3Store, SignRequest, Store, UrlSigner};
use strongroom::users::{self, NewAccount, User};
use tokio::runtime::Runtime;
use uuid::Uuid;

criterion_group!(benches, signing, dispositions, hashing, forms, lists);
criterion_main!(benches);

const KIB: usize = 1024;

/// The usual size of the chunks in which a body is received, in bytes.
const CHUNK: usize = 16 * KIB;

fn signing(criterion: &mut Criterion) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (clock, key) = (Clock::default(), Key::random());
    let disposition = content_disposition("invoice-00017.pdf", true);
    let request = SignRequest {
        operation: Operation::Get,
        key: &key,
        now: clock.now(),
        expires_in: Duration::from_secs(900),
        disposition: Some(&disposition),
        content_type: Some("application/pdf"),
        part: None,
        generation: 0,
    };
    let mut group = criterion.benchmark_group("sign a URL");
    let ours = UrlSigner::new(&[7; 32], "https://files.example.org".parse().expect("a URL"), clock.clone());
    group.bench_function("the server's own", |bencher| bencher.iter(|| ours.sign(black_box(&request))));
    let bucket = S3Store::open(&bucket(), &Uploads::default()).expect("a store");
    // Signing does not wait, since the credentials are configured.
    let runtime = Runtime::new().expect("a runtime");
    group.bench_function("the bucket's", |bencher| {
        bencher.to_async(&runtime).iter(|| async { bucket.sign(black_box(&request)).await.expect("a URL") });
    });
}

/// A bucket that receives no requests.
fn bucket() -> S3Config {
    S3Config {
        bucket: "bench".into(),
        prefix: "files".into(),
        region: "eu-central-1".into(),
        credentials: Some(S3Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: SecretString::from("a secret of forty characters, as they are"),
            session_token: None,
        }),
        endpoint: Some("http://127.0.0.1:9".parse().expect("a URL")),
        public_endpoint: None,
        path_style: true,
        encryption: None,
    }
}

fn dispositions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Content-Disposition");
    for (what, name) in [("ASCII", "invoice-00017.pdf"), ("other scripts", "Überweisung für März – 請求書.pdf")]
    {
        group.bench_function(what, |bencher| bencher.iter(|| content_disposition(black_box(name), false)));
    }
}

fn hashing(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let now = Clock::default().now();
    let mut group = criterion.benchmark_group("meter and SHA-256");
    for (what, size) in [("64 KiB", 64 * KIB), ("1 MiB", KIB * KIB)] {
        let body = random(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(what, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let meter = Arc::new(Mutex::new(Meter::new(u64::MAX, None)));
                drain(metered(chunks(&body), meter.clone())).await;
                meter.lock().expect("nobody panicked").facts(Uuid::nil(), String::new(), now)
            });
        });
    }
}

fn forms(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("multipart form");
    let allowed = AllowedFields { names: &["name", "path"], after_file: true };
    for (what, size) in [("4 KiB", 4 * KIB), ("1 MiB", KIB * KIB)] {
        let body = form_with(&random(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(what, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let form = form::open(chunks(&body), "rosemary".into(), allowed, None).await.expect("a form");
                assert_eq!(drain(form.stream).await, size);
            });
        });
    }
}

fn form_with(file: &[u8]) -> Bytes {
    let fields = "--rosemary\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\ninvoices/2026\r\n\
        --rosemary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"invoice.pdf\"\r\n\
        Content-Type: application/pdf\r\n\r\n";
    [fields.as_bytes(), file, b"\r\n--rosemary--\r\n"].concat().into()
}

/// Random bytes: repeated content would affect how fast the form parser finds its boundary.
fn random(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes.into()
}

fn chunks(body: &Bytes) -> ByteStream {
    let body = body.clone();
    let starts = (0..body.len()).step_by(CHUNK);
    Box::pin(stream::iter(starts.map(move |at| Ok(body.slice(at..body.len().min(at + CHUNK))))))
}

async fn drain(stream: ByteStream) -> usize {
    stream
        .map(|chunk| chunk.map(|chunk| chunk.len()))
        .try_fold(0, async |sum, size| Ok(sum + size))
        .await
        .expect("bytes")
}

fn lists(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let million = std::env::var_os("STRONGROOM_BENCH_MILLION").is_some();
    let sizes: Vec<i64> = (3..=if million { 6 } else { 5 }).map(|zeros| 10_i64.pow(zeros)).collect();

    let sqlite = format!("sqlite:{}/rows.db", folder.path().display());
    pages(criterion, &runtime, "SQLite", &sqlite, &sizes, FILL_SQLITE);
    match std::env::var("STRONGROOM_TEST_DATABASE_URL") {
        Ok(server) => {
            let database = runtime.block_on(Postgres::create(&server));
            pages(criterion, &runtime, "PostgreSQL", &database.url, &sizes, FILL_POSTGRES);
            runtime.block_on(database.remove());
        }
        Err(_) => eprintln!("STRONGROOM_TEST_DATABASE_URL is not set: no lists from PostgreSQL"),
    }
}

/// Pages of 100 files, of owners with increasing numbers of files: the first page, and one in the middle.
fn pages(
    criterion: &mut Criterion,
    runtime: &Runtime,
    engine: &str,
    url: &str,
    sizes: &[i64],
    fill: [&'static str; 2],
) {
    let config = Config { database_url: SecretString::from(url.to_owned()), ..Config::default() };
    let (app, owners) = runtime.block_on(async {
        let app = App::open_database_only(config, Clock::default()).await.expect("an app");
        let mut owners = Vec::new();
        for size in sizes {
            owners.push((owner(&app, *size).await, *size));
        }
        fill_with(url, &owners, fill).await;
        (app, owners)
    });
    let mut group = criterion.benchmark_group(format!("page of 100, {engine}"));
    for (user, size) in &owners {
        let subject = Subject::account(user.id);
        let tree = runtime.block_on(Tree::of(&app, &subject, None)).expect("its own space");
        let first = List { limit: Some(100), ..List::default() };
        // Names are random hexadecimal numbers, so that half of them sort before this prefix.
        let middle = List { prefix: Some("8".into()), limit: Some(1), ..List::default() };
        let cursor = runtime.block_on(files::list(&app, &tree, &middle)).expect("a page").0.next_cursor;
        let middle = List { cursor: Some(cursor.expect("a next page")), ..first.clone() };
        for (what, list) in [("first", first), ("middle", middle)] {
            group.bench_function(BenchmarkId::new(what, size), |bencher| {
                bencher.to_async(runtime).iter(|| async {
                    let (page, _) = files::list(&app, &tree, black_box(&list)).await.expect("a page");
                    assert_eq!(page.items.len(), 100);
                });
            });
        }
    }
    group.finish();
    runtime.block_on(app.db.close());
}

async fn owner(app: &App, files: i64) -> User {
    let account = NewAccount {
        email: format!("owner-of-{files}@example.org"),
        name: "Owner".into(),
        password: SecretString::from("seven quiet herons measure rain"),
        must_change_password: false,
    };
    users::create_account(app, account, false).await.expect("an account")
}

/// Inserts blobs and files ($1: the owner, $2: their number, $3: the offset of their ids). The order of the names
/// is not that of the ids, as in real data.
const FILL_SQLITE: [&str; 2] = [
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
    INSERT INTO blobs (id, space_id, key, state, lease_until, size, sha256, content_type, created_at, ready_at)
    SELECT unhex(format('%032x', i + $3)), $1, format('%032x', i + $3), 'ready', 0, 4096, zeroblob(32),
        'application/pdf', i, i FROM n",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
    INSERT INTO files (id, space_id, folder_id, name, search, sort_key, blob_id, size, metadata, created_at, updated_at)
    SELECT unhex(format('%032x', i + $3)), $1, $1, format('%08x', i * 2654435761 % 4294967296),
        format('%08x', i * 2654435761 % 4294967296), format('%08x', i * 2654435761 % 4294967296),
        unhex(format('%032x', i + $3)), 4096, '{}', i, i FROM n",
];

const FILL_POSTGRES: [&str; 2] = [
    "INSERT INTO blobs (id, space_id, key, state, lease_until, size, sha256, content_type, created_at, ready_at)
    SELECT lpad(to_hex(i + $3), 32, '0')::uuid, $1, lpad(to_hex(i + $3), 32, '0'), 'ready', 0, 4096,
        decode(repeat('00', 32), 'hex'), 'application/pdf', i, i FROM generate_series(1, $2) i",
    "INSERT INTO files (id, space_id, folder_id, name, search, sort_key, blob_id, size, metadata, created_at, updated_at)
    SELECT lpad(to_hex(i + $3), 32, '0')::uuid, $1, $1, lpad(to_hex(i * 2654435761 % 4294967296), 8, '0'),
        lpad(to_hex(i * 2654435761 % 4294967296), 8, '0'), lpad(to_hex(i * 2654435761 % 4294967296), 8, '0'),
        lpad(to_hex(i + $3), 32, '0')::uuid, 4096, '{}', i, i
    FROM generate_series(1, $2) i",
];

async fn fill_with(url: &str, owners: &[(User, i64)], statements: [&'static str; 2]) {
    let (sqlite, postgres) = match url.starts_with("sqlite:") {
        true => (Some(sqlx::SqlitePool::connect(url).await.expect("SQLite")), None),
        false => (None, Some(sqlx::PgPool::connect(url).await.expect("PostgreSQL"))),
    };
    for (index, (user, size)) in owners.iter().enumerate() {
        let offset = index as i64 * 100_000_000;
        for sql in statements {
            if let Some(pool) = &sqlite {
                sqlx::query(sql).bind(user.id).bind(size).bind(offset).execute(pool).await.expect(sql);
            }
            if let Some(pool) = &postgres {
                sqlx::query(sql).bind(user.id).bind(size).bind(offset).execute(pool).await.expect(sql);
            }
        }
    }
    if let Some(pool) = &sqlite {
        pool.close().await;
    }
    if let Some(pool) = &postgres {
        // In production, autovacuum does this within a minute.
        sqlx::query("ANALYZE").execute(pool).await.expect("ANALYZE");
        pool.close().await;
    }
}

/// A database of its own on the tests' server.
struct Postgres {
    server: String,
    name: String,
    url: String,
}

impl Postgres {
    async fn create(server: &str) -> Self {
        let name = format!("bench_{}", Uuid::now_v7().simple());
        let mut url: url::Url = server.parse().expect("a URL");
        url.set_path(&name);
        let database = Self { server: server.to_owned(), name, url: url.into() };
        database.execute("CREATE DATABASE {}").await;
        database
    }

    async fn remove(self) {
        // Without FORCE, which an unprivileged user must not use while autovacuum runs; the server then ends autovacuum itself.
        self.execute("DROP DATABASE {}").await;
    }

    async fn execute(&self, sql: &str) {
        let pool = sqlx::PgPool::connect(&self.server).await.expect("PostgreSQL");
        let sql = sqlx::AssertSqlSafe(sql.replace("{}", &self.name));
        sqlx::query(sql).execute(&pool).await.expect("a database");
        pool.close().await;
    }
}
