//! People at random against a map in memory: whatever they do, and whatever breaks meanwhile, the
//! server answers as the map does and keeps what the map keeps.

mod server;

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::support::Setup;
use server::Server;

/// Where files may be: a folder and a name.
pub const PLACES: [(&str, &str); 7] = [
    ("", "a.txt"),
    ("", "b.txt"),
    ("docs", "a.txt"),
    ("docs", "b.txt"),
    ("docs/old", "a.txt"),
    ("dots", "a.txt"),
    ("é", "ü"),
];

/// How long the trash keeps files: 30 days.
const TRASH_MINUTES: u64 = 30 * 24 * 60;

/// What the server must be like. A file's bytes are `noise` of its size.
#[derive(Debug, Clone, Default)]
pub struct Model {
    files: HashMap<usize, File>,
    /// Files in the trash, and when they came there.
    trash: HashMap<usize, (File, u64)>,
    /// Files that were deleted for good.
    gone: BTreeSet<usize>,
    /// Minutes that the clock jumped.
    now: u64,
    made: usize,
    /// The status of the answer to the last step.
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    place: usize,
    size: usize,
}

/// What may happen. Files are named by the order of their making.
#[derive(Debug, Clone)]
pub enum Step {
    /// With `cut_first` the client hangs up in the middle, and tries again.
    Upload {
        place: usize,
        size: usize,
        cut_first: bool,
    },
    /// The client hangs up in the middle, and that is it.
    Cut {
        place: usize,
        size: usize,
    },
    /// New bytes, by somebody who knows the old ones, or not.
    Replace {
        file: usize,
        size: usize,
        knows: bool,
    },
    Delete {
        file: usize,
        permanent: bool,
    },
    /// Out of the trash, if nothing is at its place.
    Restore {
        file: usize,
    },
    /// Deletes what is in the trash for good.
    Discard {
        file: usize,
    },
    Read {
        file: usize,
    },
    Range {
        file: usize,
        from: usize,
        length: usize,
    },
    Move {
        file: usize,
        place: usize,
    },
    List {
        prefix: &'static str,
    },
    /// The server ends in the middle of an upload, and another one starts.
    Crash {
        size: usize,
    },
    Reap,
    /// The clock jumps ahead.
    Jump {
        minutes: u64,
    },
    /// The store is away while somebody uploads, reads and deletes.
    Fault {
        file: usize,
    },
}

impl Model {
    fn file_at(&self, place: usize) -> Option<usize> {
        self.files.iter().find(|(_, file)| file.place == place).map(|(id, _)| *id)
    }

    fn is_known(&self, file: usize) -> bool {
        self.files.contains_key(&file) || self.trash.contains_key(&file) || self.gone.contains(&file)
    }

    /// What is left after a pass of the reaper.
    fn reaped(mut self) -> Self {
        let due = |since: u64| self.now - since >= TRASH_MINUTES;
        let gone: Vec<_> = self.trash.iter().filter(|(_, (_, since))| due(*since)).map(|(id, _)| *id).collect();
        for file in gone {
            self.trash.remove(&file);
            self.gone.insert(file);
        }
        self
    }

    /// All that has bytes.
    fn kept(&self) -> usize {
        self.files.len() + self.trash.len()
    }
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(state: &Model) -> BoxedStrategy<Step> {
        let place = || 0..PLACES.len();
        let size = || prop_oneof![1 => Just(0), 12 => 1..60_000_usize, 3 => 250_000..700_000_usize, 1 => 5_242_881..6_000_000_usize];
        let upload = (place(), size(), prop::bool::weighted(0.2));
        let upload = upload.prop_map(|(place, size, cut_first)| Step::Upload { place, size, cut_first });
        let always = prop_oneof![
            10 => upload,
            2 => (place(), size()).prop_map(|(place, size)| Step::Cut { place, size }),
            4 => prop::sample::select(vec!["", "a", "docs", "docs/", "docs/o", "do", "é/"]).prop_map(|prefix| Step::List { prefix }),
            1 => (1..1_000_000_usize).prop_map(|size| Step::Crash { size }),
            2 => Just(Step::Reap),
            1 => (1..100_000_u64).prop_map(|minutes| Step::Jump { minutes }),
        ];
        let gone = state.gone.iter().copied().take(2);
        let known: Vec<usize> = state.files.keys().chain(state.trash.keys()).copied().chain(gone).collect();
        if known.is_empty() {
            return always.boxed();
        }
        let file = || prop::sample::select(known.clone());
        let ranges = (file(), 0..70_000_usize, 1..300_000_usize);
        prop_oneof![
            21 => always,
            6 => (file(), size(), prop::bool::weighted(0.8)).prop_map(|(file, size, knows)| Step::Replace { file, size, knows }),
            5 => (file(), prop::bool::ANY).prop_map(|(file, permanent)| Step::Delete { file, permanent }),
            3 => file().prop_map(|file| Step::Restore { file }),
            1 => file().prop_map(|file| Step::Discard { file }),
            8 => file().prop_map(|file| Step::Read { file }),
            6 => ranges.prop_map(|(file, from, length)| Step::Range { file, from, length }),
            5 => (file(), place()).prop_map(|(file, place)| Step::Move { file, place }),
            1 => file().prop_map(|file| Step::Fault { file }),
        ]
        .boxed()
    }

