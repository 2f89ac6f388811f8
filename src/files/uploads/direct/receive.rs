//! Receives a part of a direct upload through a URL that this server signed.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uuid::Uuid;

use super::PartLayout;
use crate::app::App;
use crate::error::{Error, Result};
use crate::faults;
use crate::files::uploads::meter::{Meter, SharedMeter, locked, metered};
use crate::files::uploads::pending::Body;
use crate::files::uploads::whole::detached;
use crate::hex::hex;
use crate::store::{Grant, PartObserver};

/// Receives the part that the URL accepts, and returns its ETag without quotes.
///
/// # Errors
/// [`Error::UploadGone`] if the upload has ended or its parts are assembled; [`Error::UploadBusy`] while they are being
/// assembled, or if the same part is being received; [`Error::TooLarge`] or [`Error::PartSizeMismatch`] if it does not
/// have the size of the part; [`Error::DigestMismatch`]; the error of the stream. After an error the part is missing.
pub async fn receive_part(app: &Arc<App>, grant: Grant, number: u64, body: Body) -> Result<String> {
    let row = app.db.direct_upload_by_key(grant.key.as_str()).await?.ok_or(Error::UploadGone)?;
    let layout = PartLayout { size: row.size.0, part_size: row.part_size.0 };
    let (offset, length) = layout.part(number).ok_or(Error::BadSignature)?;
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
        let mut row = PartRecorder { app: &app, upload: row.id, number, length, meter, receipt: None };
        app.store.write_part(&grant.key, offset, stream, &mut row).await?;
        row.receipt.ok_or_else(short)
    })
    .await
}

/// Records one part in its row.
struct PartRecorder<'a> {
    app: &'a App,
    upload: Uuid,
    number: u64,
    /// The bytes that the part must have.
    length: u64,
    meter: SharedMeter,
    /// What the row has recorded of the part.
    receipt: Option<String>,
}

#[async_trait]
impl PartObserver for PartRecorder<'_> {
    async fn part_started(&mut self) -> Result<()> {
        self.app.db.forget_part(self.upload, self.number).await
    }

    async fn part_persisted(&mut self, length: u64) -> Result<()> {
        if length == self.length {
            faults::point("P1");
            let receipt = receipt(&locked(&self.meter).hash().sha256());
            self.app.db.record_part(self.upload, self.number, &receipt).await?;
            self.receipt = Some(receipt);
        }
        Ok(())
    }
}

/// The ETag of a part that was received by this server.
pub(super) fn receipt(sha256: &[u8]) -> String {
    hex(&sha256[..16])
}
