//! Measures the release binary from outside with a light client: on SQLite and disk and, if
//! `STRONGROOM_BENCH_STACK` has the settings that `scripts/stack up` prints, on PostgreSQL and S3. A baseline that
//! only moves the same bytes is measured in the same run, alternating by round. `scripts/bench` runs it; it
//! requires 64-bit Linux.

#![allow(clippy::disallowed_methods, reason = "clippy.toml is about the server")]

mod baseline;
mod chart;
mod client;
mod figures;
mod peers;
mod processes;
mod report;
mod scenarios;
mod side;
mod strongroom;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use baseline::Nginx;
use scenarios::Bench;
use strongroom::Setup;

const USAGE: &str = "scripts/bench [--setup disk|s3|both] [--rounds 5] [--quick] [--only TEXT] [--write DOCS]
  --quick  one round with an eighth of the work: a smoke test whose figures are not comparable
  --only   only scenarios whose name contains TEXT
  --write  writes the tables to DOCS/performance.md and the chart to DOCS/pictures";

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: f64 = (1024 * MIB) as f64;

const NO_NGINX: &str = "NO BASELINE FOR THE DISK: nginx with its WebDAV module is not installed \
    (Debian: apt-get install nginx-light)";

/// The names of the two setups in tables.
const DISK: &str = "disk";
const S3: &str = "S3";

fn main() {
    let options = Options::parse();
    let (machine, nginx) = (machine(), Nginx::find());
    println!("{machine}\n");
    let no_baseline = options.disk && nginx.is_none();
    if no_baseline {
        println!("{NO_NGINX}\n");
    }
    let payload = Payload::random(256 * MIB / options.shrink);
    let mut setups = Vec::new();
    if options.disk {
        setups.push(Setup::new(DISK, BTreeMap::new()));
    }
    if let Some(settings) = &options.s3 {
        setups.push(Setup::new(S3, settings.clone()));
    }
    let figures = Bench { options: &options, setups: &setups, nginx, payload: &payload }.run();
    let report = report::markdown(&machine, &options, &figures);
    println!("\n{report}");
    // Repeated, since the tables are long.
    if no_baseline {
        println!("{NO_NGINX}");
    }
    if let Some(docs) = &options.write {
        report::write(docs, &report, &chart::svg(&figures));
    }
}

struct Options {
    disk: bool,
    s3: Option<BTreeMap<String, String>>,
    rounds: usize,
    shrink: usize,
    only: String,
    write: Option<PathBuf>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { disk: true, s3: None, rounds: 5, shrink: 1, only: String::new(), write: None };
        let mut setup = "both".to_owned();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| refuse(&format!("{argument} requires a value")));
            match argument.as_str() {
                "--setup" => setup = value(),
                "--rounds" => {
                    options.rounds =
                        value().parse().ok().filter(|n| *n > 0).unwrap_or_else(|| refuse("--rounds requires a number"))
                }
                "--only" => options.only = value(),
                "--quick" => (options.rounds, options.shrink) = (1, 8),
                "--write" => options.write = Some(report::checked(value().into())),
                // Cargo passes this to every benchmark.
                "--bench" => {}
                other => refuse(&format!("unknown option {other}")),
            }
        }
        if !["disk", "s3", "both"].contains(&setup.as_str()) {
            refuse("--setup must be disk, s3 or both");
        }
        options.disk = setup != "s3";
        if setup != "disk" {
            let stack = std::env::var("STRONGROOM_BENCH_STACK").ok();
            let lines = stack.unwrap_or_else(|| refuse("STRONGROOM_BENCH_STACK is not set"));
            let settings = lines.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into()));
            options.s3 = Some(settings.collect());
        }
        options
    }
}

fn refuse(text: &str) -> ! {
    eprintln!("bench: {text}\n{USAGE}");
    std::process::exit(2);
}

/// Random bytes, generated once, which no layer can compress.
struct Payload(Vec<u8>);

impl Payload {
    fn random(size: usize) -> Self {
        let mut bytes = vec![0; size];
        fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("random bytes");
        Self(bytes)
    }

    /// Bytes that differ between indexes, as far as the payload is large enough.
    fn part(&self, index: usize, size: usize) -> &[u8] {
        let begin = (index * 37 * 4 * KIB) % (self.0.len() - size + 1);
        &self.0[begin..begin + size]
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
        model.map_or("unknown model", |(_, name)| name),
        memory / MIB as f64,
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}
