//! The usage and the quotas of accounts. A transaction that inserts, publishes or deletes a blob updates the usage as
//! well, and locks the account's row after those of blobs and files: with one order there are no deadlocks.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use sqlx::FromRow;
use uuid::Uuid;

use super::{Db, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    /// Reserves from an account's quotas if there is enough left. A request without a new file does not depend on the
    /// quota of files, which may have been lowered below the usage; one that resumes an upload does not depend on the
    /// number of open uploads.
    RESERVE_USAGE = "UPDATE users
        SET used_bytes = used_bytes + $2, used_files = used_files + $3, open_uploads = open_uploads + $4
        WHERE id = $1 AND used_bytes <= COALESCE(quota_bytes, $5) - $2
            AND ($3 = 0 OR used_files <= COALESCE(quota_files, $6) - $3)
            AND ($4 = 0 OR open_uploads <= $7 - $4)";
    APPLY_USAGE = "UPDATE users
        SET used_bytes = used_bytes + $2, used_files = used_files + $3, open_uploads = open_uploads + $4 WHERE id = $1";
    READ_USAGE = "SELECT used_bytes, used_files, open_uploads, quota_bytes, quota_files FROM users WHERE id = $1";
    LOCK_ALL_USERS = "UPDATE users SET updated_at = updated_at";
    /// The definition of the columns, as a statement.
    RECALCULATE_USAGE = "UPDATE users
        SET used_bytes = counted.bytes, used_files = counted.files, open_uploads = counted.uploads
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
            AND (users.used_bytes, users.used_files, users.open_uploads)
                <> (counted.bytes, counted.files, counted.uploads)";
}

/// The value of a quota column that means "unlimited".
pub const UNLIMITED: i64 = i64::MAX;

/// The usage of an account, and its quotas where they differ from the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct UsageRow {
    pub used_bytes: i64,
    pub used_files: i64,
    pub open_uploads: i64,
    pub quota_bytes: Option<i64>,
    pub quota_files: Option<i64>,
}

/// A change of an account's usage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsageDelta {
    pub bytes: i64,
    pub files: i64,
    pub uploads: i64,
}

/// What a blob had reserved when it ceased to be pending.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct ReservedRow {
    pub owner_id: Uuid,
    reserved_bytes: i64,
    reserved_files: i64,
    reserved_uploads: i64,
}

impl ReservedRow {
    /// The change of its owner's usage when the reservation is released.
    pub fn released(&self) -> UsageDelta {
        UsageDelta { bytes: -self.reserved_bytes, files: -self.reserved_files, uploads: -self.reserved_uploads }
    }
}

impl Add for UsageDelta {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, files: self.files + other.files, uploads: self.uploads + other.uploads }
    }
}

impl AddAssign for UsageDelta {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for UsageDelta {
    fn sum<I: Iterator<Item = Self>>(deltas: I) -> Self {
        deltas.fold(Self::default(), Add::add)
    }
}

/// The sum of released reservations per owner, in the order in which the owners' rows are locked.
pub(super) fn by_owner(reserved: &[ReservedRow]) -> BTreeMap<Uuid, UsageDelta> {
    let mut released: BTreeMap<_, UsageDelta> = BTreeMap::new();
    for row in reserved {
        *released.entry(row.owner_id).or_default() += row.released();
    }
    released
}

fn limit(quota: Option<u64>) -> i64 {
    quota.and_then(|quota| i64::try_from(quota).ok()).unwrap_or(UNLIMITED)
}

impl UsageRow {
    /// The error for a change that exceeds a quota, if it does.
    fn shortage(&self, delta: UsageDelta, quotas: &Quotas) -> Option<Error> {
        let exceeded = |resource, used: i64, quota: i64, needed: i64| Error::QuotaExceeded {
            resource,
            used: used as u64,
            quota: quota as u64,
            needed: needed as u64,
        };
        let bytes = self.quota_bytes.unwrap_or(limit(quotas.bytes));
        let files = self.quota_files.unwrap_or(limit(quotas.files));
        if self.used_bytes > bytes - delta.bytes {
            return Some(exceeded("bytes", self.used_bytes, bytes, delta.bytes));
        }
        if delta.files > 0 && self.used_files > files - delta.files {
            return Some(exceeded("files", self.used_files, files, delta.files));
        }
        let uploads = quotas.open_uploads;
        (delta.uploads > 0 && self.open_uploads > i64::from(uploads) - delta.uploads)
            .then_some(Error::TooManyUploads { limit: uploads })
    }
}

/// Reserves from an account's quotas.
///
/// # Errors
/// [`Error::QuotaExceeded`]; [`Error::TooManyUploads`]; [`Error::NotFound`] if there is no such account.
pub(super) async fn reserve_usage(tx: &mut Tx<'_>, owner: Uuid, delta: UsageDelta, quotas: &Quotas) -> Result<()> {
    if delta == UsageDelta::default() {
        return Ok(());
    }
    let limits = (limit(quotas.bytes), limit(quotas.files), i64::from(quotas.open_uploads));
    let change = (owner, delta.bytes, delta.files, delta.uploads, limits.0, limits.1, limits.2);
    while tx.execute(RESERVE_USAGE, change).await? != 1 {
        let usage: Option<UsageRow> = tx.fetch_optional(READ_USAGE, (owner,)).await?;
        // If nothing is short, another transaction has released something in between.
        if let Some(shortage) = usage.ok_or(Error::NotFound)?.shortage(delta, quotas) {
            return Err(shortage);
        }
    }
    Ok(())
}

/// Applies a change to an account's usage, after all statements about blobs and files of the transaction.
pub(super) async fn apply_usage(tx: &mut Tx<'_>, owner: Uuid, delta: UsageDelta) -> Result<()> {
    if delta != UsageDelta::default() {
        tx.execute(APPLY_USAGE, (owner, delta.bytes, delta.files, delta.uploads)).await?;
    }
    Ok(())
}

impl Db {
    /// The usage and the quotas of an account.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such account.
    pub async fn usage(&self, user: Uuid) -> Result<UsageRow> {
        self.read.fetch_optional(READ_USAGE, (user,)).await?.ok_or(Error::NotFound)
    }

    /// Recalculates the usage of every account, and returns how many were wrong. Open transactions are included: the
    /// accounts' rows are locked first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn recalculate_usage(&self) -> Result<u64> {
        self.transaction(async |tx| {
            tx.execute(LOCK_ALL_USERS, ()).await?;
            tx.execute(RECALCULATE_USAGE, ()).await
        })
        .await
    }
}
