//! What a pass found, as programs and people read it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Options, Repair};
use crate::clock::from_micros;
use crate::db::FsckRunRow;
use crate::error::{Error, Result};

/// Findings of one kind that a report names, so that many of one do not hide the few of another.
/// All of them are counted.
const NAMED: u64 = 200;

/// What can be wrong. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FsckFindingKind {
    /// The row is ready and its object is not there: a file is lost.
    Missing,
    /// The object has another size than its row says.
    SizeMismatch,
    /// The object has other bytes than were stored (a full pass finds it).
    HashMismatch,
    /// The object is there and cannot be read (a full pass finds it).
    Unreadable,
    /// A file or an avatar points at a blob that is not ready.
    DanglingFile,
    /// The reaper should have cleared this long ago.
    Stale,
    /// An object that no row knows.
    UnknownObject,
    /// Half-written bytes that no row knows.
    UnknownUpload,
    /// A name in the store that cannot be one of ours. It is told, and does no harm.
    Foreign,
}

impl FsckFindingKind {
    /// The name, as it is in JSON.
    pub fn name(self) -> &'static str {
        match self {
            FsckFindingKind::Missing => "missing",
            FsckFindingKind::SizeMismatch => "size_mismatch",
            FsckFindingKind::HashMismatch => "hash_mismatch",
            FsckFindingKind::Unreadable => "unreadable",
            FsckFindingKind::DanglingFile => "dangling_file",
            FsckFindingKind::Stale => "stale",
            FsckFindingKind::UnknownObject => "unknown_object",
            FsckFindingKind::UnknownUpload => "unknown_upload",
            FsckFindingKind::Foreign => "foreign",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckFinding {
    pub kind: FsckFindingKind,
    /// The key in the store; of something foreign, its name there.
    pub key: String,
    /// The store's id of an open multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// The file that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<Uuid>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Uuid>,
    /// What is wrong, in words.
    pub detail: String,
    /// What was done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<FsckAction>,
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FsckAction {
    /// It waits in quarantine.
    Quarantined,
    /// It was in quarantine for long enough, and is gone now.
    Removed,
}

impl FsckFinding {
    pub fn new(kind: FsckFindingKind, key: impl ToString, detail: impl Into<String>) -> Self {
        Self {
            kind,
            key: key.to_string(),
            upload_id: None,
            file_id: None,
            owner_id: None,
            detail: detail.into(),
            action: None,
        }
    }
}

impl fmt::Display for FsckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names that others gave may hold anything, line breaks too.
        write!(f, "{:<14} {}  {}", self.kind.name(), self.key.escape_debug(), self.detail.escape_debug())?;
        if let Some(id) = &self.upload_id {
            write!(f, "; upload {id}")?;
        }
        if let Some(id) = self.file_id {
            write!(f, "; file {id}")?;
        }
        if let Some(id) = self.owner_id {
            write!(f, "; owner {id}")?;
        }
        match self.action {
            Some(FsckAction::Quarantined) => f.write_str("; in quarantine"),
            Some(FsckAction::Removed) => f.write_str("; removed"),
            None => Ok(()),
        }
    }
}

/// What a pass has looked at and found until now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckReport {
    /// Whether every object is read and hashed.
    pub full: bool,
    /// Whether what is unknown is put into quarantine.
    pub repair: bool,
    /// Blobs in the database.
    pub rows: u64,
    /// Objects in the store, but for foreign ones.
    pub objects: u64,
    /// Open multipart uploads and staged files.
    pub uploads: u64,
    /// Bytes that were read and hashed.
    pub hashed_bytes: u64,
    /// How many findings there are of each kind.
    pub counts: BTreeMap<FsckFindingKind, u64>,
    /// The findings, the first 200 of each kind.
    pub findings: Vec<FsckFinding>,
    /// What is in quarantine deadline this pass.
    pub quarantined: u64,
    /// What this pass removed, deadline its time in quarantine.
    pub removed: u64,
    /// Why nothing was put into quarantine or removed, although that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Why the pass did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl FsckReport {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            full: options.full,
            repair: options.repair == Repair::Everything,
            rows: 0,
            objects: 0,
            uploads: 0,
            hashed_bytes: 0,
            counts: BTreeMap::new(),
            findings: Vec::new(),
            quarantined: 0,
            removed: 0,
            refused: None,
            error: None,
        }
    }

    /// Adds a finding; gives its place among those that are named.
    pub(super) fn add(&mut self, finding: FsckFinding) -> Option<usize> {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        (*count <= NAMED).then(|| {
            self.findings.push(finding);
            self.findings.len() - 1
        })
    }

    pub fn count(&self, kind: FsckFindingKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// How much is wrong. What is foreign does no harm.
    pub fn wrong(&self) -> u64 {
        self.counts.iter().filter(|(kind, _)| **kind != FsckFindingKind::Foreign).map(|(_, count)| count).sum()
    }

    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FsckState {
    Running,
    /// It looked at everything.
    Done,
    /// It broke off: what it did not find may be there still.
    Failed,
}

impl FsckState {
    pub(super) fn name(self) -> &'static str {
        match self {
            FsckState::Running => "running",
            FsckState::Done => "done",
            FsckState::Failed => "failed",
        }
    }
}

