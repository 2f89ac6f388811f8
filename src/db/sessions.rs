//! The rows of sessions: who is signed in, from where, until when.

use sqlx::FromRow;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::users::{CallerRow, columns};
use super::{CachePolicy, Db, on, statements, transaction};
use crate::error::Result;

/// A session. Times are microseconds since 1970.
#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub user_agent: String,
    pub address: String,
    pub created_at: i64,
    pub last_used_at: i64,
    pub expires_at: i64,
}

statements! {
    /// Locks the account, so that no session begins with a password that is being changed.
    CONFIRM = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL";
    INSERT = "INSERT INTO sessions (id, user_id, token_hash, user_agent, address, created_at, last_used_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// Keeps the count of one account's sessions in bounds: the oldest ones end.
    END_SURPLUS = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
        (SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT 1000)";
    FIND_CALLER = concat!("SELECT ", columns!(), ", sessions.id AS credential_id, sessions.last_used_at, sessions.expires_at
        FROM sessions JOIN users ON users.id = sessions.user_id
        WHERE sessions.token_hash = $1 AND sessions.expires_at > $2 AND users.disabled_at IS NULL");
    LIST = "SELECT id, user_id, user_agent, address, created_at, last_used_at, expires_at
        FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY id DESC";
    IS_ACTIVE = "SELECT COUNT(*) FROM sessions JOIN users ON users.id = sessions.user_id
        WHERE sessions.id = $1 AND sessions.user_id = $2 AND sessions.expires_at > $3 AND users.disabled_at IS NULL";
    TOUCH = "UPDATE sessions SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2";
    END = "DELETE FROM sessions WHERE id = $1 AND user_id = $2";
    PURGE = "DELETE FROM sessions WHERE expires_at <= $1";
    PURGE_TOKENS = "DELETE FROM api_tokens WHERE expires_at <= $1";
}

impl Db {
    /// Begins a session for an account whose password was just proven against the hash `proven`;
    /// from now on `keep` is the account's hash (the same, or with newer parameters). `false`,
    /// and no session, if the password was changed or the account disabled meanwhile.
    pub async fn begin_session(
        &self,
        session: &SessionRow,
        token_hash: &[u8],
        proven: &str,
        keep: &str,
        event: &EventRow,
    ) -> Result<bool> {
        let done = transaction!(self, |tx| {
            let confirm = sqlx::query(CONFIRM).bind(session.user_id).bind(proven).bind(keep);
            if confirm.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(INSERT)
                .bind(session.id)
                .bind(session.user_id)
                .bind(token_hash)
                .bind(&session.user_agent)
                .bind(&session.address)
                .bind(session.created_at)
                .bind(session.last_used_at)
                .bind(session.expires_at)
                .execute(&mut *tx)
                .await?;
            sqlx::query(END_SURPLUS).bind(session.user_id).execute(&mut *tx).await?;
            insert_event!(tx, event);
            Ok(true)
        });
        self.callers.forget();
        done
    }

    /// The account behind a session that is alive at `now`.
    pub async fn find_session_caller(
        &self,
        token_hash: &[u8; 32],
        now: i64,
        recall: CachePolicy,
    ) -> Result<Option<CallerRow>> {
        self.find_caller(FIND_CALLER, token_hash, now, recall).await
    }

    /// The account's sessions that are alive at `now`, newest first.
    pub async fn list_sessions(&self, user_id: Uuid, now: i64) -> Result<Vec<SessionRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(LIST).bind(user_id).bind(now).fetch_all(p).await)?)
    }

    /// Whether this session of the account is active at `now`, in microseconds since 1970.
    pub async fn session_is_active(&self, id: Uuid, user_id: Uuid, now: i64) -> Result<bool> {
        let active: i64 =
            on!(self.read, |p| sqlx::query_scalar(IS_ACTIVE).bind(id).bind(user_id).bind(now).fetch_one(p).await)?;
        Ok(active == 1)
    }

    /// Notes that a session was used.
    pub async fn touch_session(&self, id: Uuid, now: i64) -> Result<()> {
        on!(self.write, |p| sqlx::query(TOUCH).bind(id).bind(now).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Ends one session of the account; `false` if it has no such session.
    pub async fn end_session(&self, id: Uuid, user_id: Uuid, event: &EventRow) -> Result<bool> {
        let done = transaction!(self, |tx| {
            if sqlx::query(END).bind(id).bind(user_id).execute(&mut *tx).await?.rows_affected() != 1 {
                return Ok(false);
            }
            insert_event!(tx, event);
            Ok(true)
        });
        self.callers.forget();
        done
    }

    /// Deletes the sessions and API tokens that expired by `now`; they are dead already. Gives their count.
    pub async fn purge_sessions(&self, now: i64) -> Result<u64> {
        let mut purged = 0;
        for statement in [PURGE, PURGE_TOKENS] {
            purged += on!(self.write, |p| sqlx::query(statement)
                .bind(now)
                .execute(p)
                .await
                .map(|done| done.rows_affected()))?;
        }
        Ok(purged)
    }
}
