//! Folders: what the paths of files have in common. They have no rows of their own.

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    /// From path to path along the index: DISTINCT would read every file in each of them.
    PATHS = "WITH RECURSIVE paths (number, path) AS (
            SELECT 1, MIN(path) FROM files WHERE owner_id = $1 AND path >= $2 AND path < $3 AND trashed_at IS NULL
            UNION ALL
            SELECT number + 1, (SELECT MIN(f.path) FROM files f
                WHERE f.owner_id = $1 AND f.path > paths.path AND f.path < $3 AND f.trashed_at IS NULL)
            FROM paths WHERE path IS NOT NULL AND number < $4)
        SELECT path FROM paths WHERE path IS NOT NULL ORDER BY path";
}

impl Db {
    /// The first of the owner's paths from `from` on and before `end`, in order.
    pub async fn paths(&self, owner: Uuid, from: &str, end: &str, limit: i64) -> Result<Vec<String>> {
        Ok(on!(self.read, |p| {
            sqlx::query_scalar(PATHS).bind(owner).bind(from).bind(end).bind(limit).fetch_all(p).await
        })?)
    }
}
