//! Permits: the right of a request to change rows. It is granted when the request is authenticated, and checked again
//! in every transaction that commits for the request: in between, its account may be disabled or deleted, its session
//! ended or its token revoked.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::access::Need;
use super::{Db, Micros, Tx, statements};
use crate::clock::Clock;
use crate::error::{Error, Result};

statements! {
    FIND_SESSION_PERMIT = "SELECT c.id FROM sessions c JOIN users u ON u.id = c.user_id
        WHERE c.id = $1 AND c.user_id = $2 AND c.expires_at > $3 AND u.disabled_at IS NULL";
    FIND_TOKEN_PERMIT = "SELECT c.id FROM api_tokens c JOIN users u ON u.id = c.user_id
        WHERE c.id = $1 AND c.user_id = $2 AND (c.expires_at IS NULL OR c.expires_at > $3) AND u.disabled_at IS NULL";
}

/// On PostgreSQL: what ends the permit waits for the transaction that relies on it. The accounts' rows are locked after
/// all others, so that these locks come last.
const LOCK: &str = " FOR KEY SHARE OF c FOR SHARE OF u";

tokio::task_local! {
    static PERMIT: PermitSlot;
}

/// The kind of credential that a permit relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitKind {
    /// A session.
    Session,
    /// An API token.
    Token,
}

impl PermitKind {
    /// The name in the database. It must never change.
    pub const fn as_str(self) -> &'static str {
        match self {
            PermitKind::Session => "session",
            PermitKind::Token => "token",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [PermitKind::Session, PermitKind::Token].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The right of a session or an API token to act for its account.
#[derive(Debug, Clone)]
pub struct Permit {
    /// Whether it is a session or a token.
    pub kind: PermitKind,
    /// The id of the session or token.
    pub credential: Uuid,
    /// The id of the account.
    pub account: Uuid,
    /// The clock that tells whether it has expired.
    pub clock: Clock,
    /// What the request needs from grants beside.
    pub needs: Vec<Need>,
}

/// Holds the permit of one request; empty until its caller is authenticated.
#[derive(Debug, Clone, Default)]
pub struct PermitSlot(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    permit: OnceLock<Permit>,
    needs: Mutex<Vec<Need>>,
}

impl PermitSlot {
    /// Runs work whose transactions ask for the permit in this place.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        PERMIT.scope(self, work).await
    }

    fn needs(&self) -> Vec<Need> {
        self.0.needs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Permit {
    /// Makes this the permit of the current request.
    pub fn set_current(self) {
        let _ = PERMIT.try_with(|slot| slot.0.permit.set(self));
    }

    /// The permit of the current request; `None` in a background job, and for a request that nobody authenticated.
    pub fn current() -> Option<Self> {
        PERMIT.try_with(|slot| Some(Self { needs: slot.needs(), ..slot.0.permit.get()?.clone() })).ok().flatten()
    }

    /// Lets the current request need this of a grant, too.
    pub fn add_need(need: Need) {
        let _ = PERMIT.try_with(|slot| {
            let mut needs = slot.0.needs.lock().unwrap_or_else(PoisonError::into_inner);
            if !needs.contains(&need) {
                needs.push(need);
            }
        });
    }

    /// Forgets what the current request has needed of grants so far, before the next of several independent changes.
    pub fn clear_needs() {
        let _ = PERMIT.try_with(|slot| slot.0.needs.lock().unwrap_or_else(PoisonError::into_inner).clear());
    }

    /// The id of the API token that the current request came with, if it did.
    pub(super) fn current_token() -> Option<Uuid> {
        Self::current().filter(|permit| permit.kind == PermitKind::Token).map(|permit| permit.credential)
    }

    fn statement(&self) -> &'static str {
        match self.kind {
            PermitKind::Session => FIND_SESSION_PERMIT,
            PermitKind::Token => FIND_TOKEN_PERMIT,
        }
    }

    fn arguments(&self) -> (Uuid, Uuid, Micros) {
        (self.credential, self.account, self.clock.now().into())
    }
}

impl Db {
    /// Checks that a permit is still held, for work that lasts.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if it is not; [`Error::NotFound`] if a grant has ended that it needs.
    pub async fn check_permit(&self, permit: &Permit) -> Result<()> {
        let held: Option<(Uuid,)> = self.read.fetch_optional(permit.statement(), permit.arguments()).await?;
        held.map(drop).ok_or(Error::Unauthorized)?;
        for need in &permit.needs {
            self.check_need(need, permit.clock.now()).await?;
        }
        Ok(())
    }
}

/// Checks at the end of a transaction that the permit of the current request, if there is one, is still held; it stays so
/// until the transaction has ended.
///
/// # Errors
/// [`Error::Unauthorized`] if it is not; [`Error::NotFound`] if a grant has ended that it needs.
pub(super) async fn confirm(tx: &mut Tx<'_>) -> Result<()> {
    confirm_needs(tx).await?;
    confirm_credential(tx).await
}

/// The part of [`confirm`] about grants.
pub(super) async fn confirm_needs(tx: &mut Tx<'_>) -> Result<()> {
    let Some(permit) = Permit::current() else { return Ok(()) };
    let is_postgres = matches!(tx, Tx::Postgres { .. });
    for need in &permit.needs {
        need.confirm(tx, permit.clock.now(), is_postgres).await?;
    }
    Ok(())
}

/// The part of [`confirm`] about the session or token.
pub(super) async fn confirm_credential(tx: &mut Tx<'_>) -> Result<()> {
    let Some(permit) = Permit::current() else { return Ok(()) };
    if !matches!(tx, Tx::Postgres { .. }) {
        return held(tx, &permit).await;
    }
    let statement = AssertSqlSafe(format!("{}{LOCK}", permit.statement()));
    let held: Option<(Uuid,)> = tx.fetch_optional(statement, permit.arguments()).await?;
    held.map(drop).ok_or(Error::Unauthorized)
}

/// The same at the beginning of a transaction that ends the permit, or locks the accounts' rows in an order of its own.
///
/// # Errors
/// [`Error::Unauthorized`] if it is not.
pub(super) async fn check(tx: &mut Tx<'_>) -> Result<()> {
    match Permit::current() {
        Some(permit) => held(tx, &permit).await,
        None => Ok(()),
    }
}

async fn held(tx: &mut Tx<'_>, permit: &Permit) -> Result<()> {
    let held: Option<(Uuid,)> = tx.fetch_optional(permit.statement(), permit.arguments()).await?;
    held.map(drop).ok_or(Error::Unauthorized)
}
