//! The rows that count attempts. They are in the database so that a restart forgives nobody.

use sqlx::FromRow;

use super::{Db, on, statements};
use crate::error::Result;

/// How often a subject tried in its present window, this time included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Attempt {
    pub attempts: i64,
    /// When the count begins anew, in microseconds since 1970.
    pub window_ends_at: i64,
}

statements! {
    COUNT = "INSERT INTO throttles (subject, attempts, window_ends_at) VALUES ($1, 1, $3)
        ON CONFLICT (subject) DO UPDATE SET
            attempts = CASE WHEN throttles.window_ends_at <= $2 THEN 1 ELSE throttles.attempts + 1 END,
            window_ends_at = CASE WHEN throttles.window_ends_at <= $2 THEN excluded.window_ends_at ELSE throttles.window_ends_at END
        RETURNING attempts, window_ends_at";
    DELETE_ROW = "DELETE FROM throttles WHERE subject = $1";
    /// Only in the window in which the attempt was counted.
    GIVE_BACK = "UPDATE throttles SET attempts = attempts - 1
        WHERE subject = $1 AND window_ends_at = $2 AND attempts > 0";
    PURGE = "DELETE FROM throttles WHERE window_ends_at <= $1";
}

impl Db {
    /// Counts one attempt, in one statement, so that attempts made at once are all counted. A
    /// subject without a window at `now` gets one that ends at `window_ends_at`.
    pub async fn count_attempt(&self, subject: &str, now: i64, window_ends_at: i64) -> Result<Attempt> {
        Ok(on!(self.write, |p| sqlx::query_as(COUNT).bind(subject).bind(now).bind(window_ends_at).fetch_one(p).await)?)
    }

    /// Forgets every attempt of the subject.
    pub async fn clear_attempts(&self, subject: &str) -> Result<()> {
        on!(self.write, |p| sqlx::query(DELETE_ROW).bind(subject).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Takes back one counted attempt of the subject.
    pub async fn refund_attempt(&self, subject: &str, counted: Attempt) -> Result<()> {
        on!(self.write, |p| sqlx::query(GIVE_BACK)
            .bind(subject)
            .bind(counted.window_ends_at)
            .execute(p)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Deletes the windows that ended by `now`, and gives their count.
    pub async fn purge_throttles(&self, now: i64) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(PURGE).bind(now).execute(p).await.map(|done| done.rows_affected()))?)
    }
}
