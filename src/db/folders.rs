//! Folders: what the paths of files have in common. They have no rows of their own.

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    PATHS = "SELECT DISTINCT path FROM files
        WHERE owner_id = $1 AND path >= $2 AND path < $3 AND trashed_at IS NULL ORDER BY path LIMIT $4";
}

impl Db {
    /// The first of the owner's paths from `from` on and before `end`, in order.
    pub async fn paths(&self, owner: Uuid, from: &str, end: &str, limit: i64) -> Result<Vec<String>> {
        Ok(on!(self.read, |p| {
            sqlx::query_scalar(PATHS).bind(owner).bind(from).bind(end).bind(limit).fetch_all(p).await
        })?)
    }
}
