//! Folders. The top folder of an account has the id of the account.
//!
//! Changes of an account's tree wait for each other: each locks the top folder first. A file that gets a place in a folder
//! locks only that folder, together with others, so that no upload waits for another. What adds a name to a folder, takes
//! one away from it, or changes where it is, changes the row of the folder, for which those locks are waited for.

use jiff::Timestamp;
use uuid::Uuid;

use super::changes::{ChangeKind, record, record_missing_folder};
use super::events::EventRow;
use super::usage::{ReservedRow, UsageDelta, apply_usage};
use super::{ByteCount, Count, Db, Micros, Tx, statements};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::unicode::{fold, natural_key};

/// The columns of a [`FolderRow`].
macro_rules! folder_columns {
    () => {
        "d.id, d.space_id, d.parent_id, d.name, d.location, d.created_at, d.updated_at, d.trashed_at"
    };
}

/// A folder and all below it, in the trash or not, with their depths below it.
macro_rules! below {
    ($id:literal) => {
        concat!(
            "WITH RECURSIVE below (id, depth) AS (SELECT id, CAST(0 AS BIGINT) FROM folders WHERE id = ",
            $id,
            " UNION ALL SELECT c.id, below.depth + 1 FROM folders c JOIN below ON c.parent_id = below.id) "
        )
    };
}

/// The folder at a location.
macro_rules! folder_at {
    () => {
        "SELECT id FROM folders WHERE space_id = $1 AND place = substr($2, 1, 600) AND location = $2
        AND trashed_at IS NULL"
    };
}

macro_rules! live_folder {
    () => {
        "SELECT id FROM folders WHERE id = $2 AND space_id = $1 AND trashed_at IS NULL"
    };
}

