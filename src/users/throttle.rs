//! Throttling of password guesses and registrations. An attempt is counted *before* the password is verified, so that
//! concurrent guesses cannot exceed the limit together.

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::app::App;
use crate::clock::deadline;
use crate::db::{Attempt, Count, Micros};
use crate::error::{Error, Result};
use crate::hex::hex;

/// An attempt that is counted, and whose password is not yet verified.
#[derive(Debug)]
#[must_use = "a success must be reported"]
pub struct LoginAttempt {
    account: String,
    address: Option<(String, Attempt)>,
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
        let from = format!("address:{}", subscriber(address));
        let counted = count(app, &from, limits.logins_per_address).await?;
        count(app, &account, limits.logins_per_account).await?;
        Ok(Self { account, address: Some((from, counted)) })
    }

    /// Counts a password of a user who is already signed in.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many incorrect passwords of the account.
    pub async fn current_password(app: &App, email_key: &str) -> Result<Self> {
        let account = account(email_key);
        count(app, &account, app.config.auth.logins_per_account).await?;
        Ok(Self { account, address: None })
    }

    /// The password was correct: clears the attempts of the account, and refunds that of the address.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn succeeded(self, app: &App) -> Result<()> {
        app.db.clear_attempts(&self.account).await?;
        match self.address {
            Some((subject, counted)) => app.db.refund_attempt(&subject, counted).await,
            None => Ok(()),
        }
    }
}

/// Counts a registration from an address.
///
/// # Errors
/// [`Error::Throttled`] after too many registrations.
pub async fn count_registration(app: &App, address: IpAddr) -> Result<()> {
    let subject = format!("register:{}", subscriber(address));
    count(app, &subject, app.config.auth.registrations_per_address).await.map(drop)
}

/// Clears the attempts of an account.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn clear(app: &App, email_key: &str) -> Result<()> {
    app.db.clear_attempts(&account(email_key)).await
}

async fn count(app: &App, subject: &str, limit: u32) -> Result<Attempt> {
    let now = app.clock.now();
    let ends = deadline(now, app.config.auth.attempt_window);
    let attempt = app.db.count_attempt(subject, now, ends).await?;
    if attempt.attempts <= Count(limit.into()) {
        return Ok(attempt);
    }
    Err(Error::Throttled { retry_after: (attempt.window_ends_at - Micros::from(now)).length() })
}

/// The subject of an account: a hash, so that the table has no email addresses of people without an account.
fn account(email_key: &str) -> String {
    let digest = Sha256::digest(email_key);
    format!("account:{}", hex(&digest))
}

/// One subscriber: an IPv4 address, or the /64 of an IPv6 address, because a client that has one address of it has all
/// of them.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::log_in;
    use crate::users::tests::{PASSWORD, credentials, register_rosalind, test_app};

    #[test]
    fn an_ipv6_subnet_counts_as_one_address() {
        let of = |text: &str| subscriber(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[tokio::test]
    async fn concurrent_guesses_cannot_exceed_the_limit_together() {
        let (app, _folder) = test_app(|config| config.auth.logins_per_account = 3).await;
        let rosalind = register_rosalind(&app).await;
        let guess = |password: &'static str| log_in(&app, &rosalind.origin, credentials(password));

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
        let guess = |password: &'static str| log_in(&app, &rosalind.origin, credentials(password));

        for _ in 0..3 {
            guess(PASSWORD).await.expect("a success does not count");
        }
        for _ in 0..2 {
            assert!(matches!(guess("a wrong guess").await, Err(Error::BadCredentials)));
        }
        assert!(matches!(guess(PASSWORD).await, Err(Error::Throttled { .. })));
    }
}
