//! Passwords: requirements and hashing (argon2id with 19 MiB and two passes).

mod argon;
mod strength;

use std::time::Duration;

use argon2::PasswordHash;
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

use self::argon::{Hasher, HasherMemory, decoy, is_current};
use self::strength::{check_length, check_strength};
use crate::budget::{Party, Turn, Turns};
use crate::error::{Error, Result};

/// How long a password may wait for others to be hashed.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// Hashes and verifies passwords, a few at a time: each takes 19 MiB and one core. Accounts and addresses take turns.
#[derive(Debug)]
pub struct Passwords {
    hashers: Turns,
    memory: HasherMemory,
    /// Estimates of new passwords take a core as well, but no memory.
    estimators: Turns,
    /// A hash that matches no known password. It is verified if there is no account, so that the time is the same.
    decoy: String,
}

impl Passwords {
    /// At most `concurrency` passwords at the same time, and at least one.
    pub fn new(concurrency: usize) -> Self {
        let [hashers, estimators] = [Turns::new(concurrency), Turns::new(concurrency)];
        Self { hashers, memory: HasherMemory::default(), estimators, decoy: decoy() }
    }

    /// Hashes a new password for this party. `personal` are words that an attacker would try first, such as the name of
    /// the user.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/password` if it is too short, too long or too easy to guess; [`Error::Unavailable`] if
    /// too many passwords wait.
    pub async fn hash(&self, party: Party, password: &SecretString, personal: &[&str]) -> Result<String> {
        check_length(password)?;
        let password = normalize(password);
        let personal = personal.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let estimated = password.clone();
        let turn = taken(&self.estimators, party).await?;
        on_blocking_thread(turn, move || check_strength(&estimated, &personal)).await?;
        self.with_hasher(party, move |hasher| hasher.hash(&password)).await
    }

    /// Verifies a password of this party. If it is correct, returns the hash to store from now on: the same, or a new
    /// one if the parameters have changed. Without a `known` hash the result is `None`, after the same work.
    ///
    /// # Errors
    /// [`Error::Internal`] if `known` is not a hash; [`Error::Unavailable`] if too many passwords wait.
    pub async fn verify(&self, party: Party, password: &SecretString, known: Option<&str>) -> Result<Option<String>> {
        let exists = known.is_some();
        let (password, known) = (normalize(password), known.unwrap_or(&self.decoy).to_owned());
        self.with_hasher(party, move |hasher| {
            let hash = PasswordHash::new(&known).map_err(Error::internal)?;
            match hasher.verify(&password, &hash)? && exists {
                false => Ok(None),
                true if is_current(&hash) => Ok(Some(known)),
                true => hasher.hash(&password).map(Some),
            }
        })
        .await
    }

    async fn with_hasher<T: Send + 'static>(
        &self,
        party: Party,
        work: impl FnOnce(&mut Hasher) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = taken(&self.hashers, party).await?;
        let memory = self.memory.clone();
        on_blocking_thread(turn, move || work(&mut memory.take())).await
    }
}

async fn taken(turns: &Turns, party: Party) -> Result<Turn> {
    tokio::time::timeout(QUEUE_TIMEOUT, turns.take(party))
        .await
        .map_err(|late| Error::Unavailable { what: "password check", source: late.into() })
}

/// The turn is held until the work ends, even if the client disconnects.
async fn on_blocking_thread<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// The password in NFC (RFC 8265, section 4.2), because input methods compose the same letter differently.
fn normalize(password: &SecretString) -> SecretString {
    password.expose_secret().nfc().collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, Params, PasswordHasher};
    use uuid::Uuid;

    use super::*;

    const PARTY: Party = Party::Account(Uuid::nil());

    #[tokio::test]
    async fn a_password_matches_in_every_unicode_composition() {
        let passwords = Passwords::new(1);
        let verify = |password: &'static str, hash| async move {
            Passwords::new(1).verify(PARTY, &password.into(), hash).await.expect("verified")
        };
        let hash = passwords.hash(PARTY, &"caf\u{e9} noir \u{e0} minuit".into(), &[]).await.expect("a valid password");
        assert_eq!(verify("cafe\u{301} noir a\u{300} minuit", Some(&hash)).await, Some(hash.clone()));
        assert_eq!(verify("cafe noir a minuit", Some(&hash)).await, None);
        assert_eq!(verify("cafe\u{301} noir a\u{300} minuit", None).await, None);
    }

    #[tokio::test]
    async fn a_hash_with_older_parameters_is_replaced() {
        let cheap = Argon2::from(Params::new(64, 1, 1, None).expect("parameters"));
        let old = cheap.hash_password(b"violet tractor 7").expect("hashed").to_string();
        let new = Passwords::new(1).verify(PARTY, &"violet tractor 7".into(), Some(&old)).await.expect("verified");
        assert!(new.is_some_and(|new| new.contains("$m=19456,t=2,p=1$")));
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
            let personal = ["rosalind.quimby@example.org", "Rosalind Quimby"];
            let refused = passwords.hash(PARTY, &password.into(), &personal).await;
            let Err(Error::Invalid(errors)) = refused else { panic!("{password} was accepted") };
            assert_eq!((errors[0].location.name(), errors[0].code), ("password", code), "{password}");
        }
    }
}
