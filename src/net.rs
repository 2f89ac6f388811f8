//! Addresses, networks, and the reach of URLs.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// Whether a URL leads to the machine that follows it.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Why clients of the server at `public_url` cannot use a URL of the store at `endpoint`; `None` if nothing
/// in the two URLs prevents it.
pub fn is_unreachable(public_url: &Url, endpoint: &Url) -> Option<&'static str> {
    if is_loopback(endpoint) && !is_loopback(public_url) {
        Some("only this machine can reach it")
    } else if public_url.scheme() == "https" && endpoint.scheme() == "http" {
        Some("browsers do not let pages of an https:// server use it")
    } else {
        None
    }
}

/// The subscriber at an address: an IPv4 address, or the /64 of an IPv6 address, because a client that has one address of
/// it has all of them.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// Parses a network in CIDR notation; a single address is a network of one.
///
/// # Examples
/// ```
/// use strongroom::net::parse_network;
///
/// assert_eq!(parse_network("192.0.2.7/24").unwrap().to_string(), "192.0.2.0/24");
/// assert_eq!(parse_network("::1").unwrap().to_string(), "::1/128");
/// assert_eq!(parse_network("localhost"), None);
/// ```
pub fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.map(|network: IpNet| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subnet_counts_as_one_address() {
        let of = |text: &str| subscriber(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
