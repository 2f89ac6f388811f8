//! Avatars: the one picture of a person that everybody may see.

use uuid::Uuid;

use super::blobs::{BlobFacts, ContentRow, make_ready, mark_for_deletion};
use super::usage::count;
use super::{Db, on, statements, transaction};
use crate::error::Result;
use crate::faults;

statements! {
    CONTENT = "SELECT b.key, b.size, b.sha256, b.content_type, b.ready_at
        FROM users u JOIN blobs b ON b.id = u.avatar_id WHERE u.id = $1 AND u.disabled_at IS NULL";
    /// Locks the person's row, so that of two changes at once each sees what the other made.
    LOCK = "UPDATE users SET updated_at = updated_at WHERE id = $1";
    CURRENT = "SELECT avatar_id FROM users WHERE id = $1";
    POINT = "UPDATE users SET avatar_id = $2 WHERE id = $1";
}

impl Db {
    /// The bytes of a person's avatar, if there is one.
    pub async fn avatar(&self, user: Uuid) -> Result<Option<ContentRow>> {
        Ok(on!(self.read, |p| sqlx::query_as(CONTENT).bind(user).fetch_optional(p).await)?)
    }

    /// Makes a pending blob ready and the person's avatar, and dooms the one before, in one
    /// transaction; `true` if there was none before.
    ///
    /// # Errors
    /// `UploadGone` if the blob's lease was lost.
    pub async fn set_avatar(&self, user: Uuid, blob: &BlobFacts) -> Result<bool> {
        transaction!(self, |tx| {
            let mut change = make_ready!(tx, blob);
            sqlx::query(LOCK).bind(user).execute(&mut *tx).await?;
            let before: Option<Uuid> = sqlx::query_scalar(CURRENT).bind(user).fetch_one(&mut *tx).await?;
            sqlx::query(POINT).bind(user).bind(blob.id).execute(&mut *tx).await?;
            if let Some(before) = before {
                change = change + mark_for_deletion!(tx, before);
            }
            count!(tx, user, change);
            faults::point("K10");
            Ok(before.is_none())
        })
    }

    /// Takes away a person's avatar; `false` if there was none.
    pub async fn remove_avatar(&self, user: Uuid) -> Result<bool> {
        transaction!(self, |tx| {
            sqlx::query(LOCK).bind(user).execute(&mut *tx).await?;
            let before: Option<Uuid> = sqlx::query_scalar(CURRENT).bind(user).fetch_one(&mut *tx).await?;
            let Some(before) = before else { return Ok(false) };
            sqlx::query(POINT).bind(user).bind(None::<Uuid>).execute(&mut *tx).await?;
            let freed = mark_for_deletion!(tx, before);
            count!(tx, user, freed);
            Ok(true)
        })
    }
}
