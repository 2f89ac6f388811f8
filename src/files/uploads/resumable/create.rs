//! Creates resumable uploads: inserts the row, and opens what receives the bytes in the store.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::direct::PartLayout;
use super::ledger::RowObserver;
use super::{Append, Claim, DIRECT, TUS, Upload, check_size, expiry, find, key, lease, status, write};
use crate::access::{Right, Subject, Tree};
use crate::app::App;
use crate::db::{ByteCount, KeyClaim, NewBlobRow, NewResumableRow, ResumableRow};
use crate::error::{Error, FieldError, Location, Result};
use crate::files::conflict::before_content;
use crate::files::uploads::content_hash::ContentHash;
use crate::files::uploads::idempotency::{IdempotencyKey, Lookup, lookup};
use crate::files::uploads::whole::detached;
use crate::files::{Conflict, FileName, FolderPath, Labels, OnConflict};
use crate::hex::hex;
use crate::store::Key;

/// A resumable upload to create.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The folder of the future file.
    pub path: FolderPath,
    /// The requested name of the future file.
    pub name: FileName,
    /// What to do if it is taken, now or when the upload is complete.
    pub on_conflict: OnConflict,
    /// Whether the client knows what to do with an upload that is skipped before its content is sent.
    pub skips_early: bool,
    /// Metadata and tags. Those that are not given are empty, or those of the file that is replaced.
    pub labels: Labels,
    /// The declared content type, a hint.
    pub content_type: Option<String>,
    /// How the bytes arrive.
    pub protocol: UploadProtocol,
    /// Metadata of the client, returned verbatim.
    pub note: String,
    /// With a key the request takes effect once, however often it is sent.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The media type that a client declares; `None` for an empty text, which is what browsers declare of a file that they do
/// not know.
///
/// # Errors
/// [`Error::Invalid`] at `location` if it is not a media type (RFC 9110, section 8.3.1).
pub fn declared_type(text: Option<&str>, location: impl Into<Location>) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<mime::Mime>() {
        Ok(_) if text.len() <= MAX_TYPE => Ok(Some(text.to_owned())),
        _ => {
            let detail = format!("a media type such as text/plain, at most {MAX_TYPE} bytes");
            Err(Error::Invalid(vec![FieldError { location: location.into(), code: "invalid", detail }]))
        }
    }
}

/// Maximum length of a declared media type, in bytes.
const MAX_TYPE: usize = 255;

/// How the bytes of an upload arrive.
#[derive(Debug, Clone)]
pub enum UploadProtocol {
    /// In order, through this server.
    Tus {
        /// Bytes of the whole file; `None` if they are declared later.
        size: Option<u64>,
    },
    /// As parts, straight to the store.
    Direct {
        /// Bytes of the whole file.
        size: u64,
        /// Bytes of a part; `None` for the default of the store.
        part_size: Option<u64>,
        /// The SHA-256 that the whole must have on completion.
        sha256: Option<Vec<u8>>,
    },
}

impl UploadProtocol {
    /// The stable name, as rows and idempotency keys have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            UploadProtocol::Tus { .. } => TUS,
            UploadProtocol::Direct { .. } => DIRECT,
        }
    }
}

impl NewUpload {
    fn check(&self, app: &App) -> Result<()> {
        check_size(app, self.size().unwrap_or(0))?;
        match &self.protocol {
            UploadProtocol::Direct { size: 0, sha256: Some(expected), .. } if **expected != *Sha256::digest(b"") => {
                Err(Error::DigestMismatch)
            }
            _ => Ok(()),
        }
    }