statements! {
    INSERT_TOP = "INSERT INTO folders
            (id, space_id, name, location, search, sort_key, created_at, updated_at)
        VALUES ($1, $1, '', '', '', '', $2, $2)";
    INSERT_FOLDER = "INSERT INTO folders
            (id, space_id, parent_id, name, location, search, sort_key, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    FOLDER_AT = folder_at!();
    LIVE_FOLDER = live_folder!();
    FIND_FOLDER = concat!("SELECT ", folder_columns!(), " FROM folders d
        WHERE d.id = $2 AND d.space_id = $1 AND d.trashed_at IS NULL");
    FIND_FOLDER_BY_ID = concat!("SELECT ", folder_columns!(), " FROM folders d WHERE d.id = $1 AND d.trashed_at IS NULL");
    FIND_FOLDER_AT = concat!("SELECT ", folder_columns!(), " FROM folders d
        WHERE d.space_id = $1 AND d.place = substr($2, 1, 600) AND d.location = $2 AND d.trashed_at IS NULL");
    FIND_TRASHED_FOLDER = concat!("SELECT ", folder_columns!(), " FROM folders d
        WHERE d.id = $1 AND d.trash_id = d.id AND d.trashed_at > 0");
    FIND_ANY_FOLDER = concat!("SELECT ", folder_columns!(), " FROM folders d WHERE d.id = $2 AND d.space_id = $1");
    LIST_FOLDERS = concat!("SELECT ", folder_columns!(), " FROM folders d
        WHERE d.parent_id = $1 AND d.trashed_at IS NULL AND d.name > $2 ORDER BY d.name LIMIT $3");
    LIST_TRASHED_FOLDERS = concat!("SELECT ", folder_columns!(), " FROM folders d
        WHERE d.space_id = $1 AND d.trash_id = d.id AND d.trashed_at > 0 AND (d.trashed_at, d.id) < ($2, $3)
        ORDER BY d.trashed_at DESC, d.id DESC LIMIT $4");
    LOCK_FOLDER = "UPDATE folders SET updated_at = updated_at WHERE id = $1 AND trashed_at IS NULL";
    IS_NAME_TAKEN = "SELECT (SELECT COUNT(*) FROM files WHERE folder_id = $1 AND name = $2 AND trashed_at IS NULL)
        + (SELECT COUNT(*) FROM folders WHERE parent_id = $1 AND name = $2 AND trashed_at IS NULL AND id <> $3)";
    IS_LOCATION_TAKEN = "SELECT
            (SELECT COUNT(*) FROM files f WHERE f.folder_id = d.id AND f.name = $3 AND f.trashed_at IS NULL)
            + (SELECT COUNT(*) FROM folders c WHERE c.parent_id = d.id AND c.name = $3 AND c.trashed_at IS NULL)
        FROM folders d WHERE d.space_id = $1 AND d.place = substr($2, 1, 600) AND d.location = $2 AND d.trashed_at IS NULL";
    HAS_FOLDER_NAMED = "SELECT COUNT(*) FROM folders WHERE parent_id = $1 AND name = $2 AND trashed_at IS NULL";
    EXTENT_BELOW = concat!(below!("$1"), "SELECT MAX(below.depth), CAST(MAX(octet_length(d.location)) AS BIGINT)
        FROM below JOIN folders d ON d.id = below.id");
    RELOCATE = concat!(below!("$1"), "UPDATE folders
        SET location = $2 || substr(location, CAST($3 AS INTEGER)), search = $4 || substr(search, CAST($5 AS INTEGER))
        WHERE id IN (SELECT id FROM below)");
    RENAME_FOLDER = "UPDATE folders SET parent_id = $2, name = $3, sort_key = $4, updated_at = $5, revision = revision + 1
        WHERE id = $1";
    TRASH_FOLDER = concat!(below!("$1"), "UPDATE folders SET trashed_at = $2, trash_id = $1, revision = revision + 1
        WHERE id IN (SELECT id FROM below) AND trashed_at IS NULL");
    /// Also what is in the trash by itself.
    END_FOLDER = concat!(below!("$1"), "UPDATE folders SET trashed_at = 0, trash_id = $1
        WHERE id IN (SELECT id FROM below)");
    RESTORE_FOLDER = "UPDATE folders SET trashed_at = NULL, trash_id = NULL, revision = revision + 1
        WHERE trash_id = $1 AND space_id = $2";
    END_SIGNED_PUTS_BELOW = "UPDATE blobs SET state = 'deleting'
        WHERE state = 'pending' AND id IN (SELECT s.blob_id FROM signed_puts s JOIN files f ON f.id = s.file_id
            JOIN folders d ON d.id = f.folder_id WHERE s.space_id = $1 AND d.trash_id = $2)
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    COUNT_DIRECTLY = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT),
            (SELECT COUNT(*) FROM folders WHERE parent_id = $1 AND trashed_at IS NULL)
        FROM files WHERE folder_id = $1 AND trashed_at IS NULL";
    FIND_SUM = "SELECT below_files, below_bytes, below_folders, below_at FROM folders WHERE id = $1 AND below_at > $2";
    COUNT_BELOW = concat!(below!("$1"), "SELECT COUNT(f.id), CAST(COALESCE(SUM(f.size), 0) AS BIGINT),
            COUNT(DISTINCT d.id) - 1
        FROM below JOIN folders d ON d.id = below.id AND d.trashed_at IS NULL
        LEFT JOIN files f ON f.folder_id = d.id AND f.trashed_at IS NULL");
    STORE_SUM = "UPDATE folders SET below_files = $2, below_bytes = $3, below_folders = $4, below_at = $5 WHERE id = $1";
}

const FOLDER_AT_SHARED: &str = concat!(folder_at!(), " FOR SHARE");
const LIVE_FOLDER_SHARED: &str = concat!(live_folder!(), " FOR SHARE");

/// A folder.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct FolderRow {
    /// The id of the folder; of a top folder, that of its account.
    pub id: Uuid,
    /// The account that it belongs to.
    pub space_id: Uuid,
    /// The folder that it is in; absent for a top folder.
    pub parent_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// The names from the top folder down to this one, each followed by a slash.
    pub location: String,
    /// When it was created.
    pub created_at: Micros,
    /// When it was last renamed or moved.
    pub updated_at: Micros,
    /// When it was moved to the trash, if it is in it.
    pub trashed_at: Option<Micros>,
}

/// The folder that a file or a folder is put into.
#[derive(Debug, Clone)]
pub enum Place {
    /// The folder with this id.
    Folder(Uuid),
    /// The folder at this location. What is missing of it is created, with ids and times of the clock.
    Location(String, Clock),
    /// The same, at a location below the folder with this id.
    Below(Uuid, String, Clock),
}

/// Where a folder that is created, moved or restored is put.
#[derive(Debug, Clone)]
pub struct FolderTarget {
    /// The folder that it is put into.
    pub into: Place,
    /// Its name in that folder.
    pub name: String,
}

/// The limits of the tree of an account.
#[derive(Debug, Clone, Copy)]
pub struct TreeLimits {
    /// Names in a location.
    pub depth: usize,
    /// Bytes of a location.
    pub bytes: usize,
}

/// What a folder contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderSum {
    /// Files.
    pub files: Count,
    /// The bytes of their content.
    pub bytes: ByteCount,
    /// Folders.
    pub folders: Count,
}

impl Db {
    /// The folder with this id, if it is not in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn folder(&self, id: Uuid) -> Result<Option<FolderRow>> {
        self.read.fetch_optional(FIND_FOLDER_BY_ID, (id,)).await
    }

    /// The deepest folder that exists on the way to a location.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn deepest_folder(&self, space: Uuid, location: &str) -> Result<Option<FolderRow>> {
        let mut location = location;
        loop {
            match self.folder_at(space, location).await? {
                None if !location.is_empty() => location = parent_location(location),
                found => return Ok(found),
            }
        }
    }

    /// The folder at this location, if the space has one.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn folder_at(&self, space: Uuid, location: &str) -> Result<Option<FolderRow>> {
        self.read.fetch_optional(FIND_FOLDER_AT, (space, location)).await
    }

    /// The folder with this id, if it is in the trash by itself.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn trashed_folder(&self, id: Uuid) -> Result<Option<FolderRow>> {
        self.read.fetch_optional(FIND_TRASHED_FOLDER, (id,)).await
    }

    /// At most `limit` folders directly in a folder, by name, after the given one.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn folders_in(&self, folder: Uuid, after: &str, limit: usize) -> Result<Vec<FolderRow>> {
        self.read.fetch_all(LIST_FOLDERS, (folder, after, Count::from(limit))).await
    }

    /// At most `limit` folders of this space's trash before the given time and id, the latest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn trashed_folders(&self, space: Uuid, before: (Micros, Uuid), limit: usize) -> Result<Vec<FolderRow>> {
        self.read.fetch_all(LIST_TRASHED_FOLDERS, (space, before.0, before.1, Count::from(limit))).await
    }

    /// Whether the space has a file or a folder of this name in the folder at this location.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn location_is_taken(&self, space: Uuid, location: &str, name: &str) -> Result<bool> {
        let found: Option<(i64,)> = self.read.fetch_optional(IS_LOCATION_TAKEN, (space, location, name)).await?;
        Ok(found.is_some_and(|(count,)| count > 0))
    }

    /// What lies directly in a folder.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_directly(&self, folder: Uuid) -> Result<FolderSum> {
        let (files, bytes, folders) = self.read.fetch_one(COUNT_DIRECTLY, (folder,)).await?;
        Ok(FolderSum { files, bytes, folders })
    }

    /// What lies in a folder at any depth, as it was at some time after `since`, and when.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_below(&self, folder: Uuid, since: Timestamp, now: Timestamp) -> Result<(FolderSum, Micros)> {
        let known: Option<(Count, ByteCount, Count, Micros)> =
            self.read.fetch_optional(FIND_SUM, (folder, Micros::from(since))).await?;
        if let Some((files, bytes, folders, at)) = known {
            return Ok((FolderSum { files, bytes, folders }, at));
        }
        let (files, bytes, folders): (Count, ByteCount, Count) = self.read.fetch_one(COUNT_BELOW, (folder,)).await?;
        self.write.execute(STORE_SUM, (folder, files, bytes, folders, Micros::from(now))).await?;
        Ok((FolderSum { files, bytes, folders }, now.into()))
    }

    /// Creates a folder.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the folder to put it into does not exist; [`Error::PathTaken`]; [`Error::NotAFolder`] if a
    /// file is where a folder is missing; [`Error::TooDeep`].
    pub async fn create_folder(
        &self,
        space: Uuid,
        id: Uuid,
        target: &FolderTarget,
        limits: TreeLimits,
        now: Timestamp,
        event: &(dyn Fn(&FolderRow) -> EventRow + Sync),
    ) -> Result<FolderRow> {
        self.transaction(async |tx| {
            lock_tree(tx, space).await?;
            let parent = put_into(tx, space, &target.into).await?;
            check_free(tx, parent.id, &target.name, id).await?;
            let folder = new_folder(&parent, id, &target.name, now);
            check_extent(&folder.location, 0, 0, limits)?;
            insert_folder(tx, &folder).await?;
            record(tx, &event(&folder), ChangeKind::FolderCreated, id).await?;
            Ok(folder)
        })
        .await
    }

    /// Renames a folder, moves it, or both; returns it as it is then.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it or the folder to put it into does not exist; [`Error::IntoItself`];
    /// [`Error::PathTaken`]; [`Error::NotAFolder`]; [`Error::TooDeep`].
    pub async fn move_folder(
        &self,
        space: Uuid,
        id: Uuid,
        target: &FolderTarget,
        limits: TreeLimits,
        now: Timestamp,
        event: &(dyn Fn(&FolderRow, &FolderRow) -> EventRow + Sync),
    ) -> Result<FolderRow> {
        self.ending(async |tx| {
            lock_tree(tx, space).await?;
            let folder: FolderRow = tx.fetch_optional(FIND_FOLDER, (space, id)).await?.ok_or(Error::NotFound)?;
            let moved = relocate(tx, &folder, target, limits, now).await?;
            record(tx, &event(&folder, &moved), ChangeKind::FolderMoved, id).await?;
            Ok(moved)
        })
        .await
    }

    /// Moves a folder with all below it to the trash, and ends the signed uploads to its files.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, or is in the trash already.
    pub async fn trash_folder(&self, space: Uuid, id: Uuid, now: Timestamp, event: &EventRow) -> Result<()> {
        self.ending(async |tx| {
            lock_tree(tx, space).await?;
            if tx.fetch_optional::<(Uuid,)>(LIVE_FOLDER, (space, id)).await?.is_none() {
                return Err(Error::NotFound);
            }
            tx.execute(TRASH_FOLDER, (id, Micros::from(now))).await?;
            let ended = end_signed_puts_below(tx, space, id).await?;
            apply_usage(tx, space, ended).await?;
            record(tx, event, ChangeKind::FolderTrashed, id).await
        })
        .await
    }

    /// Restores a folder with all that was moved to the trash with it; returns it as it is then.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not in the trash; [`Error::PathTaken`] if the name is taken; [`Error::NotAFolder`];
    /// [`Error::TooDeep`].
    pub async fn restore_folder(
        &self,
        space: Uuid,
        id: Uuid,
        name: &str,
        limits: TreeLimits,
        clock: &Clock,
        event: &(dyn Fn(&FolderRow) -> EventRow + Sync),
    ) -> Result<FolderRow> {
        self.transaction(async |tx| {
            lock_tree(tx, space).await?;
            let folder: FolderRow = tx.fetch_optional(FIND_TRASHED_FOLDER, (id,)).await?.ok_or(Error::NotFound)?;
            let parent = folder.parent_id.ok_or(Error::NotFound)?;
            let into = former_place(tx, space, parent, clock).await?;
            let target = FolderTarget { into, name: name.to_owned() };
            let restored = relocate(tx, &folder, &target, limits, clock.now()).await?;
            tx.execute(RESTORE_FOLDER, (id, space)).await?;
            record(tx, &event(&restored), ChangeKind::FolderRestored, id).await?;
            Ok(FolderRow { trashed_at: None, ..restored })
        })
        .await
    }

    /// Marks a folder and all below it, in the trash or not, for permanent deletion. From now on nothing of it is found.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such folder, or it is marked already.
    pub async fn end_folder(&self, space: Uuid, id: Uuid, event: &EventRow) -> Result<()> {
        self.ending(async |tx| {
            lock_tree(tx, space).await?;
            let folder: Option<FolderRow> = tx.fetch_optional(FIND_ANY_FOLDER, (space, id)).await?;
            if folder.is_none_or(|folder| folder.trashed_at == Some(Micros(0))) {
                return Err(Error::NotFound);
            }
            tx.execute(END_FOLDER, (id,)).await?;
            let ended = end_signed_puts_below(tx, space, id).await?;
            apply_usage(tx, space, ended).await?;
            record(tx, event, ChangeKind::FolderDeleted, id).await
        })
        .await
    }
}

