//! How many files the process may open, and how many connections and requests fit into that.

use secrecy::ExposeSecret;

use super::refusal::MAX_CONCURRENT;
use crate::config::{Config, StoreConfig};

/// Files that the server needs for itself: the runtime, the log, the listener, locks, background work, and clients that
/// are being refused.
const OWN: u64 = 24 + MAX_CONCURRENT as u64;
/// Connections and requests that are served in any case.
const MIN_PLACES: u64 = 4;
/// Files of one upload or download on disk: the content, and the folder that is synced.
const ON_DISK: u64 = 2;

/// What the limit of open files allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// The limit itself (`RLIMIT_NOFILE`).
    pub limit: u64,
    /// Maximum number of concurrent connections.
    pub connections: usize,
    /// Maximum number of concurrent requests, on all connections together.
    pub requests: usize,
}

impl OpenFiles {
    /// Raises the limit as far as the process may, and divides it.
    ///
    /// # Errors
    /// That of the system if the limit cannot be read.
    pub fn measure(config: &Config) -> std::io::Result<Self> {
        let per_request = match &config.store {
            StoreConfig::Disk { .. } => ON_DISK,
            StoreConfig::S3(_) => 1 + config.uploads.part_concurrency as u64,
        };
        let limit = rlimit::increase_nofile_limit(u64::MAX)?;
        Ok(Self::divide(limit, own(config), config.limits.connections as u64, per_request))
    }

    fn divide(limit: u64, own: u64, connections: u64, per_request: u64) -> Self {
        let free = limit.saturating_sub(own);
        let connections = connections.min((free / (1 + per_request)).max(MIN_PLACES));
        let requests = (free.saturating_sub(connections) / per_request).max(MIN_PLACES);
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self { limit, connections: number(connections), requests: number(requests) }
    }
}

/// Files that are not client connections: the server's own and those of the database.
fn own(config: &Config) -> u64 {
    let connections = u64::from(config.database_connections);
    let is_sqlite = config.database_url.expose_secret().starts_with("sqlite:");
    // On SQLite each connection opens the database and its write-ahead log.
    OWN + if is_sqlite { 2 * (connections + 1) } else { connections }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_requests_never_need_more_files_than_there_are() {
        for limit in [100, 128, 256, 1024, 65_536, 1_048_576] {
            let files = OpenFiles::divide(limit, 98, 4096, 2);
            let needed = 98 + files.connections + 2 * files.requests;
            assert!(needed as u64 <= limit || limit == 100, "{limit}: {files:?}");
            assert!(files.connections >= 4 && files.requests >= 4, "{limit}: {files:?}");
        }
        assert_eq!(OpenFiles::divide(1_048_576, 98, 4096, 2).connections, 4096);
    }
}
