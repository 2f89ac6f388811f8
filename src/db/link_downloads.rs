//! Downloads through links with a download limit. A download is counted when it begins. While its lease lasts, its client
//! can continue it.
//!
//! A transaction that changes the downloads of a link locks the link's row first, which makes them sequential.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{ByteCount, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

statements! {
    LOCK_LINK = "UPDATE links SET downloads = downloads WHERE id = $1";
    /// A download of the client starts again: one that was interrupted, or one that another program takes over, as the
    /// download manager of a phone does from its browser.
    RESTART_DOWNLOAD = "UPDATE link_downloads SET open_responses = open_responses + 1,
            bytes_granted = bytes_granted + $3, lease_until = (SELECT now FROM clock) + $4
        WHERE id = (SELECT id FROM link_downloads WHERE link_id = $1 AND client_hash = $2 AND bytes_granted <= $5
            AND (agent_hash <> $6 OR (open_responses = 0 AND NOT complete))
            AND lease_until > (SELECT now FROM clock) ORDER BY complete, id LIMIT 1)
        RETURNING id";
    /// A download of the client continues, or its end is requested again.
    RESUME_DOWNLOAD = "UPDATE link_downloads SET open_responses = open_responses + 1,
            bytes_granted = bytes_granted + $3, lease_until = (SELECT now FROM clock) + $4
        WHERE id = (SELECT id FROM link_downloads WHERE link_id = $1 AND client_hash = $2 AND bytes_granted <= $5
            AND lease_until > (SELECT now FROM clock) ORDER BY complete, id LIMIT 1)
        RETURNING id";
    HAS_INTERRUPTED = "SELECT COUNT(*) FROM link_downloads WHERE link_id = $1 AND client_hash = $2 AND NOT complete
        AND lease_until > (SELECT now FROM clock)";
    /// A new download, if the limit allows one and the link is active at this moment.
    BEGIN_DOWNLOAD = "INSERT INTO link_downloads
            (id, link_id, client_hash, agent_hash, open_responses, bytes_granted, lease_until)
        SELECT $1, l.id, $3, $7, 1, $4, (SELECT now FROM clock) + $5
        FROM links l JOIN files f ON f.id = l.file_id JOIN folders d ON d.id = f.folder_id
        JOIN users u ON u.id = l.creator_id
        WHERE l.id = $2 AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > $6)
            AND f.trashed_at IS NULL AND d.trashed_at IS NULL AND u.disabled_at IS NULL
            AND (l.max_downloads IS NULL OR l.max_downloads > l.downloads)";
    RENEW_DOWNLOAD = "UPDATE link_downloads SET lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1 AND lease_until > (SELECT now FROM clock)";
    /// Bytes that were granted and not sent are returned.
    PAUSE_DOWNLOAD = "UPDATE link_downloads SET open_responses = open_responses - 1,
            bytes_granted = bytes_granted - $2, lease_until = (SELECT now FROM clock) + $3
        WHERE id = $1 AND open_responses > 0 AND lease_until > (SELECT now FROM clock)";
    FINISH_DOWNLOAD = "UPDATE link_downloads
        SET complete = TRUE, open_responses = open_responses - 1, lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1";
    COUNT_DOWNLOAD = "UPDATE links SET downloads = downloads + 1, last_downloaded_at = $2 WHERE id = $1";
    PURGE_DOWNLOADS = "DELETE FROM link_downloads WHERE lease_until <= (SELECT now FROM clock)";
}

/// A response that is about to begin or to resume a download.
#[derive(Debug, Clone)]
pub struct NewLinkDownload {
    /// The id of the download, if it is new.
    pub id: Uuid,
    /// The id of the link.
    pub link: Uuid,
    /// A hash of the address of the client.
    pub client: Vec<u8>,
    /// A hash of its program.
    pub agent: Vec<u8>,
    /// Bytes of this response.
    pub length: u64,
    /// Whether it begins after the first byte, and so belongs to a download that has begun.
    pub resumes: bool,
    /// A download that was granted more bytes than this cannot continue with this response.
    pub max_bytes: u64,
    /// How long its client can continue it, unless the lease is renewed.
    pub lease: Duration,
    /// The time of the request.
    pub now: Timestamp,
}

impl Db {
    /// Begins a download through a link, which counts it, or continues one of the same client. Returns its id, and whether
    /// it was counted now.
    ///
    /// # Errors
    /// [`Error::LinkUsedUp`] if the limit is reached, or the link is no longer active.
    pub async fn begin_link_download(&self, new: &NewLinkDownload) -> Result<(Uuid, bool)> {
        let NewLinkDownload { id, link, client, agent, .. } = new;
        let (length, lease, now) = (ByteCount(new.length), Micros::from(new.lease), Micros::from(new.now));
        self.transaction(async |tx| {
            tx.execute(LOCK_LINK, (link,)).await?;
            if let Some((known,)) = resume(tx, new).await? {
                return Ok((known, false));
            }
            if tx.execute(BEGIN_DOWNLOAD, (id, link, client, length, lease, now, agent)).await? != 1 {
                return Err(Error::LinkUsedUp);
            }
            tx.execute(COUNT_DOWNLOAD, (link, now)).await?;
            Ok((*id, true))
        })
        .await
    }

    /// Whether this client has a download that is not complete, and that it can continue.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn can_continue_download(&self, link: Uuid, client: &[u8]) -> Result<bool> {
        let (count,): (i64,) = self.read.fetch_one(HAS_INTERRUPTED, (link, client)).await?;
        Ok(count > 0)
    }

    /// Renews the lease of a download.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn renew_link_download(&self, id: Uuid, lease: Duration) -> Result<()> {
        self.write.execute(RENEW_DOWNLOAD, (id, Micros::from(lease))).await.map(drop)
    }

    /// Records that a response ended `left` bytes early, or without the last byte of the content. Its client can continue
    /// the download for `lease`.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn pause_link_download(&self, id: Uuid, left: u64, lease: Duration) -> Result<()> {
        self.write.execute(PAUSE_DOWNLOAD, (id, ByteCount(left), Micros::from(lease))).await.map(drop)
    }

    /// Records that the last byte of a download is sent. For `lease` its client can fetch the end again.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn finish_link_download(&self, id: Uuid, lease: Duration) -> Result<()> {
        self.write.execute(FINISH_DOWNLOAD, (id, Micros::from(lease))).await.map(drop)
    }

    /// Counts a download of a link without a limit.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_link_download(&self, link: Uuid, now: Timestamp) -> Result<()> {
        self.write.execute(COUNT_DOWNLOAD, (link, Micros::from(now))).await.map(drop)
    }

    /// Deletes downloads whose lease has expired, and returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_link_downloads(&self) -> Result<u64> {
        self.write.execute(PURGE_DOWNLOADS, ()).await
    }
}

async fn resume(tx: &mut Tx<'_>, new: &NewLinkDownload) -> Result<Option<(Uuid,)>> {
    let (link, client, length, lease) = (new.link, &new.client, ByteCount(new.length), Micros::from(new.lease));
    let max_bytes = ByteCount(new.max_bytes);
    match new.resumes {
        true => tx.fetch_optional(RESUME_DOWNLOAD, (link, client, length, lease, max_bytes)).await,
        false => tx.fetch_optional(RESTART_DOWNLOAD, (link, client, length, lease, max_bytes, &new.agent)).await,
    }
}
