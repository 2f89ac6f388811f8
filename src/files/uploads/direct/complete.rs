//! From the parts of a direct upload to a file: picked, put together, read back, published.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::receive::receipt;
use super::{PartLayout, find_direct, missing, stored};
use crate::app::App;
use crate::db::{Progress, ResumableRow};
use crate::error::{Error, FieldError, Result};
use crate::faults;
use crate::files::uploads::pending::{Meter, read_back};
use crate::files::uploads::resumable::claim::Claim;
use crate::files::uploads::resumable::finish::finish;
use crate::files::uploads::resumable::ledger::serialize_hash_state;
use crate::files::uploads::resumable::{complete_size, expiry, find, key, lease};
use crate::files::uploads::whole::detached;
use crate::files::{self, File};
use crate::store::StoredPart;
use crate::users::User;

/// Parts that one refusal names at most.
const NAMED: usize = 1000;

/// What the client believes of a part.
#[derive(Debug, Clone)]
pub struct PartClaim {
    pub number: u64,
    /// As the store gave it, with or without quotes.
    pub etag: String,
}

/// Makes the parts the file: checks that all are there and of the right size, has the store put them
/// together, and reads the whole back for its hash. Doing it twice is the same as once.
///
/// # Errors
/// `NotFound`; `UploadGone`; `UploadBusy` if that is under way; `PartsMissing`, deadline which what is
/// missing can be sent; `QuotaExceeded` never, as the size was reserved; `TooLarge`,
/// `DigestMismatch`, `TypeRefused`, with which the upload ends; `Unavailable`.
pub async fn complete(app: &Arc<App>, user: &User, id: Uuid, claims: Vec<PartClaim>) -> Result<File> {
    let row = find_direct(app, user, id).await?;
    if let Some(file) = row.file_id {
        return files::find(app, user, file).await;
    }
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        let claim = Claim::take(&app, &user, id).await?;
        let upload = claim.during(async {
            let row = find(&app, &user, id).await?;
            let row = match complete_size(&row) {
                Some(_) => row,
                None => {
                    assemble(&app, &user, &row, &claims).await?;
                    record_assembled(&app, &user, &row, &claim).await?
                }
            };
            finish(&app, &user, &row, &claim).await
        });
        let file = upload.await?.file_id.ok_or(Error::UploadIncomplete)?;
        files::find(&app, &user, file).await
    })
    .await
}

async fn assemble(app: &App, user: &User, row: &ResumableRow, claims: &[PartClaim]) -> Result<()> {
    let (cut, key) = (PartLayout::of(row)?, key(row)?);
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
async fn record_assembled(app: &App, user: &User, row: &ResumableRow, claim: &Claim) -> Result<ResumableRow> {
    faults::point("P2");
    let size = PartLayout::of(row)?.size;
    let meter = read_parts(app, row).await;
    if let Err(Error::DigestMismatch) = meter {
        give_up(app, user, row, claim).await?;
    }
    let meter = meter?;
    let sha256 = meter.hash().finalize();
    if row.sha256.as_deref().is_some_and(|expected| expected != sha256.as_slice()) {
        give_up(app, user, row, claim).await?;
        return Err(Error::DigestMismatch);
    }
    let to = Progress {
        id: row.id,
        claim_id: claim.writer,
        blob_id: row.blob_id,
        received: size as i64,
        hash_state: serialize_hash_state(&meter.hash()),
        parts: Vec::new(),
        tail: None,
        old_tail: None,
        expires_at: expiry(app, app.clock.now()),
    };
    app.db.record_progress(&to, lease(app)).await?;
    faults::point("P3");
    find(app, user, row.id).await
}

/// Reads the whole. Parts that came through this server are held against what their rows say: of two
/// that wrote at once, on different servers, there may be a mixture.
///
/// # Errors
/// `DigestMismatch` if a part is not what its row says.
async fn read_parts(app: &App, row: &ResumableRow) -> Result<Meter> {
    let (cut, key) = (PartLayout::of(row)?, key(row)?);
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
async fn give_up(app: &App, user: &User, row: &ResumableRow, claim: &Claim) -> Result<()> {
    app.db.release_claim(row.id, claim.writer).await?;
    app.db.delete_resumable(user.id, row.id).await.map(drop)
}

/// Picks the parts that are the whole: of those that were sent again the one that the client believes
/// in, or else the last.
fn choose(cut: PartLayout, parts: Vec<StoredPart>, claims: &[PartClaim]) -> Result<Vec<StoredPart>> {
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

fn trouble(number: u64, code: &'static str, detail: &str) -> FieldError {
    FieldError::at(format!("/parts/{number}"), code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, size: u64) -> StoredPart {
        StoredPart { number, size, receipt: format!("\"{number}\""), modified_at: None }
    }

    fn codes(parts: &[StoredPart], claims: &[(u64, &str)]) -> Vec<String> {
        let cut = PartLayout { size: 25, part_size: 10 };
        let claims: Vec<_> =
            claims.iter().map(|(number, etag)| PartClaim { number: *number, etag: (*etag).to_owned() }).collect();
        match choose(cut, parts.to_vec(), &claims) {
            Ok(_) => Vec::new(),
            Err(Error::PartsMissing(wrong)) => {
                wrong.into_iter().map(|wrong| format!("/{} {}", wrong.location.name(), wrong.code)).collect()
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
}
