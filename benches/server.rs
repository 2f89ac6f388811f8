//! Measures the server from outside: a client of few instructions here, the real binary in a
//! process of its own, on SQLite and a disk and, if `STRONGROOM_BENCH_STACK` has the settings that
//! `scripts/stack up` prints, on PostgreSQL and S3. `scripts/bench` runs it; only Linux is measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "scripts/bench [--setup disk|s3|both] [--rounds 5] [--quick] [--only TEXT]
  --quick  one round with an eighth of the work: shows that it works, and is not judged
  --only   only scenarios whose name contains this";

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: f64 = (1024 * MIB) as f64;

fn main() {
    let options = Options::parse();
    println!("{}\n", machine());
    let payload = Payload::random(256 * MIB / options.shrink);
    println!("| set-up | what | figure | min | median | max | target | |");
    println!("|---|---|---|--:|--:|--:|--:|---|");
    let mut missed = 0;
    for setup in &options.setups {
        let folder = Folder::fresh(setup.name);
        let mut bench =
            Bench { setup, folder: &folder, payload: &payload, options: &options, tokens: Vec::new(), missed: 0 };
        bench.run();
        missed += bench.missed;
    }
    println!(
        "\n{missed} missed; CPU is the server's own, judged by the median; memory is the peak of its RSS, judged by the max."
    );
}

struct Options {
    setups: Vec<Setup>,
    rounds: usize,
    shrink: usize,
    only: String,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { setups: Vec::new(), rounds: 5, shrink: 1, only: String::new() };
        let mut wanted = "both".to_owned();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| refuse(&format!("{argument} wants a value")));
            match argument.as_str() {
                "--setup" => wanted = value(),
                "--rounds" => {
                    options.rounds =
                        value().parse().ok().filter(|n| *n > 0).unwrap_or_else(|| refuse("--rounds wants a number"))
                }
                "--only" => options.only = value(),
                "--quick" => (options.rounds, options.shrink) = (1, 8),
                // Cargo says this to every benchmark.
                "--bench" => {}
                other => refuse(&format!("{other} is not known")),
            }
        }
        let stack = std::env::var("STRONGROOM_BENCH_STACK").ok();
        if ["disk", "both"].contains(&wanted.as_str()) {
            options.setups.push(Setup { name: "disk", settings: BTreeMap::new() });
        }
        match stack {
            Some(lines) if ["s3", "both"].contains(&wanted.as_str()) => {
                let settings = lines.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into()));
                options.setups.push(Setup { name: "s3", settings: settings.collect() });
            }
            None if wanted == "s3" => refuse("STRONGROOM_BENCH_STACK is not set"),
            _ => {}
        }
        if options.setups.is_empty() {
            refuse("--setup wants disk, s3 or both");
        }
        options
    }
}

fn refuse(text: &str) -> ! {
    eprintln!("bench: {text}\n{USAGE}");
    std::process::exit(2);
}

/// Where rows and bytes lie: the settings beyond the defaults.
struct Setup {
    name: &'static str,
    settings: BTreeMap<String, String>,
}

// ---------------------------------------------------------------------------
// What is measured

struct Bench<'a> {
    setup: &'a Setup,
    folder: &'a Folder,
    payload: &'a Payload,
    options: &'a Options,
    tokens: Vec<String>,
    missed: usize,
}

/// Accounts: no single one may have all the memory that there is for uploads.
const OWNERS: usize = 8;

/// A file, and which of the accounts owns it.
type Stored = (usize, String);

/// One kind of work, done and printed.
type Scenario<'a> = fn(&mut Bench<'a>);

