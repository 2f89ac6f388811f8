//! The usage and the quotas of accounts. A transaction that inserts, publishes or deletes a blob updates the usage as
//! well, and locks the account's row after those of blobs and files: with one order there are no deadlocks.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg};

use sqlx::FromRow;
use uuid::Uuid;

use super::{ByteCount, Count, Db, Tx, statements};
use crate::config::Quotas;
use crate::error::{Error, Result};

statements! {
    /// Reserves from an account's quotas if there is enough left. A request without a new file does not depend on the
    /// quota of files, which may have been lowered below the usage; one that resumes an upload does not depend on the
    /// number of open uploads.
    RESERVE_USAGE = "UPDATE spaces
        SET used_bytes = used_bytes + $2, used_files = used_files + $3, open_uploads = open_uploads + $4
        WHERE id = $1 AND used_bytes <= COALESCE(quota_bytes, $5) - $2
            AND ($3 = 0 OR used_files <= COALESCE(quota_files, $6) - $3)
            AND ($4 = 0 OR open_uploads <= $7 - $4)";
    APPLY_USAGE = "UPDATE spaces
        SET used_bytes = used_bytes + $2, used_files = used_files + $3, open_uploads = open_uploads + $4 WHERE id = $1";
    READ_USAGE = "SELECT used_bytes, used_files, open_uploads, quota_bytes, quota_files FROM spaces WHERE id = $1";
    READ_TRASH = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes, COUNT(*) AS files
        FROM (SELECT size FROM (SELECT size FROM files WHERE space_id = $1 AND trashed_at IS NOT NULL
            UNION ALL SELECT f.size FROM folders d JOIN files f ON f.folder_id = d.id AND f.trashed_at IS NULL
                WHERE d.space_id = $1 AND d.trash_id IS NOT NULL) AS files_in_trash LIMIT $2) AS trashed";
    LOCK_ALL_SPACES = "UPDATE spaces SET updated_at = updated_at";
    /// The definition of the columns, as a statement.
    RECALCULATE_USAGE = "UPDATE spaces
        SET used_bytes = counted.bytes, used_files = counted.files, open_uploads = counted.uploads
        FROM (SELECT u.id, COALESCE(b.bytes, 0) + COALESCE(f.bytes, 0) AS bytes, COALESCE(b.uploads, 0) AS uploads,
                COALESCE(b.files, 0) + COALESCE(f.files, 0) AS files
            FROM spaces u
            LEFT JOIN (SELECT space_id,
                    SUM(CASE state WHEN 'pending' THEN reserved_bytes WHEN 'ready' THEN size ELSE 0 END) AS bytes,
                    SUM(CASE state WHEN 'pending' THEN reserved_files ELSE 0 END) AS files,
                    SUM(CASE state WHEN 'pending' THEN reserved_uploads ELSE 0 END) AS uploads
                FROM blobs GROUP BY space_id) AS b ON b.space_id = u.id
            LEFT JOIN (SELECT space_id, COUNT(*) AS files, SUM(octet_length(metadata) - 2) AS bytes
                FROM files GROUP BY space_id) AS f ON f.space_id = u.id
        ) AS counted
        WHERE counted.id = spaces.id
            AND (spaces.used_bytes, spaces.used_files, spaces.open_uploads)
                <> (counted.bytes, counted.files, counted.uploads)";
}

/// The value of a quota column that means "unlimited": the largest number that fits.
pub const UNLIMITED: u64 = i64::MAX.unsigned_abs();

/// The usage of an account, and its quotas where they differ from the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct UsageRow {
    /// Bytes of ready blobs and of the metadata of files, and bytes that pending blobs have reserved.
    pub used_bytes: ByteCount,
    /// Files, including those that pending blobs are going to become.
    pub used_files: Count,
    /// Uploads in progress.
    pub open_uploads: Count,
    /// The quota of bytes: the default if absent, or [`UNLIMITED`].
    pub quota_bytes: Option<ByteCount>,
    /// The quota of files: the default if absent, or [`UNLIMITED`].
    pub quota_files: Option<Count>,
}

/// What of an account's usage is in the trash.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct TrashUsageRow {
    /// Bytes.
    pub bytes: ByteCount,
    /// Files.
    pub files: Count,
}

/// Maximum number of trashed files that are counted to explain a shortage.
const COUNTED_TRASH: u64 = 10_000;

/// A change of an account's usage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsageDelta {
    pub bytes: i64,
    pub files: i64,
    pub uploads: i64,
}

/// The reservation of a blob that is no longer pending.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct ReservedRow {
    pub space_id: Uuid,
    reserved_bytes: i64,
    reserved_files: i64,
    reserved_uploads: i64,
}

impl ReservedRow {
    /// The change of its space's usage when the reservation is released.
    pub fn released(&self) -> UsageDelta {
        UsageDelta { bytes: -self.reserved_bytes, files: -self.reserved_files, uploads: -self.reserved_uploads }
    }
}

impl UsageDelta {
    /// Adds this many bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes: i64::try_from(bytes).unwrap_or(i64::MAX), ..Self::default() }
    }

    /// Adds the bytes of metadata. An empty object does not count.
    pub fn metadata(json: &str) -> Self {
        Self::bytes(json.len().saturating_sub("{}".len()) as u64)
    }

    /// Adds one file.
    pub fn one_file() -> Self {
        Self { files: 1, ..Self::default() }
    }
}

impl Neg for UsageDelta {
    type Output = Self;

