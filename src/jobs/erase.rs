//! Erasure of deleted accounts and of shared spaces whose grace period has expired, in resumable batches: the rows record what remains, so that each run
//! resumes where the previous one stopped, even after a crash.

use uuid::Uuid;

use crate::app::App;
use crate::error::Result;
use crate::files::spaces;

/// Rows that are deleted in one transaction.
const BATCH: usize = 100;

/// Cancels the uploads of deleted accounts and spaces, marks their blobs for deletion, and deletes all their
/// rows but the account's own.
///
/// # Errors
/// [`Error::Unavailable`](crate::error::Error::Unavailable); the next run continues.
pub async fn sweep(app: &App) -> Result<()> {
    for account in app.db.erasures().await? {
        app.db.remove_avatar(account.user_id).await?;
        empty(app, account.user_id).await?;
    }
    for space in spaces::due(app).await? {
        empty(app, space).await?;
    }
    Ok(())
}

/// Deletes what is in a space, and what the account that has its id owns elsewhere.
async fn empty(app: &App, space: Uuid) -> Result<()> {
    cancel_uploads(app, space).await?;
    app.db.end_blobs(space).await?;
    while app.db.erase_files(space, BATCH).await? > 0 {}
    while app.db.erase_rows(space, BATCH).await? > 0 {}
    Ok(())
}

/// Deletes the rows of accounts that own nothing any more, and of spaces that are empty; returns their number. One
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
    for space in spaces::due(app).await? {
        if app.db.drop_space(space).await? {
            tracing::info!(%space, "shared space deleted");
            finished += 1;
        }
    }
    Ok(finished)
}

async fn cancel_uploads(app: &App, user: Uuid) -> Result<()> {
    loop {
        let open = app.db.unfinished_uploads(user, BATCH).await?;
        for (id, creator) in &open {
            app.db.delete_resumable(*creator, *id).await?;
        }
        if open.len() < BATCH {
            return Ok(());
        }
    }
}
