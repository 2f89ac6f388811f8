//! Places that are shared between networks: one network gets at most a part of them, so that it cannot keep others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::sync::Notify;

/// One address gets at most one in four places. On IPv6 an address is a /64, which providers assign to one customer.
const ADDRESS_SHARE: usize = 4;
/// A /48 of IPv6, which may also belong to one customer, gets at most half of the places.
const SITE_SHARE: usize = 2;
/// The minimum share of an address, unless there are fewer places: a browser opens six connections.
const MIN_SHARE: usize = 8;
/// The minimum interval between two log lines about refusals.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A number of places.
#[derive(Debug)]
pub struct Places {
    /// What the places are for, in the log.
    what: &'static str,
    total: usize,
    /// Networks without a share of their own: many clients come from them.
    exempt: Vec<IpNet>,
    taken: Mutex<Taken>,
    freed: Notify,
    /// When the log last had a line about a refusal.
    warned: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<IpNet, usize>,
}

/// A place that is taken; dropping it frees it.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    networks: Vec<IpNet>,
}

impl Places {
    /// `total` places of something. Addresses in `exempt` have no share.
    pub fn new(what: &'static str, total: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        let (taken, warned) = (Mutex::default(), Mutex::default());
        Arc::new(Self { what, total, exempt, taken, freed: Notify::new(), warned })
    }

    /// Writes to the log that an address did not get a place; at most once a minute.
    pub fn log_refusal(&self, address: IpAddr) {
        if self.may_log() {
            let taken = self.lock().all;
            tracing::warn!(%address, taken, limit = self.total, "no place for more {}", self.what);
        }
    }

    /// Logs that the operating system refused a connection; at most once a minute.
    pub fn log_failure(&self, error: &std::io::Error) {
        if self.may_log() {
            tracing::warn!(%error, "no place for more {}", self.what);
        }
    }

    fn may_log(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let may_log = warned.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if may_log {
            *warned = Some(Instant::now());
        }
        may_log
    }

    /// Takes a place; `None` if there is none, or if the share of the address is used up.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let shares = self.shares(address.to_canonical());
        let mut taken = self.lock();
        let is_full = |(network, share): &(IpNet, usize)| taken.by_network.get(network).is_some_and(|of| of >= share);
        if taken.all >= self.total || shares.iter().any(is_full) {
            return None;
        }
        taken.all += 1;
        let networks: Vec<IpNet> = shares.into_iter().map(|(network, _)| network).collect();
        for network in &networks {
            *taken.by_network.entry(*network).or_default() += 1;
        }
        Some(Place { places: self.clone(), networks })
    }

    /// Takes a place, and waits for one up to this time.
    pub async fn wait(self: &Arc<Self>, address: IpAddr, time: Duration) -> Option<Place> {
        let waiting = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                // Registered before it looks, so that a place which is freed in between is not missed.
                freed.as_mut().enable();
                if let Some(place) = self.take(address) {
                    return place;
                }
                freed.await;
            }
        };
        tokio::time::timeout(time, waiting).await.ok()
    }

    /// The networks of an address, and how many places each may have.
    fn shares(&self, address: IpAddr) -> Vec<(IpNet, usize)> {
        if self.exempt.iter().any(|network| network.contains(&address)) {
            return Vec::new();
        }
        let share = |part: usize| (self.total / part).max(MIN_SHARE).min(self.total);
        let v6 = |address, prefix| Ipv6Net::new(address, prefix).map(|network| IpNet::V6(network.trunc()));
        match address {
            IpAddr::V4(address) => vec![(Ipv4Net::from(address).into(), share(ADDRESS_SHARE))],
            IpAddr::V6(address) => {
                let networks = [(v6(address, 64), ADDRESS_SHARE), (v6(address, 48), SITE_SHARE)];
                networks.into_iter().filter_map(|(network, part)| Some((network.ok()?, share(part)))).collect()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        for network in &self.networks {
            if let Some(count) = taken.by_network.get_mut(network) {
                *count -= 1;
                if *count == 0 {
                    taken.by_network.remove(network);
                }
            }
        }
        drop(taken);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many places these addresses get, one after the other, each as many as it can.
    fn got(places: &Arc<Places>, addresses: &[&str]) -> Vec<usize> {
        let mut held = Vec::new();
        let take_all = |address: &&str| {
            let address: IpAddr = address.parse().expect("an address");
            let before = held.len();
            held.extend(std::iter::from_fn(|| places.take(address)));
            held.len() - before
        };
        addresses.iter().map(take_all).collect()
    }

    #[test]
    fn an_address_gets_a_quarter_and_a_proxy_gets_the_rest() {
        let places = Places::new("connections", 100, vec!["10.0.0.0/8".parse().expect("a network")]);
        assert_eq!(got(&places, &["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "10.0.0.1"]), [25, 0, 25, 50]);
        assert_eq!(got(&places, &["192.0.2.1"]), [25], "all are free again");
    }

    #[test]
    fn on_ipv6_a_64_counts_as_an_address_and_a_48_gets_half() {
        let places = Places::new("connections", 100, Vec::new());
        let addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:1::1"];
        assert_eq!(got(&places, &addresses), [25, 0, 25, 0, 25]);
    }

    #[test]
    fn a_small_number_is_shared_as_well() {
        assert_eq!(
            got(&Places::new("connections", 17, Vec::new()), &["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            [8, 8, 1]
        );
        assert_eq!(got(&Places::new("connections", 3, Vec::new()), &["192.0.2.1"]), [3]);
    }

    #[tokio::test]
    async fn a_place_that_is_freed_goes_to_a_request_that_waits() {
        let places = Places::new("connections", 1, Vec::new());
        let address: IpAddr = "192.0.2.1".parse().expect("an address");
        let place = places.take(address).expect("a place");
        assert!(places.wait(address, Duration::ZERO).await.is_none());
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.wait(address, Duration::from_secs(60)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(place);
        assert!(waiting.await.expect("no panic"));
    }
}
