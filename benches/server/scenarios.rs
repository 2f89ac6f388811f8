//! The scenarios. All sides take turns, so that none runs at a quieter time than another.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::baseline::{Bucket, Nginx};
use crate::client::{Request, concurrently};
use crate::figures::Figures;
use crate::side::{Side, Slot};
use crate::strongroom::{OWNERS, Setup, Strongroom};
use crate::{DISK, GIB, KIB, MIB, Options, Payload, S3, processes};

/// The input of a run.
pub struct Bench<'a> {
    pub options: &'a Options,
    pub setups: &'a [Setup],
    pub nginx: Option<String>,
    pub payload: &'a Payload,
}

/// Files of one size.
#[derive(Clone, Copy)]
struct Work {
    what: &'static str,
    count: usize,
    size: usize,
    at_once: usize,
    owners: usize,
    per: Per,
}

/// What the CPU time is divided by.
#[derive(Clone, Copy, PartialEq)]
enum Per {
    Gib,
    Request,
}

const PEAK: &str = "peak MiB";

const UPLOADS: [Work; 4] = [
    Work { what: "upload of 256 MiB", count: 1, size: 256 * MIB, at_once: 1, owners: 1, per: Per::Gib },
    Work {
        what: "32 uploads of 64 MiB at once",
        count: 32,
        size: 64 * MIB,
        at_once: 32,
        owners: OWNERS,
        per: Per::Gib,
    },
    Work { what: "200 uploads of 1 MiB, 16 at once", count: 200, size: MIB, at_once: 16, owners: 1, per: Per::Gib },
    Work {
        what: "500 uploads of 4 KiB, 16 at once",
        count: 500,
        size: 4 * KIB,
        at_once: 16,
        owners: 1,
        per: Per::Request,
    },
];

const DOWNLOADS: [Work; 3] = [
    Work { what: "download of 256 MiB", count: 1, size: 256 * MIB, at_once: 1, owners: 1, per: Per::Gib },
    Work { what: "16 downloads of 64 MiB at once", count: 16, size: 64 * MIB, at_once: 16, owners: 1, per: Per::Gib },
    Work {
        what: "500 downloads of 4 KiB, 16 at once",
        count: 500,
        size: 4 * KIB,
        at_once: 16,
        owners: 1,
        per: Per::Request,
    },
];

const LISTS: &str = "lists with URLs";
const ONE_TUS: &str = "upload of 1 GiB by tus, 64 MiB a PATCH";
const MANY_TUS: &str = "32 uploads of 64 MiB by tus at once";

impl Work {
    /// Small requests get a warm-up round, since one-time costs would dominate them.
    fn first_round(&self) -> usize {
        usize::from(self.per == Per::Gib)
    }

    fn shrunk(mut self, by: usize) -> Self {
        // Fewer small files, or smaller large ones.
        let part = if self.size > MIB { &mut self.size } else { &mut self.count };
        *part /= by;
        self
    }

    /// Records the measurements.
    fn record(&self, figures: &mut Figures, side: &'static str, measured: &Measurement, mut times: Vec<Duration>) {
        let (total, count) = (self.count * self.size, self.count as f64);
        let (cpu, client) = match self.per {
            Per::Gib => ("CPU s/GiB", "CPU s/GiB of the client"),
            Per::Request => ("CPU ms/request", "CPU ms/request of the client"),
        };
        let each = |time: Duration| match self.per {
            Per::Gib => per_gib(time, total),
            Per::Request => millis(time) / count,
        };
        let mut record = |figure, value: Option<f64>| figures.record(self.what, figure, side, value);
        record(cpu, measured.cpu.map(each));
        record(client, Some(each(measured.client)));
        match self.per {
            Per::Gib => record("MB/s", Some(total as f64 / 1e6 / measured.elapsed.as_secs_f64())),
            Per::Request => record("requests/s", Some(count / measured.elapsed.as_secs_f64())),
        }
        if self.count > 1 {
            times.sort_unstable();
            record("p50 ms", Some(millis(times[self.count / 2])));
            record("p99 ms", Some(millis(times[self.count * 99 / 100])));
        }
        record(PEAK, measured.peak);
    }
}

/// The measurements of one scenario on one side.
struct Measurement {
    /// `None` if the side has no process that counts.
    cpu: Option<Duration>,
    client: Duration,
    elapsed: Duration,
    peak: Option<f64>,
}

