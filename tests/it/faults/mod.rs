//! Kills the server between any two steps, starts it again, runs the reaper, and checks that nothing is lost and nothing is
//! left. `scripts/crash` runs thousands of rounds, an ordinary run of the tests a few hundred.
//!
//! In each round a server is killed at one of the points of `src/faults.rs` while it executes up to four operations; the
//! next server, already armed for the next round, is asked for their outcome. Rounds of one seed share a fixture, which is a
//! database and a store.

mod audit;
mod fixture;
mod ledger;
mod operations;
mod plan;
mod resumable;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::audit;
use fixture::Fixture;
use ledger::{Dice, Ledger};
use operations::run_all;
use plan::{Crash, Operation, STOCK, Victim, operations, points};
use tokio::task::block_in_place;

use crate::support::Setup;
use crate::support::program::Program;

/// Rounds per fixture.
const ROUNDS_PER_FIXTURE: u64 = 40;
/// The operations of a round that take longer have hung.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_crash_on_sqlite_and_disk() {
    run(Setup::SqliteAndDisk, 160).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_crash_on_postgres_and_s3() {
    run(Setup::PostgresAndS3, 80).await;
}

/// The results at one point.
#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    hit: u64,
    violations: u64,
}

#[derive(Debug, Default)]
struct Results {
    points: BTreeMap<&'static str, Tally>,
    violations: Vec<String>,
}

