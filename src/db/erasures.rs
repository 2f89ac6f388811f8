//! Deletes an account and everything it owns, in resumable batches. The first transaction makes the account unusable;
//! after a crash the next batch continues.

use jiff::Timestamp;
use uuid::Uuid;

use super::blobs::mark_for_deletion;
use super::errors::is_foreign_key_violation;
use super::events::{EventRow, insert_event};
use super::files::end_signed_puts;
use super::spaces::{check_not_last_manager, lock_space};
use super::usage::{ReservedRow, UsageDelta, apply_usage};
use super::{Count, Db, Micros, Tx, permits, statements};
use crate::error::{Error, Result};

statements! {
    /// Locks the other admins if the account is an admin, so that of two concurrent deletions one fails. Never locks
    /// the account itself: the statement that changes its key must be the first to lock its row, or an upload of its
    /// space and the deletion wait for each other.
    LOCK_OTHER_ADMINS = "UPDATE users SET updated_at = updated_at
        WHERE is_admin AND id <> $1 AND EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND u.is_admin)";
    COUNT_OTHER_ADMINS = "SELECT COUNT(*) FROM users WHERE is_admin AND disabled_at IS NULL AND id <> $1";
    FIND_AVATAR = "SELECT avatar_id FROM users WHERE id = $1";
    REMOVE_AVATAR = "UPDATE users SET avatar_id = NULL WHERE id = $1";
    /// The remaining row has no name, no address, and no password that opens it. The new key is in upper case, so that
    /// no address equals it; the old one is free immediately.
    ANONYMIZE_USER = "UPDATE users SET email = '', email_key = $2, name = '', password_hash = '',
            is_admin = FALSE, disabled_at = $3, updated_at = $3
        WHERE id = $1 AND email <> '' AND password_hash = COALESCE($4, password_hash) AND (NOT is_admin OR $5)
        RETURNING id";
    END_SESSIONS = "DELETE FROM sessions WHERE user_id = $1";
    REVOKE_TOKENS = "DELETE FROM api_tokens WHERE user_id = $1";
    END_GRANTS = "DELETE FROM grants WHERE user_id = $1";
    LEAVE_TEAMS = "DELETE FROM team_members WHERE user_id = $1";
    INSERT_ERASURE = "INSERT INTO erasures (id, user_id, state, started_at) VALUES ($1, $2, 'running', $3)";
    FIND_ERASURE = "SELECT id, state, started_at, finished_at FROM erasures WHERE id = $1";
    LIST_RUNNING = "SELECT id, user_id FROM erasures WHERE state = 'running' ORDER BY started_at, id";
    LIST_OPEN_UPLOADS = "SELECT id, creator_id FROM resumable_uploads WHERE space_id = $1 AND file_id IS NULL
        UNION ALL SELECT id, creator_id FROM resumable_uploads
            WHERE creator_id = $1 AND space_id <> $1 AND file_id IS NULL LIMIT $2";
    END_PENDING_BLOBS = "UPDATE blobs SET state = 'deleting' WHERE space_id = $1 AND state = 'pending'
        RETURNING space_id, reserved_bytes, reserved_files, reserved_uploads";
    DELETE_UPLOADS = "DELETE FROM resumable_uploads WHERE id IN
        (SELECT id FROM (SELECT id FROM resumable_uploads WHERE space_id = $1 AND file_id IS NOT NULL
            UNION ALL SELECT id FROM resumable_uploads WHERE creator_id = $1 AND file_id IS NOT NULL) AS ended LIMIT $2)";
    LIST_FILES = "SELECT id, blob_id FROM files WHERE space_id = $1 ORDER BY trashed_at, id LIMIT $2";
    DELETE_FILE = "DELETE FROM files WHERE id = $1 AND blob_id = $2 RETURNING metadata";
    /// From below, once their files are deleted.
    DELETE_FOLDERS = "DELETE FROM folders WHERE id IN (SELECT d.id FROM folders d WHERE d.space_id = $1
        AND NOT EXISTS (SELECT 1 FROM folders c WHERE c.parent_id = d.id)
        AND NOT EXISTS (SELECT 1 FROM files f WHERE f.folder_id = d.id) LIMIT $2)";
    DELETE_KEYS = "DELETE FROM idempotency_keys WHERE user_id = $1 AND key IN
        (SELECT key FROM idempotency_keys WHERE user_id = $1 LIMIT $2)";
    DELETE_EVENTS = "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE space_id = $1 LIMIT $2)";
    DELETE_CHANGES = "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE space_id = $1 LIMIT $2)";
    DELETE_LAST_CHANGES = "DELETE FROM changes WHERE space_id = $1";
    ANONYMIZE_CHANGES = "UPDATE changes SET actor_id = NULL WHERE actor_id = $1 AND actor_id <> space_id";
    ANONYMIZE_EVENTS = "UPDATE audit_events SET actor_id = NULL, credential = NULL, credential_id = NULL, address = NULL
        WHERE actor_id = $1 AND (space_id IS NULL OR actor_id <> space_id)";
    DELETE_USER = "DELETE FROM users WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM blobs WHERE space_id = $1)";
    /// Findings of fsck contain the ids of owners.
    ANONYMIZE_FSCK_REPORTS = "UPDATE fsck_runs SET report = REPLACE(report, $1, $2)";
    FINISH_ERASURE = "UPDATE erasures SET state = 'done', user_id = NULL, finished_at = $2 WHERE id = $1";
    PURGE_ERASURES = "DELETE FROM erasures WHERE state = 'done' AND finished_at < $1";
}

