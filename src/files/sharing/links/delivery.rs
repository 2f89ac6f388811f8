//! Downloads of a link. Of a link with a download limit, a download is counted before its first byte is sent; its client
//! can continue it for a while, or start over if it was interrupted. Without a limit, complete deliveries are counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{LinkVisitor, OpenedLink, event, refused};
use crate::app::App;
use crate::config::Via;
use crate::db::{LinkRow, NewLinkDownload};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::files::content_disposition;
use crate::files::uploads::whole::detached;
use crate::store::{Operation, SignRequest, SignedUrl};

/// The lifetime of a URL of the bucket by which a link is delivered.
const REDIRECT_LIFETIME: Duration = Duration::from_secs(30);

/// The part of a file that a response delivers.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Bytes of the response.
    pub length: u64,
    /// Whether it begins after the first byte of the file.
    pub resumes: bool,
    /// Whether it includes the last byte of the file.
    pub ends: bool,
}

/// The download counter of one response.
#[derive(Debug)]
pub struct LinkDownload {
    app: Arc<App>,
    link: LinkRow,
    client: Client,
    /// Bytes of the file.
    size: u64,
    part: Part,
    /// Recorded when the download counts. It names the visitor, who is known only while the request is handled.
    counted: Event,
    /// The row of the download, if the link has a download limit, until the whole part is sent.
    open: Option<OpenResponse>,
    /// Monotonic, so that a clock jump cannot end the lease.
    renewed: Instant,
    is_counted: bool,
}

/// The client that may continue a download: any program at the same address, since one program may take over from
/// another. Stored as hashes that are specific to the link.
#[derive(Debug, Clone)]
pub(super) struct Client {
    address: Vec<u8>,
    agent: Vec<u8>,
}

impl Client {
    pub fn new(link: &LinkRow, visitor: &LinkVisitor) -> Self {
        let hash = |text: &str| Sha256::new().chain_update(link.id).chain_update(text).finalize().to_vec();
        Self { address: hash(&visitor.address.to_string()), agent: hash(&visitor.user_agent) }
    }

    /// Whether it has a download that is not complete, and that it can continue.
    pub async fn can_continue(&self, app: &App, link: &LinkRow) -> Result<bool> {
        app.db.can_continue_download(link.id, &self.address).await
    }
}

impl LinkDownload {
    /// A counter for the response that delivers this part.
    pub fn new(app: &Arc<App>, opened: &OpenedLink, part: Part) -> Self {
        Self {
            app: app.clone(),
            link: opened.link.clone(),
            client: opened.client.clone(),
            size: opened.file.content.size,
            part,
            counted: event(&opened.link, EventKind::LinkDownloaded),
            open: None,
            renewed: Instant::now(),
            is_counted: false,
        }
    }

    /// Counts the download if the link has a limit, unless the response continues one that the same client has.
    ///
    /// # Errors
    /// [`Error::LinkUsedUp`](crate::error::Error::LinkUsedUp) if none is left, or the link has ended meanwhile.
    pub async fn begin(&mut self) -> Result<()> {
        if self.link.max_downloads.is_some() {
            let (app, new) = (self.app.clone(), self.request());
            // If the client disconnects, what was begun is dropped, and with it paused.
            let begun = detached(async move { OpenResponse::begin(app, new).await }).await;
            let (open, is_new) = begun.inspect_err(|error| refused(&self.app, &self.link, error))?;
            self.open = Some(open);
            if is_new {
                self.app.events.record(&self.counted);
            }
        }
        if self.part.length == 0 { self.count().await } else { Ok(()) }
    }

    /// The responses of one download come to twice the file at most: enough for what a client fetches again because it was
    /// lost in transit, or because another program takes over, but not for one copy after another.
    fn request(&self) -> NewLinkDownload {
        NewLinkDownload {
            id: self.app.clock.new_id(),
            link: self.link.id,
            client: self.client.address.clone(),
            agent: self.client.agent.clone(),
            length: self.part.length,
            resumes: self.part.resumes,
            max_bytes: (2 * self.size).saturating_sub(self.part.length),
            lease: lease(&self.app),
            now: self.app.clock.now(),
        }
    }

