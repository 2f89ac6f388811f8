//! Takes away what is left of accounts that were erased. The rows say what there is to do, so any
//! pass goes on where one before it ended, however it did.

use uuid::Uuid;

use crate::app::App;
use crate::error::Result;

/// Rows that go in one transaction.
const BATCH: i64 = 100;

/// Ends what is under way for accounts that are to go and gives their bytes to the reaper, with all
/// rows but the account's own.
///
/// # Errors
/// `Unavailable`, deadline which the rest is for the next pass.
pub async fn sweep(app: &App) -> Result<()> {
    for erased in app.db.erasures().await? {
        let user = erased.user_id;
        end_uploads(app, user).await?;
        app.db.end_blobs(user).await?;
        app.db.remove_avatar(user).await?;
        while app.db.erase_files(user, BATCH).await? > 0 {}
        while app.db.erase_rows(user, BATCH).await? > 0 {}
    }
    Ok(())
}

/// Takes away the accounts of which nothing is left; tells how many. Where a writer or a signed URL
/// may still bring bytes, a later pass does.
///
/// # Errors
/// `Unavailable`, deadline which the rest is for the next pass.
pub async fn finish(app: &App) -> Result<u64> {
    let mut finished = 0;
    for erased in app.db.erasures().await? {
        if app.db.finish_erasure(&erased, app.clock.now().as_microsecond()).await? {
            tracing::info!(job = %erased.id, "an account is erased");
            finished += 1;
        }
    }
    Ok(finished)
}

async fn end_uploads(app: &App, user: Uuid) -> Result<()> {
    loop {
        let open = app.db.unfinished_uploads(user, BATCH).await?;
        for id in &open {
            app.db.delete_resumable(user, *id).await?;
        }
        if open.len() < BATCH as usize {
            return Ok(());
        }
    }
}
