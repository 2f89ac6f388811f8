//! Creates accounts, and lets users change their own.

use std::net::Ipv4Addr;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::profile::{checked_email, checked_name, email_key};
use super::session::{self, ClientInfo, SignIn};
use super::throttle::{self, LoginAttempt};
use super::{Caller, Credential, User};
use crate::app::App;
use crate::budget::Party;
use crate::config::Registration;
use crate::db::{self, UserRow};
use crate::error::{Error, Result, both};
use crate::events::{Event, EventKind};

/// An account to create.
#[derive(Debug)]
pub struct NewAccount {
    /// The email address; surrounding space is removed.
    pub email: String,
    /// The display name; surrounding space is removed.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// Whether the user must change the password before anything else, because someone else knows it.
    pub must_change_password: bool,
}

/// Fields of the caller's account to change; absent fields are unchanged.
#[derive(Debug, Default)]
pub struct UpdateMe {
    /// The display name.
    pub name: Option<String>,
    /// The password.
    pub password: Option<PasswordChange>,
}

/// A new password, and the current one as proof.
#[derive(Debug)]
pub struct PasswordChange {
    /// The current password.
    pub current: SecretString,
    /// The new password.
    pub new: SecretString,
}

/// Creates an account for a visitor, and signs them in.
///
/// # Errors
/// [`Error::RegistrationClosed`]; [`Error::Invalid`] if the email address, the name or the password is not valid;
/// [`Error::Throttled`] if this client registers too often; [`Error::EmailTaken`].
pub async fn register(app: &App, client: &ClientInfo, account: NewAccount) -> Result<SignIn> {
    if app.config.registration == Registration::Closed {
        return Err(Error::RegistrationClosed);
    }
    let account = checked(account)?;
    throttle::count_registration(app, client.address).await?;
    let (user, hash) = insert(app, account, false, Party::at(client.address)).await?;
    session::begin(app, user, client, &hash, &hash).await
}

/// The public registration status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RegistrationStatus {
    /// Whether visitors may register.
    pub open: bool,
    /// Whether any account exists. The number of accounts is not public.
    pub has_accounts: bool,
}

/// Whether visitors may register, and whether any account exists.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn registration(app: &App) -> Result<RegistrationStatus> {
    let open = app.config.registration == Registration::Open;
    Ok(RegistrationStatus { open, has_accounts: app.db.has_accounts().await? })
}

/// Creates an account for the operator, whether registration is open or not.
///
/// # Errors
/// [`Error::Invalid`] if the email address, the name or the password is not valid; [`Error::EmailTaken`].
pub async fn create_account(app: &App, account: NewAccount, is_admin: bool) -> Result<User> {
    // The operator is at this machine.
    let (user, _) = insert(app, checked(account)?, is_admin, Party::at(Ipv4Addr::LOCALHOST.into())).await?;
    Ok(user)
}

/// Sets a password for the operator; with `must_change` the user must change it before anything else. Ends every session
/// of the account; its API tokens remain active.
///
/// # Errors
/// [`Error::NotFound`] if there is no account with this email address; [`Error::Invalid`] if the password is not valid.
pub async fn set_password(app: &App, email: &str, password: &SecretString, must_change: bool) -> Result<()> {
    let key = email_key(email);
    let user = app.db.find_user_by_email(&key).await?.ok_or(Error::NotFound)?.user;
    let hash = app.passwords.hash(Party::Account(user.id), password, &[&user.email, &user.name]).await?;
    let event = Event::new(EventKind::PasswordChanged, user.id).with("must_change", must_change).row(&app.clock);
    app.db.reset_password(user.id, &hash, must_change, app.clock.now(), &event).await?;
    tracing::info!(user = %user.id, "password set by the operator");
    throttle::clear(app, &key).await;
    Ok(())
}

