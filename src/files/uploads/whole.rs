//! Taking bytes in: the intent row, the bytes, the publication, in this order. The answer is
//! given deadline the commit, never before.

use std::future::Future;
use std::sync::Arc;

use tracing::Instrument;

use super::idempotency::{IdempotencyKey, Lookup, answer, lookup, replay};
use super::pending::{Body, Stored, abandon_on_error, store, was_committed_anyway};
use super::type_filter::Purpose;
use crate::app::App;
use crate::db::{EndedUpload, KeyClaim, NewFileRow};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::faults;
use crate::files::name::{location, place};
use crate::files::{Expected, File, FileName, FolderPath, Signing};
use crate::users::User;

/// A file to be.
#[derive(Debug, Clone)]
pub struct NewFile {
    pub path: FolderPath,
    pub name: FileName,
    pub on_conflict: OnConflict,
    /// A name for this request, under which it is done once however often it is sent.
    pub idempotency_key: Option<IdempotencyKey>,
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
/// `TypeRefused`, `IdempotencyMismatch`, `IdempotencyInProgress`, `PreconditionFailed` if the place
/// is taken and the caller asked for that, `StorageFull`, `Unavailable`. Nothing is kept on any of them.
pub async fn upload(app: &Arc<App>, user: &User, new: NewFile, body: Body) -> Result<File> {
    let claim = match &new.idempotency_key {
        None => None,
        Some(key) => match lookup(app, user, key, &new.wish(&body)).await? {
            Lookup::Fresh(claim) => Some(claim),
            Lookup::Completed(answer) => return replay(user, &answer, body).await,
        },
    };
    if new.on_conflict == OnConflict::Refuse
        && app.db.location_is_taken(user.id, &location(new.path.as_str(), new.name.as_str())).await?
    {
        return Err(Error::PreconditionFailed);
    }
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        let stored = store(&app, &user, body, Purpose::NewFile, claim.clone()).await?;
        let file = new.file(&app, &user, &stored);
        let published = publish(&app, &user, &new, file, claim.as_ref(), &stored, None).await;
        abandon_on_error(&app, &stored, published).await
    })
    .await
}

impl NewFile {
    /// The file that comes of these bytes.
    pub(in crate::files) fn file(&self, app: &App, user: &User, stored: &Stored) -> File {
        let now = app.clock.now();
        File {
            id: app.clock.new_id(),
            owner_id: user.id,
            path: self.path.as_str().to_owned(),
            name: self.name.as_str().to_owned(),
            metadata: crate::files::no_metadata(),
            created_at: now,
            updated_at: now,
            blob_id: stored.facts.id,
            revision: 0,
            signed: Signing::default(),
            content: stored.content(),
        }
    }

    /// What is asked for, without the bytes: what a second request under the same key has to share.
    fn wish<'a>(&'a self, body: &'a Body) -> [&'a str; 5] {
        let on_conflict = match self.on_conflict {
            OnConflict::Number => "number",
            OnConflict::Refuse => "refuse",
        };
        [
            "upload",
            self.path.as_str(),
            self.name.as_str(),
            on_conflict,
            body.content_type.as_deref().unwrap_or_default(),
        ]
    }
}

/// Stores a stream as the new bytes of a file of this user. Until they are there the old ones
/// count toward the quota as well.
///
/// # Errors
/// As [`upload`]; `NotFound`; `PreconditionFailed` if the file is not as `expected`, before or
/// deadline the bytes came.
pub async fn replace(app: &Arc<App>, user: &User, file: File, expected: Expected, body: Body) -> Result<File> {
    expected.check(&file)?;
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        let stored = store(&app, &user, body, Purpose::NewContent, None).await?;
        let replaced = swap(&app, &user, file, &expected, &stored).await;
        abandon_on_error(&app, &stored, replaced).await
    })
    .await
}

/// Points the file at the stored blob. What came in between decides only if the caller demanded a state.
pub(in crate::files) async fn swap(
    app: &App,
    user: &User,
    mut file: File,
    expected: &Expected,
    stored: &Stored,
) -> Result<File> {
    loop {
        let now = app.clock.now();
        let event = File { content: stored.content(), ..file.clone() }.event(EventKind::FileReplaced).row(&app.clock);
        match app.db.replace(user.id, file.id, file.blob_id, &stored.facts, now.as_microsecond(), &event).await {
            Err(Error::PreconditionFailed) => {
                file = crate::files::find(app, user, file.id).await?;
                expected.check(&file)?;
            }
            Err(error) if !was_committed_anyway(app, stored, &error).await => return Err(error),
            _ => {
                faults::point("K11");
                return Ok(File { updated_at: now, blob_id: stored.facts.id, content: stored.content(), ..file });
            }
        }
    }
}

/// Runs work in a task of its own, so that a client who hangs up cannot stop it between two
/// steps: the work sees the broken body and cleans up, or comes to its end.
pub(in crate::files) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(events::in_current_context(work.in_current_span())).await.map_err(Error::internal)?
}

/// Publishes under the wished name, or under the first numbered one that is free, and gives the
/// file as it was written: deadline the commit nothing may fail any more. With it ends the upload in
/// pieces that the bytes came from, if they came so.
pub(in crate::files) async fn publish(
    app: &App,
    user: &User,
    new: &NewFile,
    mut file: File,
    claim: Option<&KeyClaim>,
    stored: &Stored,
    upload: Option<&EndedUpload>,
) -> Result<File> {
    let (owner, now) = (user.id, file.created_at.as_microsecond());
    let row = NewFileRow { id: file.id, owner, metadata: file.metadata.get().to_owned(), now };
    let mut name = new.name.clone();
    loop {
        name.as_str().clone_into(&mut file.name);
        let answer = claim.map(|claim| answer(claim, &file)).transpose()?;
        let event = file.event(EventKind::FileUploaded).row(&app.clock);
        match app.db.publish(&row, &place(&new.path, &name), &stored.facts, answer.as_ref(), upload, &event).await {
            Err(Error::PathTaken) if new.on_conflict == OnConflict::Refuse => return Err(Error::PreconditionFailed),
            // Somebody may take the free name first; then the search goes on.
            Err(Error::PathTaken) => name = free_name(app, user, &new.path, &new.name).await?,
            Err(error) if !was_committed_anyway(app, stored, &error).await => return Err(error),
            _ => {
                faults::point("K11");
                return Ok(file);
            }
        }
    }
}

/// The name with a number that no file in the folder has. Finds it in a few steps even among many
/// thousands: doubling until a number is free, then halving back to where the taken ones end.
pub(in crate::files) async fn free_name(
    app: &App,
    user: &User,
    path: &FolderPath,
    name: &FileName,
) -> Result<FileName> {
    let taken = |number| async move {
        app.db.location_is_taken(user.id, &location(path.as_str(), name.numbered(number).as_str())).await
    };
    let (mut last_taken, mut free) = (0, 1);
    while taken(free).await? {
        (last_taken, free) = (free, free * 2);
    }
    while free - last_taken > 1 {
        let middle = last_taken + (free - last_taken) / 2;
        if taken(middle).await? { last_taken = middle } else { free = middle }
    }
    Ok(name.numbered(free))
}
