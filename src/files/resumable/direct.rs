//! Uploads straight to the store: the client sends parts through signed URLs, in any order and from
//! anywhere, and this server only says in the end whether they are the file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::finish::finish;
use super::ledger::frozen;
use super::{Claim, complete_size, expiry, find, key, lease};
use crate::app::App;
use crate::config::out_of_reach;
use crate::db::{Progress, ResumableRow};
use crate::error::{Error, FieldError, Result};
use crate::faults;
use crate::files::pending::{Body, Meter, metered};
use crate::files::signed::{checked_life, read_back};
use crate::files::upload::detached;
use crate::files::{self, File};
use crate::hex::hex;
use crate::store::{
    Grant, MAX_PARTS, Operation, PartLedger, PartTarget, SMALLEST_PART, SignRequest, SignedUrl, StoredPart,
};
use crate::users::User;

/// The most bytes of a part that S3 takes.
const LARGEST_PART: u64 = 5 * 1024 * 1024 * 1024;
/// Parts that are signed when the client does not say which.
const USUAL_BATCH: usize = 100;
/// Parts that one refusal names at most.
const NAMED: usize = 1000;

/// How a whole is cut into parts: all of one size but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes in the whole.
    pub size: u64,
    /// Bytes in a part.
    pub part_size: u64,
}

impl Cut {
    /// # Errors
    /// `Invalid` at `/part_size` if a store would not take such parts, or so many.
    pub fn new(size: u64, part_size: u64) -> Result<Self> {
        let cut = Self { size, part_size };
        if !(SMALLEST_PART..=LARGEST_PART).contains(&part_size) || cut.count() > MAX_PARTS {
            let detail = format!("from {SMALLEST_PART} to {LARGEST_PART} bytes, and so many that {MAX_PARTS} parts do");
            return Err(Error::invalid("/part_size", "out_of_range", detail));
        }
        Ok(cut)
    }

    /// As clients cut that are not told how: in S3's smallest parts, or larger ones where those were too many.
    pub fn usual(size: u64) -> Self {
        Self { size, part_size: SMALLEST_PART.max(size.div_ceil(MAX_PARTS)) }
    }

    fn of(row: &ResumableRow) -> Result<Self> {
        let size = row.size.ok_or_else(|| Error::internal("a direct upload without a size"))? as u64;
        Ok(Self { size, part_size: row.part_size as u64 })
    }

    pub fn count(&self) -> u64 {
        self.size.div_ceil(self.part_size)
    }

    /// Where the part with this number (from 1) begins, and how many bytes it has.
    fn part(&self, number: u64) -> Option<(u64, u64)> {
        let offset = number.checked_sub(1)?.checked_mul(self.part_size)?;
        let left = self.size.checked_sub(offset).filter(|left| *left > 0)?;
        Some((offset, left.min(self.part_size)))
    }
}

/// A part that may be sent now.
#[derive(Debug)]
pub struct SignedPart {
    pub number: u64,
    /// Bytes that it must have.
    pub size: u64,
    pub url: SignedUrl,
}

/// What the client believes of a part.
#[derive(Debug, Clone)]
pub struct PartClaim {
    pub number: u64,
    /// As the store gave it, with or without quotes.
    pub etag: String,
}

/// The bucket to which a page had better send the parts of a big file, as far as its address tells. Not where types are
/// limited: through this server, a file is refused by its first bytes, straight to the bucket only after its last.
pub fn bucket_for_pages(app: &App) -> Option<&Url> {
    let bucket = app.store.public_bucket().filter(|_| app.config.limits.allowed_types.is_any());
    bucket.filter(|bucket| out_of_reach(&app.config.public_url, bucket).is_none())
}

