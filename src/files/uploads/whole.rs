//! Whole uploads, of one request each: insert the pending blob, write the content, publish, in this order. The response
//! follows the commit, never precedes it.

use std::future::Future;
use std::sync::Arc;

use serde_json::value::RawValue;
use tracing::Instrument;
use uuid::Uuid;

use super::idempotency::{IdempotencyKey, Lookup, answer, lookup, replay};
use super::pending::{Body, Stored, abandon_on_error, abandon_stored, was_committed_anyway, write_blob};
use super::type_filter::Purpose;
use crate::access::{Permit, Right, Subject, Tree};
use crate::app::App;
use crate::db::{EndedUpload, KeyClaim, NewFileRow, ReplacedAtRow};
use crate::error::{Error, Result};
use crate::events::{self, EventKind};
use crate::faults;
use crate::files::conflict::{Occupant, before_content, free_name, occupant};
use crate::files::labels::attributes;
use crate::files::name::{file_location, path};
use crate::files::{Conflict, Expected, File, FileName, FolderPath, Labels, OnConflict, Placed, SigningState};

/// A file to create.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// The folder.
    pub path: FolderPath,
    /// The requested name.
    pub name: FileName,
    /// What to do if the folder has something of this name.
    pub on_conflict: OnConflict,
    /// Metadata and tags. Those that are not given are empty, or those of the file that is replaced.
    pub labels: Labels,
    /// With a key the request takes effect once, however often it is sent.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Creates a file in a tree from a stream.
///
/// # Errors
/// [`Error::TooLarge`]; [`Error::QuotaExceeded`]; [`Error::TooManyUploads`]; [`Error::DigestMismatch`];
/// [`Error::TypeRefused`]; [`Error::IdempotencyMismatch`]; [`Error::IdempotencyInProgress`];
/// [`Error::PathTaken`] or [`Error::PreconditionFailed`] if the path and name are taken and [`NewFile::on_conflict`] says
/// so; [`Error::StorageFull`]; [`Error::Unavailable`]; the error of the stream. After an error nothing is stored.
pub async fn upload(app: &Arc<App>, tree: &Tree, new: NewFile, body: Body) -> Result<Placed<File>> {
    let location = tree.absolute(&new.path.location());
    let permit = tree.require(app, Right::Create, &new.path.location()).await?;
    let claim = match &new.idempotency_key {
        None => None,
        Some(key) => match lookup(app, &tree.subject, key, &new.fingerprint_parts(&location, &body)).await? {
            Lookup::Fresh(claim) => Some(claim),
            Lookup::Completed(answer) => return replay(permit, &answer, body).await,
        },
    };
    if let Some(file) = before_content(app, &permit, &location, &new.name, new.on_conflict).await? {
        return Ok(Placed::skipped(file));
    }
    store_and_publish(app, tree, body, claim, move || Ok(new)).await
}

/// Stores a stream as a new file in a tree whose location is known when the stream ends: the fields of a form may
/// follow its file. What is `known` before decides whether the stream is read.
///
/// # Errors
/// As [`upload`], and those of `place`. After an error nothing is stored.
pub async fn upload_with_late_location(
    app: &Arc<App>,
    tree: &Tree,
    known: Option<&NewFile>,
    body: Body,
    place: impl FnOnce() -> Result<NewFile> + Send + 'static,
) -> Result<Placed<File>> {
    match known {
        // A subject that may add files to some of the folders only must name the folder first.
        None => tree.permit().require(Right::Create)?,
        Some(new) => {
            let location = new.path.location();
            let permit = tree.require(app, Right::Create, &location).await?;
            let inside = tree.absolute(&location);
            if let Some(file) = before_content(app, &permit, &inside, &new.name, new.on_conflict).await? {
                return Ok(Placed::skipped(file));
            }
        }
    }
    store_and_publish(app, tree, body, None, place).await
}

async fn store_and_publish(
    app: &Arc<App>,
    tree: &Tree,
    body: Body,
    claim: Option<KeyClaim>,
    place: impl FnOnce() -> Result<NewFile> + Send + 'static,
) -> Result<Placed<File>> {
    let (app, tree) = (app.clone(), tree.clone());
    detached(async move {
        let stored = write_blob(&app, tree.space_id(), body, Purpose::NewFile, claim.clone()).await?;
        let published = async {
            let new = place()?;
            publish(&app, &tree, &new, claim.as_ref(), &stored, None).await
        };
        let placed = abandon_on_error(&app, &stored, published.await).await?;
        if placed.conflict == Some(Conflict::Skipped) {
            abandon_stored(&app, &stored).await;
        }
        Ok(placed)
    })
    .await
}