/// The deletion of an account.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ErasureRow {
    /// The id of the erasure, which authorizes its holder to query the progress.
    pub id: Uuid,
    /// `running` or `done`.
    pub state: String,
    /// When the account was deleted.
    pub started_at: Micros,
    /// When the last row was deleted.
    pub finished_at: Option<Micros>,
}

/// An account that is being deleted.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct DeletedAccountRow {
    /// The id of the erasure.
    pub id: Uuid,
    /// The id of the account.
    pub user_id: Uuid,
}

#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct RemainingRow {
    id: Uuid,
    blob_id: Uuid,
}

impl Db {
    /// Makes an account unusable and anonymous, and records that everything it owns is to be deleted, in one
    /// transaction. With a `proven` hash only if it is still that of the account's password.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such account, it was deleted, or its password was changed;
    /// [`Error::LastAdmin`]; [`Error::LastManager`]; [`Error::Unauthorized`] if the permit of the request has ended.
    pub async fn begin_erasure(
        &self,
        user: Uuid,
        job: &ErasureRow,
        proven: Option<&str>,
        event: &EventRow,
    ) -> Result<()> {
        let begun = self
            .unpermitted(async |tx| {
                permits::check(tx).await?;
                lock_space(tx, user).await?;
                anonymize(tx, user, job.started_at, proven).await?;
                remove_avatar(tx, user).await?;
                check_not_last_manager(tx, user).await?;
                for statement in [END_SESSIONS, REVOKE_TOKENS, END_GRANTS, LEAVE_TEAMS] {
                    tx.execute(statement, (user,)).await?;
                }
                tx.execute(INSERT_ERASURE, (job.id, user, job.started_at)).await?;
                insert_event(tx, event).await
            })
            .await;
        self.callers.clear();
        begun
    }