/// Adds the top folder of a new account.
pub(super) async fn insert_top(tx: &mut Tx<'_>, account: Uuid, now: Micros) -> Result<()> {
    tx.execute(INSERT_TOP, (account, now)).await.map(drop)
}

/// Locks the tree of an account for changes.
pub(super) async fn lock_tree(tx: &mut Tx<'_>, space: Uuid) -> Result<()> {
    match tx.execute(LOCK_FOLDER, (space,)).await? {
        1 => Ok(()),
        _ => Err(Error::NotFound),
    }
}

/// The id of the folder that a file is put into, which cannot change until the end of the transaction. To be called
/// before rows of files and blobs are locked.
///
/// # Errors
/// [`Error::NotFound`] if the folder does not exist; [`Error::NotAFolder`] if a file is where a folder is missing.
pub(super) async fn folder_for_file(tx: &mut Tx<'_>, space: Uuid, place: &Place) -> Result<Uuid> {
    let is_postgres = matches!(tx, Tx::Postgres { .. });
    let found: Option<(Uuid,)> = match place {
        Place::Folder(id) => {
            let statement = if is_postgres { LIVE_FOLDER_SHARED } else { LIVE_FOLDER };
            tx.fetch_optional(statement, (space, *id)).await?
        }
        Place::Location(location, _) => {
            let statement = if is_postgres { FOLDER_AT_SHARED } else { FOLDER_AT };
            tx.fetch_optional(statement, (space, location)).await?
        }
        Place::Below(..) => None,
    };
    match (found, place) {
        (Some((id,)), _) => Ok(id),
        (None, Place::Folder(_)) => Err(Error::NotFound),
        (None, _) => {
            lock_tree(tx, space).await?;
            Ok(put_into(tx, space, place).await?.id)
        }
    }
}