/// A pass, while it runs and deadline it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FsckRun {
    pub id: Uuid,
    pub state: FsckState,
    /// Whether it looked at everything and nothing is wrong.
    pub clean: bool,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    #[serde(flatten)]
    pub report: FsckReport,
}

impl TryFrom<FsckRunRow> for FsckRun {
    type Error = Error;

    fn try_from(row: FsckRunRow) -> Result<Self> {
        let report: FsckReport = serde_json::from_str(&row.report).map_err(Error::internal)?;
        let states = [FsckState::Running, FsckState::Done, FsckState::Failed];
        let state = states.into_iter().find(|state| state.name() == row.state);
        let state = state.ok_or_else(|| Error::internal("a pass in an unknown state"))?;
        Ok(Self {
            id: row.id,
            state,
            clean: state == FsckState::Done && report.wrong() == 0,
            started_at: from_micros(row.started_at),
            finished_at: row.finished_at.map(from_micros),
            report,
        })
    }
}

impl FsckRun {
    /// Writes what was found into the log, for passes that nobody looks at.
    pub(super) fn log(&self) {
        for finding in self.report.findings.iter().filter(|finding| finding.kind != FsckFindingKind::Foreign) {
            tracing::error!(kind = finding.kind.name(), "fsck: {finding}");
        }
        if let Some(why) = &self.report.refused {
            tracing::error!("fsck: {why}");
        }
        let summary = self.summary();
        if self.clean { tracing::info!("fsck: {summary}") } else { tracing::error!("fsck: {summary}") }
    }

    /// All of it in one line.
    pub fn summary(&self) -> String {
        let FsckReport { rows, objects, uploads, hashed_bytes, quarantined, removed, .. } = self.report;
        let mut text = format!("{rows} rows, {objects} objects, {uploads} uploads");
        if self.report.full {
            text += &format!(", {} read", bytesize::ByteSize(hashed_bytes));
        }
        let found: Vec<_> = self.report.counts.iter().map(|(kind, count)| format!("{count} {}", kind.name())).collect();
        text += &if found.is_empty() { ": all is well".to_owned() } else { format!(": {}", found.join(", ")) };
        if quarantined + removed > 0 {
            text += &format!("; {quarantined} in quarantine, {removed} removed");
        }
        text
    }
}

impl fmt::Display for FsckRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.report.findings {
            writeln!(f, "{finding}")?;
        }
        let named = self.report.findings.len() as u64;
        let all: u64 = self.report.counts.values().sum();
        if all > named {
            writeln!(f, "... and {} more", all - named)?;
        }
        if let Some(why) = &self.report.refused {
            writeln!(f, "{why}")?;
        }
        f.write_str(&self.summary())
    }
}
