//! The database: the only SQL, one file per noun.
//!
//! One SQL text serves both engines, because SQLite also binds `$1`; where DDL differs there is a directory of
//! migrations per engine. Statements are constants, and a test prepares each of them on both engines.

mod access;
mod archive_urls;
mod archives;
mod attributes;
mod avatars;
mod blobs;
mod caller_cache;
mod changes;
mod check;
mod claims;
mod client;
mod connection_shares;
mod erasures;
mod errors;
mod events;
mod file_row;
mod files;
mod folders;
mod fsck;
mod grants;
mod group_commit;
mod idempotency;
mod instance;
mod instance_lock;
mod job_leases;
mod link_downloads;
mod links;
mod list;
mod open;
mod orphans;
mod permits;
mod pool;
mod probe;
mod readers;
mod reads;
mod replace;
mod reserve;
mod resumable;
mod sessions;
mod signed_puts;
mod signed_urls;
mod spaces;
mod teams;
mod throttles;
mod tokens;
mod trash;
mod tx;
mod units;
mod upload_parts;
mod usage;
mod users;
mod walk;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, SqlSafeStr};
use tokio::sync::Notify;

use crate::error::{Error, Result};

use caller_cache::CallerCache;
use instance::Instance;
use reads::Reads;
use tx::Tx;
use writes::Writes;

pub use access::{GrantedRow, Need};
pub use archive_urls::{ArchiveUrlRow, ArchiveUrlUse};
pub use archives::{ARCHIVE_BATCH, ArchiveBatch, ArchiveRow, locations_below};
pub use attributes::{Attribute, NewAttributes};
pub use blobs::{BlobFacts, ContentRow, KeyedContentRow, NewBlobRow, PendingDeletionRow, WritableBlobRow};
pub use caller_cache::CachePolicy;
pub use changes::{ChangeHorizon, ChangeKind, ChangeLogRow, ChangeRow};
pub use check::CheckedRow;
pub use client::Client;
pub use erasures::{DeletedAccountRow, ErasureRow};
pub use events::{EventQuery, EventRow};
pub use file_row::FileRow;
pub use files::{ChangedFileRow, FileLocation, NewFileRow};
pub use folders::{FolderRow, FolderSum, FolderTarget, Place, TreeLimits};
pub use fsck::{DanglingReferenceRow, FsckRunRow, ReferencedBlobRow};
pub use grants::{GrantRow, NewGrantRow};
pub use idempotency::{KeyClaim, KeyResponse, KeyRow};
pub use instance_lock::acquire_instance_lock;
pub use job_leases::JobLease;
pub use link_downloads::NewLinkDownload;
pub use links::LinkRow;
pub use list::{After, Direction, ListQuery, Sort};
pub use orphans::OrphanRow;
pub use permits::{Permit, PermitKind, PermitSlot};
pub use probe::probe_database;
pub use replace::{InTheWayRow, ReplacedAtRow, ReplacedRow};
pub use resumable::{EndedUpload, NewResumableRow, PartRow, Progress, ResumableRow};
pub use sessions::{NewSessionRow, SessionRow};
pub use signed_puts::{NewSignedPutRow, SignedPutRow};
pub use spaces::{SpacePatchRow, SpaceRow};
pub use teams::{TeamMemberRow, TeamRow};
pub use throttles::Attempt;
pub use tokens::TokenRow;
pub use trash::{DueFolderRow, Purged, TrashedFileRow};
pub use units::{ByteCount, Count, Micros};
pub use upload_parts::DirectUploadRow;
pub use usage::{TrashUsageRow, UNLIMITED, UsageRow};
pub use users::{AccountPatchRow, AccountRow, CallerRow, PasswordChange, PasswordRow, UserRow};

/// The database. On SQLite one connection writes and several read; on PostgreSQL one pool does both.
///
/// # Errors
/// Every method may return [`Error::Unavailable`] if the database does not respond in time,
/// [`Error::StatementTimeout`] if what a client asks for takes too long, [`Error::StorageFull`] if its disk is full, and
/// [`Error::Internal`] for everything unexpected. The methods name only what else they return.
#[derive(Debug, Clone)]
pub struct Db {
    read: Reads,
    write: Writes,
    callers: Arc<CallerCache>,
    /// The queue for SQLite's connection that writes.
    queue: Arc<group_commit::Queue>,
    /// By which others know whether this process has ended.
    instance: Instance,
    /// Notified when a transaction is committed.
    committed: Arc<Notify>,
}