/// The folder that another folder is put into, locked for changes. The tree must be locked.
async fn put_into(tx: &mut Tx<'_>, space: Uuid, place: &Place) -> Result<FolderRow> {
    let folder = match place {
        Place::Folder(id) => tx.fetch_optional(FIND_FOLDER, (space, *id)).await?.ok_or(Error::NotFound)?,
        Place::Location(location, clock) => create_missing(tx, space, location, clock).await?,
        Place::Below(id, below, clock) => {
            let folder: FolderRow = tx.fetch_optional(FIND_FOLDER, (space, *id)).await?.ok_or(Error::NotFound)?;
            create_missing(tx, space, &format!("{}{below}", folder.location), clock).await?
        }
    };
    tx.execute(LOCK_FOLDER, (folder.id,)).await?;
    Ok(folder)
}

/// The folder at this location, with what is missing of it. The tree must be locked.
async fn create_missing(tx: &mut Tx<'_>, space: Uuid, location: &str, clock: &Clock) -> Result<FolderRow> {
    let mut known = location;
    let mut folder = loop {
        let found: Option<FolderRow> = tx.fetch_optional(FIND_FOLDER_AT, (space, known)).await?;
        if let Some(folder) = found {
            break folder;
        }
        // The top folder always exists.
        if known.is_empty() {
            return Err(Error::NotFound);
        }
        known = parent_location(known);
    };
    if known.len() < location.len() {
        tx.execute(LOCK_FOLDER, (folder.id,)).await?;
    }
    for name in location[known.len()..].split_terminator('/') {
        let created = new_folder(&folder, clock.new_id(), name, clock.now());
        match check_free(tx, folder.id, name, created.id).await {
            Err(Error::PathTaken) => return Err(Error::NotAFolder),
            checked => checked?,
        }
        insert_folder(tx, &created).await?;
        record_missing_folder(tx, created.id, created.created_at).await?;
        folder = created;
    }
    Ok(folder)
}

