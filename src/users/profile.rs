//! Email addresses and display names: which are valid, and how addresses are compared.

use garde::rules::email::parse_email;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::error::{Error, Result};
use crate::unicode::{is_misleading, is_unseen_mark, is_visible};

/// Bytes of an email address: a path of at most 256 (RFC 5321, section 4.5.3.1.3) without its angle brackets.
pub(super) const MAX_EMAIL: usize = 254;
/// Characters of a name.
const MAX_NAME: usize = 100;

/// The form in which email addresses are compared: in lower case, the domain in ASCII (RFC 5890) and the rest in
/// normalization form KC.
pub(super) fn email_key(email: &str) -> String {
    let email = email.trim();
    match email.rsplit_once('@') {
        Some((local, domain)) => {
            let local: String = local.nfkc().collect();
            format!("{}@{}", local.to_lowercase(), ascii_domain(domain).unwrap_or_else(|| domain.to_lowercase()))
        }
        None => email.to_lowercase(),
    }
}

/// The domain in lower case and in ASCII; `None` if it is not valid.
fn ascii_domain(domain: &str) -> Option<String> {
    if domain.is_ascii() && !domain.to_ascii_lowercase().contains("xn--") {
        return Some(domain.to_ascii_lowercase());
    }
    idna::domain_to_ascii_strict(domain).ok()
}

/// The address as the rules for ASCII see it: letters of other scripts, which the part before the `@` may have
/// (RFC 6531), stand for one letter each; the domain is in ASCII.
fn in_ascii(email: &str) -> Option<String> {
    let (local, domain) = email.rsplit_once('@')?;
    let is_letter = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    let local: String = local.nfkc().map(|c| if !c.is_ascii() && is_letter(c) { 'x' } else { c }).collect();
    Some(format!("{local}@{}", ascii_domain(domain)?))
}

/// An email address without surrounding space.
///
/// # Errors
/// [`Error::Invalid`] at `/email`.
pub(super) fn checked_email(email: &str) -> Result<String> {
    let email = email.trim();
    if email.is_ascii() {
        check_ascii_email(email)?;
    } else {
        check_ascii_email(&in_ascii(email).unwrap_or_else(|| email.to_owned()))?;
    }
    // The original is longer where a letter stands for several bytes.
    let is_short = email.len() <= MAX_EMAIL && email_key(email).len() <= MAX_EMAIL;
    is_short.then(|| email.to_owned()).ok_or_else(too_long)
}

/// An email address without surrounding space, and the form in which addresses are compared.
///
/// # Errors
/// [`Error::Invalid`] at `/email`.
pub fn split_email(email: &str) -> Result<(String, String)> {
    let email = checked_email(email)?;
    let key = email_key(&email);
    Ok((email, key))
}

fn too_long() -> Error {
    Error::invalid("/email", "too_long", format!("at most {MAX_EMAIL} bytes"))
}

fn check_ascii_email(email: &str) -> Result<()> {
    if email.len() > MAX_EMAIL {
        return Err(too_long());
    }
    parse_email(email).map_err(|reason| Error::invalid("/email", "invalid", format!("not an email address: {reason}")))
}

/// A name of a user or a token, without surrounding space.
///
/// # Errors
/// [`Error::Invalid`] at `/name` if it is empty, too long, or has characters that are invisible or misleading.
pub(super) fn checked_name(name: &str) -> Result<String> {
    let name: String = name.chars().filter(|c| !is_unseen_mark(*c)).collect();
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid("/name", "required", "must not be empty"));
    }
    if !name.chars().any(is_visible) {
        return Err(Error::invalid("/name", "invalid", "must have a visible character"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_letters_of_any_script() {
        for email in ["ann@münchen.de", "jürgen@example.org", "用户@例子.广告", "Ann@xn--mnchen-3ya.DE", "a@b.c"]
        {
            assert_eq!(checked_email(email).expect(email), email);
        }
        for email in
            ["ann@mün chen.de", "a\u{202e}b@example.org", "a\u{200b}@example.org", "ann@münchen..de", "ü@", "ann@-ü.de"]
        {
            assert!(checked_email(email).is_err(), "{email}");
        }
        for (one, other) in [
            ("ann@münchen.de", "Ann@XN--MNCHEN-3YA.de"),
            ("ann@münchen.de", "ann@mu\u{308}nchen.de"),
            ("jürgen@example.org", "JU\u{308}RGEN@EXAMPLE.ORG"),
        ] {
            assert_eq!(email_key(one), email_key(other), "{one}");
        }
    }
}
