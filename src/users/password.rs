//! Passwords: requirements and hashing (argon2id with 19 MiB and two passes).

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::ParamsString;
use argon2::{ARGON2ID_IDENT, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use zxcvbn::Score;

use crate::error::{Error, Result};

const MIN_CHARACTERS: usize = 8;
const MAX_BYTES: usize = 1024;
/// Characters whose strength is estimated: the estimate of long passwords is slow, and they are strong anyway.
const ESTIMATED_CHARACTERS: usize = 100;
/// How long a password may wait for others to be hashed.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// Hashes and verifies passwords, a few at a time: each takes 19 MiB and one core.
#[derive(Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    /// A hash that matches no known password. It is verified if there is no account, so that the time is the same.
    decoy: String,
}

impl Passwords {
    /// At most `concurrency` passwords at the same time, and at least one.
    pub fn new(concurrency: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(concurrency.max(1))), decoy: decoy() }
    }

    /// Hashes a new password. `personal` are words that an attacker would try first, such as the name of the user.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/password` if it is too short, too long or too easy to guess; [`Error::Unavailable`] if
    /// too many passwords wait.
    pub async fn hash(&self, password: &SecretString, personal: &[&str]) -> Result<String> {
        check_length(password)?;
        let (password, personal) =
            (password.clone(), personal.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        self.run(move || {
            let password = normalize(&password);
            check_strength(&password, &personal)?;
            hash(&password)
        })
        .await
    }

    /// Verifies a password. If it is correct, returns the hash to store from now on: the same, or a new one if the
    /// parameters have changed. Without a `known` hash the result is `None`, after the same work.
    ///
    /// # Errors
    /// [`Error::Internal`] if `known` is not a hash; [`Error::Unavailable`] if too many passwords wait.
    pub async fn verify(&self, password: &SecretString, known: Option<&str>) -> Result<Option<String>> {
        let exists = known.is_some();
        let (password, known) = (password.clone(), known.unwrap_or(&self.decoy).to_owned());
        self.run(move || {
            let password = normalize(&password);
            let hash_of = PasswordHash::new(&known).map_err(Error::internal)?;
            match Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash_of) {
                Ok(()) if !exists => Ok(None),
                Ok(()) if is_current(&hash_of) => Ok(Some(known)),
                Ok(()) => hash(&password).map(Some),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(None),
                Err(error) => Err(Error::internal(error)),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = tokio::time::timeout(QUEUE_TIMEOUT, self.permits.clone().acquire_owned())
            .await
            .map_err(|late| Error::Unavailable { what: "password check", source: late.into() })?
            .map_err(Error::internal)?;
        // The permit is held until the work ends, even if the client disconnects.
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }
}

/// The password in NFC (RFC 8265, section 4.2), because input methods compose the same letter differently.
fn normalize(password: &SecretString) -> SecretString {
    password.expose_secret().nfc().collect::<String>().into()
}

fn check_length(password: &SecretString) -> Result<()> {
    let password = password.expose_secret();
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("/password", "too_long", format!("at most {MAX_BYTES} bytes")));
    }
    if password.nfc().count() < MIN_CHARACTERS {
        return Err(Error::invalid("/password", "too_short", format!("at least {MIN_CHARACTERS} characters")));
    }
    Ok(())
}

fn check_strength(password: &SecretString, personal: &[String]) -> Result<()> {
    let estimated: String = password.expose_secret().chars().take(ESTIMATED_CHARACTERS).collect();
    let personal: Vec<&str> = personal.iter().flat_map(|text| words(text)).chain(["strongroom"]).collect();
    let estimate = zxcvbn::zxcvbn(&estimated, &personal);
    if estimate.score() >= Score::Two {
        return Ok(());
    }
    let advice = estimate.feedback().and_then(|feedback| feedback.warning());
    let detail = advice.map_or("too easy to guess".to_owned(), |advice| format!("too easy to guess: {advice}"));
    Err(Error::invalid("/password", "weak_password", detail))
}

/// The text, the part before its `@`, and its words.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let local_part = text.split_once('@').map(|(local_part, _)| local_part);
    let parts = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(text).chain(local_part).chain(parts)
}

fn hash(password: &SecretString) -> Result<String> {
    let hash = Argon2::default().hash_password(password.expose_secret().as_bytes()).map_err(Error::internal)?;
    Ok(hash.to_string())
}

/// Whether the hash has the current algorithm and parameters.
fn is_current(hash: &PasswordHash) -> bool {
    hash.algorithm == ARGON2ID_IDENT
        && hash.version == Some(Version::default().into())
        && ParamsString::try_from(&Params::default()).is_ok_and(|params| params == hash.params)
}

/// A hash that matches no known password, with the current parameters.
fn decoy() -> String {
    let (memory, passes, lanes) = (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_in_every_unicode_composition() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(&"caf\u{e9} noir \u{e0} minuit".into(), &[]).await.expect("a valid password");
        let decomposed = "cafe\u{301} noir a\u{300} minuit".into();
        assert_eq!(passwords.verify(&decomposed, Some(&hash)).await.expect("verified"), Some(hash.clone()));
        assert_eq!(passwords.verify(&"cafe noir a minuit".into(), Some(&hash)).await.expect("verified"), None);
        assert_eq!(passwords.verify(&decomposed, None).await.expect("verified"), None);
    }

    #[tokio::test]
    async fn a_hash_with_older_parameters_is_replaced() {
        let cheap = Argon2::from(Params::new(64, 1, 1, None).expect("parameters"));
        let old = cheap.hash_password(b"violet tractor 7").expect("hashed").to_string();
        let new = Passwords::new(1).verify(&"violet tractor 7".into(), Some(&old)).await.expect("verified");
        assert!(new.is_some_and(|new| new.contains("$m=19456,t=2,p=1$")));
    }

    #[test]
    fn the_decoy_has_the_current_parameters() {
        assert!(is_current(&PasswordHash::new(&decoy()).expect("a hash")));
    }

    #[tokio::test]
    async fn weak_passwords_are_refused() {
        let passwords = Passwords::new(1);
        for (password, code) in [
            ("short 1", "too_short"),
            ("password123", "weak_password"),
            ("aaaaaaaaaaaaaaaaaaaa", "weak_password"),
            ("Rosalind.Quimby", "weak_password"),
            (&"long ".repeat(300), "too_long"),
        ] {
            let refused = passwords.hash(&password.into(), &["rosalind.quimby@example.org", "Rosalind Quimby"]).await;
            let Err(Error::Invalid(errors)) = refused else { panic!("{password} was accepted") };
            assert_eq!((errors[0].location.name(), errors[0].code), ("password", code), "{password}");
        }
    }
}
