//! Signed URLs that read a file: anyone who has one can download the content until it expires.
//!
//! On S3 the bucket signs them unless the settings say otherwise; on disk this server signs them, in the same shape, so
//! that clients need not tell them apart.

use std::time::Duration;

use jiff::Timestamp;

use crate::app::App;
use crate::clock::from_micros;
use crate::db::Permit;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::files::lifetime::signed_url_lifetime;
use crate::files::{Content, File, FileName, content_disposition, is_inline};
use crate::store::{Grant, Operation, SignRequest, SignedUrl};

/// What a signed URL allows, and how the download is presented.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// The method that the URL is valid for.
    pub method: ReadMethod,
    /// The lifetime; `None` for the default of the settings.
    pub expires_in: Option<Duration>,
    /// The file name of the download; `None` for the name of the file.
    pub download_name: Option<FileName>,
    /// Whether a browser may display the content, if its type is one that is safe to display.
    pub inline: bool,
}

/// A method that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMethod {
    /// The headers and the content.
    Get,
    /// Only the headers.
    Head,
}

/// Signs a URL that reads a file, which the subject may share.
///
/// # Errors
/// [`Error::Invalid`] if the lifetime is out of range; [`Error::Unavailable`].
pub async fn sign(app: &App, file: &File, options: &SignOptions) -> Result<SignedUrl> {
    let lifetime = signed_url_lifetime(&app.config.limits, options.expires_in)?;
    let name = options.download_name.as_ref().map_or(file.name.as_str(), FileName::as_str);
    let url = Read { file, method: options.method, name, inline: options.inline };
    let url = url.sign(app, app.clock.now(), lifetime).await?;
    app.db.record_signed_url(file.space_id, file.id, url.expires_at).await?;
    let event = file.event(EventKind::UrlSigned).with("method", url.method);
    app.events.record(&event.with("expires_in", lifetime.as_secs()));
    Ok(url)
}

/// Signs GET URLs for files of one space. The time of signing is rounded down, so that for a while the same file has the
/// same URL and caches work; no URL has a shorter lifetime than requested.
///
/// # Errors
/// [`Error::Invalid`] if the lifetime is out of range; [`Error::Unauthorized`] if the permit of the request has ended;
/// [`Error::Unavailable`].
pub async fn sign_list(app: &App, files: &[File], expires_in: Option<Duration>) -> Result<Vec<SignedUrl>> {
    let max = app.config.limits.signed_url_max_lifetime;
    let lifetime = signed_url_lifetime(&app.config.limits, expires_in)?;
    let step = (lifetime / 4).clamp(Duration::from_secs(1), Duration::from_secs(3600));
    // Near the longest lifetime allowed, the step is what is left of it.
    let step = step.min(max - lifetime).as_secs().max(1) as i64;
    let now = app.clock.now().as_second();
    let instant = from_micros((now - now.rem_euclid(step)) * 1_000_000);
    let lifetime = (lifetime + Duration::from_secs(step as u64 - 1)).min(max);
    // The caller may come from a cache, and a list is only read; its URLs outlast both.
    if let Some(permit) = Permit::current() {
        app.db.check_permit(&permit).await?;
    }
    let mut urls = Vec::with_capacity(files.len());
    for file in files {
        let url = Read { file, method: ReadMethod::Get, name: &file.name, inline: true };
        urls.push(url.sign(app, instant, lifetime).await?);
        // A page of thousands takes a while: let other tasks run.
        tokio::task::coop::consume_budget().await;
    }
    if let Some(url) = urls.first() {
        record_list(app, files, url.expires_at).await?;
    }
    Ok(urls)
}

/// The approximate maximum length of a signed URL for a file of this name. The name is percent-encoded twice, and
/// temporary credentials of a bucket are a part of the URL.
pub(in crate::files) fn bytes_of(name: &str) -> usize {
    const THE_REST: usize = 1024;
    THE_REST + 5 * name.len()
}

/// A URL to sign.
struct Read<'a> {
    file: &'a File,
    method: ReadMethod,
    /// The file name of the download.
    name: &'a str,
    inline: bool,
}

