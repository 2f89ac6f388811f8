//! Making and changing accounts.

use garde::rules::email::parse_email;
use secrecy::SecretString;
use uuid::Uuid;

use super::session::{self, SignIn};
use super::throttle::{self, LoginAttempt};
use super::usage::{AccountPatch, patch_account};
use super::{Caller, Credential, MAX_EMAIL, Origin, User, both, checked_name, email_key};
use crate::app::App;
use crate::config::Registration;
use crate::db::{self, UserRow};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// An account that somebody wants.
#[derive(Debug)]
pub struct NewAccount {
    pub email: String,
    pub name: String,
    pub password: SecretString,
}

/// What shall be different about an account; what is absent stays.
#[derive(Debug, Default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub password: Option<PasswordChange>,
}

/// A new password, and the present one as proof.
#[derive(Debug)]
pub struct PasswordChange {
    pub current: SecretString,
    pub new: SecretString,
}

/// Makes an account for whoever asks, and signs them in.
///
/// # Errors
/// `RegistrationClosed`; `Invalid` if the address, the name or the password is not acceptable;
/// `Throttled` if this address asks too often; `EmailTaken`.
pub async fn register(app: &App, origin: &Origin, account: NewAccount) -> Result<SignIn> {
    if app.config.registration == Registration::Closed {
        return Err(Error::RegistrationClosed);
    }
    let account = checked(account)?;
    throttle::count_registration(app, origin.address).await?;
    let (user, hash) = add(app, account, false).await?;
    session::begin(app, user, origin, &hash, &hash).await
}

/// What foreign_entries may know before they sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationState {
    /// Whether anybody may make an account.
    pub open: bool,
    /// False until somebody has made the first account. Nothing is told of how many there are.
    pub has_accounts: bool,
}

/// Whether people can register, and whether anybody has an account yet.
///
/// # Errors
/// `Unavailable`.
pub async fn registration(app: &App) -> Result<RegistrationState> {
    let open = app.config.registration == Registration::Open;
    Ok(RegistrationState { open, has_accounts: app.db.has_accounts().await? })
}

/// Makes an account by order of the operator, whether registration is open or not.
///
/// # Errors
/// `Invalid` if the address, the name or the password is not acceptable; `EmailTaken`.
pub async fn create_account(app: &App, account: NewAccount, is_admin: bool) -> Result<User> {
    let (user, _) = add(app, checked(account)?, is_admin).await?;
    Ok(user)
}

/// Disables an account, which ends its sessions and makes its API tokens useless until it is
/// enabled again; or enables it.
///
/// # Errors
/// `NotFound` if there is no account with this address.
pub async fn set_disabled(app: &App, email: &str, disabled: bool) -> Result<User> {
    let patch = AccountPatch { disabled: Some(disabled), ..AccountPatch::default() };
    Ok(patch_account(app, account_id(app, email).await?, patch).await?.user)
}

/// The id of the account with this address.
///
/// # Errors
/// `NotFound` if there is none.
pub async fn account_id(app: &App, email: &str) -> Result<Uuid> {
    Ok(app.db.find_user_by_email(&email_key(email)).await?.ok_or(Error::NotFound)?.user.id)
}

/// Sets a password by order of the operator. Ends every session of the account; its API tokens
/// stay, each can be revoked by itself.
///
/// # Errors
/// `NotFound` if there is no account with this address; `Invalid` if the password is not acceptable.
pub async fn set_password(app: &App, email: &str, password: &SecretString) -> Result<()> {
    let key = email_key(email);
    let user = app.db.find_user_by_email(&key).await?.ok_or(Error::NotFound)?.user;
    let hash = app.passwords.hash(password, &[&user.email, &user.name]).await?;
    let event = Event::new(EventKind::PasswordChanged, user.id).row(&app.clock);
    app.db.reset_password(user.id, &hash, app.clock.now().as_microsecond(), &event).await?;
    tracing::info!(user = %user.id, "password set by the operator");
    throttle::forgive(app, &key).await
}

