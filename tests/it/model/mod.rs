//! Random operations against the server and a map in memory: with any operations and faults, the server responds as the map
//! does, and stores the same files.

mod server;

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::support::Setup;
use server::Server;

/// The paths and names that files may have.
pub const PLACES: [(&str, &str); 7] = [
    ("", "a.txt"),
    ("", "b.txt"),
    ("docs", "a.txt"),
    ("docs", "b.txt"),
    ("docs/old", "a.txt"),
    ("dots", "a.txt"),
    ("é", "ü"),
];

/// The retention of the trash, in minutes: 30 days.
const TRASH_MINUTES: u64 = 30 * 24 * 60;

/// The expected state of the server. The content of a file is `noise` of its size.
#[derive(Debug, Clone, Default)]
pub struct Model {
    files: HashMap<usize, File>,
    /// Files in the trash, with the time at which they were deleted.
    trash: HashMap<usize, (File, u64)>,
    /// Files that were deleted permanently.
    gone: BTreeSet<usize>,
    /// The time in minutes.
    now: u64,
    created: usize,
    /// The expected status of the last step.
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    place: usize,
    size: usize,
}

/// A step of a test. Files are numbered in the order of their creation.
#[derive(Debug, Clone)]
pub enum Step {
    /// With `cut_first`, the client disconnects during a first attempt.
    Upload {
        place: usize,
        size: usize,
        cut_first: bool,
    },
    /// The client disconnects during an upload, and does not repeat it.
    Cut {
        place: usize,
        size: usize,
    },
    /// Replaces the content, with the correct `If-Match` or another one.
    Replace {
        file: usize,
        size: usize,
        matches: bool,
    },
    Delete {
        file: usize,
        permanent: bool,
    },
    /// Restores a file from the trash, if its path is free.
    Restore {
        file: usize,
    },
    /// Deletes a file from the trash permanently.
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
    /// The server is stopped during an upload, and another one starts.
    Crash {
        size: usize,
    },
    Reap,
    /// The clock is advanced.
    Jump {
        minutes: u64,
    },
    /// The store is unavailable during an upload and a read.
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

    /// The state after a run of the reaper.
    fn reaped(mut self) -> Self {
        let due = |since: u64| self.now - since >= TRASH_MINUTES;
        let gone: Vec<_> = self.trash.iter().filter(|(_, (_, since))| due(*since)).map(|(id, _)| *id).collect();
        for file in gone {
            self.trash.remove(&file);
            self.gone.insert(file);
        }
        self
    }

    /// The number of files with content in the store.
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
            6 => (file(), size(), prop::bool::weighted(0.8)).prop_map(|(file, size, matches)| Step::Replace { file, size, matches }),
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

    /// Shrinking may have removed the step that created the file.
    fn preconditions(state: &Model, step: &Step) -> bool {
        match step {
            // The model does not number files whose name is taken.
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
                    state.files.insert(state.created, File { place: *place, size: *size });
                    state.created += 1;
                    201
                }
            },
            Step::Replace { file, size, matches } => match there(file) {
                None => 404,
                Some(_) if !matches => 412,
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
        server.apply(model, &step);
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
    // A failure is reported with its steps. Shrinking starts a server for each attempt.
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 60_000, ..ProptestConfig::default() }
}

prop_state_machine! {
    #![proptest_config(config(18))]
    #[test]
    fn random_operations_match_the_model_on_sqlite_and_disk(sequential 100 => Strongroom<false>);
}

prop_state_machine! {
    #![proptest_config(config(5))]
    #[test]
    fn random_operations_match_the_model_on_postgres_and_s3(sequential 60 => Strongroom<true>);
}
