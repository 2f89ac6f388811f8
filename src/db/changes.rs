//! The change log: what happened to files, folders and links, in one ascending sequence.
//!
//! Every transaction that changes one of them ends with [`record`], which also inserts the event of the audit log.
//!
//! # Order
//! The number of a change is drawn at the end of its transaction, after the rows that it is about were locked, and before
//! the commit, which releases them. Of two changes of one file the second therefore has the greater number, whichever of
//! the two transactions began first. Ids of transactions would not do: a transaction may get its id, and then wait for
//! one that began later.
//!
//! # Completeness
//! On PostgreSQL a change can be visible while one with a smaller number is still being committed; a reader who continued
//! after the former would never see the latter. Readers therefore stop at a [`ChangeHorizon`], up to which every number
//! is decided: its transaction has committed, or never will. It is found without a lock and without any cost for writers:
//!
//! 1. Read the number `n` that was drawn last.
//! 2. Then get an id of a transaction, `x`. A transaction that drew a number up to `n` had changed rows before and
//!    therefore has an id, which is smaller than `x`: ids ascend.
//! 3. Once every transaction with an id below `x` has ended, which a snapshot says (`pg_snapshot_xmin`), everything up
//!    to `n` is decided, and visible to every later statement if it was committed.
//!
//! While nothing is being written that is one moment. Otherwise `(n, x)` is kept until the third step succeeds, after as
//! long as the longest of those transactions takes. Transactions of other databases of the same server count as well: a
//! long one that writes delays the log, and loses nothing.
//!
//! On SQLite transactions are committed one after the other, and numbers in the same order.

use std::collections::VecDeque;

use jiff::Timestamp;
use sqlx::error::BoxDynError;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::permits::Permit;
use super::pool::{Arguments, Parameters};
use super::{Count, Db, Micros, Tx, statements};
use crate::error::Result;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A file was created.
    FileCreated,
    /// The content of a file was replaced.
    FileReplaced,
    /// A file was renamed or moved; its metadata may have changed as well.
    FileMoved,
    /// The metadata of a file was changed.
    FileUpdated,
    /// A file was moved to the trash by itself.
    FileTrashed,
    /// A file was restored from the trash.
    FileRestored,
    /// A file was deleted permanently by itself.
    FileDeleted,
    /// A folder was created.
    FolderCreated,
    /// A folder was renamed or moved with all below it.
    FolderMoved,
    /// A folder was moved to the trash with all below it.
    FolderTrashed,
    /// A folder was restored with all that was moved to the trash with it.
    FolderRestored,
    /// A folder was deleted permanently with all below it.
    FolderDeleted,
    /// A link was created.
    LinkCreated,
    /// The options or the token of a link were changed.
    LinkChanged,
    /// A link was revoked.
    LinkRevoked,
}

impl ChangeKind {
    /// The name in the database and in the API. It must never change.
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeKind::FileCreated => "file_created",
            ChangeKind::FileReplaced => "file_replaced",
            ChangeKind::FileMoved => "file_moved",
            ChangeKind::FileUpdated => "file_updated",
            ChangeKind::FileTrashed => "file_trashed",
            ChangeKind::FileRestored => "file_restored",
            ChangeKind::FileDeleted => "file_deleted",
            ChangeKind::FolderCreated => "folder_created",
            ChangeKind::FolderMoved => "folder_moved",
            ChangeKind::FolderTrashed => "folder_trashed",
            ChangeKind::FolderRestored => "folder_restored",
            ChangeKind::FolderDeleted => "folder_deleted",
            ChangeKind::LinkCreated => "link_created",
            ChangeKind::LinkChanged => "link_changed",
            ChangeKind::LinkRevoked => "link_revoked",
        }
    }

    /// The statement that inserts such a change after the event: by itself, and both in one.
    const fn statements(self) -> (&'static str, &'static str) {
        match self {
            ChangeKind::FileCreated
            | ChangeKind::FileReplaced
            | ChangeKind::FileMoved
            | ChangeKind::FileUpdated
            | ChangeKind::FileTrashed
            | ChangeKind::FileRestored
            | ChangeKind::FileDeleted => (INSERT_FILE_CHANGE, RECORD_FILE_CHANGE),
            ChangeKind::FolderCreated
            | ChangeKind::FolderMoved
            | ChangeKind::FolderTrashed
            | ChangeKind::FolderRestored
            | ChangeKind::FolderDeleted => (INSERT_FOLDER_CHANGE, RECORD_FOLDER_CHANGE),
            ChangeKind::LinkCreated | ChangeKind::LinkChanged | ChangeKind::LinkRevoked => {
                (INSERT_LINK_CHANGE, RECORD_LINK_CHANGE)
            }
        }
    }
}

