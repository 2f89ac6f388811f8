//! Accounts that go, with all that is theirs.

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::{Caller, User, account, throttle};
use crate::app::App;
use crate::clock::from_micros;
use crate::db::ErasureRow;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};

/// The taking away of an account, which goes on deadline the answer.
#[derive(Debug, Clone)]
pub struct Job {
    /// Random: whoever knows it may ask how far it is.
    pub id: Uuid,
    pub kind: &'static str,
    /// `running` or `done`.
    pub state: String,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// Erases the caller's own account. From now on nobody is signed in with it, and its address may
/// register again; files, links and everything else go in the background.
///
/// # Errors
/// `Invalid` if the password is wrong; `Throttled` if it was guessed at too often; `LastAdmin`.
pub async fn erase_me(app: &App, caller: &Caller, password: &SecretString) -> Result<Job> {
    let proven = account::prove(app, &caller.user, password, "/password").await?;
    // What is left of somebody who went says neither who it was nor from where.
    let event = Event::new(EventKind::AccountDeleted, None).without_actor();
    erase(app, &caller.user, Some(&proven), &event).await
}

/// Erases an account by order of an admin or the operator.
///
/// # Errors
/// `NotFound` if there is none with this id; `LastAdmin`.
pub async fn erase_account(app: &App, id: Uuid) -> Result<Job> {
    let user = app.db.find_account(id).await?.ok_or(Error::NotFound)?.user.into();
    erase(app, &user, None, &Event::new(EventKind::AccountDeleted, None)).await
}

/// How far the taking away of an account is.
///
/// # Errors
/// `NotFound` if there is no such job, or if it was done long ago.
pub async fn job(app: &App, id: Uuid) -> Result<Job> {
    Ok(app.db.erasure(id).await?.ok_or(Error::NotFound)?.into())
}

async fn erase(app: &App, user: &User, proven: Option<&str>, event: &Event) -> Result<Job> {
    let job = ErasureRow {
        id: Uuid::new_v4(),
        state: "running".to_owned(),
        started_at: app.clock.now().as_microsecond(),
        finished_at: None,
    };
    app.db.begin_erasure(user.id, &job, proven, &event.row(&app.clock)).await?;
    tracing::info!(job = %job.id, "an account is being erased");
    throttle::forgive(app, &super::email_key(&user.email)).await?;
    Ok(job.into())
}

impl From<ErasureRow> for Job {
    fn from(row: ErasureRow) -> Self {
        Self {
            id: row.id,
            kind: "erase",
            state: row.state,
            started_at: from_micros(row.started_at),
            finished_at: row.finished_at.map(from_micros),
        }
    }
}
