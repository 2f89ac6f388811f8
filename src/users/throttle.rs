//! Slowing down guesses. An attempt is counted *before* it is made, so guesses made at once
//! cannot pass the limit together.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::deadline;
use crate::app::App;
use crate::db::Attempt;
use crate::error::{Error, Result};
use crate::hex::hex;

/// An attempt to prove a password, counted and not yet decided.
#[derive(Debug)]
#[must_use = "a success has to be reported"]
pub struct LoginAttempt {
    account: String,
    address: Option<(String, Attempt)>,
}

impl LoginAttempt {
    /// Counts an attempt to sign in to an account from an address.
    ///
    /// # Errors
    /// `Throttled` if either has tried too often; an address that has is not counted against the
    /// account.
    pub async fn sign_in(app: &App, email_key: &str, address: IpAddr) -> Result<Self> {
        Self::from_address(app, account(email_key), address).await
    }

    /// Counts an attempt at the password of a share link from an address.
    ///
    /// # Errors
    /// `Throttled` if either has tried too often; an address that has is not counted against the link.
    pub async fn link(app: &App, link: Uuid, address: IpAddr) -> Result<Self> {
        Self::from_address(app, format!("link:{link}"), address).await
    }

    async fn from_address(app: &App, account: String, address: IpAddr) -> Result<Self> {
        let limits = &app.config.auth;
        let from = format!("address:{}", network(address));
        let counted = count(app, &from, limits.logins_per_address).await?;
        count(app, &account, limits.logins_per_account).await?;
        Ok(Self { account, address: Some((from, counted)) })
    }

    /// Counts an attempt to replay the password of an account that is signed in.
    ///
    /// # Errors
    /// `Throttled` if the account's password was tried too often.
    pub async fn repeat_password(app: &App, email_key: &str) -> Result<Self> {
        let account = account(email_key);
        count(app, &account, app.config.auth.logins_per_account).await?;
        Ok(Self { account, address: None })
    }

    /// The password was right: forgets the account's attempts and gives back the address's one.
    pub async fn succeeded(self, app: &App) -> Result<()> {
        app.db.clear_attempts(&self.account).await?;
        match self.address {
            Some((subject, counted)) => app.db.refund_attempt(&subject, counted).await,
            None => Ok(()),
        }
    }
}

/// Counts an attempt to register from an address; it is not given back.
///
/// # Errors
/// `Throttled` if the address has tried too often.
pub async fn count_registration(app: &App, address: IpAddr) -> Result<()> {
    let subject = format!("register:{}", network(address));
    count(app, &subject, app.config.auth.registrations_per_address).await.map(drop)
}

/// Forgets the attempts at an account's password.
pub async fn forgive(app: &App, email_key: &str) -> Result<()> {
    app.db.clear_attempts(&account(email_key)).await
}

async fn count(app: &App, subject: &str, limit: u32) -> Result<Attempt> {
    let now = app.clock.now();
    let ends = deadline(now, app.config.auth.attempt_window);
    let attempt = app.db.count_attempt(subject, now.as_microsecond(), ends.as_microsecond()).await?;
    if attempt.attempts <= i64::from(limit) {
        return Ok(attempt);
    }
    let rest = attempt.window_ends_at.saturating_sub(now.as_microsecond());
    Err(Error::Throttled { retry_after: Duration::from_micros(rest.max(0).unsigned_abs()) })
}

/// The table names no address of a person who has no account here.
fn account(email_key: &str) -> String {
    let digest = Sha256::digest(email_key);
    format!("account:{}", hex(&digest))
}

/// One household: an IPv4 address, or the /64 of an IPv6 address, since whoever has one address
/// of it has them all.
fn network(address: IpAddr) -> IpAddr {
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
    fn an_ipv6_network_counts_as_one() {
        let of = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[tokio::test]
    async fn guesses_made_at_once_cannot_pass_the_limit_together() {
        let (app, _folder) = test_app(|config| config.auth.logins_per_account = 3).await;
        let rosalind = register_rosalind(&app).await;
        let guess = |password: &'static str| log_in(&app, credentials(password), &rosalind.origin);

        let answers = futures_util::future::join_all((0..8).map(|_| guess("a wrong guess"))).await;
        let refused = answers.iter().filter(|answer| matches!(answer, Err(Error::BadCredentials))).count();
        let throttled = answers.iter().filter(|answer| matches!(answer, Err(Error::Throttled { .. }))).count();
        assert_eq!((refused, throttled), (3, 5));

        let Err(Error::Throttled { retry_after }) = guess(PASSWORD).await else { panic!("the right one was let in") };
        app.clock.advance(retry_after);
        guess(PASSWORD).await.expect("the window is over");
        for _ in 0..3 {
            assert!(matches!(guess("a wrong guess").await, Err(Error::BadCredentials)), "the success was counted");
        }
    }

    #[tokio::test]
    async fn an_address_gets_back_what_succeeded_and_nothing_else() {
        let (app, _folder) = test_app(|config| config.auth.logins_per_address = 2).await;
        let rosalind = register_rosalind(&app).await;
        let guess = |password: &'static str| log_in(&app, credentials(password), &rosalind.origin);

        for _ in 0..3 {
            guess(PASSWORD).await.expect("a success costs nothing");
        }
        for _ in 0..2 {
            assert!(matches!(guess("a wrong guess").await, Err(Error::BadCredentials)));
        }
        assert!(matches!(guess(PASSWORD).await, Err(Error::Throttled { .. })));
    }
}