/// The location of the folder above the one at this location.
fn parent_location(location: &str) -> &str {
    &location[..location.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1)]
}

fn new_folder(parent: &FolderRow, id: Uuid, name: &str, now: Timestamp) -> FolderRow {
    FolderRow {
        id,
        space_id: parent.space_id,
        parent_id: Some(parent.id),
        name: name.to_owned(),
        location: format!("{}{name}/", parent.location),
        created_at: now.into(),
        updated_at: now.into(),
        trashed_at: None,
    }
}

async fn insert_folder(tx: &mut Tx<'_>, folder: &FolderRow) -> Result<()> {
    let FolderRow { id, space_id, parent_id, name, location, created_at, .. } = folder;
    let row = (id, space_id, parent_id, name, location, fold(location), natural_key(name), created_at);
    tx.execute(INSERT_FOLDER, row).await.map(drop)
}

/// # Errors
/// [`Error::PathTaken`] if the folder has a file or another folder of this name.
async fn check_free(tx: &mut Tx<'_>, folder: Uuid, name: &str, except: Uuid) -> Result<()> {
    match tx.fetch_one::<(i64,)>(IS_NAME_TAKEN, (folder, name, except)).await? {
        (0,) => Ok(()),
        _ => Err(Error::PathTaken),
    }
}

