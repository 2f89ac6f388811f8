//! Uploads begin: what is asked for becomes a row, and the store opens what is to take the bytes.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::direct::PartLayout;
use super::ledger::{RowObserver, serialize_hash_state};
use super::{Append, Claim, DIRECT, TUS, Upload, check_size, expiry, find, key, lease, status, write};
use crate::app::App;
use crate::db::{KeyClaim, NewBlobRow, NewResumableRow, ResumableRow};
use crate::error::{Error, Result};
use crate::files::uploads::idempotency::{IdempotencyKey, Lookup, lookup};
use crate::files::uploads::whole::detached;
use crate::files::{FileName, FolderPath};
use crate::store::Key;
use crate::users::User;

/// An upload that is about to begin.
#[derive(Debug, Clone)]
pub struct NewUpload {
    pub path: FolderPath,
    pub name: FileName,
    /// The client's word, a hint.
    pub content_type: Option<String>,
    pub wire: UploadProtocol,
    /// What the client wants to read again, word for word.
    pub note: String,
    /// A name for this request, under which it is done once however often it is sent.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The way on which the bytes of an upload are to come.
#[derive(Debug, Clone)]
pub enum UploadProtocol {
    /// In order, through this server. The bytes in the whole may be told later.
    Tus { size: Option<u64> },
    /// As parts, straight to the store. The SHA-256 of the whole is checked in the end.
    Direct { size: u64, part_size: Option<u64>, sha256: Option<Vec<u8>> },
}

impl NewUpload {
    fn check(&self, app: &App) -> Result<()> {
        check_size(app, self.size().unwrap_or(0))?;
        match &self.wire {
            UploadProtocol::Direct { size: 0, sha256: Some(expected), .. } if **expected != *Sha256::digest(b"") => {
                Err(Error::DigestMismatch)
            }
            _ => Ok(()),
        }
    }

    /// The upload as rows, with a key of its own.
    fn rows(self, app: &App, user: &User, claim: Option<KeyClaim>) -> Result<(NewResumableRow, NewBlobRow)> {
        let (size, part_size, now) = (self.size(), self.part_size(app)?, app.clock.now());
        let (mode, sha256) = match self.wire {
            UploadProtocol::Tus { .. } => (TUS, None),
            UploadProtocol::Direct { sha256, .. } => (DIRECT, sha256),
        };
        let row = NewResumableRow {
            id: app.clock.new_id(),
            mode,
            part_size: part_size as i64,
            path: self.path.as_str().to_owned(),
            name: self.name.as_str().to_owned(),
            content_type: self.content_type,
            upload_metadata: self.note,
            size: size.map(|size| size as i64),
            hash_state: serialize_hash_state(&Sha256::new()),
            sha256,
            expires_at: expiry(app, now),
        };
        let blob = NewBlobRow {
            id: app.clock.new_id(),
            owner: user.id,
            key: Key::random().to_string(),
            lease: lease(app),
            // What is not known yet is reserved before it comes.
            reserve: size.unwrap_or(0),
            new_file: true,
            aside: false,
            claim,
            now: now.as_microsecond(),
        };
        Ok((row, blob))
    }

    fn size(&self) -> Option<u64> {
        match self.wire {
            UploadProtocol::Tus { size } => size,
            UploadProtocol::Direct { size, .. } => Some(size),
        }
    }

    fn part_size(&self, app: &App) -> Result<u64> {
        match self.wire {
            UploadProtocol::Direct { size, part_size: Some(part_size), .. } => {
                PartLayout::new(size, part_size).map(|cut| cut.part_size)
            }
            _ => app.store.part_size(self.size()),
        }
    }

    /// What is asked for: what a second request under the same key has to share.
    fn wish(&self) -> [String; 5] {
        let wire = format!("{:?}", self.wire);
        let hint = format!("{:?}", self.content_type);
        [wire, self.path.as_str().to_owned(), self.name.as_str().to_owned(), hint, self.note.clone()]
    }
}

/// Begins an upload. One of no bytes is a file at once.
///
/// # Errors
/// `TooLarge`; `DigestMismatch` of nothing; `Invalid` if the size of the parts cannot be; `QuotaExceeded`; `TooManyUploads`;
/// `IdempotencyMismatch`; `IdempotencyInProgress`; `UploadGone` if its key began an upload that is
/// over; `StorageFull`; `Unavailable`; `TypeRefused` if not even nothing is accepted.
pub async fn create(app: &Arc<App>, user: &User, new: NewUpload) -> Result<Upload> {
    new.check(app)?;
    let claim = match &new.idempotency_key {
        None => None,
        Some(key) => match lookup(app, user, key, &new.wish().each_ref().map(String::as_str)).await? {
            Lookup::Fresh(claim) => Some(claim),
            Lookup::Completed(id) => return begin_again(app, user, id.parse().map_err(Error::internal)?).await,
        },
    };
    let (row, blob) = new.rows(app, user, claim)?;
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        app.db.insert_resumable(&row, &blob, &app.config.quotas).await?;
        if let Err(error) = open_first(&app, &user, &row, &blob).await {
            // Under a key it can be accepted again.
            if blob.claim.is_none() {
                app.db.delete_resumable(user.id, row.id).await?;
            }
            return Err(error);
        }
        if row.size == Some(0) {
            return write(&app, &user, row.id, Append::nothing(0)).await;
        }
        Ok(Upload::from(&find(&app, &user, row.id).await?))
    })
    .await
}

/// The upload that an earlier request began under the same key, as it stands now.
async fn begin_again(app: &Arc<App>, user: &User, id: Uuid) -> Result<Upload> {
    let row = app.db.resumable(user.id, id).await?.ok_or(Error::UploadGone)?;
    if is_unopened(&row) {
        let (app, user) = (app.clone(), user.clone());
        let opened = detached(async move { open(&app, &user, id).await }).await;
        opened.map_err(|error| match error {
            Error::UploadBusy => Error::IdempotencyInProgress,
            error => error,
        })?;
    }
    status(app, user, id).await
}

/// Opens what takes the bytes of an upload that nobody else knows of.
async fn open_first(app: &Arc<App>, user: &User, row: &NewResumableRow, blob: &NewBlobRow) -> Result<()> {
    match row.mode {
        // The store's id of it goes into the row, which takes a claim.
        DIRECT if row.size > Some(0) => open(app, user, row.id).await,
        _ => app.store.begin(&blob.key.parse().map_err(Error::internal)?).await,
    }
}

/// Opens what takes the bytes, unless that was done before.
async fn open(app: &Arc<App>, user: &User, id: Uuid) -> Result<()> {
    let claim = Claim::take(app, user, id).await?;
    claim
        .during(async {
            let row = find(app, user, id).await?;
            if !is_unopened(&row) {
                return Ok(());
            }
            if row.mode != DIRECT || row.size == Some(0) {
                return app.store.begin(&key(&row)?).await;
            }
            let intent = RowObserver::new(app, &row, &claim, false)?;
            app.store.begin_parts(&key(&row)?, &intent).await
        })
        .await
}

/// Whether what takes the bytes may not be open yet: nothing in the row shows that it is.
fn is_unopened(row: &ResumableRow) -> bool {
    row.multipart_id.is_none() && row.received == 0 && row.file_id.is_none()
}
