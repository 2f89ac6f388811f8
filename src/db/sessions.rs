//! Sessions.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::events::{EventRow, insert_event};
use super::users::{CallerRow, user_columns};
use super::{CachePolicy, Count, Db, Micros, Tx, statements};
use crate::error::Result;

/// A session.
#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    /// The id of the session.
    pub id: Uuid,
    /// The account that it belongs to.
    pub user_id: Uuid,
    /// The header `User-Agent` of the sign-in.
    pub user_agent: String,
    /// The network address of the sign-in.
    pub address: String,
    /// When it began.
    pub created_at: Micros,
    /// When it was last used, to within a few minutes.
    pub last_used_at: Micros,
    /// When it expires.
    pub expires_at: Micros,
}

/// A session that is about to begin.
#[derive(Debug, Clone)]
pub struct NewSessionRow {
    /// The session.
    pub session: SessionRow,
    /// The hash of its secret.
    pub token_hash: [u8; 32],
    /// The hash of the secret of the session that it replaces.
    pub previous: Option<[u8; 32]>,
}

/// The sessions of the account $1 that have not expired at $2, and were used after $3.
macro_rules! is_active {
    () => {
        "user_id = $1 AND expires_at > $2 AND last_used_at > $3"
    };
}

statements! {
    /// Locks the account, so that no session begins with a password that is being changed.
    CONFIRM_PASSWORD = "UPDATE users SET password_hash = $3
        WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL";
    INSERT_SESSION = "INSERT INTO sessions
            (id, user_id, token_hash, user_agent, address, created_at, last_used_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// Limits the sessions of one account: the oldest ones end.
    DELETE_EXCESS_SESSIONS = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
        (SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $2)";
    FIND_SESSION_CALLER = concat!("SELECT ", user_columns!(), ", s.id AS credential_id, s.last_used_at, s.expires_at
        FROM sessions s JOIN users ON users.id = s.user_id
        WHERE s.token_hash = $1 AND s.expires_at > $2 AND users.disabled_at IS NULL");
    LIST_SESSIONS = concat!("SELECT id, user_id, user_agent, address, created_at, last_used_at, expires_at
        FROM sessions WHERE ", is_active!(), " ORDER BY id DESC");
    COUNT_SESSIONS = concat!("SELECT COUNT(*) FROM sessions WHERE ", is_active!());
    TOUCH_SESSION = "UPDATE sessions SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2";
    DELETE_SESSION = "DELETE FROM sessions WHERE id = $1 AND user_id = $2";
    DELETE_SESSION_BY_TOKEN = "DELETE FROM sessions WHERE token_hash = $1";
    PURGE_SESSIONS = "DELETE FROM sessions WHERE expires_at <= $1";
}

impl Db {
    /// Begins a session for an account whose password was verified against the hash `proven`. From now on `keep` is the
    /// hash of the account: the same one, or one with newer parameters. `false`, without a session, if the password was
    /// changed or the account disabled in between. Of the account's sessions, the latest `limit` remain.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn begin_session(
        &self,
        new: &NewSessionRow,
        proven: &str,
        keep: &str,
        limit: u32,
        event: &EventRow,
    ) -> Result<bool> {
        let NewSessionRow { session, token_hash, previous } = new;
        let begun = self
            .transaction(async |tx| {
                if tx.execute(CONFIRM_PASSWORD, (session.user_id, proven, keep)).await? == 0 {
                    return Ok(false);
                }
                if let Some(previous) = previous {
                    tx.execute(DELETE_SESSION_BY_TOKEN, (previous.as_slice(),)).await?;
                }
                insert(tx, session, token_hash).await?;
                tx.execute(DELETE_EXCESS_SESSIONS, (session.user_id, Count(limit.into()))).await?;
                insert_event(tx, event).await?;
                Ok(true)
            })
            .await;
        self.callers.clear();
        begun
    }

    /// The account of a session that is active at `now`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn find_session_caller(
        &self,
        token_hash: &[u8; 32],
        now: Timestamp,
        policy: CachePolicy,
    ) -> Result<Option<CallerRow>> {
        self.find_caller(FIND_SESSION_CALLER, token_hash, now, policy).await
    }

    /// The account's sessions that are active at `now` and were used after `used_after`, newest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_sessions(&self, user_id: Uuid, now: Timestamp, used_after: Timestamp) -> Result<Vec<SessionRow>> {
        self.read.fetch_all(LIST_SESSIONS, (user_id, Micros::from(now), Micros::from(used_after))).await
    }

    /// The number of the same sessions.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_sessions(&self, user_id: Uuid, now: Timestamp, used_after: Timestamp) -> Result<u64> {
        let row = (user_id, Micros::from(now), Micros::from(used_after));
        let (Count(active),) = self.read.fetch_one(COUNT_SESSIONS, row).await?;
        Ok(active)
    }

    /// Records that a session was used.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn touch_session(&self, id: Uuid, now: Timestamp) -> Result<()> {
        self.write.execute(TOUCH_SESSION, (id, Micros::from(now))).await.map(drop)
    }

    /// Ends a session of the account; `false` if it has no such session.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn end_session(&self, id: Uuid, user_id: Uuid, event: &EventRow) -> Result<bool> {
        let ended = self
            .unpermitted(async |tx| {
                if tx.execute(DELETE_SESSION, (id, user_id)).await? != 1 {
                    return Ok(false);
                }
                insert_event(tx, event).await?;
                Ok(true)
            })
            .await;
        self.callers.clear();
        ended
    }

    /// Deletes the sessions that expired by `now`, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_sessions(&self, now: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_SESSIONS, (Micros::from(now),)).await
    }
}

async fn insert(tx: &mut Tx<'_>, session: &SessionRow, token_hash: &[u8]) -> Result<()> {
    let SessionRow { id, user_id, user_agent, address, created_at, last_used_at, expires_at } = session;
    let row = (id, user_id, token_hash, user_agent, address, created_at, last_used_at, expires_at);
    tx.execute(INSERT_SESSION, row).await.map(drop)
}
