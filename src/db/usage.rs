//! What each account uses and may use. Whatever makes, publishes or dooms a blob counts it in the
//! same transaction, and takes the account's row after those of blobs and files, so that no two
//! transactions wait for each other.

use std::collections::BTreeMap;

use sqlx::FromRow;
use uuid::Uuid;

use super::{Db, on, statements, transaction};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    RESERVE = RESERVE_ROOM;
    COUNT = COUNT_USAGE;
    READ = READ_USAGE;
    LOCK_ALL = "UPDATE users SET updated_at = updated_at";
    /// What the columns mean, as a statement.
    RECOUNT = "UPDATE users SET used_bytes = counted.bytes, used_files = counted.files, open_uploads = counted.uploads
        FROM (SELECT u.id, COALESCE(b.bytes, 0) AS bytes, COALESCE(b.uploads, 0) AS uploads,
                COALESCE(b.files, 0) + COALESCE(f.files, 0) AS files
            FROM users u
            LEFT JOIN (SELECT owner_id,
                    SUM(CASE state WHEN 'pending' THEN reserved_bytes WHEN 'ready' THEN size ELSE 0 END) AS bytes,
                    SUM(CASE state WHEN 'pending' THEN reserved_files ELSE 0 END) AS files,
                    SUM(CASE state WHEN 'pending' THEN reserved_uploads ELSE 0 END) AS uploads
                FROM blobs GROUP BY owner_id) AS b ON b.owner_id = u.id
            LEFT JOIN (SELECT owner_id, COUNT(*) AS files FROM files GROUP BY owner_id) AS f ON f.owner_id = u.id
        ) AS counted
        WHERE counted.id = users.id
            AND (users.used_bytes, users.used_files, users.open_uploads) <> (counted.bytes, counted.files, counted.uploads)";
}

/// Takes usage_delta from an account's quotas if there is enough. Whoever brings no new file is not held
/// up by a count of files that was lowered below what is there; and whoever goes on with an upload
/// not by how many are open.
pub(super) const RESERVE_ROOM: &str = "UPDATE users
    SET used_bytes = used_bytes + $2, used_files = used_files + $3, open_uploads = open_uploads + $4
    WHERE id = $1 AND used_bytes <= COALESCE(quota_bytes, $5) - $2
        AND ($3 = 0 OR used_files <= COALESCE(quota_files, $6) - $3)
        AND ($4 = 0 OR open_uploads <= $7 - $4)";

pub(super) const COUNT_USAGE: &str = "UPDATE users
    SET used_bytes = used_bytes + $2, used_files = used_files + $3, open_uploads = open_uploads + $4 WHERE id = $1";

pub(super) const READ_USAGE: &str =
    "SELECT used_bytes, used_files, open_uploads, quota_bytes, quota_files FROM users WHERE id = $1";

/// In the column of a quota: without a limit.
pub const UNLIMITED: i64 = i64::MAX;

/// What an account uses, and what it may use if that is not the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct UsageRow {
    pub used_bytes: i64,
    pub used_files: i64,
    pub open_uploads: i64,
    pub quota_bytes: Option<i64>,
    pub quota_files: Option<i64>,
}

/// A difference to what an account uses.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct UsageDelta {
    pub bytes: i64,
    pub files: i64,
    pub uploads: i64,
}

/// What a blob had reserved when it ceased to be pending.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct ReservedRow {
    pub owner_id: Uuid,
    pub reserved_bytes: i64,
    pub reserved_files: i64,
    pub reserved_uploads: i64,
}

impl ReservedRow {
    /// What its owner gets back.
    pub(super) fn usage_delta(&self) -> UsageDelta {
        UsageDelta { bytes: -self.reserved_bytes, files: -self.reserved_files, uploads: -self.reserved_uploads }
    }
}

impl std::ops::Add for UsageDelta {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, files: self.files + other.files, uploads: self.uploads + other.uploads }
    }
}

/// What was reserved, added up for each owner; in the order in which their rows are taken.
pub(super) fn by_owner(reserved: &[ReservedRow]) -> BTreeMap<Uuid, UsageDelta> {
    let mut rooms = BTreeMap::new();
    for row in reserved {
        let usage_delta: &mut UsageDelta = rooms.entry(row.owner_id).or_default();
        *usage_delta = *usage_delta + row.usage_delta();
    }
    rooms
}