    /// Follows the response: after the next chunk `left` of its bytes remain.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable). The chunk must not be sent then.
    pub async fn advance(&mut self, left: u64) -> Result<()> {
        if self.is_counted {
            return Ok(());
        }
        if left == 0 {
            return self.count().await;
        }
        let lease = lease(&self.app);
        if let Some(id) = self.open.as_ref().map(|open| open.id)
            && self.renewed.elapsed() > lease / 3
        {
            self.renewed = Instant::now();
            self.app.db.renew_link_download(id, lease).await?;
        }
        Ok(())
    }

    /// The whole part is sent, or about to be.
    async fn count(&mut self) -> Result<()> {
        match self.open.take() {
            Some(open) => {
                let is_end = self.part.ends;
                detached(async move { open.complete(is_end).await }).await?;
            }
            None if self.part.ends => {
                self.app.db.count_link_download(self.link.id, self.app.clock.now()).await?;
                self.app.events.record(&self.counted);
            }
            None => {}
        }
        self.is_counted = true;
        Ok(())
    }

    /// The response has ended, `left` bytes before its end. If it ended early, the same client can continue the download
    /// for a while.
    pub fn end(&mut self, left: u64) {
        if let Some(mut open) = self.open.take() {
            open.left = left;
        }
    }
}

/// A response that its download counts as open. If it is dropped before it is complete, it ends, wherever its request is
/// by then: the same client can continue the download for a while.
#[derive(Debug)]
struct OpenResponse {
    app: Arc<App>,
    /// The id of the download.
    id: Uuid,
    /// Bytes that were granted and not sent.
    left: u64,
    is_complete: bool,
}

impl OpenResponse {
    /// Begins or continues a download; returns whether it was counted now.
    async fn begin(app: Arc<App>, new: NewLinkDownload) -> Result<(Self, bool)> {
        // If the reply to the commit is lost, there may be a row with this id.
        let mut open = Self { app, id: new.id, left: new.length, is_complete: false };
        let begun = open.app.db.begin_link_download(&new).await;
        open.is_complete = matches!(begun, Err(Error::LinkUsedUp));
        let (id, is_new) = begun?;
        open.id = id;
        Ok((open, is_new))
    }

    /// The whole part is sent, or about to be; `is_end` if the last byte of the file is in it.
    async fn complete(mut self, is_end: bool) -> Result<()> {
        self.left = 0;
        let (db, window) = (&self.app.db, self.app.config.links.resume_window);
        let completed = match is_end {
            true => db.finish_link_download(self.id, window).await,
            false => db.pause_link_download(self.id, 0, window).await,
        };
        self.is_complete = completed.is_ok();
        completed
    }
}

impl Drop for OpenResponse {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let (app, id, left) = (self.app.clone(), self.id, self.left);
        tokio::spawn(async move {
            if let Err(error) = app.db.pause_link_download(id, left, app.config.links.resume_window).await {
                tracing::warn!(%error, "a download counts as in progress until its lease expires");
            }
        });
    }
}

/// A URL of the bucket that delivers the content, if links are delivered so. The download counts when it is issued.
///
/// # Errors
/// [`Error::LinkUsedUp`](crate::error::Error::LinkUsedUp); [`Error::Unavailable`](crate::error::Error::Unavailable).
pub async fn redirect(app: &Arc<App>, opened: &OpenedLink, inline: bool) -> Result<Option<SignedUrl>> {
    if app.config.links.delivery == Via::Proxy || app.url_signer().is_some() {
        return Ok(None);
    }
    let content = &opened.file.content;
    let disposition = content_disposition(opened.name(), inline);
    let request = SignRequest {
        operation: Operation::Get,
        key: &content.key,
        now: app.clock.now(),
        expires_in: REDIRECT_LIFETIME,
        disposition: Some(&disposition),
        content_type: Some(&content.content_type),
        part: None,
        generation: 0,
    };
    let url = app.store.sign(&request).await?;
    let mut download = LinkDownload::new(app, opened, Part { length: content.size, resumes: false, ends: true });
    download.begin().await?;
    if !download.is_counted {
        download.count().await?;
    }
    Ok(Some(url))
}

/// Longer than a client may stall.
fn lease(app: &App) -> Duration {
    app.config.links.resume_window + 2 * app.config.uploads.stall_timeout
}
