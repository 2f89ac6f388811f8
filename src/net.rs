//! Addresses, networks, and the reach of URLs.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// Whether the host of a URL is the loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // The host of a scheme that is not of the web, such as `postgres`, is text even if it is an IPv4 address.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The reason why clients of the server at `public_url` cannot reach the store at `endpoint`, if the URLs show one.
pub fn unreachable_reason(public_url: &Url, endpoint: &Url) -> Option<&'static str> {
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
    match canonical(address) {
        IpAddr::V6(v6) => prefix(v6, 64),
        v4 => v4,
    }
}

/// The site of an IPv6 address, which is its /48: one customer may have all networks of it (RFC 6177, section 2).
pub fn site(address: IpAddr) -> Option<IpAddr> {
    match canonical(address) {
        IpAddr::V6(v6) => Some(prefix(v6, 48)),
        IpAddr::V4(_) => None,
    }
}

/// The IPv4 address within an IPv6 address, where there is one: it is mapped, or of 6to4 (RFC 3056, section 2), which gives
/// everybody with an IPv4 address 65,536 networks.
fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.segments()[0] == 0x2002 => {
            let [_, _, a, b, c, d, ..] = v6.octets();
            [a, b, c, d].into()
        }
        address => address,
    }
}

fn prefix(address: Ipv6Addr, length: u32) -> IpAddr {
    let rest = 128 - length;
    IpAddr::V6((address.to_bits() >> rest << rest).into())
}

/// Parses a network in CIDR notation; a single address is a network of one. A network of IPv4-mapped IPv6 addresses is
/// the network of the IPv4 addresses, because the addresses of clients are compared in that form.
///
/// # Examples
/// ```
/// use strongroom::net::parse_network;
///
/// assert_eq!(parse_network("192.0.2.7/24").unwrap().to_string(), "192.0.2.0/24");
/// assert_eq!(parse_network("::1").unwrap().to_string(), "::1/128");
/// assert_eq!(parse_network("::ffff:192.0.2.7/120").unwrap().to_string(), "192.0.2.0/24");
/// assert_eq!(parse_network("localhost"), None);
/// ```
pub fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.map(|network: IpNet| canonical_network(network.trunc()))
}

fn canonical_network(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let v4 = match network.addr().to_canonical() {
        address @ IpAddr::V4(_) if network.prefix_len() >= MAPPED => {
            IpNet::new(address, network.prefix_len() - MAPPED).ok()
        }
        _ => None,
    };
    v4.unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subnet_counts_as_one_address() {
        let of = |text: &str| subscriber(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2002:c000:207:1:2::3"), "192.0.2.7");
        let site_of = |text: &str| site(text.parse().expect("an address")).map(|site| site.to_string());
        assert_eq!(site_of("2001:db8:1:2:3:4:5:6").as_deref(), Some("2001:db8:1::"));
        assert_eq!((site_of("192.0.2.7"), site_of("2002:c000:207:1:2::3")), (None, None));
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