fn measure<T>(side: &dyn Side, work: impl FnOnce() -> T) -> (Measurement, T) {
    // Otherwise pending writes of one side would fall into the measurement of the next one.
    let _ = Command::new("sync").status();
    processes::wait_until_idle();
    let pids = side.processes();
    let counted = !pids.is_empty();
    processes::reset_peak(&pids);
    let (cpu, client, started) = (processes::cpu(&pids), processes::own_cpu(), Instant::now());
    let result = work();
    let (elapsed, client, cpu) = (started.elapsed(), processes::own_cpu() - client, processes::cpu(&pids) - cpu);
    let peak = counted.then(|| processes::peak(&pids) / MIB as f64);
    (Measurement { cpu: counted.then_some(cpu), client, elapsed, peak }, result)
}

fn per_gib(time: Duration, bytes: usize) -> f64 {
    time.as_secs_f64() * GIB / bytes as f64
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Bench<'_> {
    pub fn run(&self) -> Figures {
        let mut figures = Figures::default();
        let wanted = |what: &str| what.contains(&self.options.only);
        for work in UPLOADS.iter().filter(|work| wanted(work.what)) {
            self.uploads(&work.shrunk(self.options.shrink), &mut figures);
        }
        for work in DOWNLOADS.iter().filter(|work| wanted(work.what)) {
            self.downloads(&work.shrunk(self.options.shrink), &mut figures);
        }
        if wanted(LISTS) {
            self.lists(&mut figures);
        }
        if wanted(ONE_TUS) {
            self.one_by_tus(&mut figures);
        }
        if wanted(MANY_TUS) {
            self.many_by_tus(&mut figures);
        }
        figures
    }

    /// All sides, with new servers, so that memory of earlier scenarios does not count.
    fn sides(&self) -> Vec<Box<dyn Side + '_>> {
        let mut sides: Vec<Box<dyn Side>> = Vec::new();
        for setup in self.setups {
            sides.push(Box::new(Strongroom::start(setup)));
            match (setup.name, &self.nginx) {
                (DISK, Some(program)) => sides.push(Box::new(Nginx::start(program))),
                (S3, _) => sides.push(Box::new(Bucket::open(setup))),
                _ => {}
            }
        }
        sides
    }

    fn strongrooms(&self) -> Vec<Strongroom<'_>> {
        self.setups.iter().map(Strongroom::start).collect()
    }

    /// The rounds from `first` to the last, on every side, each starting with another side. Round 0 does not count: it
    /// opens connections and prepares statements.
    fn rounds(&self, first: usize, sides: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let rounds = first..=self.options.rounds;
        rounds.flat_map(move |round| (0..sides).map(move |turn| (round, (round + turn) % sides)))
    }

    fn uploads(&self, work: &Work, figures: &mut Figures) {
        let sides = self.sides();
        for (round, at) in self.rounds(work.first_round(), sides.len()) {
            let side = &*sides[at];
            let (measured, times, slots) = self.store(side, work, round);
            side.remove(&slots);
            if round > 0 {
                work.record(figures, side.name(), &measured, times);
            }
        }
        figures.print(work.what);
    }

    fn downloads(&self, work: &Work, figures: &mut Figures) {
        let sides = self.sides();
        let stored: Vec<Vec<Slot>> = sides.iter().map(|side| self.store(&**side, work, 0).2).collect();
        let gets: Vec<Vec<Request>> =
            sides.iter().zip(&stored).map(|(side, slots)| slots.iter().map(|slot| side.get(slot)).collect()).collect();
        for (round, at) in self.rounds(work.first_round(), sides.len()) {
            let side = &*sides[at];
            let (measured, times) = measure(side, || {
                concurrently(side.address(), work.count, work.at_once, |connection, index| {
                    assert_eq!(connection.count(&gets[at][index]), work.size, "a short download");
                })
            });
            if round > 0 {
                work.record(figures, side.name(), &measured, times);
            }
        }
        sides.iter().zip(&stored).for_each(|(side, slots)| side.remove(slots));
        figures.print(work.what);
    }

    /// Uploads files to one side; only the transfer is measured.
    fn store(&self, side: &dyn Side, work: &Work, round: usize) -> (Measurement, Vec<Duration>, Vec<Slot>) {
        let slot = |index| side.slot(index % work.owners, &format!("{round}-{index}.bin"));
        let mut slots: Vec<Slot> = (0..work.count).map(slot).collect();
        let answers = Mutex::new(Vec::new());
        let (measured, times) = measure(side, || {
            concurrently(side.address(), work.count, work.at_once, |connection, index| {
                let answer = connection.text(&slots[index].put, self.payload.part(index, work.size));
                answers.lock().expect("a thread failed").push((index, answer));
            })
        });
        for (index, answer) in answers.into_inner().expect("a thread failed") {
            side.arrived(&mut slots[index], &answer);
        }
        (measured, times, slots)
    }

    fn lists(&self, figures: &mut Figures) {
        const HUNDRED: &str = "list of 100 with URLs";
        const ALL: &str = "list of 10,000 with URLs, pages of 1,000";
        let (files, first, pages) = (10_000 / self.options.shrink, 2000 / self.options.shrink, 5);
        let sides = self.strongrooms();
        let work = Work { what: ALL, count: files, size: 1, at_once: 16, owners: 1, per: Per::Request };
        let stored: Vec<Vec<Slot>> = sides.iter().map(|side| self.store(side, &work, 0).2).collect();
        for (round, at) in self.rounds(0, sides.len()) {
            let side = &sides[at];
            let list = side.request(0, "GET", "/v1/files?prefix=bench/&limit=100&urls=signed", 200);
            let (hundred, times) = measure(side, || {
                concurrently(side.address(), first, 4, |connection, _| drop(connection.text(&list, &[])))
            });
            let (all, ()) = measure(side, || {
                for _ in 0..pages {
                    assert_eq!(side.list_all("prefix=bench/&limit=1000&urls=signed"), files, "a short list");
                }
            });
            if round == 0 {
                continue;
            }
            let work = Work { what: HUNDRED, count: first, size: 0, at_once: 4, owners: 1, per: Per::Request };
            work.record(figures, side.name(), &hundred, times);
            let each = |time| millis(time) / f64::from(pages);
            figures.record(ALL, "CPU ms for all", side.name(), all.cpu.map(each));
            figures.record(ALL, "ms for all", side.name(), each(all.elapsed));
            figures.record(ALL, PEAK, side.name(), all.peak);
        }
        sides.iter().zip(&stored).for_each(|(side, slots)| side.remove(slots));
        figures.print(HUNDRED);
        figures.print(ALL);
    }

    /// Alternates with plain uploads of the same bytes, since their ratio is compared with the target.
    fn one_by_tus(&self, figures: &mut Figures) {
        let (count, chunk) = (16, 64 * MIB / self.options.shrink);
        let plain = Work { what: ONE_TUS, count: 4, size: count / 4 * chunk, at_once: 1, owners: 1, per: Per::Gib };
        let (sides, total) = (self.strongrooms(), count * chunk);
        for (round, at) in self.rounds(1, sides.len()) {
            let side = &sides[at];
            let (uploaded, _, mut slots) = self.store(side, &plain, round);
            let chunks = (0..count).map(|index| self.payload.part(index, chunk));
            let (measured, slot) = measure(side, || side.tus(0, &format!("tus-{round}"), total, chunks));
            slots.push(slot);
            side.remove(&slots);
            let cpu = |measured: &Measurement| measured.cpu.map(|time| per_gib(time, total));
            let mut record = |figure, value: Option<f64>| figures.record(ONE_TUS, figure, side.name(), value);
            record("CPU s/GiB of plain uploads", cpu(&uploaded));
            record("CPU s/GiB", cpu(&measured));
            let times = cpu(&measured).zip(cpu(&uploaded)).map(|(tus, plain)| tus / plain);
            record("CPU relative to plain uploads", times);
            record("MB/s", Some(total as f64 / 1e6 / measured.elapsed.as_secs_f64()));
            record(PEAK, measured.peak);
        }
        figures.print(ONE_TUS);
    }

    fn many_by_tus(&self, figures: &mut Figures) {
        let (count, chunk) = (32, 16 * MIB / self.options.shrink);
        let work = Work { what: MANY_TUS, count, size: 4 * chunk, at_once: count, owners: OWNERS, per: Per::Gib };
        let sides = self.strongrooms();
        for (round, at) in self.rounds(1, sides.len()) {
            let side = &sides[at];
            let slots = Mutex::new(Vec::new());
            let (measured, times) = measure(side, || {
                concurrently(side.address(), count, count, |_, index| {
                    let chunks = (0..4).map(|part| self.payload.part(index + part, chunk));
                    let slot = side.tus(index % OWNERS, &format!("tus-{round}-{index}"), 4 * chunk, chunks);
                    slots.lock().expect("a thread failed").push(slot);
                })
            });
            side.remove(&slots.into_inner().expect("a thread failed"));
            work.record(figures, side.name(), &measured, times);
        }
        figures.print(MANY_TUS);
    }
}
