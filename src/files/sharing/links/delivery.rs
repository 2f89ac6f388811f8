//! Uses of a link. One use is one delivery up to the file's last byte: it is taken when the bytes
//! begin to flow, counted before the last of them is given out, and free again when they break off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{LinkVisitor, OpenedLink, event, refused};
use crate::app::App;
use crate::config::Via;
use crate::db::{LinkRow, NewLinkDownload};
use crate::error::Result;
use crate::events::{Event, EventKind};
use crate::files::content_disposition;
use crate::store::{ByteStream, Operation, SignRequest, SignedUrl};

/// The life of a URL of the bucket by which a link is delivered.
const HAND_OVER: Duration = Duration::from_secs(30);

/// What an answer gives out.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Bytes of the answer.
    pub length: u64,
    /// Whether it begins somewhere behind the first byte.
    pub resumes: bool,
    /// Whether it goes up to the last byte.
    pub ends: bool,
}

/// An answer under way.
#[derive(Debug)]
pub struct Delivery {
    app: Arc<App>,
    link: Uuid,
    /// What tells the trail that the link was used, and what was given out.
    used: Event,
    download: Event,
    /// What holds the use, if there is a number of them.
    held: Option<Uuid>,
    part: Part,
    left: u64,
    /// Measured, as the lease is, by no clock that is set: one that jumps shall not end it.
    renewed: Instant,
    settled: bool,
}

/// Who is known again when a download goes on: the same program at the same address.
pub(super) fn client(link: &LinkRow, visitor: &LinkVisitor) -> Vec<u8> {
    let digest = Sha256::new().chain_update(link.id).chain_update(visitor.address.to_string());
    digest.chain_update([0]).chain_update(&visitor.user_agent).finalize().to_vec()
}

impl Delivery {
    /// Takes a use for an answer, or goes on with the one that the same client has.
    ///
    /// # Errors
    /// `LinkUsedUp` if none is left, or the link has ended meanwhile.
    pub async fn begin(app: &Arc<App>, opened: &OpenedLink, part: Part) -> Result<Self> {
        let held = match opened.link.max_downloads {
            None => None,
            Some(_) => match app.db.begin_link_download(&new_use(app, opened, part)).await {
                Err(error) => {
                    refused(app, &opened.link, &error);
                    return Err(error);
                }
                taken => Some(taken?),
            },
        };
        let mut delivery = Self {
            app: app.clone(),
            link: opened.link.id,
            used: event(&opened.link, EventKind::LinkDownloaded),
            download: event(&opened.link, EventKind::FileDownloaded),
            held,
            part,
            left: part.length,
            renewed: Instant::now(),
            settled: false,
        };
        if part.length == 0 {
            delivery.settle().await?;
        }
        Ok(delivery)
    }

    /// Counts a delivery that the bucket makes.
    async fn hand_over(mut self) -> Result<()> {
        if self.settled { Ok(()) } else { self.settle().await }
    }

    /// The bytes of the answer, watched. If a use cannot be counted, they break off before the last one.
    pub fn watch(self, bytes: ByteStream) -> ByteStream {
        Box::pin(stream::unfold(Some((self, bytes)), |state| async move {
            let (mut delivery, mut bytes) = state?;
            let chunk = match bytes.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), None)),
            };
            delivery.left = delivery.left.saturating_sub(chunk.len() as u64);
            match delivery.go_on().await {
                Ok(()) => Some((Ok(chunk), Some((delivery, bytes)))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    async fn go_on(&mut self) -> Result<()> {
        if self.settled {
            return Ok(());
        }
        if self.left == 0 {
            return self.settle().await;
        }
        let lease = lease(&self.app);
        if let Some(held) = self.held
            && self.renewed.elapsed() > lease / 3
        {
            self.renewed = Instant::now();
            self.app.db.renew_link_download(held, lease).await?;
        }
        Ok(())
    }

    /// Everything that this answer promised is given out, or about to be.
    async fn settle(&mut self) -> Result<()> {
        let (db, now) = (&self.app.db, self.app.clock.now().as_microsecond());
        let is_new = match self.held {
            Some(held) if self.part.ends => {
                db.finish_link_download(self.link, held, self.app.config.links.resume_window, now).await?
            }
            Some(held) => db.pause_link_download(held, 0, self.app.config.links.resume_window).await.map(|()| false)?,
            None if self.part.ends => db.count_link_download(self.link, now).await.map(|()| true)?,
            None => false,
        };
        self.settled = true;
        if is_new {
            self.app.events.record(&self.used);
        }
        Ok(())
    }
}

impl Drop for Delivery {
    /// It is over. If it broke off, the use is kept for the same client for a little while.
    fn drop(&mut self) {
        let (sent, complete) = (self.part.length - self.left, self.left == 0);
        self.app.events.record(&self.download.clone().with("bytes", sent).with("complete", complete));
        let Some(held) = self.held.filter(|_| !self.settled) else { return };
        let (app, left) = (self.app.clone(), self.left as i64);
        tokio::spawn(async move {
            if let Err(error) = app.db.pause_link_download(held, left, app.config.links.resume_window).await {
                tracing::warn!(%error, "the use of a link is free again only when its lease is over");
            }
        });
    }
}

/// A URL of the bucket's own that gives out the bytes, if links are delivered so; a use counts with it.
///
/// # Errors
/// `LinkUsedUp`; `Unavailable`.
pub async fn redirect_link(app: &Arc<App>, opened: &OpenedLink, inline: bool) -> Result<Option<SignedUrl>> {
    if app.config.links.delivery == Via::Proxy || app.url_signer().is_some() {
        return Ok(None);
    }
    let content = &opened.file.content;
    let disposition = content_disposition(opened.name(), inline);
    let request = SignRequest {
        operation: Operation::Get,
        key: &content.key,
        now: app.clock.now(),
        expires_in: HAND_OVER,
        disposition: Some(&disposition),
        content_type: Some(&content.content_type),
        part: None,
        generation: 0,
    };
    let url = app.store.sign(&request).await?;
    let part = Part { length: content.size, resumes: false, ends: true };
    Delivery::begin(app, opened, part).await?.hand_over().await?;
    Ok(Some(url))
}

/// Longer than a client may take nothing of an answer.
fn lease(app: &App) -> Duration {
    app.config.links.resume_window + 2 * app.config.uploads.stall_timeout
}

/// The parts of one delivery come to twice the file at most: what a client fetches anew because it
/// was lost on the way, but not file deadline file.
fn new_use(app: &App, opened: &OpenedLink, part: Part) -> NewLinkDownload {
    let size = opened.file.content.size;
    NewLinkDownload {
        id: app.clock.new_id(),
        link: opened.link.id,
        client: opened.client.clone(),
        length: part.length as i64,
        resumes: part.resumes,
        most: (2 * size).saturating_sub(part.length) as i64,
        lease: lease(app),
        now: app.clock.now().as_microsecond(),
    }
}
