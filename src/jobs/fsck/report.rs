//! The report of an fsck run: findings and counts, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::options::{Options, Repair};
use crate::db::FsckRunRow;
use crate::error::{Error, Result};

/// Findings of one kind that a report lists, so that many of one kind do not hide a few of another.
/// All of them are counted.
const MAX_LISTED: u64 = 200;

/// The kinds of findings. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FsckFindingKind {
    /// The row is ready and its object does not exist: a file is lost.
    #[serde(rename = "missing")]
    Missing,
    /// The object and its row disagree about the size.
    #[serde(rename = "size_mismatch")]
    SizeMismatch,
    /// The content differs from what was stored. Only a full run finds it.
    #[serde(rename = "hash_mismatch")]
    HashMismatch,
    /// The object exists and cannot be read. Only a full run finds it.
    #[serde(rename = "unreadable")]
    Unreadable,
    /// The row names a format or a store that this version does not know: a newer version has written it.
    #[serde(rename = "unknown_format")]
    UnknownFormat,
    /// A file or an avatar references a blob that is not ready.
    #[serde(rename = "dangling_reference")]
    DanglingReference,
    /// The reaper should have deleted this blob long ago.
    #[serde(rename = "stale")]
    Stale,
    /// An object without a row.
    #[serde(rename = "orphaned_object")]
    OrphanedObject,
    /// An incomplete upload without a row.
    #[serde(rename = "orphaned_upload")]
    OrphanedUpload,
    /// A name in the store that Strongroom does not create. It is reported and otherwise ignored.
    #[serde(rename = "foreign")]
    Foreign,
}

impl FsckFindingKind {
    /// The name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            FsckFindingKind::Missing => "missing",
            FsckFindingKind::SizeMismatch => "size_mismatch",
            FsckFindingKind::HashMismatch => "hash_mismatch",
            FsckFindingKind::Unreadable => "unreadable",
            FsckFindingKind::UnknownFormat => "unknown_format",
            FsckFindingKind::DanglingReference => "dangling_reference",
            FsckFindingKind::Stale => "stale",
            FsckFindingKind::OrphanedObject => "orphaned_object",
            FsckFindingKind::OrphanedUpload => "orphaned_upload",
            FsckFindingKind::Foreign => "foreign",
        }
    }
}

/// One difference between database and store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckFinding {
    /// What is wrong.
    pub kind: FsckFindingKind,
    /// The key of the object; the name in the store if the kind is `foreign`.
    pub key: String,
    /// The store's id of an incomplete multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// The affected file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<Uuid>,
    /// The owner of the affected blob, if it has a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space_id: Option<Uuid>,
    /// A description for operators.
    pub detail: String,
    /// What this run did about it, or an earlier one; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<FsckAction>,
}

/// The action taken on a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsckAction {
    /// The object is in quarantine.
    #[serde(rename = "quarantined")]
    Quarantined,
    /// The object was in quarantine long enough, and has been deleted.
    #[serde(rename = "deleted")]
    Deleted,
}

impl FsckFinding {
    /// A finding that concerns no row.
    pub(super) fn new(kind: FsckFindingKind, key: impl ToString, detail: impl Into<String>) -> Self {
        Self {
            kind,
            key: key.to_string(),
            upload_id: None,
            file_id: None,
            space_id: None,
            detail: detail.into(),
            action: None,
        }
    }
}

impl fmt::Display for FsckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Foreign names may contain anything, including line breaks.
        write!(f, "{:<18} {}  {}", self.kind.as_str(), self.key.escape_debug(), self.detail.escape_debug())?;
        if let Some(id) = &self.upload_id {
            write!(f, "; upload {id}")?;
        }
        if let Some(id) = self.file_id {
            write!(f, "; file {id}")?;
        }
        if let Some(id) = self.space_id {
            write!(f, "; owner {id}")?;
        }
        match self.action {
            Some(FsckAction::Quarantined) => f.write_str("; in quarantine"),
            Some(FsckAction::Deleted) => f.write_str("; deleted"),
            None => Ok(()),
        }
    }
}

