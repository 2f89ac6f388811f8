//! Folders: the paths of files. They have no rows of their own.

use uuid::Uuid;

use super::{Count, Db, statements};
use crate::error::Result;

statements! {
    /// Skips from path to path along the index: DISTINCT would read every file of each.
    LIST_PATHS = "WITH RECURSIVE paths (number, path) AS (
            SELECT 1, MIN(path) FROM files WHERE owner_id = $1 AND path >= $2 AND path < $3 AND trashed_at IS NULL
            UNION ALL
            SELECT number + 1, (SELECT MIN(f.path) FROM files f
                WHERE f.owner_id = $1 AND f.path > paths.path AND f.path < $3 AND f.trashed_at IS NULL)
            FROM paths WHERE path IS NOT NULL AND number < $4)
        SELECT path FROM paths WHERE path IS NOT NULL ORDER BY path";
}

impl Db {
    /// The first `limit` paths of the owner from `from` on and before `end`, in order.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn paths(&self, owner: Uuid, from: &str, end: &str, limit: usize) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = self.read.fetch_all(LIST_PATHS, (owner, from, end, Count::from(limit))).await?;
        Ok(rows.into_iter().map(|(path,)| path).collect())
    }
}
