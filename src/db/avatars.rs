//! Avatars: the one picture of a person that everybody may see.

use uuid::Uuid;

use super::blobs::{BlobFacts, ContentRow, DOOM, READY};
use super::{Db, on, statements, transaction};
use crate::error::{Error, Result};

statements! {
    CONTENT = "SELECT b.key, b.size, b.sha256, b.content_type, b.created_at
        FROM users u JOIN blobs b ON b.id = u.avatar_id WHERE u.id = $1 AND u.disabled_at IS NULL";
    CURRENT = "SELECT avatar_id FROM users WHERE id = $1";
    POINT = "UPDATE users SET avatar_id = $2 WHERE id = $1 AND (avatar_id = $3 OR (avatar_id IS NULL AND $3 IS NULL))";
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
    /// `UploadGone` if the blob's lease was lost; `PreconditionFailed` if another change came first.
    pub async fn set_avatar(&self, user: Uuid, blob: &BlobFacts) -> Result<bool> {
        transaction!(self, |tx| {
            let ready = sqlx::query(READY)
                .bind(blob.id)
                .bind(blob.size)
                .bind(&blob.sha256)
                .bind(&blob.content_type)
                .bind(blob.keep_until)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if ready != 1 {
                return Err(Error::UploadGone);
            }
            let before: Option<Uuid> = sqlx::query_scalar(CURRENT).bind(user).fetch_one(&mut *tx).await?;
            let pointed =
                sqlx::query(POINT).bind(user).bind(blob.id).bind(before).execute(&mut *tx).await?.rows_affected();
            if pointed != 1 {
                return Err(Error::PreconditionFailed);
            }
            if let Some(before) = before {
                sqlx::query(DOOM).bind(before).execute(&mut *tx).await?;
            }
            Ok(before.is_none())
        })
    }

    /// Takes away a person's avatar; `false` if there was none.
    pub async fn remove_avatar(&self, user: Uuid) -> Result<bool> {
        transaction!(self, |tx| {
            let before: Option<Uuid> = sqlx::query_scalar(CURRENT).bind(user).fetch_one(&mut *tx).await?;
            let Some(before) = before else { return Ok(false) };
            let pointed =
                sqlx::query(POINT).bind(user).bind(None::<Uuid>).bind(before).execute(&mut *tx).await?.rows_affected();
            if pointed == 1 {
                sqlx::query(DOOM).bind(before).execute(&mut *tx).await?;
            }
            Ok(pointed == 1)
        })
    }
}
