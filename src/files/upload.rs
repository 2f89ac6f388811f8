//! Taking bytes in: the intent row, the bytes, the publication, in this order. The answer is
//! given after the commit, never before.

use std::future::Future;
use std::sync::Arc;

use tracing::Instrument;
use uuid::Uuid;

use super::name::{location, place};
use super::pending::{Body, Purpose, Stored, give_up_on_error, settles, store};
use super::{Expected, File, FileName, FolderPath};
use crate::app::App;
use crate::db::NewFileRow;
use crate::error::{Error, Result};
use crate::faults;
use crate::users::User;

/// A file to be.
#[derive(Debug, Clone)]
pub struct NewFile {
    pub path: FolderPath,
    pub name: FileName,
    pub on_conflict: OnConflict,
}

/// What to do when a file is at the place of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// `report.pdf` becomes `report (1).pdf`.
    Number,
    /// `PreconditionFailed`.
    Refuse,
}

/// Stores a stream as a new file of this user.
///
/// # Errors
/// `TooLarge`, `QuotaExceeded`, `TooManyUploads`, `DigestMismatch`, what the stream failed with,
/// `PreconditionFailed` if the place is taken and the caller asked for that, `StorageFull`,
/// `Unavailable`. Nothing is kept on any of them.
pub async fn upload(user: &User, app: &Arc<App>, new: NewFile, body: Body) -> Result<File> {
    if new.on_conflict == OnConflict::Refuse
        && app.db.location_is_taken(user.id, &location(&new.path, &new.name)).await?
    {
        return Err(Error::PreconditionFailed);
    }
    let (user, app) = (user.clone(), app.clone());
    detached(async move {
        let stored = store(&user, &app, body, Purpose::NewFile).await?;
        let now = app.clock.now();
        let row =
            NewFileRow { id: app.clock.new_id(), owner: user.id, metadata: "{}".into(), now: now.as_microsecond() };
        let mut name = new.name.clone();
        let published = publish(&user, &app, &row, &new, &mut name, &stored).await;
        give_up_on_error(&app, &stored, published).await?;
        // Made from what was written: after the commit nothing may fail any more.
        Ok(File {
            id: row.id,
            owner_id: user.id,
            path: new.path.as_str().to_owned(),
            name: name.as_str().to_owned(),
            metadata: serde_json::json!({}),
            created_at: now,
            updated_at: now,
            blob_id: stored.facts.id,
            revision: 0,
            content: stored.content(),
        })
    })
    .await
}

/// Stores a stream as the new bytes of a file of this user. Until they are there the old ones
/// count toward the quota as well.
///
/// # Errors
/// As [`upload`]; `NotFound`; `PreconditionFailed` if the file is not as `expected`, before or
/// after the bytes came.
pub async fn replace(user: &User, app: &Arc<App>, id: Uuid, expected: Expected, body: Body) -> Result<File> {
    let file = super::find(user, app, id).await?;
    expected.check(&file)?;
    let (user, app) = (user.clone(), app.clone());
    detached(async move {
        let stored = store(&user, &app, body, Purpose::NewContent).await?;
        let replaced = swap(&user, &app, file, &expected, &stored).await;
        give_up_on_error(&app, &stored, replaced).await
    })
    .await
}

/// Points the file at the stored blob. What came in between decides only if the caller demanded a state.
pub(super) async fn swap(user: &User, app: &App, mut file: File, expected: &Expected, stored: &Stored) -> Result<File> {
    loop {
        let now = app.clock.now();
        match app.db.replace(user.id, file.id, file.blob_id, &stored.facts, now.as_microsecond()).await {
            Err(Error::PreconditionFailed) => {
                file = super::find(user, app, file.id).await?;
                expected.check(&file)?;
            }
            Err(error) if !settles(app, stored, &error).await => return Err(error),
            _ => {
                faults::point("K11");
                return Ok(File { updated_at: now, blob_id: stored.facts.id, content: stored.content(), ..file });
            }
        }
    }
}

/// Runs work in a task of its own, so that a client who hangs up cannot stop it between two
/// steps: the work sees the broken body and cleans up, or comes to its end.
pub(super) async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?
}

/// Publishes under the wished name, or under the first numbered one that is free; `name` is the one that it became.
async fn publish(
    user: &User,
    app: &App,
    row: &NewFileRow,
    new: &NewFile,
    name: &mut FileName,
    stored: &Stored,
) -> Result<()> {
    loop {
        match app.db.publish(row, &place(&new.path, name), &stored.facts).await {
            Err(Error::PathTaken) if new.on_conflict == OnConflict::Refuse => return Err(Error::PreconditionFailed),
            // Somebody may take the free name first; then the search goes on.
            Err(Error::PathTaken) => *name = free_name(user, app, new).await?,
            Err(error) if !settles(app, stored, &error).await => return Err(error),
            _ => {
                faults::point("K11");
                return Ok(());
            }
        }
    }
}

/// The name with a number that no file in the folder has. Finds it in a few steps even among many
/// thousands: doubling until a number is free, then halving back to where the taken ones end.
async fn free_name(user: &User, app: &App, new: &NewFile) -> Result<FileName> {
    let taken = |number| async move {
        app.db.location_is_taken(user.id, &location(&new.path, &new.name.numbered(number))).await
    };
    let (mut last_taken, mut free) = (0, 1);
    while taken(free).await? {
        (last_taken, free) = (free, free * 2);
    }
    while free - last_taken > 1 {
        let middle = last_taken + (free - last_taken) / 2;
        if taken(middle).await? { last_taken = middle } else { free = middle }
    }
    Ok(new.name.numbered(free))
}