    /// The erasure with this id.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn erasure(&self, id: Uuid) -> Result<Option<ErasureRow>> {
        self.read.fetch_optional(FIND_ERASURE, (id,)).await
    }

    /// The accounts that are being deleted, the longest waiting first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn erasures(&self) -> Result<Vec<DeletedAccountRow>> {
        self.write.fetch_all(LIST_RUNNING, ()).await
    }

    /// At most `limit` open resumable uploads into a space or of an account, with the accounts that created them.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn unfinished_uploads(&self, user: Uuid, limit: usize) -> Result<Vec<(Uuid, Uuid)>> {
        self.write.fetch_all(LIST_OPEN_UPLOADS, (user, Count::from(limit))).await
    }

    /// Marks the pending blobs of an account for deletion once their leases expire.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn end_blobs(&self, user: Uuid) -> Result<()> {
        self.transaction(async |tx| {
            let ended: Vec<ReservedRow> = tx.fetch_all(END_PENDING_BLOBS, (user,)).await?;
            apply_usage(tx, user, ended.iter().map(ReservedRow::released).sum()).await
        })
        .await
    }

    /// Deletes at most `limit` files of an account, in the trash or not, and marks their blobs for deletion. Returns
    /// how many were found.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn erase_files(&self, user: Uuid, limit: usize) -> Result<u64> {
        self.transaction(async |tx| {
            let files: Vec<RemainingRow> = tx.fetch_all(LIST_FILES, (user, Count::from(limit))).await?;
            let mut usage = UsageDelta::default();
            for file in &files {
                usage += end_signed_puts(tx, user, file.id).await?;
                // If its content was replaced in between, the next batch finds the file again.
                let deleted: Option<(String,)> = tx.fetch_optional(DELETE_FILE, (file.id, file.blob_id)).await?;
                if let Some((metadata,)) = deleted {
                    let freed = mark_for_deletion(tx, file.blob_id).await?;
                    usage += freed + -UsageDelta::one_file() + -UsageDelta::metadata(&metadata);
                }
            }
            apply_usage(tx, user, usage).await?;
            Ok(files.len() as u64)
        })
        .await
    }

    /// Deletes at most `limit` rows of each kind that nothing else refers to; returns how many were deleted.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn erase_rows(&self, user: Uuid, limit: usize) -> Result<u64> {
        let mut erased = 0;
        for statement in [DELETE_FOLDERS, DELETE_UPLOADS, DELETE_KEYS, DELETE_EVENTS, DELETE_CHANGES] {
            erased += self.write.execute(statement, (user, Count::from(limit))).await?;
        }
        for statement in [ANONYMIZE_EVENTS, ANONYMIZE_CHANGES] {
            self.write.execute(statement, (user,)).await?;
        }
        Ok(erased)
    }

    /// Deletes the account itself, and finishes its erasure; `false` if blobs wait for a lease, or rows were added in
    /// between.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn finish_erasure(&self, erased: &DeletedAccountRow, now: Timestamp) -> Result<bool> {
        self.transaction(async |tx| {
            match tx.try_execute(DELETE_USER, (erased.user_id,)).await {
                Err(error) if is_foreign_key_violation(&error) => return Ok(false),
                Ok(0) => return Ok(false),
                deleted => deleted?,
            };
            tx.execute(DELETE_LAST_CHANGES, (erased.user_id,)).await?;
            let (known, anonymous) = (erased.user_id.to_string(), Uuid::nil().to_string());
            tx.execute(ANONYMIZE_FSCK_REPORTS, (known, anonymous)).await?;
            tx.execute(FINISH_ERASURE, (erased.id, Micros::from(now))).await?;
            Ok(true)
        })
        .await
    }

    /// Deletes the erasures that finished before a time; returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_erasures(&self, before: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_ERASURES, (Micros::from(before),)).await
    }
}

/// Makes an account unusable and anonymous, unless it is the last admin.
async fn anonymize(tx: &mut Tx<'_>, user: Uuid, now: Micros, proven: Option<&str>) -> Result<()> {
    tx.execute(LOCK_OTHER_ADMINS, (user,)).await?;
    let has_others = has_other_admins(tx, user).await?;
    let row = (user, format!("ERASED {user}"), now, proven, has_others);
    match tx.fetch_optional::<(Uuid,)>(ANONYMIZE_USER, row).await? {
        Some(_) => Ok(()),
        None if has_others => Err(Error::NotFound),
        None => Err(Error::LastAdmin),
    }
}

/// Whether there is an admin who is not disabled, beside this account.
pub(super) async fn has_other_admins(tx: &mut Tx<'_>, user: Uuid) -> Result<bool> {
    let (others,): (i64,) = tx.fetch_one(COUNT_OTHER_ADMINS, (user,)).await?;
    Ok(others > 0)
}

async fn remove_avatar(tx: &mut Tx<'_>, user: Uuid) -> Result<()> {
    let (avatar,): (Option<Uuid>,) = tx.fetch_one(FIND_AVATAR, (user,)).await?;
    let Some(avatar) = avatar else { return Ok(()) };
    let freed = mark_for_deletion(tx, avatar).await?;
    apply_usage(tx, user, freed).await?;
    tx.execute(REMOVE_AVATAR, (user,)).await.map(drop)
}