    fn neg(self) -> Self {
        Self { bytes: -self.bytes, files: -self.files, uploads: -self.uploads }
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

/// Releases reservations, after all statements about blobs and files of the transaction.
pub(super) async fn release(tx: &mut Tx<'_>, reserved: &[ReservedRow]) -> Result<()> {
    for (space, released) in by_space(reserved) {
        apply_usage(tx, space, released).await?;
    }
    Ok(())
}

/// The sum of released reservations per space, in the order in which the spaces' rows are locked.
fn by_space(reserved: &[ReservedRow]) -> BTreeMap<Uuid, UsageDelta> {
    let mut released: BTreeMap<_, UsageDelta> = BTreeMap::new();
    for row in reserved {
        *released.entry(row.space_id).or_default() += row.released();
    }
    released
}

impl UsageRow {
    /// The error for a reservation that exceeds a quota, if it does.
    fn shortage(&self, delta: UsageDelta, quotas: &Quotas) -> Option<Error> {
        let needed = [delta.bytes, delta.files, delta.uploads].map(i64::unsigned_abs);
        let exceeds = |used: u64, quota: u64, needed: u64| used.saturating_add(needed) > quota;
        let exceeded =
            |resource, used, quota, needed| Some(Error::QuotaExceeded { resource, used, quota, needed, trashed: 0 });
        let (used_bytes, used_files) = (self.used_bytes.0, self.used_files.0);
        let bytes = self.quota_bytes.map_or(limit(quotas.bytes), u64::from);
        let files = self.quota_files.map_or(limit(quotas.files), u64::from);
        if exceeds(used_bytes, bytes, needed[0]) {
            return exceeded("bytes", used_bytes, bytes, needed[0]);
        }
        if needed[1] > 0 && exceeds(used_files, files, needed[1]) {
            return exceeded("files", used_files, files, needed[1]);
        }
        let limit = quotas.open_uploads;
        (needed[2] > 0 && exceeds(self.open_uploads.0, limit.into(), needed[2]))
            .then_some(Error::TooManyUploads { limit })
    }
}

fn limit(quota: Option<u64>) -> u64 {
    quota.map_or(UNLIMITED, |quota| quota.min(UNLIMITED))
}

/// Reserves from an account's quotas.
///
/// # Errors
/// [`Error::QuotaExceeded`]; [`Error::TooManyUploads`]; [`Error::NotFound`] if there is no such account.
pub(super) async fn reserve_usage(tx: &mut Tx<'_>, space: Uuid, delta: UsageDelta, quotas: &Quotas) -> Result<()> {
    if delta == UsageDelta::default() {
        return Ok(());
    }
    let (bytes, files) = (ByteCount(limit(quotas.bytes)), Count(limit(quotas.files)));
    let uploads = Count(quotas.open_uploads.into());
    let change = (space, delta.bytes, delta.files, delta.uploads, bytes, files, uploads);
    while tx.execute(RESERVE_USAGE, change).await? != 1 {
        let usage: Option<UsageRow> = tx.fetch_optional(READ_USAGE, (space,)).await?;
        // If nothing is short, another transaction has released something in between.
        if let Some(shortage) = usage.ok_or(Error::NotFound)?.shortage(delta, quotas) {
            return Err(explained(tx, space, shortage).await?);
        }
    }
    Ok(())
}

/// Applies a change that may add bytes, for which there must be enough left.
///
/// # Errors
/// [`Error::QuotaExceeded`]; [`Error::NotFound`] if there is no such account.
pub(super) async fn settle_usage(tx: &mut Tx<'_>, space: Uuid, mut delta: UsageDelta, quotas: &Quotas) -> Result<()> {
    if delta.bytes > 0 {
        reserve_usage(tx, space, UsageDelta { bytes: delta.bytes, ..UsageDelta::default() }, quotas).await?;
        delta.bytes = 0;
    }
    apply_usage(tx, space, delta).await
}

/// The error, which says how much the trash takes.
async fn explained(tx: &mut Tx<'_>, space: Uuid, shortage: Error) -> Result<Error> {
    let Error::QuotaExceeded { resource, used, quota, needed, .. } = shortage else { return Ok(shortage) };
    let trash: Option<TrashUsageRow> = tx.fetch_optional(READ_TRASH, (space, Count(COUNTED_TRASH))).await?;
    let TrashUsageRow { bytes, files } = trash.unwrap_or_default();
    let trashed = if resource == "bytes" { bytes.0 } else { files.0 };
    Ok(Error::QuotaExceeded { resource, used, quota, needed, trashed })
}

/// Applies a change to an account's usage, after all statements about blobs and files of the transaction.
pub(super) async fn apply_usage(tx: &mut Tx<'_>, space: Uuid, delta: UsageDelta) -> Result<()> {
    if delta != UsageDelta::default() {
        tx.execute(APPLY_USAGE, (space, delta.bytes, delta.files, delta.uploads)).await?;
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

    /// What of an account's usage is in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn trash_usage(&self, user: Uuid) -> Result<TrashUsageRow> {
        let trash = self.read.fetch_optional(READ_TRASH, (user, Count(UNLIMITED))).await?;
        Ok(trash.unwrap_or_default())
    }

    /// Recalculates the usage of every account, and returns how many were wrong. Open transactions are included: the
    /// spaces' rows are locked first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn recalculate_usage(&self) -> Result<u64> {
        self.transaction(async |tx| {
            tx.execute(LOCK_ALL_SPACES, ()).await?;
            tx.execute(RECALCULATE_USAGE, ()).await
        })
        .await
    }
}
