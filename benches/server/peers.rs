//! The targets, and what other products used for the same work.

use crate::{DISK, S3};

/// Other products, measured on another day on a machine of the same kind with 2 cores. As here, only the CPU of the
/// server counts.
pub const PEERS: [&str; 5] =
    ["tutorial service (NestJS)", "Supabase Storage", "PocketBase, disk", "PocketBase, S3", "nginx, same day"];

/// A figure with a target, or one that other products are compared by.
pub struct Goal {
    pub title: &'static str,
    pub unit: &'static str,
    /// The scenario and its figure.
    pub what: &'static str,
    pub name: &'static str,
    /// The targets on disk and on S3.
    targets: Option<[f64; 2]>,
    /// In the order of [`PEERS`].
    pub peers: [Option<f64>; 5],
}

impl Goal {
    pub fn target(&self, side: &str) -> Option<f64> {
        let index = [DISK, S3].iter().position(|name| *name == side)?;
        self.targets.map(|targets| targets[index])
    }
}

pub const GOALS: [Goal; 9] = [
    Goal {
        title: "upload, 256 MiB",
        unit: "CPU s/GiB",
        what: "upload of 256 MiB",
        name: "CPU s/GiB",
        targets: Some([1.6, 1.9]),
        peers: [Some(6.6), Some(11.7), Some(6.7), Some(5.6), Some(0.96)],
    },
    Goal {
        title: "download, 256 MiB",
        unit: "CPU s/GiB",
        what: "download of 256 MiB",
        name: "CPU s/GiB",
        targets: Some([0.40, 0.50]),
        peers: [Some(2.0), Some(5.0), Some(0.48), Some(0.56), Some(0.32)],
    },
    Goal {
        title: "upload, 4 KiB",
        unit: "CPU ms",
        what: "500 uploads of 4 KiB, 16 at once",
        name: "CPU ms/request",
        targets: Some([0.40, 0.80]),
        peers: [Some(5.9), Some(7.0), Some(1.3), Some(3.0), Some(0.04)],
    },
    Goal {
        title: "download, 4 KiB",
        unit: "CPU ms",
        what: "500 downloads of 4 KiB, 16 at once",
        name: "CPU ms/request",
        targets: Some([0.10, 0.35]),
        peers: [Some(4.3), Some(2.4), Some(0.65), Some(1.08), Some(0.01)],
    },
    Goal {
        title: "list of 100 with URLs",
        unit: "CPU ms",
        what: "list of 100 with URLs",
        name: "CPU ms/request",
        targets: Some([0.6; 2]),
        peers: [Some(33.6), Some(9.3), Some(2.3), Some(2.2), None],
    },
    Goal {
        title: "list of 10,000 with URLs",
        unit: "CPU ms",
        what: "list of 10,000 with URLs, pages of 1,000",
        name: "CPU ms for all",
        targets: Some([45.0; 2]),
        peers: [Some(2297.0), Some(515.0), Some(123.0), Some(123.0), None],
    },
    Goal {
        title: "memory, upload of 256 MiB",
        unit: "peak MiB",
        what: "upload of 256 MiB",
        name: "peak MiB",
        targets: None,
        peers: [Some(648.0), Some(407.0), Some(173.0), Some(170.0), Some(11.0)],
    },
    Goal {
        title: "memory, 32 uploads of 64 MiB at once",
        unit: "peak MiB",
        what: "32 uploads of 64 MiB at once",
        name: "peak MiB",
        targets: Some([64.0, 180.0]),
        peers: [None; 5],
    },
    Goal {
        title: "tus upload",
        unit: "CPU relative to plain uploads",
        what: "upload of 1 GiB by tus, 64 MiB a PATCH",
        name: "CPU relative to plain uploads",
        targets: Some([1.3; 2]),
        peers: [None; 5],
    },
];