/// Signs URLs for parts: for those with these numbers, or for the first ones that are missing.
/// Whoever asks gives the upload another day.
///
/// # Errors
/// `NotFound`; `UploadGone` if it is over or complete; `Invalid` if a number is not one of the
/// upload's, there are too many of them, or the life is out of bounds; `Unavailable`.
pub async fn sign_parts(
    user: &User,
    app: &App,
    id: Uuid,
    numbers: Option<Vec<u64>>,
    expires_in: Option<Duration>,
) -> Result<Vec<SignedPart>> {
    let life = checked_life(app, expires_in)?;
    let row = find_direct(user, app, id).await?;
    if row.file_id.is_some() || row.received > 0 {
        return Err(Error::UploadGone);
    }
    let (cut, key, now) = (Cut::of(&row)?, key(&row)?, app.clock.now());
    let numbers = match numbers {
        Some(numbers) => numbers,
        None => missing(cut, &stored(app, &row).await?).take(USUAL_BATCH.min(app.config.limits.batch)).collect(),
    };
    if numbers.len() > app.config.limits.batch {
        let detail = format!("at most {} at once", app.config.limits.batch);
        return Err(Error::invalid("/numbers", "too_many", detail));
    }
    app.db.keep_resumable(user.id, id, row.blob_id, expiry(app, now), lease(app)).await?;
    let mut signed = Vec::with_capacity(numbers.len());
    for (place, number) in numbers.into_iter().enumerate() {
        let (_, size) = cut.part(number).ok_or_else(|| {
            let detail = format!("from 1 to {}", cut.count());
            Error::invalid(format!("/numbers/{place}"), "out_of_range", detail)
        })?;
        let request = SignRequest {
            operation: Operation::Put,
            key: &key,
            now,
            expires_in: life,
            disposition: None,
            content_type: None,
            generation: 0,
            part: Some(PartTarget { number, multipart_id: row.multipart_id.as_deref() }),
        };
        signed.push(SignedPart { number, size, url: app.store.sign(&request).await? });
    }
    Ok(signed)
}

/// The parts that have arrived, whether they are of the right size or not.
///
/// # Errors
/// `NotFound`; `UploadGone` if the upload's time is over; `Unavailable`.
pub async fn parts(user: &User, app: &App, id: Uuid) -> Result<Vec<StoredPart>> {
    let row = find_direct(user, app, id).await?;
    let parts = stored(app, &row).await?;
    Ok(parts.chunk_by(|one, other| one.number == other.number).filter_map(<[_]>::last).cloned().collect())
}