impl<'a> Bench<'a> {
    fn run(&mut self) {
        let server = self.start();
        self.tokens = (0..OWNERS).map(|owner| server.connect_as("").register(owner)).collect();
        drop(server);
        let scenarios: [(&str, Scenario<'a>); 9] = [
            ("upload of 256 MiB", Self::one_big_upload),
            ("download of 256 MiB", Self::big_download),
            ("32 uploads of 64 MiB at once", Self::many_big_uploads),
            ("upload of 1 GiB by tus", Self::resumable_upload),
            ("32 uploads of 64 MiB by tus at once", Self::many_resumable_uploads),
            ("uploads of 1 MiB, 16 at once", Self::middling_uploads),
            ("uploads of 4 KiB, 16 at once", Self::small_uploads),
            ("downloads of 4 KiB, 16 at once", Self::small_downloads),
            ("lists with signed URLs", Self::lists),
        ];
        for (name, scenario) in scenarios {
            if name.contains(&self.options.only) {
                scenario(self);
            }
        }
    }

    fn one_big_upload(&mut self) {
        let bytes = self.payload.part(0, 256 * MIB / self.options.shrink);
        self.transfers("upload of 256 MiB", [2.2, 2.4], None, bytes.len(), |server, round| {
            vec![(0, server.connect().upload("big", &format!("one-{round}.bin"), bytes))]
        });
    }

    fn big_download(&mut self) {
        let bytes = self.payload.part(0, 256 * MIB / self.options.shrink);
        let id = self.start().connect().upload("big", "download.bin", bytes);
        self.transfers("download of 256 MiB", [0.6, 0.7], Some([64.0, 64.0]), bytes.len(), |server, _| {
            assert_eq!(server.connect().download(&id), bytes.len(), "a short download");
            Vec::new()
        });
        self.start().delete_all(&[(0, id)]);
        self.reap();
    }

    fn many_big_uploads(&mut self) {
        let (count, size) = (32, 64 * MIB / self.options.shrink);
        let limits = Some([96.0, 200.0]);
        self.transfers("32 uploads of 64 MiB at once", [2.2, 2.4], limits, count * size, |server, round| {
            let ids = Mutex::new(Vec::new());
            server.at_once(count, count, |_, index| {
                let (owner, bytes) = (index % OWNERS, self.payload.part(index, size));
                let id =
                    server.connect_as(&server.tokens[owner]).upload("many", &format!("{round}-{index}.bin"), bytes);
                ids.lock().expect("a thread failed").push((owner, id));
            });
            ids.into_inner().expect("a thread failed")
        });
    }

    /// Beside the same bytes by plain uploads, in turn, as it is their ratio that is judged.
    fn resumable_upload(&mut self) {
        let (count, piece) = (16, 64 * MIB / self.options.shrink);
        let (server, total) = (self.start(), count * piece);
        let mut figures = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for round in 0..self.options.rounds {
            let bytes = self.payload.part(0, 4 * piece);
            let (plain, _, mut ids) = server.measure(|| {
                (0..4)
                    .map(|part| (0, server.connect().upload("plain", &format!("{round}-{part}"), bytes)))
                    .collect::<Vec<_>>()
            });
            server.forget_peak();
            let pieces = (0..count).map(|index| self.payload.part(index, piece));
            let (tus, _, id) = server.measure(|| server.connect().tus("tus", &format!("{round}"), total, pieces));
            ids.push((0, id));
            let per_gib = |time: Duration| time.as_secs_f64() * GIB / total as f64;
            let values = [per_gib(plain), per_gib(tus), per_gib(tus) / per_gib(plain), server.peak() / MIB as f64];
            figures.iter_mut().zip(values).for_each(|(figure, value)| figure.push(value));
            server.delete_all(&ids);
            self.reap();
        }
        let what = "upload of 1 GiB by tus, 64 MiB a PATCH";
        let names = ["CPU s/GiB of plain uploads", "CPU s/GiB", "CPU, times that of plain uploads", "peak MiB"];
        for ((name, target), values) in names.into_iter().zip([f64::NAN, f64::NAN, 1.3, f64::NAN]).zip(&figures) {
            self.report(what, name, [target; 2], values, Judge::Median);
        }
    }

    fn many_resumable_uploads(&mut self) {
        let (count, piece) = (32, 16 * MIB / self.options.shrink);
        let limits = Some([96.0, 200.0]);
        self.transfers(
            "32 uploads of 64 MiB by tus at once",
            [f64::NAN; 2],
            limits,
            count * 4 * piece,
            |server, round| {
                let ids = Mutex::new(Vec::new());
                server.at_once(count, count, |_, index| {
                    let owner = index % OWNERS;
                    let pieces = (0..4).map(|part| self.payload.part(index + part, piece));
                    let mut connection = server.connect_as(&server.tokens[owner]);
                    let id = connection.tus("many", &format!("{round}-{index}.bin"), 4 * piece, pieces);
                    ids.lock().expect("a thread failed").push((owner, id));
                });
                ids.into_inner().expect("a thread failed")
            },
        );
    }

    fn middling_uploads(&mut self) {
        let (count, size) = (200 / self.options.shrink, MIB);
        self.transfers("uploads of 1 MiB, 16 at once", [f64::NAN; 2], None, count * size, |server, round| {
            let ids = Mutex::new(Vec::new());
            server.at_once(count, 16, |connection, index| {
                let id = connection.upload("middling", &format!("{round}-{index}.bin"), self.payload.part(index, size));
                ids.lock().expect("a thread failed").push((0, id));
            });
            ids.into_inner().expect("a thread failed")
        });
    }

    /// Rounds of one transfer, or of several whose sum is `total` bytes. `limits` are of the memory, in MiB.
    fn transfers(
        &mut self,
        what: &str,
        targets: [f64; 2],
        limits: Option<[f64; 2]>,
        total: usize,
        transfer: impl Fn(&Server, usize) -> Vec<Stored>,
    ) {
        let (mut cpu, mut speed, mut peak) = (Vec::new(), Vec::new(), Vec::new());
        // Of its own, so that the memory of what ran before does not count.
        let server = self.start();
        for round in 0..self.options.rounds {
            server.forget_peak();
            let (spent, elapsed, ids) = server.measure(|| transfer(&server, round));
            cpu.push(spent.as_secs_f64() * GIB / total as f64);
            speed.push(total as f64 / 1e6 / elapsed.as_secs_f64());
            peak.push(server.peak() / MIB as f64);
            server.delete_all(&ids);
            self.reap();
        }
        self.report(what, "CPU s/GiB", targets, &cpu, Judge::Median);
        self.report(what, "MB/s", [f64::NAN; 2], &speed, Judge::Median);
        self.report(what, "peak MiB", limits.unwrap_or([f64::NAN; 2]), &peak, Judge::Max);
    }

    fn small_uploads(&mut self) {
        let count = 2000 / self.options.shrink;
        let upload = |connection: &mut Connection, index: usize, round: usize| {
            connection.upload("small", &format!("letter-{round}-{index:05}.txt"), self.payload.part(index, 4 * KIB));
        };
        let figures = self.requests(count, |connection, index, round| upload(connection, index, round));
        self.report_requests("uploads of 4 KiB, 16 at once", [1.0, f64::NAN], figures);
    }

    fn small_downloads(&mut self) {
        let count = 8000 / self.options.shrink;
        let server = self.start();
        let ids = Mutex::new(Vec::new());
        server.at_once(200, 16, |connection, index| {
            let id = connection.upload("letters", &format!("{index}.txt"), self.payload.part(index, 4 * KIB));
            ids.lock().expect("a thread failed").push(id);
        });
        let ids = ids.into_inner().expect("a thread failed");
        drop(server);
        let figures = self.requests(count, |connection, index, _| {
            assert_eq!(connection.download(&ids[index % ids.len()]), 4 * KIB, "a short download");
        });
        self.report_requests("downloads of 4 KiB, 16 at once", [0.25, f64::NAN], figures);
    }

    /// Rounds of `count` requests after one that is not measured, in which connections are made
    /// and statements prepared.
    fn requests(&self, count: usize, request: impl Fn(&mut Connection, usize, usize) + Sync) -> [Vec<f64>; 3] {
        let mut figures = [Vec::new(), Vec::new(), Vec::new()];
        let server = self.start();
        for round in 0..=self.options.rounds {
            let (spent, _, mut times) =
                server.measure(|| server.at_once(count, 16, |connection, index| request(connection, index, round)));
            if round == 0 {
                continue;
            }
            times.sort_unstable();
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            figures[0].push(millis(spent) / count as f64);
            figures[1].push(millis(times[count / 2]));
            figures[2].push(millis(times[count * 99 / 100]));
        }
        figures
    }

    fn report_requests(&mut self, what: &str, targets: [f64; 2], [cpu, p50, p99]: [Vec<f64>; 3]) {
        self.report(what, "CPU ms/request", targets, &cpu, Judge::Median);
        self.report(what, "p50 ms", [f64::NAN; 2], &p50, Judge::Median);
        self.report(what, "p99 ms", [f64::NAN; 2], &p99, Judge::Median);
    }

    fn lists(&mut self) {
        let server = self.start();
        let files = 10_000 / self.options.shrink;
        server.at_once(files, 16, |connection, index| {
            connection.upload("list", &format!("invoice-{index:05}.pdf"), self.payload.part(index, 1));
        });
        let (first, pages) = (2000 / self.options.shrink, 5);
        let (mut hundred, mut all, mut peak) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.options.rounds {
            let (of_hundred, ..) = server.measure(|| {
                server.at_once(first, 4, |connection, _| {
                    connection.list("prefix=list/&limit=100&urls=signed");
                })
            });
            server.forget_peak();
            let (of_all, ..) = server.measure(|| {
                for _ in 0..pages {
                    assert_eq!(server.connect().list_all("prefix=list/&limit=1000&urls=signed"), files, "a short list");
                }
            });
            if round > 0 {
                hundred.push(of_hundred.as_secs_f64() * 1e3 / first as f64);
                all.push(of_all.as_secs_f64() * 1e3 / f64::from(pages));
                peak.push(server.peak() / MIB as f64);
            }
        }
        self.report("list of 100 with URLs", "CPU ms/request", [1.2; 2], &hundred, Judge::Median);
        self.report("list of 10,000 with URLs, pages of 1,000", "CPU ms for all", [f64::NAN; 2], &all, Judge::Median);
        self.report("list of 10,000 with URLs, pages of 1,000", "peak MiB", [f64::NAN; 2], &peak, Judge::Max);
    }

    /// Targets are those of the disk and of S3; NaN for none.
    fn report(&mut self, what: &str, figure: &str, targets: [f64; 2], values: &[f64], judge: Judge) {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, median, max) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        let judged = match judge {
            Judge::Median => median,
            Judge::Max => max,
        };
        let target = targets[usize::from(self.setup.name == "s3")];
        let (target, verdict) = match target {
            _ if target.is_nan() || self.options.shrink > 1 => (String::new(), ""),
            _ if judged <= target => (format!("{target}"), "met"),
            _ => {
                self.missed += 1;
                (format!("{target}"), "**missed**")
            }
        };
        let setup = self.setup.name;
        println!("| {setup} | {what} | {figure} | {min:.2} | {median:.2} | {max:.2} | {target} | {verdict} |");
    }

