//! The usage of an account, and its effective quota.

use serde::Serialize;

use super::User;
use super::quota::QuotaOverrides;
use crate::app::App;
use crate::config;
use crate::db::UsageRow;
use crate::error::Result;

/// The usage of an account, and its effective quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// What counts toward the quota.
    pub used: UsageCounts,
    /// The part in the trash; `None` if that was not counted.
    pub trash: Option<UsageCounts>,
    /// The effective quota.
    pub quota: Quotas,
    /// Open uploads, including those through signed URLs.
    pub open_uploads: u64,
}

/// What counts toward the quota, including what is reserved for open uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UsageCounts {
    /// Bytes of the files, their metadata and the avatar.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// The effective quota of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quotas {
    /// Bytes; `None`: unlimited.
    pub bytes: Option<u64>,
    /// Files; `None`: unlimited.
    pub files: Option<u64>,
}

impl Usage {
    /// The usage of an account or a shared space, whose quotas are these by default.
    pub fn from_row(row: &UsageRow, defaults: &config::Quotas) -> Self {
        let own = QuotaOverrides::from(row);
        Self {
            used: UsageCounts { bytes: row.used_bytes.0, files: row.used_files.0 },
            trash: None,
            quota: Quotas { bytes: own.bytes.or(defaults.bytes), files: own.files.or(defaults.files) },
            open_uploads: row.open_uploads.0,
        }
    }
}

/// What this user uses, the trash counted, and the effective quota.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) if the account was deleted.
pub async fn usage(app: &App, user: &User) -> Result<Usage> {
    let usage = Usage::from_row(&app.db.usage(user.id).await?, &app.config.quotas);
    let trash = app.db.trash_usage(user.id).await?;
    Ok(Usage { trash: Some(UsageCounts { bytes: trash.bytes.0, files: trash.files.0 }), ..usage })
}
