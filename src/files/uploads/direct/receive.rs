//! A part that comes through this server, by a signed URL of ours.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::PartLayout;
use crate::app::App;
use crate::error::{Error, Result};
use crate::faults;
use crate::files::uploads::pending::{Body, Meter, metered};
use crate::files::uploads::whole::detached;
use crate::hex::hex;
use crate::store::{Grant, PartObserver};

/// Takes in a part that a signed URL of ours admits, and gives its ETag.
///
/// # Errors
/// `UploadGone` if the upload is over or its parts are put together; `UploadBusy` while they are, or if
/// the same part is coming;
/// `TooLarge` and `PartSizeMismatch` if it has not the length that a part has, `DigestMismatch`, and what
/// the stream failed with, deadline each of which the part is missing.
pub async fn receive_part(app: &Arc<App>, grant: Grant, number: u64, body: Body) -> Result<String> {
    let row = app.db.direct_upload_by_key(grant.key.as_str()).await?.ok_or(Error::UploadGone)?;
    let cut = PartLayout { size: row.size as u64, part_size: row.part_size as u64 };
    let (offset, length) = cut.part(number).ok_or(Error::BadSignature)?;
    let short = move || Error::PartSizeMismatch { number, size: length };
    match body.size {
        Some(size) if size > length => return Err(Error::TooLarge { limit: length }),
        Some(size) if size < length => return Err(short()),
        _ => {}
    }
    let app = app.clone();
    detached(async move {
        let meter = Arc::new(Mutex::new(Meter::new(length, body.digest)));
        let stream = metered(body.stream, meter.clone());
        let mut row = PartRowLedger { app: &app, upload: row.id, number: number as i64, length, meter, receipt: None };
        app.store.write_part(&grant.key, offset, stream, &mut row).await?;
        row.receipt.ok_or_else(short)
    })
    .await
}

/// The row of one part.
struct PartRowLedger<'a> {
    app: &'a App,
    upload: Uuid,
    number: i64,
    /// Bytes that the part must have.
    length: u64,
    meter: Arc<Mutex<Meter>>,
    /// What the row says of it, once it does.
    receipt: Option<String>,
}

#[async_trait]
impl PartObserver for PartRowLedger<'_> {
    async fn begins(&mut self) -> Result<()> {
        self.app.db.forget_part(self.upload, self.number).await
    }

    async fn written(&mut self, length: u64) -> Result<()> {
        if length == self.length {
            faults::point("P1");
            let receipt = receipt(self.meter.lock().unwrap_or_else(PoisonError::into_inner).hash());
            self.app.db.record_part(self.upload, self.number, &receipt).await?;
            self.receipt = Some(receipt);
        }
        Ok(())
    }
}

/// The ETag of a part that came through this server.
pub(super) fn receipt(hash: Sha256) -> String {
    hex(&hash.finalize()[..16])
}
