//! Throttling of password guesses and registrations. An attempt is counted *before* the password is verified, so that
//! concurrent guesses cannot exceed the limit together; if the password is correct, it is not counted after all.

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use uuid::Uuid;

use crate::app::App;
use crate::budget::Keyed;
use crate::clock::deadline;
use crate::db::{Attempt, Count, Micros};
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::net::{site, subscriber};

/// The attempts of this process whose passwords are being verified. Each shares the lock of its subject.
#[derive(Debug, Default)]
pub struct PendingAttempts(Keyed<String, RwLock<()>>);

/// An attempt that is counted, and whose password is not yet verified.
#[derive(Debug)]
#[must_use = "its password must be verified"]
pub struct LoginAttempt {
    account: Counted,
    /// The address, and the site that it belongs to.
    addresses: Vec<Counted>,
}

/// One subject of an attempt.
#[derive(Debug)]
struct Counted {
    subject: String,
    attempt: Attempt,
    _pending: OwnedRwLockReadGuard<()>,
}

impl LoginAttempt {
    /// Counts a sign-in to an account from an address.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many failures of either. The attempt of a throttled address does not count
    /// against the account.
    pub async fn sign_in(app: &App, email_key: &str, address: IpAddr) -> Result<Self> {
        Self::from_address(app, account(email_key), address).await
    }

    /// Counts a password for a share link from an address.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many failures of either. The attempt of a throttled address does not count
    /// against the link.
    pub async fn link(app: &App, link: Uuid, address: IpAddr) -> Result<Self> {
        Self::from_address(app, format!("link:{link}"), address).await
    }

    async fn from_address(app: &App, account: String, address: IpAddr) -> Result<Self> {
        let limits = &app.config.auth;
        let mut addresses = Vec::new();
        for (from, limit) in origins("address", address, limits.logins_per_address) {
            addresses.push(count(app, from, limit).await?);
        }
        let account = count(app, account, limits.logins_per_account).await?;
        Ok(Self { account, addresses })
    }

    /// Counts a password of a user who is already signed in.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many incorrect passwords of the account.
    pub async fn current_password(app: &App, email_key: &str) -> Result<Self> {
        let account = count(app, account(email_key), app.config.auth.logins_per_account).await?;
        Ok(Self { account, addresses: Vec::new() })
    }