/// Takes in a part that a signed URL of ours admits, and gives its ETag.
///
/// # Errors
/// `UploadGone` if the upload is over or its parts are put together; `UploadBusy` while they are, or if
/// the same part is coming;
/// `TooLarge` and `Malformed` if it has not the length that a part has, `DigestMismatch`, and what
/// the stream failed with, after each of which the part is missing.
pub async fn receive_part(grant: Grant, number: u64, app: &Arc<App>, body: Body) -> Result<String> {
    let row = app.db.parted(grant.key.as_str()).await?.ok_or(Error::UploadGone)?;
    let cut = Cut { size: row.size as u64, part_size: row.part_size as u64 };
    let (offset, length) = cut.part(number).ok_or(Error::BadSignature)?;
    let short = move || Error::Malformed(format!("part {number} has {length} bytes"));
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
impl PartLedger for PartRowLedger<'_> {
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
fn receipt(hash: Sha256) -> String {
    hex(&hash.finalize()[..16])
}

/// Makes the parts the file: checks that all are there and of the right size, has the store put them
/// together, and reads the whole back for its hash. Doing it twice is the same as once.
///
/// # Errors
/// `NotFound`; `UploadGone`; `UploadBusy` if that is under way; `PartsMissing`, after which what is
/// missing can be sent; `QuotaExceeded` never, as the size was reserved; `TooLarge`,
/// `DigestMismatch`, `TypeRefused`, with which the upload ends; `Unavailable`.
pub async fn complete(user: &User, app: &Arc<App>, id: Uuid, claims: Vec<PartClaim>) -> Result<File> {
    let row = find_direct(user, app, id).await?;
    if let Some(file) = row.file_id {
        return files::find(user, app, file).await;
    }
    let (user, app) = (user.clone(), app.clone());
    detached(async move {
        let claim = Claim::take(&user, &app, id).await?;
        let upload = claim.during(async {
            let row = find(&user, &app, id).await?;
            let row = match complete_size(&row) {
                Some(_) => row,
                None => {
                    put_together(&user, &app, &row, &claims).await?;
                    take_over(&user, &app, &row, &claim).await?
                }
            };
            finish(&user, &app, &row, &claim).await
        });
        let file = upload.await?.file_id.ok_or(Error::UploadIncomplete)?;
        files::find(&user, &app, file).await
    })
    .await
}

async fn put_together(user: &User, app: &App, row: &ResumableRow, claims: &[PartClaim]) -> Result<()> {
    let (cut, key) = (Cut::of(row)?, key(row)?);
    if app.store.size(&key).await? == Some(cut.size) {
        // An earlier try came so far.
        return app.store.confirm(&key, cut.size).await;
    }
    let chosen = choose(cut, stored(app, row).await?, claims);
    if let Err(Error::TooLarge { .. }) = chosen {
        app.db.delete_resumable(user.id, row.id).await?;
    }
    let receipts = chosen?.into_iter().map(|part| part.receipt).collect();
    app.store.assemble(&key, row.multipart_id.as_deref(), receipts, cut.size).await
}

/// Reads the whole, and writes down that all of it is there.
async fn take_over(user: &User, app: &App, row: &ResumableRow, claim: &Claim) -> Result<ResumableRow> {
    faults::point("P2");
    let size = Cut::of(row)?.size;
    let meter = read_parts(app, row).await;
    if let Err(Error::DigestMismatch) = meter {
        give_up(user, app, row, claim).await?;
    }
    let meter = meter?;
    let sha256 = meter.hash().finalize();
    if row.sha256.as_deref().is_some_and(|expected| expected != sha256.as_slice()) {
        give_up(user, app, row, claim).await?;
        return Err(Error::DigestMismatch);
    }
    let to = Progress {
        id: row.id,
        writer: claim.writer,
        blob_id: row.blob_id,
        received: size as i64,
        hash: frozen(&meter.hash()),
        parts: Vec::new(),
        tail: None,
        old_tail: None,
        expires_at: expiry(app, app.clock.now()),
    };
    app.db.advance_resumable(&to, lease(app)).await?;
    faults::point("P3");
    find(user, app, row.id).await
}

/// Reads the whole. Parts that came through this server are held against what their rows say: of two
/// that wrote at once, on different servers, there may be a mixture.
///
/// # Errors
/// `DigestMismatch` if a part is not what its row says.
async fn read_parts(app: &App, row: &ResumableRow) -> Result<Meter> {
    let (cut, key) = (Cut::of(row)?, key(row)?);
    let mut meter = Meter::new(cut.size, None);
    let rows = app.db.parts(row.id).await?;
    if rows.is_empty() {
        return read_back(app, &key, cut.size).await;
    }
    for row in rows {
        let (offset, length) = cut.part(row.number as u64).ok_or_else(|| Error::internal("a part beyond the end"))?;
        let (mut stream, mut hash) = (app.store.get(&key, offset..offset + length).await?, Sha256::new());
        while let Some(chunk) = stream.try_next().await? {
            meter.take(&chunk)?;
            hash.update(&chunk);
        }
        if receipt(hash) != row.receipt {
            return Err(Error::DigestMismatch);
        }
    }
    Ok(meter)
}

/// Ends an upload whose bytes are not what they should be. Nothing of this writer is on its way any
/// more, so that they may go at once.
async fn give_up(user: &User, app: &App, row: &ResumableRow, claim: &Claim) -> Result<()> {
    app.db.let_go_of_resumable(row.id, claim.writer).await?;
    app.db.delete_resumable(user.id, row.id).await.map(drop)
}

/// Picks the parts that are the whole: of those that were sent again the one that the client believes
/// in, or else the last.
fn choose(cut: Cut, parts: Vec<StoredPart>, claims: &[PartClaim]) -> Result<Vec<StoredPart>> {
    let claims: BTreeMap<_, _> = claims.iter().map(|claim| (claim.number, claim.etag.trim_matches('"'))).collect();
    if let Some(number) = claims.keys().find(|number| cut.part(**number).is_none()) {
        return Err(Error::invalid("/parts", "out_of_range", format!("there is no part {number}")));
    }
    let mut wrong: Vec<_> =
        missing(cut, &parts).map(|number| trouble(number, "missing", "this part has not arrived")).collect();
    let mut chosen = Vec::new();
    for same in parts.chunk_by(|one, other| one.number == other.number) {
        let believed =
            |part: &&StoredPart| claims.get(&part.number).is_none_or(|etag| *etag == part.receipt.trim_matches('"'));
        let Some(part) = same.iter().rfind(believed) else {
            wrong.push(trouble(same[0].number, "etag_mismatch", "this part has arrived with other bytes"));
            continue;
        };
        let rival = same.iter().any(|other| other.modified_at == part.modified_at && other.receipt != part.receipt);
        if rival && !claims.contains_key(&part.number) {
            let detail = "this part arrived twice within a second: say by its ETag which one counts";
            wrong.push(trouble(part.number, "etag_required", detail));
            continue;
        }
        match cut.part(part.number) {
            Some((_, size)) if part.size < size => {
                let detail = format!("only {} bytes of this part have arrived", part.size);
                wrong.push(trouble(part.number, "incomplete", &detail));
            }
            Some((_, size)) if part.size == size => chosen.push(part.clone()),
            _ => return Err(Error::TooLarge { limit: cut.size }),
        }
    }
    wrong.truncate(NAMED);
    if wrong.is_empty() { Ok(chosen) } else { Err(Error::PartsMissing(wrong)) }
}

fn trouble(number: u64, code: &str, detail: &str) -> FieldError {
    FieldError { pointer: format!("/parts/{number}"), code: code.into(), detail: detail.into() }
}

fn missing(cut: Cut, parts: &[StoredPart]) -> impl Iterator<Item = u64> {
    (1..=cut.count()).filter(|number| parts.binary_search_by_key(number, |part| part.number).is_err())
}

/// What has arrived, in order.
async fn stored(app: &App, row: &ResumableRow) -> Result<Vec<StoredPart>> {
    let (cut, key) = (Cut::of(row)?, key(row)?);
    let part = |(number, receipt): (u64, String)| {
        let (_, size) = cut.part(number)?;
        Some(StoredPart { number, size, receipt, modified_at: None })
    };
    match app.store.parts(&key, row.multipart_id.as_deref()).await? {
        // They may be put together by now, by a server that did not get further.
        Some(parts) if parts.is_empty() && app.store.size(&key).await? == Some(cut.size) => {
            // Not empty: clients take a part without an ETag for one to send.
            Ok((1..=cut.count()).map(|number| (number, "assembled".to_owned())).filter_map(part).collect())
        }
        Some(parts) => Ok(parts),
        None => {
            let rows = app.db.parts(row.id).await?.into_iter();
            Ok(rows.map(|row| (row.number as u64, row.receipt)).filter_map(part).collect())
        }
    }
}

/// As [`find`], but only an upload of this kind.
async fn find_direct(user: &User, app: &App, id: Uuid) -> Result<ResumableRow> {
    let row = find(user, app, id).await?;
    if row.mode == super::DIRECT { Ok(row) } else { Err(Error::NotFound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, size: u64) -> StoredPart {
        StoredPart { number, size, receipt: format!("\"{number}\""), modified_at: None }
    }

    fn codes(parts: &[StoredPart], claims: &[(u64, &str)]) -> Vec<String> {
        let cut = Cut { size: 25, part_size: 10 };
        let claims: Vec<_> =
            claims.iter().map(|(number, etag)| PartClaim { number: *number, etag: (*etag).to_owned() }).collect();
        match choose(cut, parts.to_vec(), &claims) {
            Ok(_) => Vec::new(),
            Err(Error::PartsMissing(wrong)) => {
                wrong.into_iter().map(|wrong| format!("{} {}", wrong.pointer, wrong.code)).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn parts_are_chosen_by_number_size_and_etag() {
        let whole = [part(1, 10), part(2, 10), part(3, 5)];
        assert_eq!(codes(&whole, &[]), Vec::<String>::new());
        assert_eq!(codes(&whole, &[(1, "1"), (2, "\"2\"")]), Vec::<String>::new());
        assert_eq!(codes(&whole, &[(1, "2")]), ["/parts/1 etag_mismatch"]);
        assert_eq!(codes(&[part(2, 10)], &[]), ["/parts/1 missing", "/parts/3 missing"]);
        assert_eq!(codes(&[part(1, 10), part(2, 9), part(3, 5)], &[]), ["/parts/2 incomplete"]);
        for excess in [[part(1, 11), part(2, 10)], [part(1, 10), part(4, 1)], [part(2, 10), part(3, 6)]] {
            assert_eq!(codes(&excess, &[]), ["larger than the limit of 25 bytes"]);
        }
        assert_eq!(codes(&whole, &[(4, "4")]), ["some values are not acceptable"]);
        let later = Some(jiff::Timestamp::UNIX_EPOCH);
        let again = StoredPart { receipt: "x".into(), modified_at: later, ..part(3, 5) };
        let twice = [part(1, 10), part(2, 10), part(3, 4), again.clone()];
        assert_eq!(codes(&twice, &[]), Vec::<String>::new());
        let at_once = [part(1, 10), part(2, 10), StoredPart { modified_at: later, ..part(3, 5) }, again];
        assert_eq!(codes(&at_once, &[]), ["/parts/3 etag_required"]);
        assert_eq!(codes(&at_once, &[(3, "3")]), Vec::<String>::new());
        assert_eq!(codes(&twice, &[(3, "x")]), Vec::<String>::new());
        assert_eq!(codes(&twice, &[(3, "3")]), ["/parts/3 incomplete"]);
    }

    #[test]
    fn parts_are_of_one_size_but_the_last() {
        let cut = Cut { size: 25, part_size: 10 };
        let parts: Vec<_> = (0..=4).map(|number| cut.part(number)).collect();
        assert_eq!(parts, [None, Some((0, 10)), Some((10, 10)), Some((20, 5)), None]);
        assert_eq!(Cut { size: 20, part_size: 10 }.part(3), None);
        assert!(Cut::new(1 << 40, SMALLEST_PART).is_err());
        assert!(Cut::new(1, SMALLEST_PART - 1).is_err());
        assert_eq!(Cut::new(1, SMALLEST_PART).unwrap().count(), 1);
    }
}
