//! Avatars: one picture per account, visible to everyone.

use uuid::Uuid;

use super::blobs::{BlobFacts, ContentRow, make_ready, mark_for_deletion};
use super::spaces::lock_space;
use super::usage::apply_usage;
use super::users::lock_user;
use super::{Db, Tx, statements};
use crate::error::Result;
use crate::faults;

statements! {
    AVATAR_CONTENT = "SELECT b.key, b.size, b.sha256, b.content_type, b.ready_at
        FROM users u JOIN blobs b ON b.id = u.avatar_id WHERE u.id = $1 AND u.disabled_at IS NULL";
    CURRENT_AVATAR = "SELECT avatar_id FROM users WHERE id = $1";
    SET_AVATAR = "UPDATE users SET avatar_id = $2 WHERE id = $1";
}

impl Db {
    /// The content of a user's avatar, if the user has one and is not disabled.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn avatar(&self, user: Uuid) -> Result<Option<ContentRow>> {
        self.read.fetch_optional(AVATAR_CONTENT, (user,)).await
    }

    /// Makes a pending blob ready and the user's avatar, and marks the previous one for deletion. Returns whether
    /// there was none before.
    ///
    /// # Errors
    /// [`Error::UploadGone`](crate::error::Error::UploadGone) if the lease of the blob was lost.
    pub async fn set_avatar(&self, user: Uuid, blob: &BlobFacts) -> Result<bool> {
        self.transaction(async |tx| {
            let mut usage = make_ready(tx, blob).await?;
            let previous = exchange_avatar(tx, user, Some(blob.id)).await?;
            if let Some(previous) = previous {
                usage += mark_for_deletion(tx, previous).await?;
            }
            apply_usage(tx, user, usage).await?;
            faults::point("K10");
            Ok(previous.is_none())
        })
        .await
    }

    /// Deletes a user's avatar; `false` if there is none.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn remove_avatar(&self, user: Uuid) -> Result<bool> {
        self.transaction(async |tx| {
            let Some(previous) = exchange_avatar(tx, user, None).await? else { return Ok(false) };
            let freed = mark_for_deletion(tx, previous).await?;
            apply_usage(tx, user, freed).await?;
            Ok(true)
        })
        .await
    }
}

/// Sets a user's avatar and returns the previous one.
async fn exchange_avatar(tx: &mut Tx<'_>, user: Uuid, avatar: Option<Uuid>) -> Result<Option<Uuid>> {
    lock_space(tx, user).await?;
    lock_user(tx, user).await?;
    let (previous,): (Option<Uuid>,) = tx.fetch_one(CURRENT_AVATAR, (user,)).await?;
    tx.execute(SET_AVATAR, (user, avatar)).await?;
    Ok(previous)
}