/// Changes the caller's own account. A new password ends every session except the caller's.
///
/// # Errors
/// [`Error::Invalid`] if the name or the new password is not valid, or the current password is incorrect;
/// [`Error::SessionRequired`] if the caller has an API token; [`Error::PasswordChangeRequired`] if the password must be
/// changed, and is not; [`Error::Throttled`] after too many incorrect passwords.
pub async fn update_me(app: &App, caller: &Caller, change: UpdateMe) -> Result<User> {
    let Credential::Session(session) = caller.credential else {
        return Err(Error::SessionRequired);
    };
    let user = &caller.user;
    if user.must_change_password && change.password.is_none() {
        return Err(Error::PasswordChangeRequired);
    }
    let name = change.name.as_deref().map(checked_name).transpose()?;
    let hashes = match &change.password {
        Some(change) => Some(replace_password(app, user, name.as_deref(), change).await?),
        None => None,
    };
    let password = hashes.as_ref().map(|hashes| db::PasswordChange {
        proven: &hashes.proven,
        new: &hashes.new,
        keep_session: session,
    });
    let now = app.clock.now();
    let kind = if password.is_some() { EventKind::PasswordChanged } else { EventKind::AccountChanged };
    let event = Event::new(kind, user.id).row(&app.clock);
    if !app.db.update_user(user.id, name.as_deref(), password, now, &event).await? {
        return Err(wrong_password("/current_password"));
    }
    if hashes.is_some() {
        tracing::info!(user = %user.id, "password changed");
    }
    let changed = app.db.find_user(user.id).await?.ok_or(Error::Unauthorized)?;
    Ok(changed.user.into())
}

/// The verified hash of the current password, and the hash of the new one.
struct Hashes {
    proven: String,
    new: String,
}

async fn replace_password(app: &App, user: &User, name: Option<&str>, change: &PasswordChange) -> Result<Hashes> {
    let proven = verify_again(app, user, &change.current, "/current_password").await?;
    if user.must_change_password && change.current.expose_secret() == change.new.expose_secret() {
        return Err(Error::invalid("/password", "unchanged", "must differ from the current password"));
    }
    throttle::count_new_password(app, user.id).await?;
    let personal = [user.email.as_str(), name.unwrap_or(&user.name)];
    let new = app.passwords.hash(Party::Account(user.id), &change.new, &personal).await?;
    Ok(Hashes { proven, new })
}

/// Verifies the password of a user who is already signed in, and returns the hash that it matches. `pointer` is its
/// place in the request.
///
/// # Errors
/// [`Error::Invalid`] if it is incorrect; [`Error::Throttled`] after too many incorrect passwords.
pub(super) async fn verify_again(app: &App, user: &User, password: &SecretString, pointer: &str) -> Result<String> {
    let attempt = LoginAttempt::current_password(app, &email_key(&user.email)).await?;
    let verification = async {
        let proven = app.db.find_user(user.id).await?.ok_or(Error::Unauthorized)?.password_hash;
        let verified = app.passwords.verify(Party::Account(user.id), password, Some(&proven)).await?;
        Ok(verified.map(|_| proven))
    };
    let proven = attempt.verify(app, verification).await?;
    proven.ok_or_else(|| {
        app.events.record(&Event::new(EventKind::SignInRefused, user.id));
        wrong_password(pointer)
    })
}

fn wrong_password(pointer: &str) -> Error {
    Error::invalid(pointer, "wrong", "incorrect password")
}

fn checked(account: NewAccount) -> Result<NewAccount> {
    let (email, name) = both(checked_email(&account.email), checked_name(&account.name))?;
    Ok(NewAccount { email, name, ..account })
}

/// Inserts an account, and returns it with the hash of its password. The password is hashed first, so that a taken
/// address takes the same time.
async fn insert(app: &App, account: NewAccount, is_admin: bool, party: Party) -> Result<(User, String)> {
    let hash = app.passwords.hash(party, &account.password, &[&account.email, &account.name]).await?;
    let now = app.clock.now().into();
    let row = UserRow {
        id: app.clock.new_id(),
        email: account.email,
        name: account.name,
        is_admin,
        must_change_password: account.must_change_password,
        disabled_at: None,
        created_at: now,
        updated_at: now,
    };
    let mut event = Event::new(EventKind::AccountCreated, row.id).with("is_admin", is_admin);
    if row.must_change_password {
        event = event.with("must_change_password", true);
    }
    app.db.insert_user(&row, &email_key(&row.email), &hash, &event.row(&app.clock)).await?;
    tracing::info!(user = %row.id, is_admin, "account created");
    Ok((row.into(), hash))
}