/// Inserts a change of a file as its row is now.
macro_rules! insert_file_change {
    ($id:literal, $kind:literal, $actor:literal, $at:literal) => {
        concat!(
            "INSERT INTO changes (space_id, kind, file_id, parent_id, path, name, actor_id, at)
            SELECT f.space_id, ",
            $kind,
            ", f.id, f.folder_id, d.location, f.name, ",
            $actor,
            ", ",
            $at,
            "
            FROM files f JOIN folders d ON d.id = f.folder_id WHERE f.id = ",
            $id
        )
    };
}

/// Inserts a change of a folder as its row is now.
macro_rules! insert_folder_change {
    ($id:literal, $kind:literal, $actor:literal, $at:literal) => {
        concat!(
            "INSERT INTO changes (space_id, kind, folder_id, parent_id, path, name, actor_id, at)
            SELECT d.space_id, ",
            $kind,
            ", d.id, d.parent_id, d.location, d.name, ",
            $actor,
            ", ",
            $at,
            "
            FROM folders d WHERE d.id = ",
            $id
        )
    };
}

/// Inserts a change of a link, with its file as that is now.
macro_rules! insert_link_change {
    ($id:literal, $kind:literal, $actor:literal, $at:literal) => {
        concat!(
            "INSERT INTO changes (space_id, kind, link_id, file_id, parent_id, path, name, actor_id, at)
            SELECT l.space_id, ",
            $kind,
            ", l.id, f.id, f.folder_id, d.location, f.name, ",
            $actor,
            ", ",
            $at,
            "
            FROM links l JOIN files f ON f.id = l.file_id JOIN folders d ON d.id = f.folder_id WHERE l.id = ",
            $id
        )
    };
}

/// Inserts an event and, with what follows, a change.
macro_rules! with_event {
    ($change:expr) => {
        concat!(
            "WITH event AS (INSERT INTO audit_events (id, at, kind, space_id, actor_id, credential, credential_id, \
             file_id, link_id, address, channel, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)) ",
            $change
        )
    };
}

statements! {
    INSERT_FILE_CHANGE = insert_file_change!("$1", "$2", "$3", "$4");
    INSERT_FOLDER_CHANGE = insert_folder_change!("$1", "$2", "$3", "$4");
    INSERT_LINK_CHANGE = insert_link_change!("$1", "$2", "$3", "$4");
    /// The row of the file does not exist any more.
    INSERT_DELETED_FILE = "INSERT INTO changes (space_id, kind, file_id, parent_id, path, name, actor_id, at)
        SELECT d.space_id, $2, $1, d.id, d.location, $5, $3, $4 FROM folders d WHERE d.id = $6";
    LIST_CHANGES = "SELECT seq, space_id, kind, file_id, folder_id, link_id, parent_id, path, name, actor_id, at
        FROM changes WHERE space_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4";
    LIST_CHANGED_SPACES = "SELECT space_id FROM changes WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
    FIND_LOG = "SELECT id, purged FROM change_log";
    RENEW_LOG = "UPDATE change_log SET id = $1";
    LIST_OLDEST = "SELECT seq, at FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2";
    PURGE_CHANGES = "DELETE FROM changes WHERE seq > $1 AND seq <= $2";
    SET_PURGED = "UPDATE change_log SET purged = $1 WHERE purged < $1";
}

