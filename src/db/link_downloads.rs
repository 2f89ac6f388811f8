//! Downloads through links with a download limit. A download is counted when it is complete; until then its lease
//! reserves it.
//!
//! A transaction that changes the downloads of a link locks the link's row first, which makes them sequential.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{ByteCount, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

statements! {
    LOCK_LINK = "UPDATE links SET downloads = downloads WHERE id = $1";
    /// An interrupted download of the client starts again.
    RESTART_DOWNLOAD = "UPDATE link_downloads
        SET open_responses = 1, bytes_granted = $3, lease_until = (SELECT now FROM clock) + $4
        WHERE id = (SELECT id FROM link_downloads WHERE link_id = $1 AND client_hash = $2
            AND open_responses = 0 AND NOT counted AND lease_until > (SELECT now FROM clock) ORDER BY id LIMIT 1)
        RETURNING id";
    /// A download of the client continues, or the end of one that counts as complete is requested again.
    RESUME_DOWNLOAD = "UPDATE link_downloads SET open_responses = open_responses + 1,
            bytes_granted = bytes_granted + $3, lease_until = (SELECT now FROM clock) + $4
        WHERE id = (SELECT id FROM link_downloads WHERE link_id = $1 AND client_hash = $2 AND bytes_granted <= $5
            AND lease_until > (SELECT now FROM clock) ORDER BY counted, id LIMIT 1)
        RETURNING id";
    /// A new download, if the limit allows one and the link is active at this moment.
    BEGIN_DOWNLOAD = "INSERT INTO link_downloads (id, link_id, client_hash, open_responses, bytes_granted, lease_until)
        SELECT $1, l.id, $3, 1, $4, (SELECT now FROM clock) + $5
        FROM links l JOIN files f ON f.id = l.file_id JOIN users u ON u.id = l.owner_id
        WHERE l.id = $2 AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > $6)
            AND f.trashed_at IS NULL AND u.disabled_at IS NULL
            AND (l.max_downloads IS NULL OR l.max_downloads > l.downloads + (SELECT COUNT(*) FROM link_downloads h
                WHERE h.link_id = l.id AND NOT h.counted AND h.lease_until > (SELECT now FROM clock)))";
    RENEW_DOWNLOAD = "UPDATE link_downloads SET lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1 AND lease_until > (SELECT now FROM clock)";
    /// Bytes that were granted and not sent are returned.
    PAUSE_DOWNLOAD = "UPDATE link_downloads SET open_responses = open_responses - 1,
            bytes_granted = bytes_granted - $2, lease_until = (SELECT now FROM clock) + $3
        WHERE id = $1 AND open_responses > 0 AND lease_until > (SELECT now FROM clock)";
    IS_COUNTED = "SELECT counted FROM link_downloads WHERE id = $1 AND lease_until > (SELECT now FROM clock)";
    FINISH_DOWNLOAD = "UPDATE link_downloads
        SET counted = TRUE, open_responses = open_responses - 1, lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1";
    COUNT_DOWNLOAD = "UPDATE links SET downloads = downloads + 1, last_used_at = $2 WHERE id = $1";
    PURGE_DOWNLOADS = "DELETE FROM link_downloads WHERE lease_until <= (SELECT now FROM clock)";
}

/// A response that is about to begin or to resume a download.
#[derive(Debug, Clone)]
pub struct NewLinkDownload {
    /// The id of the download, if it is new.
    pub id: Uuid,
    /// The id of the link.
    pub link: Uuid,
    /// A hash that identifies the client.
    pub client: Vec<u8>,
    /// Bytes of this response.
    pub length: u64,
    /// Whether it may resume a download that was granted at most `most` bytes.
    pub resumes: bool,
    /// See `resumes`.
    pub most: u64,
    /// How long it is reserved, unless the lease is renewed.
    pub lease: Duration,
    /// The time of the request.
    pub now: Timestamp,
}

impl Db {
    /// Begins a download through a link, or resumes one of the same client; returns its id.
    ///
    /// # Errors
    /// [`Error::LinkUsedUp`] if the limit is reached, or the link is no longer active.
    pub async fn begin_link_download(&self, new: &NewLinkDownload) -> Result<Uuid> {
        let NewLinkDownload { id, link, client, .. } = new;
        let (length, lease, now) = (ByteCount(new.length), Micros::from(new.lease), Micros::from(new.now));
        self.transaction(async |tx| {
            tx.execute(LOCK_LINK, (link,)).await?;
            if let Some((known,)) = resume(tx, new).await? {
                return Ok(known);
            }
            match tx.execute(BEGIN_DOWNLOAD, (id, link, client, length, lease, now)).await? {
                1 => Ok(*id),
                _ => Err(Error::LinkUsedUp),
            }
        })
        .await
    }

    /// Renews the lease of a download.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn renew_link_download(&self, id: Uuid, lease: Duration) -> Result<()> {
        self.write.execute(RENEW_DOWNLOAD, (id, Micros::from(lease))).await.map(drop)
    }

    /// Records that a response ended `left` bytes early, without the last byte of the content. The download is kept
    /// for its client for `lease`, and then released.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn pause_link_download(&self, id: Uuid, left: u64, lease: Duration) -> Result<()> {
        self.write.execute(PAUSE_DOWNLOAD, (id, ByteCount(left), Micros::from(lease))).await.map(drop)
    }

    /// Counts a download whose last byte is about to be sent; `false` if it is counted already.
    ///
    /// # Errors
    /// [`Error::LinkUsedUp`] if its lease was lost.
    pub async fn finish_link_download(&self, link: Uuid, id: Uuid, lease: Duration, now: Timestamp) -> Result<bool> {
        self.transaction(async |tx| {
            tx.execute(LOCK_LINK, (link,)).await?;
            let (is_counted,): (bool,) = tx.fetch_optional(IS_COUNTED, (id,)).await?.ok_or(Error::LinkUsedUp)?;
            if !is_counted {
                tx.execute(COUNT_DOWNLOAD, (link, Micros::from(now))).await?;
            }
            tx.execute(FINISH_DOWNLOAD, (id, Micros::from(lease))).await?;
            Ok(!is_counted)
        })
        .await
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
    match new.resumes {
        true => tx.fetch_optional(RESUME_DOWNLOAD, (link, client, length, lease, ByteCount(new.most))).await,
        false => tx.fetch_optional(RESTART_DOWNLOAD, (link, client, length, lease)).await,
    }
}