    fn start(&self) -> Server {
        Server::start(self.setup, self.folder, &self.tokens)
    }

    /// Takes away deleted bytes between two measurements, which a server would do at some time.
    fn reap(&self) {
        let done = strongroom(self.setup, self.folder).arg("reap").stdout(Stdio::null()).status();
        assert!(done.is_ok_and(|status| status.success()), "strongroom reap failed");
    }
}

enum Judge {
    Median,
    Max,
}

// ---------------------------------------------------------------------------
// The server, in a process of its own

struct Server {
    child: Child,
    address: String,
    tokens: Vec<String>,
}

impl Server {
    fn start(setup: &Setup, folder: &Folder, tokens: &[String]) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.0.join("log")).expect("a log");
        let mut command = strongroom(setup, folder);
        // Without the reaper, whose passes would fall into some measurements and not into others.
        command.arg("serve").env("STRONGROOM_LISTEN", "127.0.0.1:0").env("STRONGROOM_REAP_INTERVAL", "1h");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the server cannot be started");
        let mut greeting = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        greeting.read_line(&mut line).expect("its output");
        let Some(address) = line.split("listening on ").nth(1).and_then(|rest| rest.split(')').next()) else {
            let _ = child.wait();
            panic!("the server did not start: see {}", folder.0.join("log").display());
        };
        // What else it says is read, so that it is never stopped by a full pipe.
        let address = address.to_owned();
        std::thread::spawn(move || std::io::copy(&mut greeting, &mut std::io::sink()));
        Self { child, address, tokens: tokens.to_vec() }
    }

    /// As the first account.
    fn connect(&self) -> Connection {
        self.connect_as(&self.tokens[0])
    }

    fn connect_as(&self, token: &str) -> Connection {
        let stream = TcpStream::connect(&self.address).expect("the server does not listen");
        stream.set_nodelay(true).expect("a socket");
        let authorization = match token {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let common = format!("host: {}\r\n{authorization}", self.address);
        Connection { stream, common, buffer: vec![0; 256 * KIB], head: String::new() }
    }

    fn delete_all(&self, files: &[Stored]) {
        for (owner, id) in files {
            self.connect_as(&self.tokens[*owner]).delete(id);
        }
    }

    /// Does the job `count` times over `connections` connections; returns how long each one took.
    fn at_once(&self, count: usize, connections: usize, job: impl Fn(&mut Connection, usize) + Sync) -> Vec<Duration> {
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut connection, mut times) = (self.connect(), Vec::new());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return times;
                }
                let begun = Instant::now();
                job(&mut connection, index);
                times.push(begun.elapsed());
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a thread failed")).collect()
        })
    }

    /// The CPU time that the server spends on the work, and how long the work takes.
    fn measure<T>(&self, work: impl FnOnce() -> T) -> (Duration, Duration, T) {
        let (spent, begun) = (self.cpu(), Instant::now());
        let result = work();
        (self.cpu() - spent, begun.elapsed(), result)
    }

    /// In user and in system mode, all threads, to 10 ms: Linux shows hundredths of a second everywhere.
    fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Bytes.
    fn peak(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim_end_matches("kB").trim().parse::<f64>().expect("a number") * KIB as f64
    }

    fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("Linux 4.0 or newer");
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the server has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with the settings of the set-up and with nothing of the caller's.
fn strongroom(setup: &Setup, folder: &Folder) -> Command {
    let program = std::env::var_os("STRONGROOM_BENCH_BINARY")
        .map_or(option_env!("CARGO_BIN_EXE_strongroom").unwrap_or("target/release/strongroom").into(), PathBuf::from);
    let mut command = Command::new(fs::canonicalize(program).expect("the program is built"));
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("STRONGROOM_") || name.starts_with("AWS_") || name == "DATABASE_URL" || name == "STORE_URL"
    }) {
        command.env_remove(name);
    }
    command.envs(&setup.settings).env("STRONGROOM_DATA_DIR", folder.0.join("data")).current_dir(&folder.0);
    command.stdin(Stdio::null());
    command
}

