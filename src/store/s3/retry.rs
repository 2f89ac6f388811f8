//! Retries of requests to the bucket, and the meaning of their errors.

use std::future::Future;
use std::time::Duration;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::error::Error;

/// The pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// Makes up to three attempts. A refusal is final, and so is a timeout, since a client is waiting for
/// the response. The library's own retries are disabled: a response such as "already exists" can be
/// interpreted only if the number of attempts is known.
pub(super) async fn attempts<T, F, Attempt>(mut attempt: F) -> object_store::Result<T>
where
    F: FnMut() -> Attempt,
    Attempt: Future<Output = object_store::Result<T>>,
{
    for pause in PAUSES {
        match attempt().await {
            Err(error) if is_transient(&error) => {
                tracing::debug!(%error, "the store failed, retrying");
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    attempt().await
}

/// Whether the object or the upload does not exist, while the bucket does.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !error.to_string().contains("NoSuchBucket")
}

/// Maps an error to one of the domain. Refusals count as unavailability as well: the caller can
/// change neither the permissions nor the settings of the bucket.
pub(super) fn unavailable(error: StoreError) -> Error {
    // The library exposes the status only in its text.
    let text = error.to_string();
    if text.contains("status code: 507") || text.contains("XMinioStorageFull") {
        Error::StorageFull
    } else {
        Error::store_unavailable(error)
    }
}

/// Whether this is a server error, throttling or a connection error; all others have variants of their own.
fn is_transient(error: &StoreError) -> bool {
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
