//! Job leases: work that only one server may do at a time.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::instance::has_ended;
use super::{Db, Micros, statements};
use crate::error::Result;

statements! {
    ACQUIRE_JOB_LEASE = concat!("INSERT INTO job_leases (name, holder, instance, lease_until)
        VALUES ($1, $2, $4, (SELECT now FROM clock) + $3)
        ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder, instance = excluded.instance, lease_until = excluded.lease_until
        WHERE job_leases.holder = excluded.holder OR job_leases.lease_until < (SELECT now FROM clock)
            OR ", has_ended!("job_leases.instance"));
    READ_CLOCK = "SELECT now FROM clock";
    LAST_RUN = "SELECT at FROM job_runs WHERE name = $1";
    RECORD_JOB_RUN = "INSERT INTO job_runs (name, at) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at";
    RELEASE_JOB_LEASE = "DELETE FROM job_leases WHERE name = $1 AND holder = $2";
}

/// A job with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobLease {
    /// Garbage collection.
    Reaper,
    /// The consistency check.
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
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn acquire_job_lease(&self, job: JobLease, holder: Uuid, lease: Duration) -> Result<bool> {
        let values = (job.as_str(), holder, Micros::from(lease), self.instance.id());
        Ok(self.write.execute(ACQUIRE_JOB_LEASE, values).await? == 1)
    }

    /// The time of the database's clock.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn clock(&self) -> Result<Micros> {
        let (now,) = self.read.fetch_one(READ_CLOCK, ()).await?;
        Ok(now)
    }

    /// When a job ran last, by the clock of its server; `None` if it never did.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn last_run(&self, job: JobLease) -> Result<Option<Micros>> {
        let row = self.read.fetch_optional(LAST_RUN, (job.as_str(),)).await?;
        Ok(row.map(|(at,)| at))
    }

    /// Records that a job runs.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn record_run(&self, job: JobLease, now: Timestamp) -> Result<()> {
        self.write.execute(RECORD_JOB_RUN, (job.as_str(), Micros::from(now))).await.map(drop)
    }

    /// Releases the lease of a job, if `holder` has it.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn release_job_lease(&self, job: JobLease, holder: Uuid) -> Result<()> {
        self.write.execute(RELEASE_JOB_LEASE, (job.as_str(), holder)).await.map(drop)
    }
}
