//! Work that only one server may do at a time.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on, statements};
use crate::error::Result;

statements! {
    TAKE = "INSERT INTO job_leases (name, holder, lease_until) VALUES ($1, $2, (SELECT now FROM clock) + $3)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
        WHERE job_leases.holder = excluded.holder OR job_leases.lease_until < (SELECT now FROM clock)";
    END = "DELETE FROM job_leases WHERE name = $1";
    RELEASE = "DELETE FROM job_leases WHERE name = $1 AND holder = $2";
}

impl Db {
    /// Takes, or keeps, a duty for `lease`; `false` if somebody else has it.
    pub async fn acquire_job_lease(&self, name: &str, holder: Uuid, lease: Duration) -> Result<bool> {
        let lease = lease.as_micros() as i64;
        let taken = on!(self.write, |p| sqlx::query(TAKE)
            .bind(name)
            .bind(holder)
            .bind(lease)
            .execute(p)
            .await?
            .rows_affected());
        Ok(taken == 1)
    }

    /// Takes a duty from whoever has it. Only for whoever knows that no other server lives.
    pub async fn expire_job_lease(&self, name: &str) -> Result<()> {
        on!(self.write, |p| sqlx::query(END).bind(name).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Lets go of a duty.
    pub async fn release_job_lease(&self, name: &str, holder: Uuid) -> Result<()> {
        on!(self.write, |p| sqlx::query(RELEASE).bind(name).bind(holder).execute(p).await.map(drop))?;
        Ok(())
    }
}
