//! Cuts the power while clients upload, replace and delete, and looks at what the disk then has:
//! what `scripts/powercut` runs a hundred times, and every run of the tests a few times.
//!
//! The disk is an ext4 in an image on a loop device. At a random moment the server is frozen and
//! the image copied (see `disk.rs`). The copy is what a power cut would leave: the page cache
//! is not in it. It is mounted, ext4 replays its journal, a server starts on it, the reaper makes one
//! pass, and everything is compared with what had been acknowledged before the freeze.
//!
//! A test that cannot fail proves nothing. So there are controls, servers that leave out one of the
//! three syncs that an acknowledged upload consists of; they must be found out.

mod disk;
mod ledger;
mod work;
mod world;

use std::fmt;

use crate::support::mount::or_skip;
use ledger::Counts;
use world::World;

/// Cuts in the life of one image, so that later ones hit a filesystem and a database with a past.
const LIFETIME: usize = 5;

/// A sync that is left out, by the name it has in `src/faults.rs`.
const CONTROLS: [&str; 3] = ["file_sync", "folder_sync", "rows_sync"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let Some(tally) = run(None, number("STRONGROOM_POWER_CUTS").unwrap_or(4)).await else { return };
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.counts.uploads > 0, "nothing was acknowledged, so nothing is proved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_is_left_out_shows() {
    let cuts = number("STRONGROOM_POWER_CONTROL_CUTS");
    // The two of them that show in every cut are enough for an ordinary run.
    let controls = CONTROLS.into_iter().filter(|name| cuts.is_some() || *name != "folder_sync");
    for control in controls {
        // On a machine that is slow just then the kernel may have written everything by itself.
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

/// What came of so many cuts.
#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    counts: Counts,
    wrong: Vec<String>,
}

/// Cuts the power so many times, and prints a line of the table.
async fn run(control: Option<&'static str>, cuts: usize) -> Option<Tally> {
    let mut tally = Tally::default();
    // Database and bytes on one disk, as they are by default, and on two: on one, a sync of the rows makes the
    // names of files durable, too, and hides that a folder was not synced.
    for disks in [2, 1].into_iter().cycle() {
        if tally.cuts == cuts {
            break;
        }
        let mut world = or_skip("power cuts", World::new(control, disks).await)?;
        for _ in 0..LIFETIME.min(cuts - tally.cuts) {
            let wrong = world.work_and_cut().await;
            tally.cuts += 1;
            if !wrong.is_empty() {
                // What comes after would be tainted.
                tally.wrong.extend(wrong);
                break;
            }
        }
        tally.counts += world.counts();
    }
    println!("{tally}", tally = Line(control, &tally));
    Some(tally)
}

fn number(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
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