// Only one engine has what these name.
const RECORD_FILE_CHANGE: &str = with_event!(insert_file_change!("$13", "$14", "$5", "$2"));
const RECORD_FOLDER_CHANGE: &str = with_event!(insert_folder_change!("$13", "$14", "$5", "$2"));
const RECORD_LINK_CHANGE: &str = with_event!(insert_link_change!("$13", "$14", "$5", "$2"));
const LAST_DRAWN_POSTGRES: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM changes_seq_seq";
const LAST_DRAWN_SQLITE: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'changes'";
const TRANSACTIONS: &str = "SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT),
    CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)";
const OLDEST_TRANSACTION: &str = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)";
/// The statements that only PostgreSQL has, for the tests that check each one.
pub(super) const POSTGRES_STATEMENTS: &[&str] = &[
    RECORD_FILE_CHANGE,
    RECORD_FOLDER_CHANGE,
    RECORD_LINK_CHANGE,
    LAST_DRAWN_POSTGRES,
    TRANSACTIONS,
    OLDEST_TRANSACTION,
];

/// A change of the log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ChangeRow {
    /// The number of the change.
    pub seq: i64,
    /// The space.
    pub space_id: Uuid,
    /// What happened.
    pub kind: String,
    /// The file.
    pub file_id: Option<Uuid>,
    /// The folder.
    pub folder_id: Option<Uuid>,
    /// The link.
    pub link_id: Option<Uuid>,
    /// The folder that the file or folder was in.
    pub parent_id: Option<Uuid>,
    /// The location of the folder; of a file, that of its folder.
    pub path: String,
    /// The name.
    pub name: String,
    /// The account that acted.
    pub actor_id: Option<Uuid>,
    /// When it happened.
    pub at: Micros,
}

/// The log itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct ChangeLogRow {
    /// A random number, which is another one after a restore.
    pub id: i64,
    /// The last change that was deleted because its retention has ended.
    pub purged: i64,
}

/// A file that was just deleted.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct DeletedFile {
    /// The folder that it was in.
    pub folder_id: Uuid,
    /// Its name.
    pub name: String,
}

/// How far the log is decided: every change up to a number is visible, or never will be.
#[derive(Debug, Default)]
pub struct ChangeHorizon {
    decided: i64,
    drawn: i64,
    /// On PostgreSQL: numbers that were drawn last at some time, and ids of transactions that began after that.
    pending: VecDeque<(i64, i64)>,
}

impl ChangeHorizon {
    /// The number up to which the log is decided.
    pub fn decided(&self) -> i64 {
        self.decided
    }

    /// The number that was drawn last.
    pub fn drawn(&self) -> i64 {
        self.drawn
    }

    /// Whether changes are known that are not decided yet.
    pub fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes into account that all transactions with smaller ids have ended.
    fn pass(&mut self, oldest: i64) {
        while let Some((drawn, _)) = self.pending.pop_front_if(|(_, later)| *later <= oldest) {
            self.decided = self.decided.max(drawn);
        }
    }
}

