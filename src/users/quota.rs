//! Quotas of individual accounts, which override the default of the configuration.

use serde::{Deserialize, Serialize};

use crate::db::{ByteCount, Count, UNLIMITED, UsageRow};
use crate::error::{Error, Result};

/// The quota of one account, of bytes or of files. In JSON: null, `"unlimited"`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<QuotaLimit>", into = "Option<QuotaLimit>")]
pub enum Quota {
    /// The default of the configuration.
    Default,
    /// No limit, whatever the default is.
    Unlimited,
    /// At most this many bytes or files.
    Limit(u64),
}

/// The quotas of one account that override the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuotaOverrides {
    /// Of bytes.
    pub bytes: Quota,
    /// Of files.
    pub files: Quota,
}

/// A quota in JSON, unless it is null.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum QuotaLimit {
    Limit(u64),
    Word(QuotaUnlimited),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum QuotaUnlimited {
    #[serde(rename = "unlimited")]
    Unlimited,
}

impl From<Option<QuotaLimit>> for Quota {
    fn from(limit: Option<QuotaLimit>) -> Self {
        match limit {
            None => Quota::Default,
            Some(QuotaLimit::Word(QuotaUnlimited::Unlimited)) => Quota::Unlimited,
            Some(QuotaLimit::Limit(limit)) => Quota::Limit(limit),
        }
    }
}

impl From<Quota> for Option<QuotaLimit> {
    fn from(quota: Quota) -> Self {
        match quota {
            Quota::Default => None,
            Quota::Unlimited => Some(QuotaLimit::Word(QuotaUnlimited::Unlimited)),
            Quota::Limit(limit) => Some(QuotaLimit::Limit(limit)),
        }
    }
}

impl Quota {
    fn from_row(row: Option<u64>) -> Self {
        match row {
            None => Quota::Default,
            Some(UNLIMITED) => Quota::Unlimited,
            Some(limit) => Quota::Limit(limit),
        }
    }

    /// The values of the columns; absent fields are unchanged.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/quota` if a number is larger than the database can store.
    #[expect(clippy::type_complexity, reason = "an option for the change, one for the column")]
    pub fn checked_rows(
        bytes: Option<Self>,
        files: Option<Self>,
    ) -> Result<(Option<Option<ByteCount>>, Option<Option<Count>>)> {
        for (quota, pointer) in [(bytes, "/quota/bytes"), (files, "/quota/files")] {
            quota.map_or(Ok(()), |quota| quota.check(pointer))?;
        }
        let bytes = bytes.map(|quota| quota.into_row().map(ByteCount));
        Ok((bytes, files.map(|quota| quota.into_row().map(Count))))
    }

    /// Refuses a number that the database cannot store.
    fn check(self, pointer: &str) -> Result<()> {
        match self {
            Quota::Limit(limit) if limit > UNLIMITED => {
                Err(Error::invalid(pointer, "out_of_range", format!("at most {UNLIMITED}")))
            }
            _ => Ok(()),
        }
    }

    /// The value of the column.
    fn into_row(self) -> Option<u64> {
        match self {
            Quota::Default => None,
            Quota::Unlimited => Some(UNLIMITED),
            Quota::Limit(limit) => Some(limit.min(UNLIMITED)),
        }
    }

    /// The effective limit, where `default` is that of the configuration; `None`: unlimited.
    pub(super) fn or(self, default: Option<u64>) -> Option<u64> {
        match self {
            Quota::Default => default,
            Quota::Unlimited => None,
            Quota::Limit(limit) => Some(limit),
        }
    }
}

impl From<&UsageRow> for QuotaOverrides {
    fn from(row: &UsageRow) -> Self {
        let (bytes, files) = (row.quota_bytes.map(u64::from), row.quota_files.map(u64::from));
        Self { bytes: Quota::from_row(bytes), files: Quota::from_row(files) }
    }
}