    /// The rows of the upload and of its blob, which has a new key.
    fn rows(self, app: &App, tree: &Tree, claim: Option<KeyClaim>) -> Result<(NewResumableRow, NewBlobRow)> {
        let (size, part_size, now) = (self.size(), self.part_size(app)?, app.clock.now());
        let mode = self.protocol.as_str();
        let metadata = self.labels.metadata.as_ref().map_or(0, String::len) as u64;
        let sha256 = match self.protocol {
            UploadProtocol::Tus { .. } => None,
            UploadProtocol::Direct { sha256, .. } => sha256,
        };
        let row = NewResumableRow {
            id: app.clock.new_id(),
            creator: tree.subject.actor,
            folder: tree.root.folder_id,
            mode,
            part_size,
            path: self.path.as_str().to_owned(),
            name: self.name.as_str().to_owned(),
            on_conflict: self.on_conflict.as_str(),
            metadata: self.labels.metadata,
            tags: self.labels.tags,
            content_type: self.content_type,
            upload_metadata: self.note,
            size,
            hash_state: ContentHash::default().serialize(),
            sha256,
            expires_at: expiry(app, now),
        };
        let blob = NewBlobRow {
            id: app.clock.new_id(),
            space: tree.space_id(),
            key: Key::random().to_string(),
            lease: lease(app),
            // An undeclared size is reserved as the bytes arrive.
            reserve: size.map_or(0, |size| size + metadata),
            new_file: true,
            aside: false,
            claim,
            now,
        };
        Ok((row, blob))
    }

    fn is_direct(&self) -> bool {
        matches!(self.protocol, UploadProtocol::Direct { .. })
    }

    fn size(&self) -> Option<u64> {
        match self.protocol {
            UploadProtocol::Tus { size } => size,
            UploadProtocol::Direct { size, .. } => Some(size),
        }
    }

    fn part_size(&self, app: &App) -> Result<u64> {
        match self.protocol {
            UploadProtocol::Direct { size, part_size: Some(part_size), .. } => {
                PartLayout::new(size, part_size).map(|layout| layout.part_size)
            }
            _ => app.store.part_size(self.size()),
        }
    }

    /// The parts that identify the request: a retry with the same idempotency key must have the same ones.
    fn fingerprint_parts(&self, location: String) -> [String; 11] {
        let (part_size, sha256) = match &self.protocol {
            UploadProtocol::Tus { .. } => (None, None),
            UploadProtocol::Direct { part_size, sha256, .. } => (*part_size, sha256.as_deref()),
        };
        let number = |bytes: Option<u64>| bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        [
            self.protocol.as_str().to_owned(),
            number(self.size()),
            number(part_size),
            sha256.map(hex).unwrap_or_default(),
            location,
            self.name.as_str().to_owned(),
            self.content_type.clone().unwrap_or_default(),
            self.note.clone(),
            self.on_conflict.as_str().to_owned(),
            self.labels.metadata.clone().unwrap_or_default(),
            self.labels.tags.clone().unwrap_or_default(),
        ]
    }
}

/// Creates a resumable upload. One of zero bytes becomes a file immediately. One that is skipped because the name is taken
/// is not created: what is returned has the id of the file that is there, and is found by it.
///
/// # Errors
/// [`Error::PathTaken`]; [`Error::TooLarge`]; [`Error::DigestMismatch`] if the SHA-256 of an empty upload is wrong; [`Error::Invalid`] if the
/// size of the parts is not possible; [`Error::QuotaExceeded`]; [`Error::TooManyUploads`];
/// [`Error::IdempotencyMismatch`]; [`Error::IdempotencyInProgress`]; [`Error::UploadGone`] if the upload that was
/// created with the idempotency key is gone; [`Error::StorageFull`]; [`Error::Unavailable`]; [`Error::TypeRefused`] if
/// an empty file is not allowed.
pub async fn create(app: &Arc<App>, tree: &Tree, new: NewUpload) -> Result<Upload> {
    new.check(app)?;
    let subject = &tree.subject;
    let location = tree.absolute(&new.path.location());
    let permit = tree.require(app, Right::Create, &new.path.location()).await?;
    let claim = match &new.idempotency_key {
        None => None,
        Some(key) => {
            match lookup(app, subject, key, &new.fingerprint_parts(location.clone()).each_ref().map(String::as_str))
                .await?
            {
                Lookup::Fresh(claim) => Some(claim),
                Lookup::Completed(id) => return existing(app, subject, id.parse().map_err(Error::internal)?).await,
            }
        }
    };
    let early = new.on_conflict != OnConflict::Skip || new.skips_early;
    if early && let Some(file) = before_content(app, &permit, &location, &new.name, new.on_conflict).await? {
        return Ok(Upload { conflict: Some(Conflict::Skipped), ..Upload::of_file(&file, new.size(), new.is_direct()) });
    }
    let (row, blob) = new.rows(app, tree, claim)?;
    let (app, subject) = (app.clone(), *subject);
    detached(async move {
        app.db.insert_resumable(&row, &blob, &app.config.quotas).await?;
        if let Err(error) = open_first(&app, &subject, &row, &blob).await {
            // With an idempotency key the request can be retried.
            if blob.claim.is_none() {
                app.db.delete_resumable(subject.actor, row.id).await?;
            }
            return Err(error);
        }
        if row.size == Some(0) {
            return write(&app, &subject, row.id, Append::empty(0)).await;
        }
        Ok(Upload::from(&find(&app, &subject, row.id).await?))
    })
    .await
}

