//! Email addresses and display names: which are valid, and how addresses are compared.

use garde::rules::email::parse_email;

use crate::error::{Error, Result};
use crate::unicode::is_misleading;

/// Bytes of an email address: a path of at most 256 (RFC 5321, section 4.5.3.1.3) without its angle brackets.
pub(super) const MAX_EMAIL: usize = 254;
/// Characters of a name.
const MAX_NAME: usize = 100;

/// The form in which email addresses are compared.
pub(super) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// An email address without surrounding space.
///
/// # Errors
/// [`Error::Invalid`] at `/email`.
pub(super) fn checked_email(email: &str) -> Result<String> {
    let email = email.trim();
    if email.len() > MAX_EMAIL {
        return Err(Error::invalid("/email", "too_long", format!("at most {MAX_EMAIL} bytes")));
    }
    match parse_email(email) {
        Ok(()) => Ok(email.to_owned()),
        Err(reason) => Err(Error::invalid("/email", "invalid", format!("not an email address: {reason}"))),
    }
}

/// A name of a user or a token, without surrounding space.
///
/// # Errors
/// [`Error::Invalid`] at `/name` if it is empty, too long, or has characters that are invisible or misleading.
pub(super) fn checked_name(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid("/name", "required", "must not be empty"));
    }
    if name.chars().count() > MAX_NAME {
        return Err(Error::invalid("/name", "too_long", format!("at most {MAX_NAME} characters")));
    }
    if name.chars().any(|c| c.is_control() || is_misleading(c)) {
        let detail = "must not contain control, invisible or bidirectional characters";
        return Err(Error::invalid("/name", "invalid", detail));
    }
    Ok(name.to_owned())
}
