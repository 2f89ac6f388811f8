//! The options of an fsck run.

/// The options of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether every object is read and hashed.
    pub full: bool,
    /// The limit for reading objects, in bytes per second.
    pub rate: u64,
    /// What to do with orphans.
    pub repair: Repair,
    /// How many orphans a repair may find, even if they are more than a few in a hundred.
    pub accepted_orphans: u64,
}

/// The treatment of orphans. Nothing else is ever repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Only report them.
    Nothing,
    /// Also delete those that an operator quarantined long enough ago.
    Quarantined,
    /// Also quarantine all others.
    Everything,
}