    /// Shrinking may have taken away the step that made the file.
    fn preconditions(state: &Model, step: &Step) -> bool {
        match step {
            // What the number after its name would be is not the model's affair.
            Step::Restore { file } => {
                let free = |(there, _): &(File, u64)| state.file_at(there.place).is_none();
                state.is_known(*file) && state.trash.get(file).is_none_or(free)
            }
            Step::Replace { file, .. }
            | Step::Delete { file, .. }
            | Step::Discard { file }
            | Step::Read { file }
            | Step::Range { file, .. }
            | Step::Move { file, .. }
            | Step::Fault { file } => state.is_known(*file),
            _ => true,
        }
    }

    fn apply(mut state: Model, step: &Step) -> Model {
        let there = |file: &usize| state.files.get(file).copied();
        state.status = match step {
            Step::Upload { place, size, .. } => match state.file_at(*place) {
                Some(_) => 412,
                None => {
                    state.files.insert(state.made, File { place: *place, size: *size });
                    state.made += 1;
                    201
                }
            },
            Step::Replace { file, size, knows } => match there(file) {
                None => 404,
                Some(_) if !knows => 412,
                Some(before) => {
                    state.files.insert(*file, File { size: *size, ..before });
                    200
                }
            },
            Step::Delete { file, permanent } => match state.files.remove(file) {
                None => 404,
                Some(_) if *permanent => {
                    state.gone.insert(*file);
                    204
                }
                Some(there) => {
                    state.trash.insert(*file, (there, state.now));
                    204
                }
            },
            Step::Restore { file } => match state.trash.remove(file) {
                None => 404,
                Some((there, _)) => {
                    state.files.insert(*file, there);
                    200
                }
            },
            Step::Discard { file } => match state.trash.remove(file) {
                None => 404,
                Some(_) => {
                    state.gone.insert(*file);
                    204
                }
            },
            Step::Jump { minutes } => {
                state.now += minutes;
                0
            }
            Step::Reap => {
                state = state.reaped();
                0
            }
            Step::Move { file, place } => match (there(file), state.file_at(*place)) {
                (None, _) => 404,
                (Some(_), Some(other)) if other != *file => 409,
                (Some(before), _) => {
                    state.files.insert(*file, File { place: *place, ..before });
                    200
                }
            },
            Step::Read { file } => there(file).map_or(404, |_| 200),
            Step::Range { file, from, .. } => there(file).map_or(404, |file| if *from < file.size { 206 } else { 416 }),
            Step::Cut { .. } | Step::List { .. } | Step::Crash { .. } | Step::Fault { .. } => 0,
        };
        state
    }
}

/// In a bucket, or on disk.
struct Strongroom<const IN_A_BUCKET: bool>;

impl<const IN_A_BUCKET: bool> StateMachineTest for Strongroom<IN_A_BUCKET> {
    type SystemUnderTest = Server;
    type Reference = Model;

    fn init_test(_: &Model) -> Server {
        Server::start(if IN_A_BUCKET { Setup::PostgresAndS3 } else { Setup::SqliteAndDisk })
    }

    fn apply(mut server: Server, model: &Model, step: Step) -> Server {
        server.take(model, &step);
        server
    }

    fn teardown(server: Server, model: Model) {
        let model = model.reaped();
        server.reap(&model);
        server.list(&model, "");
        for file in model.files.keys() {
            server.read(&model, *file, 200);
        }
        server.stop();
    }
}

fn config(cases: u32) -> ProptestConfig {
    // What fails is told with its steps; shrinking starts a server for each try.
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 60_000, ..ProptestConfig::default() }
}

prop_state_machine! {
    #![proptest_config(config(18))]
    #[test]
    fn whatever_happens_it_keeps_what_a_map_keeps_on_sqlite_and_disk(sequential 100 => Strongroom<false>);
}

prop_state_machine! {
    #![proptest_config(config(5))]
    #[test]
    fn whatever_happens_it_keeps_what_a_map_keeps_on_postgres_and_s3(sequential 60 => Strongroom<true>);
}