    /// Verifies the password of the attempt: `None` if it is wrong. Only then the attempt stays counted, and if the client
    /// disconnects meanwhile: neither a correct password nor one that the server could not verify is a guess.
    ///
    /// # Errors
    /// That of the verification. What follows it cannot fail: it may have begun a session.
    pub async fn verify<T>(
        self,
        app: &App,
        verification: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<T>> {
        let verified = verification.await;
        let given_back = match &verified {
            Ok(Some(_)) => self.give_back(app, true).await,
            Ok(None) => Ok(()),
            Err(_) => self.give_back(app, false).await,
        };
        if let Err(error) = given_back {
            tracing::warn!(%error, "an attempt stays counted until its window ends");
        }
        verified
    }

    /// Refunds the attempt; after a success the account has no attempts at all.
    async fn give_back(&self, app: &App, has_succeeded: bool) -> Result<()> {
        match has_succeeded {
            true => app.db.clear_attempts(&self.account.subject).await?,
            false => app.db.refund_attempt(&self.account.subject, self.account.attempt).await?,
        }
        for address in &self.addresses {
            app.db.refund_attempt(&address.subject, address.attempt).await?;
        }
        Ok(())
    }
}

/// Counts a registration from an address.
///
/// # Errors
/// [`Error::Throttled`] after too many registrations.
pub async fn count_registration(app: &App, address: IpAddr) -> Result<()> {
    for (subject, limit) in origins("register", address, app.config.auth.registrations_per_address) {
        count_once(app, &subject, limit).await?;
    }
    Ok(())
}

/// The limit of a site, as a multiple of that of one subscriber.
const SUBSCRIBERS_OF_A_SITE: u32 = 10;

/// The subjects that an attempt from an address counts against, each with its limit: the subscriber and its site.
fn origins(what: &str, address: IpAddr, limit: u32) -> Vec<(String, u32)> {
    let mut subjects = vec![(format!("{what}:{}", subscriber(address)), limit)];
    let site = site(address).map(|site| (format!("{what}-site:{site}"), limit.saturating_mul(SUBSCRIBERS_OF_A_SITE)));
    subjects.extend(site);
    subjects
}

/// Counts a password that an account sets, for itself or for a link: it costs as much as one that is tried.
///
/// # Errors
/// [`Error::Throttled`] after too many passwords.
pub async fn count_new_password(app: &App, account: Uuid) -> Result<()> {
    count_once(app, &format!("new-password:{account}"), app.config.auth.logins_per_address).await.map(drop)
}

/// Clears the attempts of an account that has changed. An error is only logged, as the change is committed.
pub async fn clear(app: &App, email_key: &str) {
    if let Err(error) = app.db.clear_attempts(&account(email_key)).await {
        tracing::warn!(%error, "the attempts of an account stay counted until their window ends");
    }
}

/// Counts an attempt that a success will refund. One that exceeds the limit waits until those that are pending have
/// ended, and is counted if enough of them were correct.
async fn count(app: &App, subject: String, limit: u32) -> Result<Counted> {
    let lock: Arc<RwLock<()>> = app.attempts.0.get(subject.clone(), RwLock::default);
    let pending = lock.clone().read_owned().await;
    match count_once(app, &subject, limit).await {
        Err(Error::Throttled { .. }) => {}
        counted => return counted.map(|attempt| Counted { subject, attempt, _pending: pending }),
    }
    drop(pending);
    let none_is_pending = lock.write_owned().await;
    let attempt = count_once(app, &subject, limit).await?;
    Ok(Counted { subject, attempt, _pending: none_is_pending.downgrade() })
}

async fn count_once(app: &App, subject: &str, limit: u32) -> Result<Attempt> {
    let now = app.clock.now();
    let ends = deadline(now, app.config.auth.attempt_window);
    if let Some(attempt) = app.db.count_attempt(subject, now, ends, Count(limit.into())).await? {
        return Ok(attempt);
    }
    let ends = app.db.throttled_until(subject).await?.unwrap_or(ends.into());
    Err(Error::Throttled { retry_after: (ends - Micros::from(now)).length() })
}

/// The subject of an account: a hash, so that the table has no email addresses of people without an account.
fn account(email_key: &str) -> String {
    let digest = Sha256::digest(email_key);
    format!("account:{}", hex(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::log_in;
    use crate::users::tests::{PASSWORD, credentials, register_rosalind, test_app};

    #[tokio::test]
    async fn concurrent_guesses_cannot_exceed_the_limit_together() {
        let (app, _folder) = test_app(|config| config.auth.logins_per_account = 3).await;
        let rosalind = register_rosalind(&app).await;
        let guess = |password: &'static str| log_in(&app, &rosalind.client, credentials(password));

        let answers = futures_util::future::join_all((0..8).map(|_| guess("a wrong guess"))).await;
        let refused = answers.iter().filter(|answer| matches!(answer, Err(Error::BadCredentials))).count();
        let throttled = answers.iter().filter(|answer| matches!(answer, Err(Error::Throttled { .. }))).count();
        assert_eq!((refused, throttled), (3, 5));

        let Err(Error::Throttled { retry_after }) = guess(PASSWORD).await else {
            panic!("the correct one was accepted")
        };
        app.clock.advance(retry_after);
        guess(PASSWORD).await.expect("the window has ended");
        for _ in 0..3 {
            assert!(matches!(guess("a wrong guess").await, Err(Error::BadCredentials)), "the success counted");
        }
    }

    #[tokio::test]
    async fn only_successful_attempts_are_refunded_to_an_address() {
        let (app, _folder) = test_app(|config| config.auth.logins_per_address = 2).await;
        let rosalind = register_rosalind(&app).await;
        let guess = |password: &'static str| log_in(&app, &rosalind.client, credentials(password));

        for _ in 0..3 {
            guess(PASSWORD).await.expect("a success does not count");
        }
        for _ in 0..2 {
            assert!(matches!(guess("a wrong guess").await, Err(Error::BadCredentials)));
        }
        assert!(matches!(guess(PASSWORD).await, Err(Error::Throttled { .. })));
    }
}
