//! How the server of the bucket differs from S3, as found by probes.

use std::sync::atomic::{AtomicBool, Ordering};

/// Until a probe has found otherwise, the server is assumed to behave as S3.
#[derive(Debug, Default)]
pub(super) struct Quirks {
    ignores_conditions: AtomicBool,
    refuses_checksums: AtomicBool,
}

impl Quirks {
    /// Whether `If-None-Match: *` keeps an object from being overwritten.
    pub fn conditions(&self) -> bool {
        !self.ignores_conditions.load(Ordering::Relaxed)
    }

    /// Whether objects and parts may be sent with a CRC64NVME.
    pub fn checksums(&self) -> bool {
        !self.refuses_checksums.load(Ordering::Relaxed)
    }

    /// Records whether conditional writes work.
    pub fn set_conditional_writes(&self, supported: bool) {
        self.ignores_conditions.store(!supported, Ordering::Relaxed);
    }

    /// Records whether checksums are accepted.
    pub fn learn_checksums(&self, accepted: bool) {
        self.refuses_checksums.store(!accepted, Ordering::Relaxed);
    }
}