// ---------------------------------------------------------------------------
// The client

/// A kept-alive connection that speaks just enough HTTP/1.1.
struct Connection {
    stream: TcpStream,
    common: String,
    buffer: Vec<u8>,
    head: String,
}

impl Connection {
    /// Makes an account; returns its token.
    fn register(&mut self, number: usize) -> String {
        // A stack that was used before knows who came before.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let account = format!(
            r#"{{"email":"bench-{now}-{number}@example.com","name":"Bench","password":"seven quiet herons measure rain"}}"#
        );
        let answer =
            self.json("POST", "/v1/auth/register", "content-type: application/json\r\n", account.as_bytes(), 201);
        text(&answer, "token").expect("a token").to_owned()
    }

    /// Returns the new file's id.
    fn upload(&mut self, folder: &str, name: &str, bytes: &[u8]) -> String {
        let target = format!("/v1/files?path={folder}&name={name}");
        let answer = self.json("POST", &target, "content-type: application/octet-stream\r\n", bytes, 201);
        text(&answer, "id").expect("an id").to_owned()
    }

    /// Piece by piece; returns the new file's id.
    fn tus<'b>(&mut self, folder: &str, name: &str, size: usize, pieces: impl Iterator<Item = &'b [u8]>) -> String {
        let wish = format!(r#"{{"mode":"tus","path":"{folder}","name":"{name}","size":{size}}}"#);
        let begun = self.json("POST", "/v1/uploads", "content-type: application/json\r\n", wish.as_bytes(), 201);
        let upload = text(&begun, "id").expect("an id").to_owned();
        let mut offset = 0;
        for piece in pieces {
            let headers = format!(
                "tus-resumable: 1.0.0\r\nupload-offset: {offset}\r\ncontent-type: application/offset+octet-stream\r\n"
            );
            self.exchange("PATCH", &format!("/v1/tus/{upload}"), &headers, piece, 204, |_| {});
            offset += piece.len();
        }
        let done = self.json("GET", &format!("/v1/uploads/{upload}"), "", &[], 200);
        text(&done, "file_id").expect("a file").to_owned()
    }

    /// Returns the count of bytes.
    fn download(&mut self, id: &str) -> usize {
        self.exchange("GET", &format!("/v1/files/{id}/content"), "", &[], 200, |_| {})
    }

    fn delete(&mut self, id: &str) {
        self.exchange("DELETE", &format!("/v1/files/{id}?permanent=true"), "", &[], 204, |_| {});
    }

    fn list(&mut self, query: &str) -> String {
        self.json("GET", &format!("/v1/files?{query}"), "", &[], 200)
    }

    /// Follows the cursors to the end; returns the count of URLs.
    fn list_all(&mut self, query: &str) -> usize {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let page = self.list(&format!("{query}{cursor}"));
            count += page.matches("\"url\":\"").count();
            match text(&page, "next_cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return count,
            }
        }
    }

    fn json(&mut self, method: &str, target: &str, headers: &str, body: &[u8], expected: u16) -> String {
        let mut answer = Vec::new();
        self.exchange(method, target, headers, body, expected, |bytes| answer.extend_from_slice(bytes));
        String::from_utf8(answer).expect("UTF-8")
    }

    /// One request and its answer, whose body goes to `sink`; returns the body's length.
    fn exchange(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
        expected: u16,
        mut sink: impl FnMut(&[u8]),
    ) -> usize {
        self.head.clear();
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        write!(self.head, "{method} {target} HTTP/1.1\r\n{}{headers}{length}\r\n", self.common).expect("a String");
        // A small body goes with its head, as every client sends it.
        let together = body.len().min(16 * KIB);
        let first = [self.head.as_bytes(), &body[..together]].concat();
        let sent = self.stream.write_all(&first).and_then(|()| self.stream.write_all(&body[together..]));

        let (mut filled, mut scanned) = (0, 0);
        let end = loop {
            let read = match self.stream.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.unwrap_or_else(|error| panic!("{method} {target}: {error}; sending: {sent:?}")),
            };
            assert!(read > 0, "{method} {target}: the connection was cut; sending: {sent:?}");
            filled += read;
            if let Some(at) = self.buffer[scanned..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break scanned + at + 4;
            }
            scanned = filled.saturating_sub(3);
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]);
        let status: u16 = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        let length = head.lines().filter_map(|line| line.split_once(':'));
        let mut length =
            length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim());
        let length: usize = length.next_back().map_or(0, |value| value.parse().expect("a length"));
        let head = if status == expected { String::new() } else { head.into_owned() };

        sink(&self.buffer[end..filled]);
        let mut problem = if status == expected { Vec::new() } else { self.buffer[end..filled].to_vec() };
        let mut received = filled - end;
        while received < length {
            let read = self.stream.read(&mut self.buffer).expect("the answer broke off");
            assert!(read > 0, "{method} {target}: the answer broke off after {received} of {length} bytes");
            received += read;
            sink(&self.buffer[..read]);
            if status != expected {
                problem.extend_from_slice(&self.buffer[..read]);
            }
        }
        assert_eq!(status, expected, "{method} {target}: {head}{}", String::from_utf8_lossy(&problem));
        received
    }
}

/// The text of a member of this name: the last one, as the list's cursor is; else there is one only.
fn text<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let rest = json.rsplit_once(&format!("\"{name}\":\""))?.1;
    rest.split('"').next()
}

// ---------------------------------------------------------------------------
// Around it

/// Random bytes, made once, which no layer can compress.
struct Payload(Vec<u8>);

impl Payload {
    fn random(size: usize) -> Self {
        let mut bytes = vec![0; size];
        fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("random bytes");
        Self(bytes)
    }

    /// Other bytes for every index, as far as they go.
    fn part(&self, index: usize, size: usize) -> &[u8] {
        let begin = (index * 37 * 4 * KIB) % (self.0.len() - size + 1);
        &self.0[begin..begin + size]
    }
}

/// A folder under target/, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn fresh(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench").join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder under target/");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("bench: the log of the server stays at {}", self.0.join("log").display());
            let _ = fs::remove_dir_all(self.0.join("data"));
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default();
    format!(
        "{} cores of {}, {:.0} GiB of memory, Linux {}, load {} at the start",
        std::thread::available_parallelism().map_or(0, usize::from),
        model.map_or("unknown kind", |(_, name)| name),
        memory / MIB as f64,
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}
