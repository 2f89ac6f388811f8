//! Cuts the power while clients upload, replace and delete, and checks what is left on the disk. `scripts/powercut` cuts a
//! hundred times, an ordinary run of the tests a few times.
//!
//! The disk is an ext4 filesystem in an image on a loop device. At a random time the server is suspended and the image is
//! copied (see `disk.rs`). The copy is what a power cut would leave: it does not contain the page cache. It is mounted,
//! ext4 replays its journal, a server starts on it, the reaper runs, and everything is compared with what had been
//! acknowledged before.
//!
//! Controls show that the test can fail: servers that omit one of the three syncs of an acknowledged upload must lose data.

mod disk;
mod fixture;
mod ledger;
mod work;

use std::fmt;

use crate::support::mount::or_skip;
use fixture::Fixture;
use ledger::Counts;

/// Cuts per image, so that later ones hit a filesystem and a database with a history.
const CUTS_PER_IMAGE: usize = 5;

/// Syncs that can be omitted, by their names in `src/faults.rs`.
const CONTROLS: [&str; 3] = ["file_sync", "directory_sync", "database_sync"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_a_power_cut() {
    let Some(tally) = run(None, number("STRONGROOM_POWER_CUTS").unwrap_or(4)).await else { return };
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.counts.uploads > 0, "nothing was acknowledged, so nothing is tested");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_omitted_sync_loses_data() {
    let cuts = number("STRONGROOM_POWER_CONTROL_CUTS");
    // The two that show in every cut are enough for an ordinary run.
    let controls = CONTROLS.into_iter().filter(|name| cuts.is_some() || *name != "directory_sync");
    for control in controls {
        // On a slow machine the kernel may have written everything by itself.
        let mut tries = if cuts.is_some() { 1 } else { 8 };
        loop {
            let Some(tally) = run(Some(control), cuts.unwrap_or(1)).await else { return };
            tries -= 1;
            if tally.counts.lost > 0 {
                break;
            }
            assert!(tries > 0, "without {control} nothing was lost");
        }
    }
}

/// The results of all cuts.
#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    counts: Counts,
    wrong: Vec<String>,
}

/// Cuts the power this many times, and prints a line of the table.
async fn run(control: Option<&'static str>, cuts: usize) -> Option<Tally> {
    let mut tally = Tally::default();
    // Database and store on one disk, as by default, and on two: on one disk, a sync of the database also makes the names
    // of files durable, which hides a missing sync of a folder.
    for disks in [2, 1].into_iter().cycle() {
        if tally.cuts == cuts {
            break;
        }
        let mut fixture = or_skip("power cuts", Fixture::new(control, disks).await)?;
        for _ in 0..CUTS_PER_IMAGE.min(cuts - tally.cuts) {
            let wrong = fixture.work_and_cut().await;
            tally.cuts += 1;
            if !wrong.is_empty() {
                // Later cuts would be affected.
                tally.wrong.extend(wrong);
                break;
            }
        }
        tally.counts += fixture.counts();
    }
    println!("{tally}", tally = Line(control, &tally));
    Some(tally)
}

fn number(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}

/// A line of the table in docs/reliability.md.
struct Line<'a>(Option<&'a str>, &'a Tally);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(control, Tally { cuts, counts, .. }) = self;
        let server = control.map_or("as it is".to_owned(), |name| format!("control: no `{name}`"));
        let Counts { uploads, deletions, lost, back, half } = counts;
        write!(f, "| {server} | {cuts} | {uploads} | {lost} | {deletions} | {back} | {half} |")
    }
}
