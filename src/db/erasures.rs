//! Taking an account away with all that is its. The account is dead with the first transaction; what it
//! leaves goes in batches, of which any may be the last before a crash.

use uuid::Uuid;

use super::blobs::mark_for_deletion;
use super::events::{EventRow, insert_event};
use super::files::END_FILES_UPLOADS;
use super::usage::{ReservedRow, UsageDelta, by_owner, count};
use super::{Db, is_foreign_key_violation, on, statements, transaction};
use crate::error::{Error, Result};

statements! {
    /// So that of two admins at once one remains. Never the account itself: what changes its key has to be
    /// the first to take its row, or an upload of its owner waits for it while it waits for the upload.
    LOCK = "UPDATE users SET updated_at = updated_at
        WHERE is_admin AND id <> $1 AND EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND u.is_admin)";
    ADMINS = "SELECT COUNT(*) FROM users WHERE is_admin AND disabled_at IS NULL AND id <> $1";
    AVATAR = "SELECT avatar_id FROM users WHERE id = $1";
    FORGET_AVATAR = "UPDATE users SET avatar_id = NULL WHERE id = $1";
    /// What is left has no name and no address, and no password opens it. Addresses are compared in lower
    /// case, so that nobody types this one; the old one is free at once.
    ANONYMIZE_USER = "UPDATE users SET email = '', email_key = $2, name = '', password_hash = '',
            is_admin = FALSE, disabled_at = $3, updated_at = $3
        WHERE id = $1 AND email <> '' AND password_hash = COALESCE($4, password_hash) AND (NOT is_admin OR $5)
        RETURNING id";
    END_SESSIONS = "DELETE FROM sessions WHERE user_id = $1";
    END_TOKENS = "DELETE FROM api_tokens WHERE user_id = $1";
    BEGIN = "INSERT INTO erasures (id, user_id, state, started_at) VALUES ($1, $2, 'running', $3)";
    BY_ID = "SELECT id, state, started_at, finished_at FROM erasures WHERE id = $1";
    RUNNING = "SELECT id, user_id FROM erasures WHERE state = 'running' ORDER BY started_at, id";
    OPEN_UPLOADS = "SELECT id FROM resumable_uploads WHERE owner_id = $1 AND file_id IS NULL LIMIT $2";
    END_BLOBS = "UPDATE blobs SET state = 'deleting' WHERE owner_id = $1 AND state = 'pending'
        RETURNING owner_id, reserved_bytes, reserved_files, reserved_uploads";
    FORGET_UPLOADS = "DELETE FROM resumable_uploads WHERE id IN
        (SELECT id FROM resumable_uploads WHERE owner_id = $1 AND file_id IS NOT NULL LIMIT $2)";
    FILES = "SELECT id, blob_id FROM files WHERE owner_id = $1 ORDER BY trashed_at, id LIMIT $2";
    END_UPLOADS = END_FILES_UPLOADS;
    DELETE_FILE = "DELETE FROM files WHERE id = $1 AND blob_id = $2";
    FORGET_KEYS = "DELETE FROM idempotency_keys WHERE owner_id = $1 AND key IN
        (SELECT key FROM idempotency_keys WHERE owner_id = $1 LIMIT $2)";
    FORGET_EVENTS = "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE user_id = $1 LIMIT $2)";
    FORGET_ACTOR = "UPDATE audit_events SET actor_id = NULL, credential = NULL, credential_id = NULL, address = NULL
        WHERE actor_id = $1 AND (user_id IS NULL OR actor_id <> user_id)";
    DELETE_USER = "DELETE FROM users WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM blobs WHERE owner_id = $1)";
    /// What fsck found names owners.
    FORGET_OWNER = "UPDATE fsck_runs SET report = REPLACE(report, $1, $2)";
    FINISH = "UPDATE erasures SET state = 'done', user_id = NULL, finished_at = $2 WHERE id = $1";
    FORGET_OLD = "DELETE FROM erasures WHERE state = 'done' AND finished_at < $1";
}

/// The taking away of an account.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ErasureRow {
    pub id: Uuid,
    pub state: String,
    pub started_at: i64,
    pub finished_at: Option<i64>,
}

/// An account that is being taken away.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct DeletedAccountRow {
    pub id: Uuid,
    pub user_id: Uuid,
}

#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct RemainingRow {
    id: Uuid,
    blob_id: Uuid,
}

