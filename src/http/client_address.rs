//! The client address: the peer's, or the one reported by a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, header};
use ipnet::IpNet;

/// Characters of a User-Agent that are kept.
const MAX_USER_AGENT: usize = 255;

/// The address of the client; `None` if the peer address is missing.
pub fn client_address(headers: &HeaderMap, extensions: &Extensions, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(client(peer.ip(), headers, trusted_proxies))
}

/// The nearest address that is not a trusted proxy. Everything further left in `X-Forwarded-For` was written by
/// others.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut nearest = peer.to_canonical();
    let fields: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|field| field.to_str().ok()).collect();
    let mut entries = fields.iter().rev().flat_map(|field| field.rsplit(','));
    while is_trusted(nearest) {
        let Some(address) = entries.next().and_then(parse) else {
            break;
        };
        nearest = address;
    }
    nearest
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let address = entry.parse().or_else(|_| entry.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// The User-Agent, without control characters, shortened to `MAX_USER_AGENT` characters.
pub fn user_agent(headers: &HeaderMap) -> String {
    let value = headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.unwrap_or_default().chars().filter(|character| !character.is_control()).take(MAX_USER_AGENT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_count_read_from_the_right() {
        let proxies = ["10.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")];
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("::1", &["[2001:db8::7]:80"], "2001:db8::7"),
            ("10.0.0.1", &["203.0.113.9, garbage, 10.0.0.2"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for field in forwarded {
                headers.append("x-forwarded-for", field.parse().expect("a value"));
            }
            let address = client(peer.parse().expect("an address"), &headers, &proxies);
            assert_eq!(address.to_string(), expected, "{peer} {forwarded:?}");
        }
    }
}
