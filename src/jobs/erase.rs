//! Erasure of deleted accounts, in resumable batches: the rows record what remains, so that each run
//! resumes where the previous one stopped, even after a crash.

use uuid::Uuid;

use crate::app::App;
use crate::error::Result;

/// Rows that are deleted in one transaction.
const BATCH: usize = 100;

/// Cancels the uploads of deleted accounts, marks their blobs for deletion, and deletes all their
/// rows but the account's own.
///
/// # Errors
/// [`Error::Unavailable`](crate::error::Error::Unavailable); the next run continues.
pub async fn sweep(app: &App) -> Result<()> {
    for account in app.db.erasures().await? {
        let user = account.user_id;
        cancel_uploads(app, user).await?;
        app.db.end_blobs(user).await?;
        app.db.remove_avatar(user).await?;
        while app.db.erase_files(user, BATCH).await? > 0 {}
        while app.db.erase_rows(user, BATCH).await? > 0 {}
    }
    Ok(())
}

/// Deletes the rows of accounts that own nothing any more; returns their number. An account
/// whose blobs may still receive bytes, from a writer or by a signed URL, is left to a later run.
///
/// # Errors
/// [`Error::Unavailable`](crate::error::Error::Unavailable); the next run continues.
pub async fn finish(app: &App) -> Result<u64> {
    let mut finished = 0;
    for account in app.db.erasures().await? {
        if app.db.finish_erasure(&account, app.clock.now()).await? {
            tracing::info!(job = %account.id, "erasure finished");
            finished += 1;
        }
    }
    Ok(finished)
}

async fn cancel_uploads(app: &App, user: Uuid) -> Result<()> {
    loop {
        let open = app.db.unfinished_uploads(user, BATCH).await?;
        for id in &open {
            app.db.delete_resumable(user, *id).await?;
        }
        if open.len() < BATCH {
            return Ok(());
        }
    }
}
