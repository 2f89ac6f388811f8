//! Kills the server between any two steps, starts it again, lets the reaper make one pass, and
//! checks that nothing is lost and nothing is left: what `scripts/crash` runs, and in every run of
//! the tests a few hundred rounds of it.
//!
//! A round is one life of a server: it is armed to die at one of the points of `src/faults.rs`
//! while up to four operations go on; the next server, already armed for the round after, is asked
//! what became of them. Rounds of one seed share a world, that is a database and a store.

mod audit;
mod ledger;
mod operations;
mod pieces;
mod plan;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::audit;
use ledger::{Dice, Ledger};
use operations::carry_out;
use plan::{Crash, Operation, STOCK, Victim, operations, points};
use tokio::task::block_in_place;
use world::World;

use crate::support::Setup;
use crate::support::program::Program;

/// Rounds in one world.
const LIFE_OF_A_WORLD: u64 = 40;
/// The work of a round that takes longer has hung.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_crash_on_sqlite_and_disk() {
    run(Setup::SqliteAndDisk, 160).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_crash_on_postgres_and_s3() {
    run(Setup::PostgresAndS3, 80).await;
}

/// What happened at one point.
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

/// Runs as many rounds as the environment says, else so many.
async fn run(setup: Setup, usual: u64) {
    let number = |name: &str| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    let rounds = number("STRONGROOM_CRASH_ROUNDS").unwrap_or(usual);
    let seed = number("STRONGROOM_CRASH_SEED").unwrap_or(1);
    let jobs = number("STRONGROOM_CRASH_JOBS").unwrap_or(2);

    let results = Arc::new(Mutex::new(Results::default()));
    let next_world = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..jobs)
        .map(|_| {
            let (results, next_world) = (results.clone(), next_world.clone());
            tokio::spawn(async move {
                loop {
                    let world = next_world.fetch_add(1, Ordering::Relaxed);
                    let left = rounds.saturating_sub(world * LIFE_OF_A_WORLD).min(LIFE_OF_A_WORLD);
                    if left == 0 {
                        return;
                    }
                    live(setup, seed + world, left, &results).await;
                    eprintln!("{}: seed {} is through", word(setup), seed + world);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker comes to its end");
    }
    let results = results.lock().expect("no worker panics");
    println!("{}", table(setup, seed, &results));
    assert!(results.violations.is_empty(), "{}", results.violations.join("\n"));
    // A point that is never hit proves nothing.
    let missed: Vec<_> = results.points.iter().filter(|(_, tally)| tally.hit == 0).map(|(name, _)| name).collect();
    assert!(missed.is_empty() || rounds < usual, "never hit: {missed:?}");
}

/// The rounds of one world. It ends with the first violation: what comes after would be tainted.
async fn live(setup: Setup, seed: u64, rounds: u64, results: &Mutex<Results>) {
    let (world, mut ledger, mut dice) = (World::new(setup).await, Ledger::new(), Dice::new(seed));
    let points = points(setup);
    stock(&world, &mut ledger, &mut dice).await;
    // Every world begins with another point.
    let fate_of = |round: u64, dice: &mut Dice| Crash::new(points[(seed * 5 + round) as usize % points.len()], dice);
    let mut fate = fate_of(0, &mut dice);
    let mut server = world.start(fate.failpoints(Victim::Server));
    for round in 0..rounds {
        let operations = operations(&fate, &round.to_string(), &mut dice, &mut ledger);
        let next = fate_of(round + 1, &mut dice);
        let (tally, wrong, survivor) = die(&world, &fate, &operations, server, &mut ledger, &next).await;
        let told = format!("{fate:?} {operations:?}");
        let again = format!("scripts/crash --setup {} --seed {seed} --rounds {} --jobs 1", word(setup), round + 1);
        let mut results = results.lock().expect("no worker panics");
        results.points.entry(fate.point.name).or_default().add(&tally, !wrong.is_empty());
        if !wrong.is_empty() {
            let violation = format!("{told}\n  {}\n  again: {again}", wrong.join("\n  "));
            eprintln!("{violation}");
            results.violations.push(violation);
            return;
        }
        ledger.settle();
        (fate, server) = (next, survivor);
    }
}

/// Puts a few files into a new world, so that there is something to replace and to delete.
async fn stock(world: &World, ledger: &mut Ledger, dice: &mut Dice) {
    let mut server = world.start(None);
    let fate = Crash::new(STOCK, dice);
    for name in ["stock-1", "stock-2"] {
        let operations = operations(&fate, name, dice, ledger);
        let done = carry_out(&operations, &fate, &world.client(&server), &mut server, ledger).await;
        assert!(done.unanswered == 0 && done.odd.is_empty(), "{done:?}");
    }
}

/// One round: work, death, a new server that is armed for the next round, one pass of the reaper,
/// and the audit. Gives the new server, too.
async fn die(
    world: &World,
    fate: &Crash,
    operations: &[Operation],
    mut server: Program,
    ledger: &mut Ledger,
    next: &Crash,
) -> (Tally, Vec<String>, Program) {
    let client = world.client(&server);
    let work = carry_out(operations, fate, &client, &mut server, ledger);
    let done = tokio::time::timeout(TIMEOUT, work).await.expect("everything is answered, or the server is dead");
    let mut wrong = done.odd;
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
    if let Some(failpoints) = fate.failpoints(Victim::Reaper) {
        // Bytes that came through a signed URL are kept for as long as it is good.
        world.let_leases_end().await;
        hit = world.reap(Some(failpoints)).status == -9;
    }
    let server = world.start(next.failpoints(Victim::Server));
    world.let_leases_end().await;
    let reaped = world.reap(None);
    if reaped.status != 0 {
        wrong.push(format!("the reaper failed: {reaped:?}"));
    }
    wrong.extend(audit(world, &world.client(&server), ledger).await);
    (Tally { rounds: 1, hit: hit.into(), violations: 0 }, wrong, server)
}

impl Tally {
    fn add(&mut self, other: &Tally, is_violated: bool) {
        self.rounds += other.rounds;
        self.hit += other.hit;
        self.violations += u64::from(is_violated);
    }
}

fn word(setup: Setup) -> &'static str {
    match setup {
        Setup::SqliteAndDisk => "sqlite",
        Setup::PostgresAndS3 => "postgres",
    }
}

/// The results in Markdown.
fn table(setup: Setup, seed: u64, results: &Results) -> String {
    let mut text =
        format!("\n{}, seed {seed}\n\n| Point | Rounds | Hit | Violations |\n|---|---|---|---|\n", word(setup));
    let mut total = Tally::default();
    // In the order of the plan, each once.
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