/// Runs as many rounds as the environment says, or `default` rounds.
async fn run(setup: Setup, default: u64) {
    let number = |name: &str| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
    };
    let rounds = number("STRONGROOM_CRASH_ROUNDS").unwrap_or(default);
    let seed = number("STRONGROOM_CRASH_SEED").unwrap_or(1);
    let jobs = number("STRONGROOM_CRASH_JOBS").unwrap_or(2);

    let results = Arc::new(Mutex::new(Results::default()));
    let next_fixture = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..jobs)
        .map(|_| {
            let (results, next_fixture) = (results.clone(), next_fixture.clone());
            tokio::spawn(async move {
                loop {
                    let fixture = next_fixture.fetch_add(1, Ordering::Relaxed);
                    let left = rounds.saturating_sub(fixture * ROUNDS_PER_FIXTURE).min(ROUNDS_PER_FIXTURE);
                    if left == 0 {
                        return;
                    }
                    run_rounds(setup, seed + fixture, left, &results).await;
                    eprintln!("{}: seed {} is done", name(setup), seed + fixture);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("no worker panics");
    }
    let results = results.lock().expect("no worker panics");
    println!("{}", table(setup, seed, &results));
    assert!(results.violations.is_empty(), "{}", results.violations.join("\n"));
    // A point that is never hit is not tested.
    let missed: Vec<_> = results.points.iter().filter(|(_, tally)| tally.hit == 0).map(|(name, _)| name).collect();
    assert!(missed.is_empty() || rounds < default, "never hit: {missed:?}");
}

/// Runs the rounds of one fixture, up to the first violation, which would also affect the following rounds.
async fn run_rounds(setup: Setup, seed: u64, rounds: u64, results: &Mutex<Results>) {
    let (fixture, mut ledger, mut dice) = (Fixture::new(setup).await, Ledger::new(), Dice::new(seed));
    let points = points(setup);
    stock(&fixture, &mut ledger, &mut dice).await;
    // Each fixture begins with another point.
    let crash_of = |round: u64, dice: &mut Dice| Crash::new(points[(seed * 5 + round) as usize % points.len()], dice);
    let mut crash = crash_of(0, &mut dice);
    let mut server = fixture.start(crash.failpoints(Victim::Server));
    for round in 0..rounds {
        let operations = operations(&crash, &round.to_string(), &mut dice, &mut ledger);
        let next = crash_of(round + 1, &mut dice);
        let (tally, wrong, survivor) =
            crash_and_recover(&fixture, &crash, &operations, server, &mut ledger, &next).await;
        let description = format!("{crash:?} {operations:?}");
        let command = format!("scripts/crash --setup {} --seed {seed} --rounds {} --jobs 1", name(setup), round + 1);
        let mut results = results.lock().expect("no worker panics");
        results.points.entry(crash.point.name).or_default().add(&tally, !wrong.is_empty());
        if !wrong.is_empty() {
            let violation = format!("{description}\n  {}\n  repeat with: {command}", wrong.join("\n  "));
            eprintln!("{violation}");
            results.violations.push(violation);
            return;
        }
        ledger.settle();
        (crash, server) = (next, survivor);
    }
}

/// Uploads a few files into a new fixture, so that there is something to replace and to delete.
async fn stock(fixture: &Fixture, ledger: &mut Ledger, dice: &mut Dice) {
    let mut server = fixture.start(None);
    let crash = Crash::new(STOCK, dice);
    for name in ["stock-1", "stock-2"] {
        let operations = operations(&crash, name, dice, ledger);
        let done = run_all(&operations, &crash, &fixture.client(&server), &mut server, ledger).await;
        assert!(done.unanswered == 0 && done.unexpected.is_empty(), "{done:?}");
    }
}

/// One round: operations, a crash, a new server that is armed for the next round, one run of the reaper, and the audit.
/// Returns also the new server.
async fn crash_and_recover(
    fixture: &Fixture,
    crash: &Crash,
    operations: &[Operation],
    mut server: Program,
    ledger: &mut Ledger,
    next: &Crash,
) -> (Tally, Vec<String>, Program) {
    let client = fixture.client(&server);
    let work = run_all(operations, crash, &client, &mut server, ledger);
    let done =
        tokio::time::timeout(TIMEOUT, work).await.expect("every operation has a response, or the server is dead");
    let mut wrong = done.unexpected;
    let mut hit = done.is_killed;
    if done.unanswered == 0 || done.is_killed {
        server.kill();
    } else {
        hit = true;
    }
    let (status, _, log) = block_in_place(|| server.ended());
    if status.signal() != Some(9) || log.contains("panicked") {
        wrong.push(format!("the server ended with {status}: {log}"));
    }
    if let Some(failpoints) = crash.failpoints(Victim::Reaper) {
        // Objects written through a signed URL are kept until the URL expires.
        fixture.expire_leases().await;
        hit = fixture.reap(Some(failpoints)).status == -9;
    }
    let server = fixture.start(next.failpoints(Victim::Server));
    fixture.expire_leases().await;
    let reaped = fixture.reap(None);
    if reaped.status != 0 {
        wrong.push(format!("the reaper failed: {reaped:?}"));
    }
    wrong.extend(audit(fixture, &fixture.client(&server), ledger).await);
    (Tally { rounds: 1, hit: hit.into(), violations: 0 }, wrong, server)
}

impl Tally {
    fn add(&mut self, other: &Tally, is_violated: bool) {
        self.rounds += other.rounds;
        self.hit += other.hit;
        self.violations += u64::from(is_violated);
    }
}

fn name(setup: Setup) -> &'static str {
    match setup {
        Setup::SqliteAndDisk => "sqlite",
        Setup::PostgresAndS3 => "postgres",
    }
}

/// The results in Markdown.
fn table(setup: Setup, seed: u64, results: &Results) -> String {
    let mut text =
        format!("\n{}, seed {seed}\n\n| Point | Rounds | Hit | Violations |\n|---|---|---|---|\n", name(setup));
    let mut total = Tally::default();
    // Each point once, in the order of the plan.
    let mut names: Vec<_> = points(setup).iter().map(|point| point.name).collect();
    names.dedup();
    for (name, tally) in names.iter().filter_map(|name| results.points.get_key_value(name)) {
        let _ = writeln!(text, "| {name} | {} | {} | {} |", tally.rounds, tally.hit, tally.violations);
        total.add(tally, false);
        total.violations += tally.violations;
    }
    let _ = writeln!(text, "| all | {} | {} | {} |", total.rounds, total.hit, total.violations);
    text
}