/// # Errors
/// [`Error::PathTaken`] if a folder of this name is in the folder, which is locked.
pub(super) async fn check_no_folder(tx: &mut Tx<'_>, folder: Uuid, name: &str) -> Result<()> {
    match tx.fetch_one::<(i64,)>(HAS_FOLDER_NAMED, (folder, name)).await? {
        (0,) => Ok(()),
        _ => Err(Error::PathTaken),
    }
}

/// # Errors
/// [`Error::TooDeep`] if what is this much longer and deeper than a location exceeds the limits.
fn check_extent(location: &str, deeper: usize, longer: usize, limits: TreeLimits) -> Result<()> {
    let (depth, bytes) = (location.matches('/').count() + deeper, location.len().saturating_sub(1) + longer);
    if depth > limits.depth || bytes > limits.bytes {
        return Err(Error::TooDeep { depth: limits.depth, bytes: limits.bytes });
    }
    Ok(())
}

/// Puts a folder with all below it into another one. The tree must be locked.
async fn relocate(
    tx: &mut Tx<'_>,
    folder: &FolderRow,
    target: &FolderTarget,
    limits: TreeLimits,
    now: Timestamp,
) -> Result<FolderRow> {
    let parent = put_into(tx, folder.space_id, &target.into).await?;
    if folder.trashed_at.is_none() && parent.location.starts_with(&folder.location) {
        return Err(Error::IntoItself);
    }
    check_free(tx, parent.id, &target.name, folder.id).await?;
    let location = format!("{}{}/", parent.location, target.name);
    if location != folder.location {
        let (depth, bytes): (i64, i64) = tx.fetch_one(EXTENT_BELOW, (folder.id,)).await?;
        let longer = usize::try_from(bytes).unwrap_or_default().saturating_sub(folder.location.len());
        check_extent(&location, usize::try_from(depth).unwrap_or_default(), longer, limits)?;
        let rest = |text: &str| text.chars().count() as i64 + 1;
        let (old, new) = (fold(&folder.location), fold(&location));
        let row = (folder.id, &location, rest(&folder.location), new, rest(&old));
        tx.execute(RELOCATE, row).await?;
    }
    let row = (folder.id, parent.id, &target.name, natural_key(&target.name), Micros::from(now));
    tx.execute(RENAME_FOLDER, row).await?;
    Ok(FolderRow {
        parent_id: Some(parent.id),
        name: target.name.clone(),
        location,
        updated_at: now.into(),
        ..folder.clone()
    })
}

/// Where to restore what was in this folder: there, or if it is in the trash itself, in a folder at its location.
pub(super) async fn former_place(tx: &mut Tx<'_>, space: Uuid, folder: Uuid, clock: &Clock) -> Result<Place> {
    let row: FolderRow = tx.fetch_optional(FIND_ANY_FOLDER, (space, folder)).await?.ok_or(Error::NotFound)?;
    Ok(match row.trashed_at {
        None => Place::Folder(folder),
        Some(_) => Place::Location(row.location, clock.clone()),
    })
}

async fn end_signed_puts_below(tx: &mut Tx<'_>, space: Uuid, folder: Uuid) -> Result<UsageDelta> {
    let ended: Vec<ReservedRow> = tx.fetch_all(END_SIGNED_PUTS_BELOW, (space, folder)).await?;
    Ok(ended.iter().map(ReservedRow::released).sum())
}
