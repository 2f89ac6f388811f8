//! The plan of a round, chosen at random: the point at which the process is killed, and the operations meanwhile.

use std::time::Duration;

use super::ledger::{Dice, Entry, Ledger, Version};
use crate::support::Setup;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Upload,
    Replace,
    /// A signed URL, a PUT to it, and the completion.
    SignedPut,
    /// Permanent deletion.
    Delete,
    Trash,
    Avatar,
    /// A tus upload of one to three appends.
    Tus,
    /// Parts through signed URLs.
    Direct,
}
use Kind::*;

const WRITES: &[Kind] = &[Upload, Replace, SignedPut, Avatar];
const STREAMS: &[Kind] = &[Upload, Replace, Avatar];
const PARTS: &[Kind] = &[Upload, Replace];
/// Operations that create and complete multipart uploads.
const MULTIPARTS: &[Kind] = &[Upload, Replace, Tus, Direct];
const RESUMABLE: &[Kind] = &[Tus, Direct];
const ALL: &[Kind] = &[Upload, Replace, SignedPut, Delete, Trash, Avatar, Tus, Direct];
const REMOVALS: &[Kind] = &[Delete, Trash];

/// A point at which the process can be killed, and the operations that pass it.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// The name in `src/faults.rs`, or one of [`ANSWERED`] and [`ANYWHEN`].
    pub name: &'static str,
    passed_by: &'static [Kind],
    pub victim: Victim,
    /// The minimum size of an upload, in bytes.
    size: usize,
}

impl Point {
    /// Whether one upload passes it several times.
    fn is_often_passed(self) -> bool {
        self.name == "K4"
    }
}

/// The process that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Server,
    /// `strongroom reap`, after the operations.
    Reaper,
}

/// The driver kills the server when the first response arrives.
pub const ANSWERED: &str = "K12";
/// The driver kills the server after a random time.
pub const ANYWHEN: &str = "any time";

const fn at(name: &'static str, passed_by: &'static [Kind], size: usize) -> Point {
    Point { name, passed_by, victim: Victim::Server, size }
}

const fn in_the_reaper(name: &'static str) -> Point {
    Point { name, passed_by: &[Replace, Delete], victim: Victim::Reaper, size: 0 }
}

const MANY_CHUNKS: usize = 300 * KIB;
/// More than one part.
const TWO_PARTS: usize = 5 * MIB + 1;

const ON_DISK: &[Point] = &[
    at("K1", STREAMS, 0),
    at("K2", STREAMS, 0),
    at("K3", WRITES, 16),
    at("K4", WRITES, MANY_CHUNKS),
    at("K5", WRITES, 0),
    at("K6", WRITES, 0),
    at("K7", WRITES, 0),
    at("K8", WRITES, 0),
    at("K9", WRITES, 0),
    at("K10", WRITES, 0),
    at("K11", WRITES, 0),
    at(ANSWERED, ALL, 0),
    at("D1", REMOVALS, 0),
    at("D2", REMOVALS, 0),
    in_the_reaper("D3"),
    in_the_reaper("D4"),
    at("T1", &[Tus], 16),
    at("T2", &[Tus], 16),
    at("T4", RESUMABLE, 16),
    at("T5", RESUMABLE, 16),
    at("P1", &[Direct], 16),
    at("P2", &[Direct], 16),
    at("P3", &[Direct], 16),
    at(ANYWHEN, ALL, 0),
];

const IN_A_BUCKET: &[Point] = &[
    at("K1", STREAMS, 0),
    at("K2", STREAMS, 0),
    at("K3", WRITES, 16),
    at("K4", WRITES, MANY_CHUNKS),
    at("K5", STREAMS, 0),
    at("K6", STREAMS, 0),
    at("K7", STREAMS, 0),
    at("K10", WRITES, 0),
    at("K11", WRITES, 0),
    at(ANSWERED, ALL, 0),
    at("M1", MULTIPARTS, TWO_PARTS),
    at("M2", MULTIPARTS, TWO_PARTS),
    at("M3", MULTIPARTS, TWO_PARTS),
    at("M4", PARTS, TWO_PARTS),
    at("M5", MULTIPARTS, TWO_PARTS),
    at("D1", REMOVALS, 0),
    at("D2", REMOVALS, 0),
    in_the_reaper("D3"),
    in_the_reaper("D4"),
    at("T1", &[Tus], 16),
    at("T2", &[Tus], TWO_PARTS),
    at("T3", &[Tus], 16),
    at("T4", RESUMABLE, 16),
    at("T5", RESUMABLE, 16),
    at("P2", &[Direct], 16),
    at("P3", &[Direct], TWO_PARTS),
    at(ANYWHEN, ALL, 0),
    at(ANYWHEN, MULTIPARTS, TWO_PARTS),
];