impl NewFile {
    /// The file with this content, in a folder that the permit is for.
    fn file(&self, app: &App, permit: Permit, location: &str, stored: &Stored) -> Result<File> {
        let now = app.clock.now();
        let json = |text: &Option<String>, empty: &str| {
            RawValue::from_string(text.clone().unwrap_or_else(|| empty.to_owned())).map_err(Error::internal)
        };
        Ok(File {
            id: app.clock.new_id(),
            space_id: permit.space_id,
            // Known once it is published.
            folder_id: Uuid::nil(),
            path: path(location).to_owned(),
            name: self.name.as_str().to_owned(),
            metadata: json(&self.labels.metadata, "{}")?,
            tags: json(&self.labels.tags, "[]")?,
            created_at: now,
            updated_at: now,
            blob_id: stored.facts.id,
            revision: 0,
            signed: SigningState::default(),
            content: stored.content(),
            permit,
        })
    }

    /// The parts that identify the request, without its content: a retry with the same idempotency key must repeat
    /// them.
    fn fingerprint_parts<'a>(&'a self, location: &'a str, body: &'a Body) -> [&'a str; 7] {
        [
            "upload",
            location,
            self.name.as_str(),
            self.on_conflict.as_str(),
            body.content_type.as_deref().unwrap_or_default(),
            self.labels.metadata.as_deref().unwrap_or_default(),
            self.labels.tags.as_deref().unwrap_or_default(),
        ]
    }
}

/// Replaces the content of a file, which the subject may update, with a stream. Until that is complete both contents count toward the
/// quota.
///
/// # Errors
/// Those of [`upload`]; [`Error::NotFound`] if the file was deleted in the meantime; [`Error::PreconditionFailed`] if
/// its content is not as `expected`, before or after the upload.
pub async fn replace(app: &Arc<App>, subject: &Subject, file: File, expected: Expected, body: Body) -> Result<File> {
    expected.check(&file)?;
    let (app, subject) = (app.clone(), *subject);
    detached(async move {
        let stored = write_blob(&app, file.space_id, body, Purpose::NewContent, None).await?;
        let replaced = swap(&app, &subject, file, &expected, &stored).await;
        abandon_on_error(&app, &stored, replaced).await
    })
    .await
}

