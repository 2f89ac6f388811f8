//! Renewal of a job lease while the job runs.

use std::time::Duration;

use uuid::Uuid;

use crate::app::App;
use crate::db::JobLease;

/// Renews a job lease every third of its length; returns when another holder has acquired it.
pub(super) async fn until_lost(app: &App, job: JobLease, holder: Uuid, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match app.db.acquire_job_lease(job, holder, lease).await {
            Ok(true) => {}
            Ok(false) => return,
            // The next attempt comes before the lease expires.
            Err(error) => tracing::warn!(%error, job = job.as_str(), "could not renew a job lease"),
        }
    }
}