/// Declares the statements of a file, and registers them for the tests that check each one.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        pub(super) const STATEMENTS: &[&str] = &[$($name),*];
    };
}
use statements;

/// The statements of every file. A test compares this list with the files.
const STATEMENTS: [&[&str]; 35] = [
    access::STATEMENTS,
    archive_urls::STATEMENTS,
    archives::STATEMENTS,
    attributes::STATEMENTS,
    avatars::STATEMENTS,
    blobs::STATEMENTS,
    changes::STATEMENTS,
    claims::STATEMENTS,
    erasures::STATEMENTS,
    events::STATEMENTS,
    files::STATEMENTS,
    folders::STATEMENTS,
    fsck::STATEMENTS,
    grants::STATEMENTS,
    idempotency::STATEMENTS,
    job_leases::STATEMENTS,
    link_downloads::STATEMENTS,
    links::STATEMENTS,
    orphans::STATEMENTS,
    permits::STATEMENTS,
    probe::STATEMENTS,
    replace::STATEMENTS,
    resumable::STATEMENTS,
    sessions::STATEMENTS,
    signed_puts::STATEMENTS,
    signed_urls::STATEMENTS,
    spaces::STATEMENTS,
    teams::STATEMENTS,
    throttles::STATEMENTS,
    tokens::STATEMENTS,
    trash::STATEMENTS,
    upload_parts::STATEMENTS,
    usage::STATEMENTS,
    users::STATEMENTS,
    walk::STATEMENTS,
];

impl Db {
    /// The same database, with callers cached for up to `ttl`.
    pub fn with_caller_cache(self, ttl: Duration) -> Self {
        Self { callers: Arc::new(CallerCache::new(ttl)), ..self }
    }

    /// The same database, with a time limit for each statement that reads for a [`Client`].
    pub fn with_statement_timeout(self, limit: Duration) -> Self {
        Self { read: self.read.with_time_limit(limit), ..self }
    }

    /// Checks whether the database responds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<()> {
        let (_,): (i64,) = self.read.fetch_one("SELECT CAST(1 AS BIGINT)", ()).await?;
        Ok(())
    }

    /// Waits until this process has committed a transaction since the last call; for one task.
    pub async fn committed(&self) {
        self.committed.notified().await;
    }

    /// Closes every connection, after which SQLite merges its write-ahead log into the database.
    pub async fn close(&self) {
        self.instance.release();
        self.read.close().await;
        self.write.close().await;
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.write.is_closed()
    }

    /// Every statement that this database runs, for tests.
    #[doc(hidden)]
    pub fn statements(&self) -> Vec<String> {
        let constants = STATEMENTS.concat().into_iter().map(str::to_owned);
        let shape = self.list_shape();
        let lists = [
            list::every_statement(shape),
            walk::every_statement(shape),
            attributes::every_statement(shape),
            check::every_statement(shape),
        ]
        .concat();
        let of_engine = if self.read.is_sqlite() { &[] } else { changes::POSTGRES_STATEMENTS }.iter();
        let of_engine = of_engine.map(|sql| (*sql).to_owned());
        constants
            .chain(lists)
            .chain(events::every_statement())
            .chain(archives::every_statement())
            .chain(of_engine)
            .collect()
    }

    /// Runs a statement that reads and never ends, for tests.
    ///
    /// # Errors
    /// Those of [`Db`].
    #[cfg(feature = "faults")]
    #[doc(hidden)]
    pub async fn read_endlessly(&self) -> Result<()> {
        const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i % 2 + 1 FROM n)
            SELECT COUNT(*) FROM n";
        let (_,): (i64,) = self.read.fetch_one(ENDLESS, ()).await?;
        Ok(())
    }

    /// Prepares every statement on this database, which does for both engines what a check at compile time would do
    /// for one. Returns their number.
    ///
    /// # Errors
    /// [`Error::Internal`] with the first statement that the database rejects.
    #[doc(hidden)]
    pub async fn prepare_every_statement(&self) -> Result<usize> {
        let statements = self.statements();
        for sql in &statements {
            let prepared = self.write.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
            prepared.map_err(|error| Error::internal(format!("{}: {sql}", error.cause())))?;
        }
        Ok(statements.len())
    }
}