impl Read<'_> {
    async fn sign(&self, app: &App, now: Timestamp, expires_in: Duration) -> Result<SignedUrl> {
        let content_type = &self.file.content.content_type;
        let disposition = content_disposition(self.name, self.inline && is_inline(content_type));
        let request = SignRequest {
            operation: self.method.into(),
            key: &self.file.content.key,
            now,
            expires_in,
            disposition: Some(&disposition),
            content_type: Some(content_type),
            part: None,
            generation: self.file.signed.generation,
        };
        match app.url_signer() {
            Some(signer) => Ok(signer.sign(&request)),
            None => app.store.sign(&request).await,
        }
    }
}

impl From<ReadMethod> for Operation {
    fn from(method: ReadMethod) -> Self {
        match method {
            ReadMethod::Get => Operation::Get,
            ReadMethod::Head => Operation::Head,
        }
    }
}

/// Records, once for all files of a list, until when its URLs are valid; writes only if that changes.
async fn record_list(app: &App, files: &[File], until: Timestamp) -> Result<()> {
    let Some(space) = files.first().map(|file| file.space_id) else { return Ok(()) };
    let Some(known) = app.db.list_signing(space).await? else { return Ok(()) };
    let revoked = files.iter().map(|file| file.signed.revoked_at).max().unwrap_or_default();
    if known.list_urls_expire_at < until.into() || known.list_urls_recorded_at <= revoked {
        app.db.record_list_signing(space, until, app.clock.now()).await?;
    }
    Ok(())
}

/// Immediately revokes every signed URL of this file.
///
/// # Errors
/// [`Error::NotRevocable`] if the bucket has signed URLs that read the file and may still be active: those that write are
/// revoked even so. [`Error::NotFound`] if the file was deleted in the meantime.
pub async fn revoke(app: &App, file: &File) -> Result<()> {
    if app.url_signer().is_none() {
        app.db.revoke_signed_puts(file.space_id, file.id).await?;
        let is_active = active_until(app, file).await? > app.clock.now();
        return if is_active { Err(Error::NotRevocable) } else { Ok(()) };
    }
    if !app.db.revoke_signed(file.space_id, file.id, app.clock.now()).await? {
        return Err(Error::NotFound);
    }
    tracing::info!(file = %file.id, "signed URLs revoked");
    Ok(())
}

/// When the last signed URL that reads the file expires, those of lists included.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn active_until(app: &App, file: &File) -> Result<Timestamp> {
    let lists = app.db.list_signing(file.space_id).await?;
    let lists = lists.filter(|lists| lists.list_urls_recorded_at > file.signed.revoked_at);
    let until = lists.map_or(file.signed.until, |lists| lists.list_urls_expire_at.max(file.signed.until));
    Ok(until.into())
}

/// Checks, during a transfer, that a URL signed by this server still permits it. One that began in time may end after the
/// lifetime of the URL.
///
/// # Errors
/// [`Error::NotFound`] if what it reads was deleted or replaced, the URL revoked or its owner disabled;
/// [`Error::UploadGone`] if the upload that it writes has ended.
pub async fn check(app: &App, grant: &Grant) -> Result<()> {
    let key = grant.key.as_str();
    match (grant.operation, grant.part) {
        (Operation::Put, Some(_)) => app.db.direct_upload_by_key(key).await?.map(drop).ok_or(Error::UploadGone),
        (Operation::Put, None) => app.db.writable_blob(key).await?.map(drop).ok_or(Error::UploadGone),
        _ => open(app, grant).await.map(drop),
    }
}

/// The content that a URL signed by this server reads, and the event to record for the download.
///
/// # Errors
/// [`Error::NotFound`] if the content was deleted, the URL revoked or its owner disabled.
pub async fn open(app: &App, grant: &Grant) -> Result<(Content, Event)> {
    if app.db.signed_generation(grant.key.as_str()).await? != Some(grant.generation) {
        return Err(Error::NotFound);
    }
    let row = app.db.content_by_key(grant.key.as_str()).await?.ok_or(Error::NotFound)?;
    let event = Event::new(EventKind::FileDownloaded, row.space_id);
    let event = row.file_id.into_iter().fold(event, Event::file);
    Ok((row.content.try_into()?, event))
}