/// A point at which nothing is killed.
pub const STOCK: Point = at("nowhere", &[Upload], 0);

pub fn points(setup: Setup) -> &'static [Point] {
    match setup {
        Setup::SqliteAndDisk => ON_DISK,
        Setup::PostgresAndS3 => IN_A_BUCKET,
    }
}

/// The crash of a round.
#[derive(Debug, Clone, Copy)]
pub struct Crash {
    pub point: Point,
    /// How often the point is passed before it kills the process.
    passes: usize,
    /// When the driver kills the server, if the point is [`ANYWHEN`].
    pub after: Duration,
}

impl Crash {
    pub fn new(point: Point, dice: &mut Dice) -> Self {
        let passes = dice.one_of(if point.is_often_passed() { &[0, 1, 2, 4, 6] } else { &[0, 0, 1, 2] });
        Self { point, passes, after: Duration::from_millis(dice.next() % 60) }
    }

    /// The failpoints of this process; nothing if it is not the one to be killed.
    pub fn failpoints(&self, process: Victim) -> Option<String> {
        let is_driven = [ANSWERED, ANYWHEN].contains(&self.point.name);
        (self.point.victim == process && !is_driven).then(|| match self.passes {
            0 => format!("{}=return", self.point.name),
            passes => format!("{}={passes}*off->return", self.point.name),
        })
    }
}

/// One operation. Those of a round run concurrently.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub kind: Kind,
    /// The index of its entry in the ledger.
    pub entry: usize,
    /// The content that it sends.
    pub version: Version,
    /// Whether the length is announced; for tus, whether the creation has no bytes.
    pub is_announced: bool,
}

/// The number of files above which uploads become replacements.
const ENOUGH_FILES: usize = 12;

/// Chooses the operations of a round, and adds entries for the files that they may create.
pub fn operations(crash: &Crash, round: &str, dice: &mut Dice, ledger: &mut Ledger) -> Vec<Operation> {
    let mut free: Vec<usize> = (0..ledger.entries.len()).collect();
    // Enough to reach the point, and sometimes more.
    let enough = if crash.point.is_often_passed() { 1 } else { 1 + crash.passes };
    let count = (enough + dice.below(3)).min(4);
    let names = (0..count).map(|number| format!("{round}-{number}.bin"));
    names.map(|name| operation(crash.point, name, dice, ledger, &mut free)).collect()
}

/// Chooses one operation on a free entry, and marks the entry as used.
fn operation(point: Point, name: String, dice: &mut Dice, ledger: &mut Ledger, free: &mut Vec<usize>) -> Operation {
    let mut kind = dice.one_of(point.passed_by);
    let files: Vec<usize> = free.iter().copied().filter(|entry| !ledger.entries[*entry].is_avatar()).collect();
    if kind == Upload && ledger.entries.len() > ENOUGH_FILES && !files.is_empty() {
        kind = Replace;
    }
    if kind == Avatar && !free.contains(&0) || files.is_empty() && [Replace, SignedPut, Delete, Trash].contains(&kind) {
        kind = Upload;
    }
    let entry = match kind {
        Avatar => 0,
        Upload | Tus | Direct => {
            ledger.entries.push(Entry::new(name));
            ledger.entries.len() - 1
        }
        Replace | SignedPut | Delete | Trash => dice.one_of(&files),
    };
    free.retain(|other| *other != entry);
    let size = size(point, kind, dice);
    let version = Version::new(dice.next(), size, kind == Avatar);
    Operation { kind, entry, version, is_announced: dice.below(2) == 0 }
}

fn size(point: Point, kind: Kind, dice: &mut Dice) -> usize {
    let more = match point.size {
        TWO_PARTS => dice.below(2 * MIB),
        _ => match dice.below(8) {
            0 => 0,
            // More than one block of the store on disk.
            1 => dice.below(800 * KIB),
            _ => dice.below(48 * KIB),
        },
    };
    // An image is detected by its first bytes.
    point.size + more + if kind == Avatar { 64 } else { 0 }
}