impl Db {
    /// Makes an account one that nobody can enter and nobody knows by name, and writes down that the
    /// rest has to go, in one transaction. With a `proven` hash only if it is the account's still.
    ///
    /// # Errors
    /// `NotFound` if there is no such account, it is gone already, or its password is another; `LastAdmin`.
    pub async fn begin_erasure(
        &self,
        user: Uuid,
        job: &ErasureRow,
        proven: Option<&str>,
        event: &EventRow,
    ) -> Result<()> {
        let done = transaction!(self, |tx| {
            sqlx::query(LOCK).bind(user).execute(&mut *tx).await?;
            let others: i64 = sqlx::query_scalar(ADMINS).bind(user).fetch_one(&mut *tx).await?;
            let killed: Option<Uuid> = sqlx::query_scalar(ANONYMIZE_USER)
                .bind(user)
                .bind(format!("ERASED {user}"))
                .bind(job.started_at)
                .bind(proven)
                .bind(others > 0)
                .fetch_optional(&mut *tx)
                .await?;
            if killed.is_none() {
                return Err(if others > 0 { Error::NotFound } else { Error::LastAdmin });
            }
            let avatar: Option<Uuid> = sqlx::query_scalar(AVATAR).bind(user).fetch_one(&mut *tx).await?;
            let freed = match avatar {
                Some(avatar) => mark_for_deletion!(tx, avatar),
                None => UsageDelta::default(),
            };
            count!(tx, user, freed);
            for statement in [FORGET_AVATAR, END_SESSIONS, END_TOKENS] {
                sqlx::query(statement).bind(user).execute(&mut *tx).await?;
            }
            sqlx::query(BEGIN).bind(job.id).bind(user).bind(job.started_at).execute(&mut *tx).await?;
            insert_event!(tx, event);
            Ok(())
        });
        self.callers.forget();
        done
    }

    pub async fn erasure(&self, id: Uuid) -> Result<Option<ErasureRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(BY_ID).bind(id).fetch_optional(p).await)?)
    }

    /// The accounts that are being taken away, the longest waiting first.
    pub async fn erasures(&self) -> Result<Vec<DeletedAccountRow>> {
        Ok(on!(self.write, |p| sqlx::query_as(RUNNING).fetch_all(p).await)?)
    }

    /// Uploads in pieces of an account that are under way, at most so many.
    pub async fn unfinished_uploads(&self, user: Uuid, limit: i64) -> Result<Vec<Uuid>> {
        Ok(on!(self.write, |p| sqlx::query_scalar(OPEN_UPLOADS).bind(user).bind(limit).fetch_all(p).await)?)
    }

    /// Gives the bytes that are on their way to the reaper, which waits for their leases.
    pub async fn end_blobs(&self, user: Uuid) -> Result<()> {
        transaction!(self, |tx| {
            let ended: Vec<ReservedRow> = sqlx::query_as(END_BLOBS).bind(user).fetch_all(&mut *tx).await?;
            count!(tx, user, by_owner(&ended).remove(&user).unwrap_or_default());
            Ok(())
        })
    }

    /// Takes away at most so many files of an account, in the trash or not, and dooms their blobs;
    /// tells how many were found.
    pub async fn erase_files(&self, user: Uuid, limit: i64) -> Result<u64> {
        transaction!(self, |tx| {
            let files: Vec<RemainingRow> = sqlx::query_as(FILES).bind(user).bind(limit).fetch_all(&mut *tx).await?;
            let mut room = UsageDelta::default();
            for file in &files {
                let ended: Vec<ReservedRow> =
                    sqlx::query_as(END_UPLOADS).bind(file.id).bind(user).fetch_all(&mut *tx).await?;
                room = room + by_owner(&ended).remove(&user).unwrap_or_default();
                let delete = sqlx::query(DELETE_FILE).bind(file.id).bind(file.blob_id);
                // If not, the last bytes that were under way came through; the next batch finds them.
                if delete.execute(&mut *tx).await?.rows_affected() == 1 {
                    room =
                        room + mark_for_deletion!(tx, file.blob_id) + UsageDelta { files: -1, ..UsageDelta::default() };
                }
            }
            count!(tx, user, room);
            Ok(files.len() as u64)
        })
    }

    /// Takes away at most so many rows of each kind that nothing else points at; tells how many went.
    pub async fn erase_rows(&self, user: Uuid, limit: i64) -> Result<u64> {
        let mut erased = 0;
        for statement in [FORGET_UPLOADS, FORGET_KEYS, FORGET_EVENTS] {
            erased += on!(self.write, |p| sqlx::query(statement)
                .bind(user)
                .bind(limit)
                .execute(p)
                .await
                .map(|done| done.rows_affected()))?;
        }
        on!(self.write, |p| sqlx::query(FORGET_ACTOR).bind(user).execute(p).await.map(drop))?;
        Ok(erased)
    }

    /// Takes the account itself away, if nothing of it is left, and with it what little may have come
    /// since; `false` if bytes wait for a lease, or something came in between.
    pub async fn finish_erasure(&self, erased: &DeletedAccountRow, now: i64) -> Result<bool> {
        transaction!(self, |tx| {
            match sqlx::query(DELETE_USER).bind(erased.user_id).execute(&mut *tx).await {
                Err(error) if is_foreign_key_violation(&error) => return Ok(false),
                Ok(deleted) if deleted.rows_affected() == 0 => return Ok(false),
                deleted => deleted.map(drop)?,
            }
            let (known, nobody) = (erased.user_id.to_string(), Uuid::nil().to_string());
            sqlx::query(FORGET_OWNER).bind(known).bind(nobody).execute(&mut *tx).await?;
            sqlx::query(FINISH).bind(erased.id).bind(now).execute(&mut *tx).await?;
            Ok(true)
        })
    }

    /// Forgets what was done with before a time; tells how many.
    pub async fn purge_erasures(&self, before: i64) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(FORGET_OLD).bind(before).execute(p).await?.rows_affected()))
    }
}
