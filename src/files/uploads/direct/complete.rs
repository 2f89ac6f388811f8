//! Completes a direct upload: selects its parts, has the store assemble them, reads the whole back, and publishes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::receive::receipt;
use super::{PartLayout, missing, stored};
use crate::access::Subject;
use crate::app::App;
use crate::db::{Progress, ResumableRow};
use crate::error::{Error, FieldError, Result};
use crate::faults;
use crate::files::uploads::meter::{Meter, read_back};
use crate::files::uploads::resumable::claim::Claim;
use crate::files::uploads::resumable::finish::finish;
use crate::files::uploads::resumable::{complete_size, expiry, find, key, lease};
use crate::files::uploads::whole::detached;
use crate::files::{File, Placed};
use crate::store::StoredPart;

/// Maximum number of parts that one error names.
const MAX_NAMED: usize = 1000;

/// A part as the client expects it.
#[derive(Debug, Clone)]
pub struct ExpectedPart {
    /// The number of the part, from 1.
    pub number: u64,
    /// The ETag that the store returned, with or without quotes.
    pub etag: String,
}

/// Makes a file of the parts: checks that all are there and have the right size, has the store assemble them, and reads
/// the whole back for its hash. Completed steps are not repeated.
///
/// # Errors
/// [`Error::UploadBusy`] if another request completes it, or has completed it since; [`Error::UploadGone`];
/// [`Error::PartsMissing`], after which the missing parts can be sent; [`Error::Unavailable`]. With
/// [`Error::TooLarge`], [`Error::DigestMismatch`], [`Error::TypeRefused`] and [`Error::PathTaken`] the upload ends.
pub async fn complete(
    app: &Arc<App>,
    subject: &Subject,
    id: Uuid,
    expected: Vec<ExpectedPart>,
) -> Result<Placed<File>> {
    let (app, subject) = (app.clone(), *subject);
    detached(async move {
        let claim = Claim::acquire(&app, &subject, id).await?;
        let file = claim.hold_while(async {
            let mut row = find(&app, &subject, id).await?;
            if complete_size(&row).is_none() {
                assemble(&app, &row, &claim, &expected).await?;
                row = record_assembled(&app, &subject, &row, &claim).await?;
            }
            finish(&app, &subject, &row, &claim).await
        });
        file.await
    })
    .await
}

async fn assemble(app: &App, row: &ResumableRow, claim: &Claim, expected: &[ExpectedPart]) -> Result<()> {
    let (layout, key) = (PartLayout::of(row)?, key(row)?);
    if app.store.size(&key).await? == Some(layout.size) {
        // An earlier attempt assembled them.
        return app.store.confirm(&key, layout.size).await;
    }
    let selected = select(layout, stored(app, row).await?, expected);
    if let Err(Error::TooLarge { .. }) = selected {
        claim.delete_upload().await?;
    }
    let receipts = selected?.into_iter().map(|part| part.receipt).collect();
    app.store.assemble(&key, row.multipart_id.as_deref(), receipts, layout.size).await
}

/// Reads the assembled object, and records that all of it is durable.
async fn record_assembled(app: &App, subject: &Subject, row: &ResumableRow, claim: &Claim) -> Result<ResumableRow> {
    faults::point("P2");
    let size = PartLayout::of(row)?.size;
    let read = read_parts(app, row).await.and_then(|meter| match &row.sha256 {
        Some(expected) if *expected != meter.hash().sha256() => Err(Error::DigestMismatch),
        _ => Ok(meter),
    });
    if let Err(Error::DigestMismatch) = read {
        claim.delete_upload().await?;
    }
    let to = Progress {
        id: row.id,
        claim_id: claim.id,
        blob_id: row.blob_id,
        received: size,
        hash_state: read?.hash().serialize(),
        parts: Vec::new(),
        tail: None,
        old_tail: None,
        expires_at: expiry(app, app.clock.now()),
    };
    app.db.record_progress(&to, lease(app)).await?;
    faults::point("P3");
    find(app, subject, row.id).await
}

/// Reads the assembled object. Parts that this server received are compared with their rows: where two requests wrote
/// the same part at the same time, on different servers, the bytes may be a mixture.
///
/// # Errors
/// [`Error::DigestMismatch`] if a part does not match its row.
async fn read_parts(app: &App, row: &ResumableRow) -> Result<Meter> {
    let (layout, key) = (PartLayout::of(row)?, key(row)?);
    let rows = app.db.parts(row.id).await?;
    if rows.is_empty() {
        return read_back(app, &key, layout.size).await.map(|(meter, _)| meter);
    }
    let mut meter = Meter::new(layout.size, None);
    for row in rows {
        let part = layout.part(row.number.0);
        let (offset, length) = part.ok_or_else(|| Error::internal("a part after the end of its upload"))?;
        let (mut stream, mut hash) = (app.store.get(&key, offset..offset + length).await?, Sha256::new());
        while let Some(chunk) = stream.try_next().await? {
            meter.record(&chunk)?;
            hash.update(&chunk);
        }
        if receipt(&hash.finalize()) != row.receipt {
            return Err(Error::DigestMismatch);
        }
    }
    Ok(meter)
}

