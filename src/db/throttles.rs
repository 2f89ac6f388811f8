//! Counts of attempts, persisted so that a restart does not reset them.

use jiff::Timestamp;
use sqlx::FromRow;

use super::{Count, Db, Micros, statements};
use crate::error::Result;

/// An attempt that is counted, by the end of its window. Then the count of its subject starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Attempt {
    /// When the window ends.
    pub window_ends_at: Micros,
}

statements! {
    /// No row if the window has as many attempts as it may have.
    COUNT_ATTEMPT = "INSERT INTO throttles (subject, attempts, window_ends_at) VALUES ($1, 1, $3)
        ON CONFLICT (subject) DO UPDATE SET
            attempts = CASE WHEN throttles.window_ends_at <= $2 THEN 1 ELSE throttles.attempts + 1 END,
            window_ends_at = CASE WHEN throttles.window_ends_at <= $2
                THEN excluded.window_ends_at ELSE throttles.window_ends_at END
            WHERE throttles.window_ends_at <= $2 OR throttles.attempts < $4
        RETURNING window_ends_at";
    WINDOW_END = "SELECT window_ends_at FROM throttles WHERE subject = $1";
    CLEAR_ATTEMPTS = "DELETE FROM throttles WHERE subject = $1";
    /// Only in the window in which the attempt was counted.
    REFUND_ATTEMPT = "UPDATE throttles SET attempts = attempts - 1
        WHERE subject = $1 AND window_ends_at = $2 AND attempts > 0";
    PURGE_THROTTLES = "DELETE FROM throttles WHERE window_ends_at <= $1";
}

impl Db {
    /// Counts an attempt, in one statement, so that concurrent attempts are all counted. A subject without a window at
    /// `now` gets one that ends at `window_ends_at`. `None` if its window has `limit` attempts already.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_attempt(
        &self,
        subject: &str,
        now: Timestamp,
        window_ends_at: Timestamp,
        limit: Count,
    ) -> Result<Option<Attempt>> {
        let arguments = (subject, Micros::from(now), Micros::from(window_ends_at), limit);
        self.write.fetch_optional(COUNT_ATTEMPT, arguments).await
    }

    /// When the window of a subject ends; `None` if it has none.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn throttled_until(&self, subject: &str) -> Result<Option<Micros>> {
        let window: Option<Attempt> = self.write.fetch_optional(WINDOW_END, (subject,)).await?;
        Ok(window.map(|window| window.window_ends_at))
    }

    /// Deletes the count of a subject.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn clear_attempts(&self, subject: &str) -> Result<()> {
        self.write.execute(CLEAR_ATTEMPTS, (subject,)).await.map(drop)
    }

    /// Reverts one counted attempt of a subject.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn refund_attempt(&self, subject: &str, counted: Attempt) -> Result<()> {
        self.write.execute(REFUND_ATTEMPT, (subject, counted.window_ends_at)).await.map(drop)
    }

    /// Deletes the windows that ended by `now`, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_throttles(&self, now: Timestamp) -> Result<u64> {
        self.write.execute(PURGE_THROTTLES, (Micros::from(now),)).await
    }
}
