//! The header `Location`.

use axum::http::{HeaderName, HeaderValue, header};

use crate::error::{Error, Result};

/// The header `Location` with this URL.
///
/// # Errors
/// [`Error::Internal`] if the URL is not a valid header value.
pub fn location(url: &str) -> Result<(HeaderName, HeaderValue)> {
    Ok((header::LOCATION, HeaderValue::from_str(url).map_err(Error::internal)?))
}