/// The counts and findings of a run so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckReport {
    /// Whether every object is read and hashed.
    pub full: bool,
    /// Whether orphans are quarantined.
    pub repair: bool,
    /// Rows of blobs in the database.
    pub rows: u64,
    /// Objects in the store, without foreign ones.
    pub objects: u64,
    /// Incomplete multipart uploads and staged files.
    pub uploads: u64,
    /// Bytes read and hashed.
    pub hashed_bytes: u64,
    /// The number of findings of each kind.
    pub counts: BTreeMap<FsckFindingKind, u64>,
    /// The findings, the first 200 of each kind.
    pub findings: Vec<FsckFinding>,
    /// Orphans in quarantine after this run.
    pub quarantined: u64,
    /// Orphans that this run deleted because their time in quarantine has expired.
    pub deleted: u64,
    /// Why the run refused to quarantine or delete orphans, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Why the run failed, if it did.
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
            deleted: 0,
            refused: None,
            error: None,
        }
    }

    /// Counts a finding; returns its index if it is listed.
    pub(super) fn add(&mut self, finding: FsckFinding) -> Option<usize> {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        (*count <= MAX_LISTED).then(|| {
            self.findings.push(finding);
            self.findings.len() - 1
        })
    }

    /// The number of findings of one kind.
    pub fn count(&self, kind: FsckFindingKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// The number of findings, without foreign names, which are harmless.
    pub fn problems(&self) -> u64 {
        self.counts.iter().filter(|(kind, _)| **kind != FsckFindingKind::Foreign).map(|(_, count)| count).sum()
    }

    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FsckState {
    /// The run is in progress.
    #[serde(rename = "running")]
    Running,
    /// The run has checked everything.
    #[serde(rename = "done")]
    Done,
    /// The run ended early; there may be problems that it has not found.
    #[serde(rename = "failed")]
    Failed,
}

impl FsckState {
    /// The name, as in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            FsckState::Running => "running",
            FsckState::Done => "done",
            FsckState::Failed => "failed",
        }
    }
}

/// A run, in progress or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FsckRun {
    /// The id of the run, which also holds the job lease.
    pub id: Uuid,
    /// Whether it is in progress, and how it ended.
    pub state: FsckState,
    /// Whether the run has checked everything and found no problem.
    pub clean: bool,
    /// When it started, by the clock of the database.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is in progress.
    pub finished_at: Option<Timestamp>,
    #[serde(flatten)]
    /// What it has found so far.
    pub report: FsckReport,
}

impl TryFrom<FsckRunRow> for FsckRun {
    type Error = Error;

    fn try_from(row: FsckRunRow) -> Result<Self> {
        let report: FsckReport = serde_json::from_str(&row.report).map_err(Error::internal)?;
        let states = [FsckState::Running, FsckState::Done, FsckState::Failed];
        let state = states.into_iter().find(|state| state.as_str() == row.state);
        let state = state.ok_or_else(|| Error::internal("an fsck run in an unknown state"))?;
        Ok(Self {
            id: row.id,
            state,
            clean: state == FsckState::Done && report.problems() == 0,
            started_at: row.started_at.into(),
            finished_at: row.finished_at.map(Into::into),
            report,
        })
    }
}

impl FsckRun {
    /// Logs the findings, for runs without an operator.
    pub(super) fn log(&self) {
        for finding in self.report.findings.iter().filter(|finding| finding.kind != FsckFindingKind::Foreign) {
            tracing::error!(kind = finding.kind.as_str(), "fsck: {finding}");
        }
        if let Some(why) = &self.report.refused {
            tracing::error!("fsck: {why}");
        }
        let summary = self.summary();
        if self.clean { tracing::info!("fsck: {summary}") } else { tracing::error!("fsck: {summary}") }
    }

    /// The counts in one line.
    pub fn summary(&self) -> String {
        let FsckReport { rows, objects, uploads, hashed_bytes, quarantined, deleted, .. } = self.report;
        let mut text = format!("{rows} rows, {objects} objects, {uploads} uploads");
        if self.report.full {
            text += &format!(", {} read", bytesize::ByteSize(hashed_bytes));
        }
        let found: Vec<_> =
            self.report.counts.iter().map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
        text += &if found.is_empty() { ": no problems found".to_owned() } else { format!(": {}", found.join(", ")) };
        if quarantined + deleted > 0 {
            text += &format!("; {quarantined} in quarantine, {deleted} deleted");
        }
        text
    }
}

impl fmt::Display for FsckRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.report.findings {
            writeln!(f, "{finding}")?;
        }
        let listed = self.report.findings.len() as u64;
        let all: u64 = self.report.counts.values().sum();
        if all > listed {
            writeln!(f, "... and {} more", all - listed)?;
        }
        if let Some(why) = &self.report.refused {
            writeln!(f, "{why}")?;
        }
        f.write_str(&self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_those_of_as_str() {
        use FsckFindingKind::*;
        let kinds = [
            Missing,
            SizeMismatch,
            HashMismatch,
            Unreadable,
            DanglingReference,
            Stale,
            OrphanedObject,
            OrphanedUpload,
            Foreign,
        ];
        for kind in kinds {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for state in [FsckState::Running, FsckState::Done, FsckState::Failed] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