/// Changes the caller's own account. A new password ends every session but the caller's.
///
/// # Errors
/// `Invalid` if the name or the new password is not acceptable, or the current password is
/// wrong; `SessionRequired` if the caller has an API token; `Throttled` if the current password
/// was guessed at too often.
pub async fn update_me(app: &App, caller: &Caller, change: AccountChange) -> Result<User> {
    let Credential::Session(session) = caller.credential else {
        return Err(Error::SessionRequired);
    };
    let user = &caller.user;
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
    let now = app.clock.now().as_microsecond();
    let kind = if password.is_some() { EventKind::PasswordChanged } else { EventKind::AccountChanged };
    let event = Event::new(kind, user.id).row(&app.clock);
    if !app.db.update_user(user.id, name.as_deref(), password, now, &event).await? {
        return Err(wrong_password("/current_password"));
    }
    let changed = app.db.find_user(user.id).await?.ok_or(Error::Unauthorized)?;
    Ok(changed.user.into())
}

struct Hashes {
    proven: String,
    new: String,
}

async fn replace_password(app: &App, user: &User, name: Option<&str>, change: &PasswordChange) -> Result<Hashes> {
    let proven = prove(app, user, &change.current, "/current_password").await?;
    let new = app.passwords.hash(&change.new, &[&user.email, name.unwrap_or(&user.name)]).await?;
    tracing::info!(user = %user.id, "password changed");
    Ok(Hashes { proven, new })
}

/// Checks the password of somebody who is signed in once more, and gives the hash that it was
/// checked against. `pointer` is where it stood.
///
/// # Errors
/// `Invalid` if it is wrong; `Throttled` if it was guessed at too often.
pub(super) async fn prove(app: &App, user: &User, password: &SecretString, pointer: &str) -> Result<String> {
    let trial = LoginAttempt::repeat_password(app, &email_key(&user.email)).await?;
    let proven = app.db.find_user(user.id).await?.ok_or(Error::Unauthorized)?.password_hash;
    if app.passwords.verify(password, Some(&proven)).await?.is_none() {
        app.events.record(&Event::new(EventKind::SignInRefused, user.id));
        return Err(wrong_password(pointer));
    }
    trial.succeeded(app).await?;
    Ok(proven)
}

fn wrong_password(pointer: &str) -> Error {
    Error::invalid(pointer, "wrong", "this is not the account's password")
}

/// Trims the address and the name.
fn checked(account: NewAccount) -> Result<NewAccount> {
    let (email, name) = both(checked_email(&account.email), checked_name(&account.name))?;
    Ok(NewAccount { email, name, password: account.password })
}

fn checked_email(email: &str) -> Result<String> {
    let email = email.trim();
    if email.len() > MAX_EMAIL {
        return Err(Error::invalid("/email", "too_long", format!("at most {MAX_EMAIL} bytes")));
    }
    match parse_email(email) {
        Ok(()) => Ok(email.to_owned()),
        Err(reason) => Err(Error::invalid("/email", "invalid", format!("not an e-mail address: {reason}"))),
    }
}

/// Hashes the password first, taken or not, so that both take the same time.
async fn add(app: &App, account: NewAccount, is_admin: bool) -> Result<(User, String)> {
    let hash = app.passwords.hash(&account.password, &[&account.email, &account.name]).await?;
    let now = app.clock.now().as_microsecond();
    let row = UserRow {
        id: app.clock.new_id(),
        email: account.email,
        name: account.name,
        is_admin,
        disabled_at: None,
        created_at: now,
        updated_at: now,
    };
    let event = Event::new(EventKind::AccountCreated, row.id).with("is_admin", is_admin);
    app.db.insert_user(&row, &email_key(&row.email), &hash, &event.row(&app.clock)).await?;
    tracing::info!(user = %row.id, is_admin, "account made");
    Ok((row.into(), hash))
}