pub(super) fn most(quota: Option<u64>) -> i64 {
    quota.and_then(|quota| i64::try_from(quota).ok()).unwrap_or(UNLIMITED)
}

impl UsageRow {
    /// Why there is no such usage_delta, if there is none.
    pub(super) fn shortage(&self, usage_delta: UsageDelta, quotas: &Quotas) -> Option<Error> {
        let exceeded = |resource, used: i64, quota: i64, needed: i64| Error::QuotaExceeded {
            resource,
            used: used as u64,
            quota: quota as u64,
            needed: needed as u64,
        };
        let bytes = self.quota_bytes.unwrap_or(most(quotas.bytes));
        let files = self.quota_files.unwrap_or(most(quotas.files));
        if self.used_bytes > bytes - usage_delta.bytes {
            return Some(exceeded("bytes", self.used_bytes, bytes, usage_delta.bytes));
        }
        if usage_delta.files > 0 && self.used_files > files - usage_delta.files {
            return Some(exceeded("files", self.used_files, files, usage_delta.files));
        }
        let limit = quotas.open_uploads;
        (usage_delta.uploads > 0 && self.open_uploads > i64::from(limit) - usage_delta.uploads)
            .then_some(Error::TooManyUploads { limit })
    }
}

/// Takes usage_delta from an account's quotas within a transaction; leaves it with `QuotaExceeded` or
/// `TooManyUploads` if there is not enough. Whoever needs none is not asked.
macro_rules! reserve {
    ($tx:ident, $owner:expr, $usage_delta:expr, $quotas:expr) => {{
        let (usage_delta, quotas): ($crate::db::usage::UsageDelta, &$crate::config::Quotas) = ($usage_delta, $quotas);
        while usage_delta != $crate::db::usage::UsageDelta::default() {
            let reserved = sqlx::query($crate::db::usage::RESERVE_ROOM)
                .bind($owner)
                .bind(usage_delta.bytes)
                .bind(usage_delta.files)
                .bind(usage_delta.uploads)
                .bind($crate::db::usage::most(quotas.bytes))
                .bind($crate::db::usage::most(quotas.files))
                .bind(i64::from(quotas.open_uploads))
                .execute(&mut *$tx)
                .await?
                .rows_affected();
            if reserved == 1 {
                break;
            }
            let row: Option<$crate::db::usage::UsageRow> =
                sqlx::query_as($crate::db::usage::READ_USAGE).bind($owner).fetch_optional(&mut *$tx).await?;
            // If nothing is short any more, somebody gave usage_delta back in between.
            if let Some(shortage) = row.ok_or($crate::error::Error::NotFound)?.shortage(usage_delta, quotas) {
                return Err(shortage);
            }
        }
    }};
}
pub(super) use reserve;

/// Counts a difference within a transaction, as its last statement about blobs, files and accounts.
macro_rules! count {
    ($tx:ident, $owner:expr, $usage_delta:expr) => {{
        let usage_delta: $crate::db::usage::UsageDelta = $usage_delta;
        if usage_delta != $crate::db::usage::UsageDelta::default() {
            sqlx::query($crate::db::usage::COUNT_USAGE)
                .bind($owner)
                .bind(usage_delta.bytes)
                .bind(usage_delta.files)
                .bind(usage_delta.uploads)
                .execute(&mut *$tx)
                .await?;
        }
    }};
}
pub(super) use count;

impl Db {
    /// What an account uses and may use.
    ///
    /// # Errors
    /// `NotFound` if there is no such account.
    pub async fn usage(&self, user: Uuid) -> Result<UsageRow> {
        let row = on!(self.read, |p| sqlx::query_as(READ_USAGE).bind(user).fetch_optional(p).await)?;
        row.ok_or(Error::NotFound)
    }

    /// Counts anew what every account uses, and tells for how many the count was wrong. What is
    /// under way is counted as well: whoever changes something waits for the accounts' rows.
    pub async fn recalculate_usage(&self) -> Result<u64> {
        transaction!(self, |tx| {
            sqlx::query(LOCK_ALL).execute(&mut *tx).await?;
            Ok(sqlx::query(RECOUNT).execute(&mut *tx).await?.rows_affected())
        })
    }
}
