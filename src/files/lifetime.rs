//! The lifetime of signed URLs.

use std::time::Duration;

use crate::config::Limits;
use crate::error::{Error, Result};

/// The lifetime of a signed URL: as requested, or the default of the settings.
///
/// # Errors
/// [`Error::Invalid`] at `/expires_in` if it is zero or longer than the settings allow.
pub(in crate::files) fn signed_url_lifetime(limits: &Limits, expires_in: Option<Duration>) -> Result<Duration> {
    let lifetime = expires_in.unwrap_or(limits.signed_url_lifetime);
    if lifetime.is_zero() || lifetime > limits.signed_url_max_lifetime {
        let detail = format!("from 1 to {} seconds", limits.signed_url_max_lifetime.as_secs());
        return Err(Error::invalid("/expires_in", "out_of_range", detail));
    }
    Ok(lifetime)
}
