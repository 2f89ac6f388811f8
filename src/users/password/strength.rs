//! The requirements for a new password: long enough, and hard to guess.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zxcvbn::{Entropy, Score};

use crate::error::{Error, Result};

const MIN_CHARACTERS: usize = 8;
const MAX_BYTES: usize = 1024;
/// Maximum number of characters per estimate, whose cost grows quickly with the length.
const ESTIMATED_CHARACTERS: usize = 40;

/// Checks the number of characters and bytes.
///
/// # Errors
/// [`Error::Invalid`] at `/password`.
pub(super) fn check_length(password: &SecretString) -> Result<()> {
    let password = password.expose_secret();
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("/password", "too_long", format!("at most {MAX_BYTES} bytes")));
    }
    if password.nfc().count() < MIN_CHARACTERS {
        return Err(Error::invalid("/password", "too_short", format!("at least {MIN_CHARACTERS} characters")));
    }
    Ok(())
}

/// Checks how hard it is to guess. A long password is judged by its beginning and, if that is easy, by its end: one of
/// them is strong unless the whole is a repetition. `personal` are words that an attacker would try first.
///
/// # Errors
/// [`Error::Invalid`] at `/password`.
pub(super) fn check_strength(password: &SecretString, personal: &[String]) -> Result<()> {
    let personal: Vec<&str> = personal.iter().flat_map(|text| words(text)).chain(["strongroom"]).collect();
    let characters: Vec<char> = password.expose_secret().chars().collect();
    let estimate = |part: &[char]| zxcvbn::zxcvbn(&part.iter().collect::<String>(), &personal);
    let beginning = estimate(&characters[..characters.len().min(ESTIMATED_CHARACTERS)]);
    if is_strong(&beginning) {
        return Ok(());
    }
    if let Some(end) = characters.len().checked_sub(ESTIMATED_CHARACTERS).filter(|rest| *rest > 0)
        && is_strong(&estimate(&characters[end..]))
    {
        return Ok(());
    }
    let advice = beginning.feedback().and_then(|feedback| feedback.warning());
    let detail = advice.map_or("too easy to guess".to_owned(), |advice| format!("too easy to guess: {advice}"));
    Err(Error::invalid("/password", "weak_password", detail))
}

fn is_strong(estimate: &Entropy) -> bool {
    estimate.score() >= Score::Two
}

/// The text, the part before its `@`, and its words.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let local_part = text.split_once('@').map(|(local_part, _)| local_part);
    let parts = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(text).chain(local_part).chain(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_passwords_are_strong_unless_they_are_repetitions() {
        let strong = |password: &str| check_strength(&password.into(), &[]).is_ok();
        for weak in ["a".repeat(1024), "password".repeat(20), format!("{}1", "abc".repeat(50))] {
            assert!(!strong(&weak), "{weak}");
        }
        assert!(strong(&format!("{}violet tractor under rain", "a".repeat(60))));
        assert!(strong(&"4@8({[<69!|1|70$5+7%2".repeat(5)));
    }
}
