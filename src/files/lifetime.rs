//! The lifetime of signed URLs.

use std::time::Duration;

use crate::clock::checked_lifetime;
use crate::config::Limits;
use crate::error::Result;

/// The lifetime of a signed URL: as requested, or the default of the settings.
///
/// # Errors
/// [`Error::Invalid`](crate::error::Error::Invalid) at `/expires_in` if it is zero or longer than the settings allow.
pub(in crate::files) fn signed_url_lifetime(limits: &Limits, expires_in: Option<Duration>) -> Result<Duration> {
    checked_lifetime(expires_in.unwrap_or(limits.signed_url_lifetime), limits.signed_url_max_lifetime)
}
