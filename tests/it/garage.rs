//! The store's contract and the doctor on Garage, another S3 server, which does not support conditional PUT. These tests
//! require the program `garage` on the PATH or in STRONGROOM_TEST_GARAGE; without it, they print a line and are skipped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Once};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use strongroom::clock::Clock;
use strongroom::config::{Config, S3Config, S3Credentials, StoreConfig};
use strongroom::error::Error;
use strongroom::health::check::{Outcome, ProbeLevel, ProbeOptions};
use strongroom::store::{Key, Operation, Store};
use tempfile::TempDir;

use crate::store::conforms;
use crate::support::client::objects;
use crate::support::print_skipped;
use crate::support::program::Start;
use crate::support::stores::{Bucket, request};

const BUCKET: &str = "strongroom";
const REGION: &str = "garage";
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A Garage server with one node, one bucket and a key to it. Dropping the value stops it.
struct Garage {
    server: Child,
    folder: TempDir,
    program: PathBuf,
    endpoint: String,
}

impl Garage {
    /// Without the program, prints a line and returns nothing.
    async fn start() -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [rpc, s3] = [free_port(), free_port()];
        let place = folder.path().display();
        let settings = format!(
            "metadata_dir = \"{place}/meta\"\ndata_dir = \"{place}/data\"\ndb_engine = \"sqlite\"\n\
             replication_factor = 1\nrpc_secret = \"{SECRET_KEY}\"\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_public_addr = \"127.0.0.1:{rpc}\"\n\
             [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n"
        );
        std::fs::write(folder.path().join("garage.toml"), settings).expect("a file");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let server = command(&program, folder.path(), &["server", "--single-node", "--default-bucket"])
            .envs([("GARAGE_DEFAULT_BUCKET", BUCKET), ("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY)])
            .env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY)
            .stderr(log)
            .spawn()
            .expect("Garage starts");
        let garage = Self { server, folder, program, endpoint: format!("http://127.0.0.1:{s3}") };
        garage.wait_until_ready().await;
        Some(garage)
    }

    async fn wait_until_ready(&self) {
        let bucket = Bucket::of(self.config());
        let ready = async {
            while bucket.store().ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), ready).await.is_ok();
        assert!(in_time, "{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
    }

    /// A new prefix in the bucket.
    fn config(&self) -> S3Config {
        S3Config {
            bucket: BUCKET.into(),
            prefix: format!("test-{}", Key::random()),
            region: REGION.into(),
            credentials: Some(S3Credentials {
                access_key_id: ACCESS_KEY.into(),
                secret_access_key: SecretString::from(SECRET_KEY),
                session_token: None,
            }),
            endpoint: Some(self.endpoint.parse().expect("a URL")),
            public_endpoint: None,
            path_style: true,
            encryption: None,
        }
    }

    /// Runs a Garage command and returns its output.
    fn run(&self, arguments: &[&str]) -> String {
        let output = command(&self.program, self.folder.path(), arguments).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn doctor(&self, config: &S3Config, arguments: &[&str]) -> (i32, String) {
        let config = Config {
            database_url: SecretString::from(format!("sqlite:{}/rows.db", self.folder.path().display())),
            store: StoreConfig::S3(Box::new(config.clone())),
            ..Config::default()
        };
        let outcome = Start::with(&[&["doctor"], arguments].concat()).on(&config).run(self.folder.path(), "");
        (outcome.status, outcome.stdout)
    }
}

impl Drop for Garage {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("STRONGROOM_TEST_GARAGE").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named
        .or_else(|| std::env::split_paths(&path).map(|folder| folder.join("garage")).find(|program| program.is_file()));
    static PRINTED: Once = Once::new();
    if found.is_none() {
        let reason = "there is no `garage` on the PATH, and STRONGROOM_TEST_GARAGE is not set";
        PRINTED.call_once(|| print_skipped("the tests on Garage", reason));
    }
    found
}

fn command(program: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("garage.toml")).args(arguments).env("RUST_LOG", "garage=warn");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn probe_options() -> ProbeOptions {
    let public_url = "http://127.0.0.1:3000".parse().expect("a URL");
    ProbeOptions { level: ProbeLevel::Quick, clock: Clock::default(), public_url }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garage_conforms_after_it_is_probed() {
    let Some(garage) = Garage::start().await else { return };
    let bucket = Bucket::of(garage.config());
    let store = Arc::new(bucket.store());
    let found = store.probe(&probe_options()).await;
    let conditions = found.iter().find(|check| check.name == "store.conditions").expect("a check");
    assert_eq!(conditions.outcome, Outcome::Warning, "{conditions}");
    conforms(store.clone(), &bucket).await;

    // A PUT URL could be used again after the upload was completed.
    let key = Key::random();
    let refused = store.sign(&request(Operation::Put, &key)).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    store.sign(&request(Operation::Get, &key)).await.expect("a URL to read with");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_works_with_garage() {
    let Some(garage) = Garage::start().await else { return };
    let config = garage.config();
    let (status, stdout) = garage.doctor(&config, &["--deep"]);
    assert_eq!(status, 0, "{stdout}");
    assert!(stdout.contains("store.unequal_parts") && stdout.contains("the condition was ignored"), "{stdout}");
    assert_eq!(objects(&config).await, []);

    let mut elsewhere = config.clone();
    elsewhere.region = "us-east-1".into();
    let (status, stdout) = garage.doctor(&elsewhere, &[]);
    assert!(status == 1 && stdout.contains("AWS_REGION=garage"), "{stdout}");

    let mut wrong_key = config.clone();
    wrong_key.credentials.as_mut().expect("credentials").secret_access_key = SecretString::from("wrong");
    let (status, stdout) = garage.doctor(&wrong_key, &[]);
    assert!(status == 1 && stdout.contains("AWS_SECRET_ACCESS_KEY"), "{stdout}");

    let output = garage.run(&["key", "create", "reader"]);
    let value = |name: &str| {
        let line = output.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{output}"));
        line.split_whitespace().last().expect("a word").to_owned()
    };
    garage.run(&["bucket", "allow", "--read", BUCKET, "--key", "reader"]);
    let mut reader = config.clone();
    reader.credentials = Some(S3Credentials {
        access_key_id: value("Key ID"),
        secret_access_key: SecretString::from(value("Secret key")),
        session_token: None,
    });
    let (status, stdout) = garage.doctor(&reader, &[]);
    let failures: Vec<_> = stdout.lines().filter(|line| line.starts_with("failed")).collect();
    assert!(status == 1 && failures.len() == 1 && failures[0].contains("store.write"), "{stdout}");
    assert!(!stdout.contains(reader.credentials.expect("credentials").secret_access_key.expose_secret()), "{stdout}");
    assert_eq!(objects(&config).await, []);
}
