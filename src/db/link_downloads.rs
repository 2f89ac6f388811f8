//! The uses of links: counted when a delivery is complete, and until then held by it.
//!
//! Whoever changes the uses of a link takes the link's row first, so that they do so one after another.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on, statements, transaction};
use crate::error::{Error, Result};

statements! {
    LOCK = "UPDATE links SET downloads = downloads WHERE id = $1";
    /// The client's delivery that broke off begins anew.
    RESTART = "UPDATE link_downloads SET open_responses = 1, bytes_granted = $3, lease_until = (SELECT now FROM clock) + $4
        WHERE id = (SELECT id FROM link_downloads WHERE link_id = $1 AND client_hash = $2 AND open_responses = 0 AND NOT counted
            AND lease_until > (SELECT now FROM clock) ORDER BY id LIMIT 1)
        RETURNING id";
    /// The client's delivery goes on, or the end of one that the server took for complete is fetched again.
    RESUME = "UPDATE link_downloads SET open_responses = open_responses + 1, bytes_granted = bytes_granted + $3,
            lease_until = (SELECT now FROM clock) + $4
        WHERE id = (SELECT id FROM link_downloads WHERE link_id = $1 AND client_hash = $2 AND bytes_granted <= $5
            AND lease_until > (SELECT now FROM clock) ORDER BY counted, id LIMIT 1)
        RETURNING id";
    /// A new delivery, if there is a use left and the link is alive at this very moment.
    TAKE = "INSERT INTO link_downloads (id, link_id, client_hash, open_responses, bytes_granted, lease_until)
        SELECT $1, l.id, $3, 1, $4, (SELECT now FROM clock) + $5
        FROM links l JOIN files f ON f.id = l.file_id JOIN users u ON u.id = l.owner_id
        WHERE l.id = $2 AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > $6)
            AND f.trashed_at IS NULL AND u.disabled_at IS NULL
            AND (l.max_downloads IS NULL OR l.max_downloads > l.downloads + (SELECT COUNT(*) FROM link_downloads h
                WHERE h.link_id = l.id AND NOT h.counted AND h.lease_until > (SELECT now FROM clock)))";
    RENEW = "UPDATE link_downloads SET lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1 AND lease_until > (SELECT now FROM clock)";
    /// What was promised and not given out comes back.
    PAUSE = "UPDATE link_downloads SET open_responses = open_responses - 1, bytes_granted = bytes_granted - $2,
            lease_until = (SELECT now FROM clock) + $3
        WHERE id = $1 AND open_responses > 0 AND lease_until > (SELECT now FROM clock)";
    IS_DONE = "SELECT counted FROM link_downloads WHERE id = $1 AND lease_until > (SELECT now FROM clock)";
    FINISH = "UPDATE link_downloads SET counted = TRUE, open_responses = open_responses - 1, lease_until = (SELECT now FROM clock) + $2
        WHERE id = $1";
    COUNT_USE = "UPDATE links SET downloads = downloads + 1, last_used_at = $2 WHERE id = $1";
    PURGE = "DELETE FROM link_downloads WHERE lease_until <= (SELECT now FROM clock)";
}

/// A delivery that wants to begin.
#[derive(Debug, Clone)]
pub struct NewLinkDownload {
    pub id: Uuid,
    pub link: Uuid,
    /// Who it is for.
    pub client: Vec<u8>,
    /// Bytes of this answer.
    pub length: i64,
    /// Whether it may be a part of an earlier delivery, which was granted no more than `most` bytes.
    pub resumes: bool,
    pub most: i64,
    pub lease: Duration,
    pub now: i64,
}

impl Db {
    /// Takes a use of a link, or goes on with one of the same client; gives its id.
    ///
    /// # Errors
    /// `LinkUsedUp` if none is left, or the link has ended meanwhile.
    pub async fn begin_link_download(&self, new: &NewLinkDownload) -> Result<Uuid> {
        let lease = new.lease.as_micros() as i64;
        transaction!(self, |tx| {
            sqlx::query(LOCK).bind(new.link).execute(&mut *tx).await?;
            let known = sqlx::query_scalar(if new.resumes { RESUME } else { RESTART });
            let known = known.bind(new.link).bind(&new.client).bind(new.length).bind(lease);
            let known = if new.resumes { known.bind(new.most) } else { known };
            if let Some(id) = known.fetch_optional(&mut *tx).await? {
                return Ok(id);
            }
            let taken = sqlx::query(TAKE)
                .bind(new.id)
                .bind(new.link)
                .bind(&new.client)
                .bind(new.length)
                .bind(lease)
                .bind(new.now)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if taken == 1 { Ok(new.id) } else { Err(Error::LinkUsedUp) }
        })
    }

    /// Holds a use for longer.
    pub async fn renew_link_download(&self, id: Uuid, lease: Duration) -> Result<()> {
        let lease = lease.as_micros() as i64;
        on!(self.write, |p| sqlx::query(RENEW).bind(id).bind(lease).execute(p).await.map(drop))?;
        Ok(())
    }

    /// An answer ended without the last byte, `left` bytes before its own end. The use is kept for
    /// its client for `lease`, and is then free again.
    pub async fn pause_link_download(&self, id: Uuid, left: i64, lease: Duration) -> Result<()> {
        let lease = lease.as_micros() as i64;
        on!(self.write, |p| sqlx::query(PAUSE).bind(id).bind(left).bind(lease).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Counts a use whose last byte is about to be given out, once; `false` if that was done before.
    ///
    /// # Errors
    /// `LinkUsedUp` if its lease was lost.
    pub async fn finish_link_download(&self, link: Uuid, id: Uuid, lease: Duration, now: i64) -> Result<bool> {
        let lease = lease.as_micros() as i64;
        transaction!(self, |tx| {
            sqlx::query(LOCK).bind(link).execute(&mut *tx).await?;
            let done: Option<bool> = sqlx::query_scalar(IS_DONE).bind(id).fetch_optional(&mut *tx).await?;
            let is_new = !done.ok_or(Error::LinkUsedUp)?;
            if is_new {
                sqlx::query(COUNT_USE).bind(link).bind(now).execute(&mut *tx).await?;
            }
            sqlx::query(FINISH).bind(id).bind(lease).execute(&mut *tx).await?;
            Ok(is_new)
        })
    }

    /// Counts a use of a link that has no bound.
    pub async fn count_link_download(&self, link: Uuid, now: i64) -> Result<()> {
        on!(self.write, |p| sqlx::query(COUNT_USE).bind(link).bind(now).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Deletes what is known of deliveries that are over, and gives their count.
    pub async fn purge_link_downloads(&self) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(PURGE).execute(p).await.map(|done| done.rows_affected()))?)
    }
}
