//! Deletes accounts with everything they own.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::profile::email_key;
use super::{Caller, User, account, throttle};
use crate::app::App;
use crate::db::ErasureRow;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// The erasure of a deleted account, which continues in the background.
#[derive(Debug, Clone, Serialize)]
pub struct Erasure {
    /// Random: knowing it is sufficient to read the status.
    pub id: Uuid,
    /// `account_deletion`.
    pub kind: &'static str,
    /// `running` or `done`.
    pub state: String,
    /// When the account was deleted.
    pub started_at: Timestamp,
    /// When everything was deleted.
    pub finished_at: Option<Timestamp>,
}

/// Deletes the caller's own account. From now on it cannot be signed in to, and its email address may register again;
/// files, links and everything else are deleted in the background.
///
/// # Errors
/// [`Error::Invalid`] if the password is incorrect; [`Error::Throttled`] after too many incorrect passwords;
/// [`Error::LastAdmin`].
pub async fn delete_me(app: &App, caller: &Caller, password: &SecretString) -> Result<Erasure> {
    let proven = account::verify_again(app, &caller.user, password, "/password").await?;
    // The event that remains of a deleted account contains neither its id nor an address.
    let event = Event::new(EventKind::AccountDeleted, None).without_actor();
    erase(app, &caller.user, Some(&proven), &event).await
}

/// Deletes an account for an admin, or for the operator without one.
///
/// # Errors
/// [`Error::NotFound`] if there is no account with this id; [`Error::Invalid`] if it is the admin's own, which takes a
/// password; [`Error::LastAdmin`].
pub async fn delete_account(app: &App, admin: Option<&User>, id: Uuid) -> Result<Erasure> {
    if admin.is_some_and(|admin| admin.id == id) {
        return Err(Error::invalid_parameter(
            "id",
            "unsupported",
            "delete your own account with your password instead",
        ));
    }
    let user = app.db.find_account(id).await?.ok_or(Error::NotFound)?.user.into();
    erase(app, &user, None, &Event::new(EventKind::AccountDeleted, None)).await
}

/// The status of an erasure.
///
/// # Errors
/// [`Error::NotFound`] if there is no such job, or if it finished long ago.
pub async fn erasure(app: &App, id: Uuid) -> Result<Erasure> {
    Ok(app.db.erasure(id).await?.ok_or(Error::NotFound)?.into())
}

async fn erase(app: &App, user: &User, proven: Option<&str>, event: &Event) -> Result<Erasure> {
    let job = ErasureRow {
        id: Uuid::new_v4(),
        state: "running".to_owned(),
        started_at: app.clock.now().into(),
        finished_at: None,
    };
    app.db.begin_erasure(user.id, &job, proven, &event.row(&app.clock)).await?;
    tracing::info!(job = %job.id, "account deleted, erasure started");
    throttle::clear(app, &email_key(&user.email)).await;
    Ok(job.into())
}

impl From<ErasureRow> for Erasure {
    fn from(row: ErasureRow) -> Self {
        Self {
            id: row.id,
            kind: "account_deletion",
            state: row.state,
            started_at: row.started_at.into(),
            finished_at: row.finished_at.map(Into::into),
        }
    }
}
