//! The server under test, in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::{Connection, Request, concurrently, member};
use crate::side::{Folder, Side, Slot};

/// The number of accounts: a single one may not use all the memory for uploads.
pub const OWNERS: usize = 8;

/// A database and a store, as settings that differ from the defaults.
pub struct Setup {
    pub name: &'static str,
    pub settings: BTreeMap<String, String>,
    pub folder: Folder,
    pub tokens: Vec<String>,
}

impl Setup {
    /// Creates the directory, the database and the accounts.
    pub fn new(name: &'static str, settings: BTreeMap<String, String>) -> Self {
        let mut setup = Self { name, settings, folder: Folder::fresh(name), tokens: Vec::new() };
        let server = Strongroom::start(&setup);
        let mut connection = Connection::open(server.address());
        let tokens = (0..OWNERS).map(|owner| register(&mut connection, owner)).collect();
        drop(server);
        setup.tokens = tokens;
        setup
    }

    /// The program with these settings and none of the caller's.
    fn command(&self) -> Command {
        let program = std::env::var_os("STRONGROOM_BENCH_BINARY").map_or(
            option_env!("CARGO_BIN_EXE_strongroom").unwrap_or("target/release/strongroom").into(),
            PathBuf::from,
        );
        let mut command = Command::new(fs::canonicalize(program).expect("the program is built"));
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("STRONGROOM_") || name.starts_with("AWS_") || name == "DATABASE_URL" || name == "STORE_URL"
        }) {
            command.env_remove(name);
        }
        command.envs(&self.settings).env("STRONGROOM_DATA_DIR", self.folder.path("data"));
        command.current_dir(self.folder.path("")).stdin(Stdio::null());
        command
    }
}

/// Creates an account; returns its token.
fn register(connection: &mut Connection, number: usize) -> String {
    // A reused stack has the accounts of earlier runs.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let account = format!(
        r#"{{"email":"bench-{now}-{number}@example.com","name":"Bench","password":"seven quiet herons measure rain"}}"#
    );
    let request = Request::new("POST", "/v1/auth/register", 201).with("content-type", "application/json");
    member(&connection.text(&request, account.as_bytes()), "token").expect("a token").to_owned()
}

pub struct Strongroom<'a> {
    setup: &'a Setup,
    child: Child,
    address: String,
}

impl<'a> Strongroom<'a> {
    pub fn start(setup: &'a Setup) -> Self {
        Self::start_with(setup, &[])
    }

    pub fn start_with(setup: &'a Setup, settings: &[(&str, &str)]) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(setup.folder.path("log")).expect("a log");
        let mut command = setup.command();
        // Without periodic reaping, which would affect some measurements and not others.
        command.arg("serve").env("STRONGROOM_LISTEN", "127.0.0.1:0").env("STRONGROOM_REAP_INTERVAL", "1h");
        command.envs(settings.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the server cannot be started");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its output");
        let Some(address) = line.split("listening on ").nth(1).and_then(|rest| rest.split(')').next()) else {
            let _ = child.wait();
            panic!("the server did not start: see {}", setup.folder.path("log").display());
        };
        // Further output is read, so that the server never blocks on a full pipe.
        let address = address.to_owned();
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { setup, child, address }
    }

    /// A request of one of the accounts.
    pub fn request(&self, owner: usize, method: &'static str, target: impl Into<String>, expected: u16) -> Request {
        let token = &self.setup.tokens[owner];
        Request::new(method, target, expected).with("authorization", &format!("Bearer {token}"))
    }

    /// A request of one of the accounts with a JSON body.
    pub fn post_json(&self, owner: usize, target: impl Into<String>, expected: u16) -> Request {
        self.request(owner, "POST", target, expected).with("content-type", "application/json")
    }

    pub fn upload(&self, owner: usize, name: &str) -> Request {
        let request = self.request(owner, "POST", format!("/v1/files?path=bench&name={name}"), 201);
        request.with("content-type", "application/octet-stream")
    }

    /// Sends a file over tus, one PATCH per chunk.
    pub fn tus<'b>(&self, owner: usize, name: &str, size: usize, chunks: impl Iterator<Item = &'b [u8]>) -> Slot {
        let mut connection = Connection::open(&self.address);
        let body = format!(r#"{{"mode":"tus","path":"bench","name":"{name}","size":{size}}}"#);
        let created = connection.text(&self.post_json(owner, "/v1/uploads", 201), body.as_bytes());
        let upload = member(&created, "id").expect("an id");
        let mut offset = 0;
        for chunk in chunks {
            let request = self.request(owner, "PATCH", format!("/v1/tus/{upload}"), 204);
            let request = request.with("tus-resumable", "1.0.0").with("upload-offset", &offset.to_string());
            connection.text(&request.with("content-type", "application/offset+octet-stream"), chunk);
            offset += chunk.len();
        }
        let done = connection.text(&self.request(owner, "GET", format!("/v1/uploads/{upload}"), 200), &[]);
        let file = member(&done, "file_id").expect("a file").to_owned();
        Slot { put: self.upload(owner, name), owner, file, upload: String::new() }
    }

    /// Follows the cursors to the end; returns the count of URLs.
    pub fn list_all(&self, query: &str) -> usize {
        let mut connection = Connection::open(&self.address);
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let page = connection.text(&self.request(0, "GET", format!("/v1/files?{query}{cursor}"), 200), &[]);
            count += page.matches("\"url\":\"").count();
            match member(&page, "next_cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return count,
            }
        }
    }
}

impl Side for Strongroom<'_> {
    fn name(&self) -> &'static str {
        self.setup.name
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.child.id()]
    }

    fn slot(&self, owner: usize, name: &str) -> Slot {
        Slot { put: self.upload(owner, name), owner, file: String::new(), upload: String::new() }
    }

    fn arrived(&self, slot: &mut Slot, answer: &str) {
        slot.file = member(answer, "id").expect("an id").to_owned();
    }

    fn get(&self, slot: &Slot) -> Request {
        self.request(slot.owner, "GET", format!("/v1/files/{}/content", slot.file), 200)
    }

    fn remove(&self, slots: &[Slot]) {
        concurrently(&self.address, slots.len(), 16, |connection, index| {
            let Slot { owner, file, .. } = &slots[index];
            connection.text(&self.request(*owner, "DELETE", format!("/v1/files/{file}?permanent=true"), 204), &[]);
        });
        // Deletes the objects between two measurements; a server would do so at some time.
        let done = self.setup.command().arg("reap").stdout(Stdio::null()).status();
        assert!(done.is_ok_and(|status| status.success()), "strongroom reap failed");
    }
}

impl Drop for Strongroom<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
