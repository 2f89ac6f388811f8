//! An fsck run, as the API shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::jobs::fsck::{FsckAction, FsckFinding, FsckFindingKind, FsckReport, FsckRun, FsckState};

/// An fsck run: in progress or finished.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FsckRun, example = json!({
    "id": "019ab0c2-7b11-7d02-9c0e-5d3a7c1f2e90", "state": "done", "clean": false,
    "started_at": "2026-11-22T15:04:05Z", "finished_at": "2026-11-22T15:04:07Z",
    "full": false, "repair": true, "rows": 4011, "objects": 4012, "uploads": 2, "hashed_bytes": 0,
    "counts": {"orphaned_object": 1},
    "findings": [{"kind": "orphaned_object", "key": "0f8e2c47a1b34d5596e70b8a4cd1f2e3",
        "detail": "5242880 bytes without a row, last modified 2026-11-20T09:30:00Z", "action": "quarantined"}],
    "quarantined": 1, "deleted": 0
}))]
pub struct FsckRunView {
    id: Uuid,
    state: FsckStateView,
    /// Whether everything was checked and no problem was found.
    clean: bool,
    started_at: Timestamp,
    #[schema(required)]
    finished_at: Option<Timestamp>,
    #[serde(flatten)]
    report: FsckReportView,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = FsckState)]
#[serde(rename_all = "snake_case")]
enum FsckStateView {
    Running,
    /// Everything was checked.
    Done,
    /// The run ended early: problems that it did not report may exist.
    Failed,
}

/// What the run has checked and found so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FsckReport)]
struct FsckReportView {
    /// Whether every object is read and hashed.
    full: bool,
    /// Whether orphans are quarantined.
    repair: bool,
    /// Blobs in the database.
    rows: u64,
    /// Objects in the store, without foreign ones.
    objects: u64,
    /// Open multipart uploads and staged files.
    uploads: u64,
    /// Bytes that were read and hashed.
    hashed_bytes: u64,
    /// The number of findings of each kind.
    counts: BTreeMap<&'static str, u64>,
    /// The findings, the first 200 of each kind.
    findings: Vec<FsckFindingView>,
    /// Orphans in quarantine after this run.
    quarantined: u64,
    /// Orphans that this run deleted after their time in quarantine.
    deleted: u64,
    /// Why nothing was quarantined or deleted although it was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refused: Option<String>,
    /// Why the run ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// A problem that fsck found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FsckFinding)]
struct FsckFindingView {
    kind: FsckFindingKindView,
    /// The key in the store; of a foreign object, its name there.
    key: String,
    /// The store's id of an open multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    upload_id: Option<String>,
    /// The file concerned, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    file_id: Option<Uuid>,
    /// The owner of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    space_id: Option<Uuid>,
    detail: String,
    /// What the run did about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    action: Option<FsckActionView>,
}

/// The kinds of problems. The names are stable.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = FsckFindingKind)]
#[serde(rename_all = "snake_case")]
enum FsckFindingKindView {
    /// The row is ready and its object does not exist: a file is lost.
    Missing,
    /// The size of the object differs from the size in its row.
    SizeMismatch,
    /// The content of the object differs from what was stored (found by full runs).
    HashMismatch,
    /// The object exists and cannot be read (found by full runs).
    Unreadable,
    /// The row names a format or a store that this version does not know.
    UnknownFormat,
    /// A file or an avatar references a blob that is not ready.
    DanglingReference,
    /// The reaper should have deleted this long ago.
    Stale,
    /// An object without a row.
    OrphanedObject,
    /// An incomplete upload without a row.
    OrphanedUpload,
    /// A name in the store that Strongroom does not use. It is reported, and harmless.
    Foreign,
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = FsckAction)]
#[serde(rename_all = "snake_case")]
enum FsckActionView {
    /// The object is in quarantine.
    Quarantined,
    /// The time in quarantine had expired, and the object was deleted.
    Deleted,
}

impl From<FsckRun> for FsckRunView {
    fn from(run: FsckRun) -> Self {
        let FsckRun { id, state, clean, started_at, finished_at, report } = run;
        Self { id, state: state.into(), clean, started_at, finished_at, report: report.into() }
    }
}

impl From<FsckReport> for FsckReportView {
    fn from(report: FsckReport) -> Self {
        Self {
            full: report.full,
            repair: report.repair,
            rows: report.rows,
            objects: report.objects,
            uploads: report.uploads,
            hashed_bytes: report.hashed_bytes,
            counts: report.counts.into_iter().map(|(kind, count)| (kind.as_str(), count)).collect(),
            findings: report.findings.into_iter().map(FsckFindingView::from).collect(),
            quarantined: report.quarantined,
            deleted: report.deleted,
            refused: report.refused,
            error: report.error,
        }
    }
}

impl From<FsckFinding> for FsckFindingView {
    fn from(finding: FsckFinding) -> Self {
        let FsckFinding { kind, key, upload_id, file_id, space_id, detail, action } = finding;
        let action = action.map(FsckActionView::from);
        Self { kind: kind.into(), key, upload_id, file_id, space_id, detail, action }
    }
}

impl From<FsckState> for FsckStateView {
    fn from(state: FsckState) -> Self {
        match state {
            FsckState::Running => Self::Running,
            FsckState::Done => Self::Done,
            FsckState::Failed => Self::Failed,
        }
    }
}

impl From<FsckAction> for FsckActionView {
    fn from(action: FsckAction) -> Self {
        match action {
            FsckAction::Quarantined => Self::Quarantined,
            FsckAction::Deleted => Self::Deleted,
        }
    }
}

impl From<FsckFindingKind> for FsckFindingKindView {
    fn from(kind: FsckFindingKind) -> Self {
        match kind {
            FsckFindingKind::Missing => Self::Missing,
            FsckFindingKind::SizeMismatch => Self::SizeMismatch,
            FsckFindingKind::HashMismatch => Self::HashMismatch,
            FsckFindingKind::Unreadable => Self::Unreadable,
            FsckFindingKind::UnknownFormat => Self::UnknownFormat,
            FsckFindingKind::DanglingReference => Self::DanglingReference,
            FsckFindingKind::Stale => Self::Stale,
            FsckFindingKind::OrphanedObject => Self::OrphanedObject,
            FsckFindingKind::OrphanedUpload => Self::OrphanedUpload,
            FsckFindingKind::Foreign => Self::Foreign,
        }
    }
}
