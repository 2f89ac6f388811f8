//! When a request to the bucket is sent again, and what its failure means.

use std::future::Future;
use std::time::Duration;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::error::Error;

/// Waits before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// Tries up to three times. A refusal is final, and so is a timeout: it has cost its time already,
/// and somebody waits for the answer. The library's own retries are off: how often a request may
/// have been heard has to be known to make sense of an answer like "exists already".
pub(super) async fn attempts<T, F, Attempt>(mut attempt: F) -> object_store::Result<T>
where
    F: FnMut() -> Attempt,
    Attempt: Future<Output = object_store::Result<T>>,
{
    for pause in PAUSES {
        match attempt().await {
            Err(error) if is_passing(&error) => {
                tracing::debug!(%error, "the store failed, trying again");
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    attempt().await
}

/// The object or the upload is not there, while the bucket is.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !error.to_string().contains("NoSuchBucket")
}

/// A failure in the domain's words. Refusals count as an absence, too: rights and settings of the
/// bucket are nothing that a caller could mend.
pub(super) fn unavailable(error: StoreError) -> Error {
    // The library keeps the status to itself, but for its text.
    let text = error.to_string();
    if text.contains("status code: 507") || text.contains("XMinioStorageFull") {
        Error::StorageFull
    } else {
        Error::store_unavailable(error)
    }
}

/// Server errors, throttling and broken connections; everything else has an error kind of its own.
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Generic { .. }) && !timed_out(error)
}

fn timed_out(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return http.kind() == HttpErrorKind::Timeout;
        }
        cause = error.source();
    }
    false
}