/// The upload that an earlier request created with the same idempotency key, in its current state.
async fn existing(app: &Arc<App>, subject: &Subject, id: Uuid) -> Result<Upload> {
    let row = app.db.resumable(subject.actor, id).await?.ok_or(Error::UploadGone)?;
    if is_unopened(&row) {
        let (app, subject) = (app.clone(), *subject);
        let opened = detached(async move { open(&app, &subject, id).await }).await;
        opened.map_err(|error| match error {
            Error::UploadBusy => Error::IdempotencyInProgress,
            error => error,
        })?;
    }
    status(app, subject, id).await
}

/// Opens what receives the bytes of an upload whose id no client knows yet.
async fn open_first(app: &Arc<App>, subject: &Subject, row: &NewResumableRow, blob: &NewBlobRow) -> Result<()> {
    match row.mode {
        // Recording the multipart id of the store in the row requires a claim.
        DIRECT if row.size > Some(0) => open(app, subject, row.id).await,
        _ => app.store.begin(&blob.key.parse().map_err(Error::internal)?).await,
    }
}

/// Opens what receives the bytes, unless it is open.
async fn open(app: &Arc<App>, subject: &Subject, id: Uuid) -> Result<()> {
    let claim = Claim::acquire(app, subject, id).await?;
    claim
        .hold_while(async {
            let row = find(app, subject, id).await?;
            if !is_unopened(&row) {
                return Ok(());
            }
            if row.mode != DIRECT || row.size == Some(ByteCount(0)) {
                return app.store.begin(&key(&row)?).await;
            }
            let observer = RowObserver::new(app, &row, &claim, false)?;
            app.store.begin_parts(&key(&row)?, &observer).await
        })
        .await
}

/// Whether nothing in the row shows that what receives the bytes is open.
fn is_unopened(row: &ResumableRow) -> bool {
    row.multipart_id.is_none() && row.received == ByteCount(0) && row.file_id.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(protocol: UploadProtocol) -> NewUpload {
        NewUpload {
            path: FolderPath::new("2026", "/path").expect("a path"),
            name: FileName::new("q3.pdf", "/name").expect("a name"),
            on_conflict: OnConflict::Number,
            skips_early: true,
            labels: Labels::default(),
            content_type: Some("application/pdf".into()),
            protocol,
            note: "name cmVwb3J0LnBkZg==".into(),
            idempotency_key: None,
        }
    }

    #[test]
    fn the_fingerprint_of_an_upload_is_stable() {
        let tus = upload(UploadProtocol::Tus { size: Some(10) });
        let expected =
            ["tus", "10", "", "", "2026/", "q3.pdf", "application/pdf", "name cmVwb3J0LnBkZg==", "number", "", ""];
        assert_eq!(tus.fingerprint_parts("2026/".into()), expected);
        let tus = upload(UploadProtocol::Tus { size: None });
        let expected =
            ["tus", "", "", "", "2026/", "q3.pdf", "application/pdf", "name cmVwb3J0LnBkZg==", "number", "", ""];
        assert_eq!(tus.fingerprint_parts("2026/".into()), expected);
        let direct = UploadProtocol::Direct { size: 10, part_size: Some(5), sha256: Some(vec![0xab, 0x01]) };
        let expected = [
            "direct",
            "10",
            "5",
            "ab01",
            "2026/",
            "q3.pdf",
            "application/pdf",
            "name cmVwb3J0LnBkZg==",
            "number",
            "",
            "",
        ];
        assert_eq!(upload(direct).fingerprint_parts("2026/".into()), expected);
    }
}