/// Selects the parts of the whole. Of a part that was sent several times, the one with the ETag that the client expects
/// counts, or else the last one.
fn select(layout: PartLayout, parts: Vec<StoredPart>, expected: &[ExpectedPart]) -> Result<Vec<StoredPart>> {
    let etags: BTreeMap<_, _> = expected.iter().map(|part| (part.number, part.etag.trim_matches('"'))).collect();
    if let Some(number) = etags.keys().find(|number| layout.part(**number).is_none()) {
        return Err(Error::invalid("/parts", "out_of_range", format!("there is no part {number}")));
    }
    let absent = missing(layout, &parts);
    let mut errors: Vec<_> = absent.map(|number| part_error(number, "missing", "this part was not received")).collect();
    let mut selected = Vec::new();
    for versions in parts.chunk_by(|one, other| one.number == other.number) {
        match select_version(layout, versions, etags.get(&versions[0].number).copied()) {
            Ok(part) => selected.push(part.clone()),
            Err(Rejected::Part(error)) => errors.push(error),
            Err(Rejected::TooLarge) => return Err(Error::TooLarge { limit: layout.size }),
        }
    }
    errors.truncate(MAX_NAMED);
    if errors.is_empty() { Ok(selected) } else { Err(Error::PartsMissing(errors)) }
}

/// The reason why no version of a part can be used.
enum Rejected {
    /// The client can repair it.
    Part(FieldError),
    /// The part is larger than expected, so that the whole would exceed the declared size.
    TooLarge,
}

/// Selects one version of a part; the last one was sent last.
fn select_version<'a>(
    layout: PartLayout,
    versions: &'a [StoredPart],
    etag: Option<&str>,
) -> Result<&'a StoredPart, Rejected> {
    let rejected = |number, code, detail: &str| Err(Rejected::Part(part_error(number, code, detail)));
    let is_expected = |part: &&StoredPart| etag.is_none_or(|etag| etag == part.receipt.trim_matches('"'));
    let Some(part) = versions.iter().rfind(is_expected) else {
        return rejected(versions[0].number, "etag_mismatch", "the ETag does not match the uploaded part");
    };
    let conflicts = |other: &StoredPart| other.modified_at == part.modified_at && other.receipt != part.receipt;
    if etag.is_none() && versions.iter().any(conflicts) {
        return rejected(part.number, "etag_required", "uploaded more than once within a second; specify its ETag");
    }
    match layout.part(part.number) {
        Some((_, size)) if part.size < size => {
            let detail = format!("only {} of {size} bytes of this part were received", part.size);
            rejected(part.number, "incomplete", &detail)
        }
        Some((_, size)) if part.size == size => Ok(part),
        _ => Err(Rejected::TooLarge),
    }
}

fn part_error(number: u64, code: &'static str, detail: &str) -> FieldError {
    FieldError::at(format!("/parts/{number}"), code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, size: u64) -> StoredPart {
        StoredPart { number, size, receipt: format!("\"{number}\""), modified_at: None }
    }

    fn codes(parts: &[StoredPart], expected: &[(u64, &str)]) -> Vec<String> {
        let layout = PartLayout { size: 25, part_size: 10 };
        let expected: Vec<_> =
            expected.iter().map(|(number, etag)| ExpectedPart { number: *number, etag: (*etag).to_owned() }).collect();
        match select(layout, parts.to_vec(), &expected) {
            Ok(_) => Vec::new(),
            Err(Error::PartsMissing(wrong)) => {
                wrong.into_iter().map(|wrong| format!("/{} {}", wrong.location.name(), wrong.code)).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn parts_are_selected_by_number_size_and_etag() {
        let whole = [part(1, 10), part(2, 10), part(3, 5)];
        assert_eq!(codes(&whole, &[]), Vec::<String>::new());
        assert_eq!(codes(&whole, &[(1, "1"), (2, "\"2\"")]), Vec::<String>::new());
        assert_eq!(codes(&whole, &[(1, "2")]), ["/parts/1 etag_mismatch"]);
        assert_eq!(codes(&[part(2, 10)], &[]), ["/parts/1 missing", "/parts/3 missing"]);
        assert_eq!(codes(&[part(1, 10), part(2, 9), part(3, 5)], &[]), ["/parts/2 incomplete"]);
        for excess in [[part(1, 11), part(2, 10)], [part(1, 10), part(4, 1)], [part(2, 10), part(3, 6)]] {
            assert_eq!(codes(&excess, &[]), ["larger than the limit of 25 bytes"]);
        }
        assert_eq!(codes(&whole, &[(4, "4")]), ["some values are not valid"]);
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