/// Makes the stored blob the content of the file. A change in the meantime matters only if the caller expects a state.
pub(in crate::files) async fn swap(
    app: &App,
    subject: &Subject,
    mut file: File,
    expected: &Expected,
    stored: &Stored,
) -> Result<File> {
    loop {
        let now = app.clock.now();
        let replaced = file.replaced(now, None);
        let event = File { content: stored.content(), ..file.clone() }.event(EventKind::FileReplaced).row(&app.clock);
        match app.db.replace(&replaced, &stored.facts, None, None, &event).await {
            Err(Error::PreconditionFailed) => {
                file = crate::files::find(app, subject, Right::Update, file.id).await?;
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

/// Runs work in a task of its own, so that a client that disconnects cannot stop it between two steps: the work sees the
/// error of the body and cleans up, or completes.
pub(in crate::files) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(events::in_current_context(work.in_current_span())).await.map_err(Error::internal)?
}

/// Publishes the file under the requested name, or as [`NewFile::on_conflict`] says, and returns it as it was written:
/// after the commit nothing must fail. The transaction also ends the resumable upload that the content came from, if any.
/// If the content is skipped, it is still to be abandoned.
pub(in crate::files) async fn publish(
    app: &App,
    tree: &Tree,
    new: &NewFile,
    claim: Option<&KeyClaim>,
    stored: &Stored,
    upload: Option<&EndedUpload>,
) -> Result<Placed<File>> {
    let location = new.path.location();
    let (place, permit) = tree.place(app, Right::Create, &location).await?;
    new.on_conflict.check_rights(&permit)?;
    let inside = tree.absolute(&location);
    let mut file = new.file(app, permit.clone(), &inside, stored)?;
    let (space, now) = (tree.space_id(), file.created_at);
    let row = NewFileRow {
        id: file.id,
        space,
        metadata: file.metadata.get().to_owned(),
        tags: file.tags.get().to_owned(),
        attributes: attributes(file.metadata.get(), file.tags.get()),
        quotas: app.config.quotas,
        now,
    };
    let mut name = new.name.clone();
    loop {
        name.as_str().clone_into(&mut file.name);
        let conflict = Conflict::of_name(&name, &new.name);
        let response = |folder_id| {
            let file = File { folder_id, ..file.clone() };
            claim.map(|claim| answer(claim, &Placed { item: file, conflict })).transpose()
        };
        let event = file.event(EventKind::FileUploaded).row(&app.clock);
        let at = file_location(place.clone(), &name);
        match app.db.publish(&row, &at, &stored.facts, &response, upload, &event).await {
            // Another request may take the free name first; then the search continues.
            Err(Error::PathTaken) if new.on_conflict == OnConflict::Number => {
                name = free_name(app, space, &inside, &new.name).await?;
            }
            Err(Error::PathTaken) => match (occupant(app, &permit, &inside, name.as_str()).await?, new.on_conflict) {
                // It was renamed or deleted in the meantime.
                (None, _) => {}
                (Some(Occupant::File(there)), OnConflict::Skip) => return Ok(Placed::skipped(*there)),
                (Some(Occupant::File(there)), OnConflict::Replace) => {
                    if let Some(replaced) = replace_at(app, *there, &new.labels, claim, stored, upload).await? {
                        return Ok(replaced);
                    }
                }
                (Some(_), on_conflict) => return Err(on_conflict.error()),
            },
            Ok(folder_id) => {
                faults::point("K11");
                return Ok(Placed { item: File { folder_id, ..file }, conflict });
            }
            Err(error) if !was_committed_anyway(app, stored, &error).await => return Err(error),
            // The reply to the commit was lost.
            Err(_) => {
                faults::point("K11");
                let found = app.db.file(file.id).await.ok().flatten();
                let folder_id = found.map_or(file.folder_id, |found| found.folder_id);
                return Ok(Placed { item: File { folder_id, ..file }, conflict });
            }
        }
    }
}

/// Makes the stored blob the content of the file that was found where it is to be; `None` if the file has changed since.
async fn replace_at(
    app: &App,
    there: File,
    labels: &Labels,
    claim: Option<&KeyClaim>,
    stored: &Stored,
    upload: Option<&EndedUpload>,
) -> Result<Option<Placed<File>>> {
    let now = app.clock.now();
    let json = |new: &Option<String>, old: &RawValue| {
        RawValue::from_string(new.clone().unwrap_or_else(|| old.get().to_owned())).map_err(Error::internal)
    };
    let (metadata, tags) = (json(&labels.metadata, &there.metadata)?, json(&labels.tags, &there.tags)?);
    let at = ReplacedAtRow {
        folder: there.folder_id,
        name: there.name.clone(),
        revision: there.revision,
        metadata: metadata.get().to_owned(),
        old_metadata: there.metadata.get().to_owned(),
        tags: tags.get().to_owned(),
        attributes: labels.attributes_of(metadata.get(), tags.get()),
        quotas: app.config.quotas,
    };
    let row = there.replaced(now, Some(at));
    let file = File {
        updated_at: now,
        metadata,
        tags,
        blob_id: stored.facts.id,
        content: stored.content(),
        revision: there.revision + 1,
        ..there
    };
    let placed = Placed { item: file, conflict: Some(Conflict::Replaced) };
    let response = claim.map(|claim| answer(claim, &placed)).transpose()?;
    let event = placed.item.event(EventKind::FileReplaced).row(&app.clock);
    match app.db.replace(&row, &stored.facts, response.as_ref(), upload, &event).await {
        Err(Error::PreconditionFailed) => Ok(None),
        Err(error) if !was_committed_anyway(app, stored, &error).await => Err(error),
        _ => {
            faults::point("K11");
            Ok(Some(placed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_of_an_upload_is_stable() {
        let new = NewFile {
            path: FolderPath::new("2026/reports", "/path").expect("a path"),
            name: FileName::new("q3.pdf", "/name").expect("a name"),
            on_conflict: OnConflict::Number,
            labels: Labels::default(),
            idempotency_key: None,
        };
        let content_type = Some("application/pdf".to_owned());
        let stream = Box::pin(futures_util::stream::empty());
        let body = Body { stream, size: None, at_most: None, content_type, digest: None };
        let expected = ["upload", "2026/reports/", "q3.pdf", "number", "application/pdf", "", ""];
        assert_eq!(new.fingerprint_parts("2026/reports/", &body), expected);
    }
}
