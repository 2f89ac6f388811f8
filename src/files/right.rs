//! The right to a transfer. A transfer can take hours, so the right is checked again while it runs.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::links::OpenedLink;
use super::signed_urls;
use crate::app::App;
use crate::chunks::{ChunkObserver, observed};
use crate::db::Permit;
use crate::error::{Error, Result};
use crate::store::{ByteStream, Grant};

/// The credential that allows a transfer.
#[derive(Debug, Clone)]
pub enum TransferRight {
    /// The session or the API token of the caller.
    Caller(Permit),
    /// A share link.
    Link(Box<OpenedLink>),
    /// A URL that this server has signed.
    SignedUrl(Grant),
}

impl TransferRight {
    /// The right of the caller of the current request; `None` if nobody is authenticated.
    pub fn of_caller() -> Option<Self> {
        Permit::current().map(Self::Caller)
    }

    async fn check(&self, app: &App) -> Result<()> {
        match self {
            TransferRight::Caller(permit) => app.db.check_permit(permit).await,
            TransferRight::Link(link) => link.check_active(app).await,
            TransferRight::SignedUrl(grant) => signed_urls::check(app, grant).await,
        }
    }
}

/// Checks the right of one transfer, every [`access_check_interval`](crate::config::Auth::access_check_interval).
#[derive(Debug)]
pub struct Watch {
    app: Arc<App>,
    right: TransferRight,
    checked: Instant,
}

impl Watch {
    /// A watch over a transfer that begins now, and was just allowed.
    pub fn new(app: &Arc<App>, right: TransferRight) -> Self {
        Self { app: app.clone(), right, checked: Instant::now() }
    }

    /// Checks the right, unless it was checked recently.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::UploadGone`], [`Error::NotFound`], [`Error::NetworkRefused`] or
    /// [`Error::LinkLocked`] if the right has ended: the transfer must not continue. While the database does not respond
    /// it may.
    pub async fn check(&mut self) -> Result<()> {
        if self.checked.elapsed() < self.app.config.auth.access_check_interval {
            return Ok(());
        }
        self.checked = Instant::now();
        match self.right.check(&self.app).await {
            Err(error @ (Error::Unavailable { .. } | Error::Internal(_))) => {
                tracing::warn!(%error, "could not check the right of a transfer");
                Ok(())
            }
            checked => checked,
        }
    }
}

/// The bytes of a client, which end with an error when its right ends; unchanged if there is no right to check.
pub fn watched(app: &Arc<App>, right: Option<TransferRight>, stream: ByteStream) -> ByteStream {
    match right {
        Some(right) => observed(stream, Watch::new(app, right)),
        None => stream,
    }
}

impl ChunkObserver for Watch {
    async fn chunk(&mut self, _: &Bytes) -> Result<()> {
        self.check().await
    }
}