impl Db {
    /// Advances a horizon as far as possible.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn advance_horizon(&self, horizon: &mut ChangeHorizon) -> Result<()> {
        if self.read.is_sqlite() {
            let drawn: Option<(i64,)> = self.read.fetch_optional(LAST_DRAWN_SQLITE, ()).await?;
            horizon.drawn = drawn.map_or(0, |(drawn,)| drawn);
            horizon.decided = horizon.drawn;
            return Ok(());
        }
        let (drawn,): (i64,) = self.read.fetch_one(LAST_DRAWN_POSTGRES, ()).await?;
        if drawn != horizon.drawn {
            // An id of a transaction is used only if something was written since.
            let (later, oldest): (i64, i64) = self.read.fetch_one(TRANSACTIONS, ()).await?;
            horizon.drawn = drawn;
            horizon.pending.push_back((drawn, later));
            horizon.pass(oldest);
        } else if horizon.is_behind() {
            let (oldest,): (i64,) = self.read.fetch_one(OLDEST_TRANSACTION, ()).await?;
            horizon.pass(oldest);
        }
        Ok(())
    }

    /// At most `limit` changes in a space with numbers after the first and up to the second one, in their order.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_changes(&self, space: Uuid, after: i64, until: i64, limit: usize) -> Result<Vec<ChangeRow>> {
        self.read.fetch_all(LIST_CHANGES, (space, after, until, Count::from(limit))).await
    }

    /// The spaces of at most `limit` changes with numbers after the first and up to the second one.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn changed_spaces(&self, after: i64, until: i64, limit: usize) -> Result<Vec<Uuid>> {
        let rows: Vec<(Uuid,)> = self.read.fetch_all(LIST_CHANGED_SPACES, (after, until, Count::from(limit))).await?;
        Ok(rows.into_iter().map(|(space,)| space).collect())
    }

    /// The log itself.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn change_log(&self) -> Result<ChangeLogRow> {
        self.read.fetch_one(FIND_LOG, ()).await
    }

    /// Makes this another log, so that the cursors of the previous one are refused: after the database was restored from
    /// a backup, numbers that clients know are used again.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn renew_change_log(&self, id: u32) -> Result<()> {
        self.write.execute(RENEW_LOG, (i64::from(id),)).await.map(drop)
    }

    /// Deletes those of the `limit` oldest changes that are from before a time, or have a number up to `excess`; returns how
    /// many of the log are gone.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_changes(&self, before: Timestamp, excess: i64, limit: usize) -> Result<u64> {
        let before = Micros::from(before);
        self.transaction(async |tx| {
            let log: ChangeLogRow = tx.fetch_one(FIND_LOG, ()).await?;
            let oldest: Vec<(i64, Micros)> = tx.fetch_all(LIST_OLDEST, (log.purged, Count::from(limit))).await?;
            let is_due = |(seq, at): &&(i64, Micros)| *at < before || *seq <= excess;
            let Some((last, _)) = oldest.iter().take_while(is_due).last() else { return Ok(0) };
            tx.execute(SET_PURGED, (last,)).await?;
            tx.execute(PURGE_CHANGES, (log.purged, last)).await
        })
        .await
    }
}

/// Records what a transaction has changed, in the audit log and in the change log. The file, folder or link has the id
/// `id`, and its row must still exist. To be called at the end of the transaction.
pub(super) async fn record(tx: &mut Tx<'_>, event: &EventRow, kind: ChangeKind, id: Uuid) -> Result<()> {
    let (change, both) = kind.statements();
    if matches!(tx, Tx::Postgres { .. }) {
        return tx.execute(both, Recorded { event, id, kind: kind.as_str() }).await.map(drop);
    }
    insert_event(tx, event).await?;
    tx.execute(change, (id, kind.as_str(), event.actor_id, event.at)).await.map(drop)
}

/// The same for the deletion of a file, whose row does not exist any more.
pub(super) async fn record_deletion(tx: &mut Tx<'_>, event: &EventRow, id: Uuid, deleted: &DeletedFile) -> Result<()> {
    insert_event(tx, event).await?;
    let kind = ChangeKind::FileDeleted.as_str();
    let row = (id, kind, event.actor_id, event.at, &deleted.name, deleted.folder_id);
    tx.execute(INSERT_DELETED_FILE, row).await.map(drop)
}

/// Records that a folder was created because something is put into it; the audit log has no event of that.
pub(super) async fn record_missing_folder(tx: &mut Tx<'_>, folder: Uuid, at: Micros) -> Result<()> {
    let actor = Permit::current().map(|permit| permit.account);
    tx.execute(INSERT_FOLDER_CHANGE, (folder, ChangeKind::FolderCreated.as_str(), actor, at)).await.map(drop)
}

/// The arguments of a statement that inserts an event and a change.
struct Recorded<'e> {
    event: &'e EventRow,
    id: Uuid,
    kind: &'static str,
}

impl Arguments for Recorded<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        self.event.bind(to)?;
        (self.id, self.kind).bind(to)
    }
}
