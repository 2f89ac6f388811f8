//! Job leases: work that only one server may do at a time.

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

/// A job with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobLease {
    Reaper,
    Fsck,
}

impl JobLease {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            JobLease::Reaper => "reaper",
            JobLease::Fsck => "fsck",
        }
    }
}

impl Db {
    /// Acquires or renews the lease of a job; `false` if another holder has it.
    pub async fn acquire_job_lease(&self, job: JobLease, holder: Uuid, lease: Duration) -> Result<bool> {
        let lease = lease.as_micros() as i64;
        let taken = on!(self.write, |p| sqlx::query(TAKE)
            .bind(job.as_str())
            .bind(holder)
            .bind(lease)
            .execute(p)
            .await?
            .rows_affected());
        Ok(taken == 1)
    }

    /// Ends the lease of a job, whoever holds it. Only for a process that knows that no other server runs.
    pub async fn expire_job_lease(&self, job: JobLease) -> Result<()> {
        on!(self.write, |p| sqlx::query(END).bind(job.as_str()).execute(p).await.map(drop))?;
        Ok(())
    }

    /// Releases the lease of a job, if `holder` has it.
    pub async fn release_job_lease(&self, job: JobLease, holder: Uuid) -> Result<()> {
        on!(self.write, |p| sqlx::query(RELEASE).bind(job.as_str()).bind(holder).execute(p).await.map(drop))?;
        Ok(())
    }
}
